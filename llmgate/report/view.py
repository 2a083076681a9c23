"""Records and a decision become worded rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.errors import RecordError
from llmgate.gate.decision.details import detail_lines, next_step
from llmgate.gate.decision.types import Verdict
from llmgate.report.arm_rows import ArmsView, CurveView
from llmgate.report.limits import ReportLimits
from llmgate.report.panels.admissions import admission_panels
from llmgate.report.panels.anchors import anchors_panel
from llmgate.report.panels.attempts import attempt_panels
from llmgate.report.panels.cases import CaseBook
from llmgate.report.panels.facts import facts
from llmgate.report.panels.looks import asked_of, look_panel
from llmgate.report.panels.metrics import metric_row
from llmgate.report.panels.notices import notices
from llmgate.report.panels.outputs import outputs_panel
from llmgate.report.panels.preferences import preferences_panel
from llmgate.report.panels.provenance import provenance
from llmgate.report.panels.repeats import repeat_panels
from llmgate.report.panels.slices import slice_rows
from llmgate.report.panels.tested_slices import tested_slices_panel
from llmgate.report.panels.waivers import waivers_panel
from llmgate.report.pieces import State
from llmgate.report.rows import ProblemRow, ReportView, ServingTable
from llmgate.report.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.decision.types import Decision
    from llmgate.gate.serving.arm_figures import ArmFigures
    from llmgate.gate.serving.summary import ServingSummary
    from llmgate.record.schema import Record
    from llmgate.report.arm_rows import Side
    from llmgate.report.rows import Panel

__all__ = ["build_view"]

_REGISTERED = re.compile(r"models:/([^/]+)/(\d+)")

CONSEQUENCES = {
    State.PASS: "This verdict allows the promotion of exactly this model.",
    State.FAIL: "Promotion is blocked.",
    State.INCONCLUSIVE: "Promotion is blocked: the evidence does not suffice, neither for a PASS nor for a FAIL.",
    State.NOT_EVALUATED: "Promotion is blocked: something that had to be evaluated was not.",
}
SHOWN_AS_FACTS = frozenset({"Gates", "Cases", "Flips"})
"""Details of a decision that the strip of figures says."""


def build_view(
    candidate: Record,
    champion: Record | None,
    decision: Decision,
    *,
    serving: Sequence[ServingSummary] = (),
    champion_serving: Sequence[ServingSummary] = (),
    limits: ReportLimits | None = None,
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
    limits = limits or ReportLimits()
    _check_bound(candidate, decision.candidate_run, decision.candidate_digest, side="candidate")
    _check_bound(champion, decision.champion_run, decision.champion_digest or "", side="champion")
    _check_possible(candidate, champion, decision)
    candidate = asked_of(candidate, decision)
    book = CaseBook.open(candidate, champion, decision, limits)
    listings = book.listings(decision)
    errors, errors_left_out = book.errors()
    slices, slices_left_out = slice_rows(candidate, champion, most=limits.slices)
    state = _state(decision)
    measured = _measured(candidate, decision, serving, champion_serving)
    name, champion_name = _names(candidate, champion)
    return ReportView(
        state=state,
        verdict=decision.verdict.value,
        qualifier="could not be evaluated" if state is State.NOT_EVALUATED else "",
        sentence=one_line(decision.sentence, 2000),
        consequence=CONSEQUENCES[state],
        next=one_line(next_step(decision), 400),
        details=tuple(
            (label, one_line(text, 600)) for label, text in detail_lines(decision) if label not in SHOWN_AS_FACTS
        ),
        candidate=name,
        champion=champion_name,
        run=one_line(candidate.manifest.run_id, 120),
        created_at=one_line(candidate.manifest.created_at, 60),
        notices=tuple(notices(candidate, champion, decision)),
        facts=tuple(facts(book, decision, listings.missed.total)),
        problems=tuple(
            ProblemRow(where=one_line(problem.where), what=one_line(problem.what, 600), fix=one_line(problem.fix, 600))
            for problem in decision.problems
        ),
        metrics=tuple(metric_row(metric) for metric in decision.metrics),
        required=listings.required,
        worse=listings.worse,
        better=listings.better,
        missed=listings.missed,
        errors=errors,
        errors_left_out=errors_left_out,
        slices=slices,
        slices_left_out=slices_left_out,
        serving=measured.tables,
        provenance=provenance(candidate, champion),
        panels=tuple(_panels(candidate, decision, limits.slices)),
        curves=measured.curves,
        arms=measured.arms,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What a report shows of serving."""

    tables: tuple[ServingTable, ...] = ()
    curves: tuple[CurveView, ...] = ()
    arms: tuple[ArmsView, ...] = ()


