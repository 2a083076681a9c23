"""Records and a decision become worded rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmgate.errors import RecordError
from llmgate.gate.decision.types import Verdict
from llmgate.record.policy import OnInconclusive
from llmgate.report.panels.admissions import admission_panels
from llmgate.report.panels.cases import CaseBook, Limits, evaluated, planned_keys
from llmgate.report.panels.findings import finding_panels
from llmgate.report.panels.judges import trial_notice
from llmgate.report.panels.looks import asked_of, saved_by, stop_notices
from llmgate.report.panels.metrics import metric_row
from llmgate.report.panels.provenance import provenance
from llmgate.report.panels.serving import serving_tables
from llmgate.report.panels.slices import slice_rows
from llmgate.report.pieces import State
from llmgate.report.rows import Fact, Notice, ProblemRow, ReportView
from llmgate.report.visible import one_line
from llmgate.report.words import count, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.types import Decision
    from llmgate.record.schema import Record
    from llmgate.report.panels.serving import Measured

__all__ = ["build_view"]

_REGISTERED = re.compile(r"models:/([^/]+)/(\d+)")

CONSEQUENCES = {
    State.PASS: "This verdict allows the promotion of exactly this model.",
    State.FAIL: "Promotion is blocked.",
    State.INCONCLUSIVE: "Promotion is blocked: the evidence does not suffice, neither for a PASS nor for a FAIL.",
    State.NOT_EVALUATED: "Promotion is blocked: something that had to be evaluated was not.",
}


def build_view(
    candidate: Record,
    champion: Record | None,
    decision: Decision,
    *,
    serving: Sequence[Measured] = (),
    champion_serving: Sequence[Measured] = (),
    limits: Limits | None = None,
) -> ReportView:
    """Put everything that a report says into words.

    Args:
        candidate: The record that was decided on.
        champion: The baseline of the decision, None if it had none.
        decision: What was decided on these two records.
        serving: Summaries of the candidate's serving measurements.
        champion_serving: Summaries of the champion's.
        limits: How much to show.

    Raises:
        RecordError: If the decision is about other records, or says PASS where the evidence forbids it. A report
            must not put one run's evidence under another run's verdict.
    """
    limits = limits or Limits()
    _check_bound(candidate, decision.candidate_run, decision.candidate_digest, side="candidate")
    _check_bound(champion, decision.champion_run, decision.champion_digest or "", side="champion")
    _check_possible(candidate, champion, decision)
    candidate = asked_of(candidate, decision)
    book = CaseBook.open(candidate, champion, decision, limits)
    errors, errors_left_out = book.errors()
    slices, slices_left_out = slice_rows(candidate, champion, most=limits.slices)
    state = _state(decision)
    names = _names(candidate, champion)
    return ReportView(
        state=state,
        verdict=decision.verdict.value,
        qualifier="could not be evaluated" if state is State.NOT_EVALUATED else "",
        sentence=one_line(decision.sentence, 2000),
        consequence=CONSEQUENCES[state],
        candidate=names[0],
        champion=names[1],
        run=one_line(candidate.manifest.run_id, 120),
        created_at=one_line(candidate.manifest.created_at, 60),
        notices=tuple(_notices(candidate, champion, decision)),
        facts=tuple(_facts(book, decision)),
        problems=tuple(
            ProblemRow(where=one_line(problem.where), what=one_line(problem.what, 600), fix=one_line(problem.fix, 600))
            for problem in decision.problems
        ),
        metrics=tuple(metric_row(metric) for metric in decision.metrics),
        required=book.required(decision.required_failures),
        worse=book.flips(decision.flips, better=False),
        better=book.flips(decision.flips, better=True),
        missed=book.missed(),
        errors=errors,
        errors_left_out=errors_left_out,
        slices=slices,
        slices_left_out=slices_left_out,
        serving=serving_tables(serving, champion_serving),
        provenance=provenance(candidate, champion),
        panels=(*admission_panels(candidate, decision), *finding_panels(decision, most=limits.slices)),
    )


def _check_bound(record: Record | None, run: str | None, digest: str, *, side: str) -> None:
    if record is None:
        if run:
            raise RecordError(
                f"the decision compares with run {run!r}, but no {side} record was given",
                where="report",
                fix="Give the record that the decision was taken on",
            )
        return
    if run is None or (run and run != record.manifest.run_id):
        raise RecordError(
            f"the decision's {side} is run {run!r}, but the record is run {record.manifest.run_id!r}",
            where="report",
            fix="Give the records that the decision was taken on, or decide again",
        )
    sealed = record.seal.journal_digest if record.seal else ""
    if digest and digest != sealed:
        raise RecordError(
            f"the {side} record has journal digest {sealed or 'none (not sealed)'}, the decision names {digest}",
            where=f"report: run {record.manifest.run_id!r}",
            fix="The record changed after the decision; decide again",
        )


def _check_possible(candidate: Record, champion: Record | None, decision: Decision) -> None:
    if decision.verdict is not Verdict.PASS:
        return
    contradictions = [
        (decision.problems, "lists problems"),
        (decision.required_failures, "lists failed required asserts"),
        (any(one.failed and not one.waived for one in decision.slices), "lists slices that failed"),
        (candidate.seal is None, "is about a candidate run that was never finished"),
        (champion is not None and champion.seal is None, "is about a champion run that was never finished"),
    ]
    for contradiction, words in contradictions:
        if contradiction:
            raise RecordError(
                f"the decision says PASS, yet it {words}",
                where=f"report: run {candidate.manifest.run_id!r}",
                fix="No such decision can come from llmgate; take it again with `llmgate decide`",
            )


def _state(decision: Decision) -> State:
    if decision.verdict is Verdict.INCONCLUSIVE:
        return State.NOT_EVALUATED if decision.problems else State.INCONCLUSIVE
    return State.PASS if decision.verdict is Verdict.PASS else State.FAIL


def _names(candidate: Record, champion: Record | None) -> tuple[str, str | None]:
    """Names that tell both sides apart; a champion run compared with a run of itself has the same name twice."""
    after = _name(candidate)
    before = None if champion is None else _name(champion)
    if champion is None or before != after:
        return after, before
    runs = (one_line(candidate.manifest.run_id, 60), one_line(champion.manifest.run_id, 60))
    return f"{after} ({runs[0]})", f"{before} ({runs[1]})"


def _name(record: Record) -> str:
    model = record.manifest.model
    registered = _REGISTERED.fullmatch(model.registry_uri or "")
    return one_line(f"{registered[1]} v{registered[2]}" if registered else model.name, 120)


def _notices(candidate: Record, champion: Record | None, decision: Decision) -> list[Notice]:
    notices = []
    for side, record in (("candidate", candidate), ("champion", champion)):
        if record is not None and record.seal is None:
            done = sum(key in record.results for key in planned_keys(record))
            planned = count(len(planned_keys(record)))
            text = f"The {side}'s run did not finish: {count(done)} of {planned} planned answers exist."
            notices.append(Notice(text=text, serious=True))
    if champion is None:
        text = "No champion was given: metrics are judged against absolute thresholds, by their confidence bound."
        notices.append(Notice(text=text, serious=False))
    if decision.verdict is Verdict.INCONCLUSIVE and decision.on_inconclusive is OnInconclusive.ALLOW:
        text = "The policy does not let an INCONCLUSIVE verdict stop the build; it still never allows a promotion."
        notices.append(Notice(text=text, serious=False))
    if candidate.manifest.judge is not None or candidate.manifest.judges:
        text = "Judged metrics are judge scores, not human quality."
        notices.append(Notice(text=text, serious=False))
    notices += [Notice(text=text, serious=serious) for text, serious in stop_notices(candidate, champion, decision)]
    if text := trial_notice(candidate):
        notices.append(Notice(text=text, serious=True))
    if candidate.manifest.self_judges:
        text = f"The model judged its own answers (judge {one_line(', '.join(candidate.manifest.self_judges), 120)})."
        notices.append(Notice(text=text, serious=True))
    return notices


def _facts(book: CaseBook, decision: Decision) -> list[Fact]:
    planned = len(book.candidate.cases)
    done = sum(evaluated(book.candidate, case) for case in book.candidate.cases)
    missed = len(book.missed_names())
    waived = sum(metric.waived for metric in decision.metrics)
    gating = [metric for metric in decision.metrics if metric.gates and not metric.waived]
    watched = len(decision.metrics) - len(gating) - waived
    passing = sum(metric.verdict is Verdict.PASS for metric in gating)
    beside = [f"{plural(watched, 'more metric')} only watched"] if watched else []
    beside += [f"{plural(waived, 'metric')} waived"] if waived else []
    facts = [
        Fact(
            label="Gates that pass",
            value=f"{count(passing)} of {count(len(gating))}",
            detail=", ".join(beside),
            serious=passing < len(gating) or not gating,
        ),
        Fact(
            label="Cases evaluated",
            value=f"{count(done)} of {count(planned)}",
            detail=(f"{count(planned - done)} with errors" if planned > done else "no errors") + saved_by(decision),
            serious=done < planned or not planned,
        ),
        Fact(label="Cases below par", value=count(missed), detail="not a failed build by themselves"),
    ]
    if book.champion is not None:
        worse, better = sum(m.worse for m in decision.metrics), sum(m.better for m in decision.metrics)
        detail = f"{count(better)} better, {count(worse)} worse"
        facts.append(Fact(label="Scores that changed", value=count(better + worse), detail=detail))
    return facts