def _measured(
    candidate: Record,
    decision: Decision,
    serving: Sequence[ServingSummary],
    champion_serving: Sequence[ServingSummary],
) -> _Measured:
    if not (candidate.arms or serving or champion_serving):
        return _Measured()
    # Twenty modules that read timings and draw them: only who measured serving pays for them, here and below.
    from llmgate.gate.serving.arm_figures import read_arms  # noqa: PLC0415
    from llmgate.report.panels.arms import arms_view  # noqa: PLC0415
    from llmgate.report.panels.load_curve import CURVE_LATENCY, curves  # noqa: PLC0415
    from llmgate.report.panels.serving import serving_tables  # noqa: PLC0415

    arms = [read_arms(it) for it in candidate.arms]
    mine, theirs = _with_arms(serving, arms, "candidate"), _with_arms(champion_serving, arms, "champion")
    # The limit of the p95 of TTFT in ms, by suite.
    levels = {it.suite: it.max for it in decision.metrics if it.metric == CURVE_LATENCY and it.max is not None}
    return _Measured(
        tables=serving_tables(mine, theirs),
        curves=tuple(curves(mine, theirs, levels)),
        arms=tuple(arms_view(it, decision) for it in arms),
    )


def _with_arms(serving: Sequence[ServingSummary], arms: Sequence[ArmFigures], side: Side) -> tuple[ServingSummary, ...]:
    """Measurements of one side; a suite that was measured on two arms is shown by these alone."""
    from llmgate.report.panels.arms import summaries_of  # noqa: PLC0415

    on_arms = {it.arms.plan.suite for it in arms}
    return (
        *(run for run in serving if run.name not in on_arms),
        *(run for it in arms for run in summaries_of(it, side)),
    )


def _panels(candidate: Record, decision: Decision, most: int) -> Iterator[Panel]:
    """Evidence that is a table, in reading order."""
    yield from admission_panels(candidate, decision)
    if decision.preferences:
        yield preferences_panel(decision.preferences)
    if decision.drifts:
        yield anchors_panel(decision.drifts)
    if decision.waivers:
        yield waivers_panel(decision.waivers)
    if decision.looks:
        yield look_panel(decision.looks)
    if decision.attempt is not None:
        yield from attempt_panels(decision.verdict, decision.attempt)
    if decision.slices:
        yield tested_slices_panel(decision, most=most)
    yield from repeat_panels(decision.repeats, most=most)
    if decision.outputs:
        yield outputs_panel(decision)


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
        (decision.barring, "lists problems"),
        (decision.required_failures, "lists failed required asserts"),
        (any(tested.failed and not tested.waived for tested in decision.slices), "lists slices that failed"),
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
    if decision.verdict is Verdict.INCONCLUSIVE and decision.barring:
        return State.NOT_EVALUATED
    return State[decision.verdict.name]


def _names(candidate: Record, champion: Record | None) -> tuple[str, str | None]:
    """Names that tell both sides apart: where one name served twice, with the first thing that differs."""
    after = _name(candidate)
    before = None if champion is None else _name(champion)
    if champion is None or before != after:
        return after, before
    mine, theirs = next(
        (both for both in zip(_marks(candidate), _marks(champion), strict=True) if both[0] != both[1]), ("", "")
    )
    return f"{after} ({mine})", f"{before} ({theirs})"


def _marks(record: Record) -> tuple[str, ...]:
    """What may tell a model from another of its name, what says most before the rest; the run always does."""
    model, server = record.manifest.model, record.manifest.server
    label, digest = one_line(server.deployment, 60), (model.weights_digest or "")[:12]
    source = one_line(re.sub(r"^https?://", "", record.manifest.server.url or model.source), 60)
    return (
        f"version {one_line(model.registry_uri, 60)}" if model.registry_uri else "no version",
        label or "no label",
        f"weights {digest}" if digest else "weights unknown",
        source,
        one_line(record.manifest.run_id, 60),
    )


def _name(record: Record) -> str:
    model = record.manifest.model
    registered = _REGISTERED.fullmatch(model.registry_uri or "")
    return one_line(f"{registered[1]} v{registered[2]}" if registered else model.name, 120)
