"""The strip of figures under the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Verdict
from llmgate.record.schema import Generation, Outcome
from llmgate.report.panels.cards import evaluated
from llmgate.report.panels.looks import saved_by
from llmgate.report.rows import Fact
from llmgate.report.words import count, plural

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from llmgate.gate.decision.types import Decision
    from llmgate.record.schema import PlannedCase, Record
    from llmgate.report.panels.cases import CaseBook

__all__ = ["facts"]


def facts(book: CaseBook, decision: Decision, missed: int) -> Iterator[Fact]:
    """Gates, cases, cases below par, and with a champion the scores that changed."""
    cases = [case for case in book.candidate.cases if not case.unchecked]
    planned = len(cases)
    watched_only = frozenset((metric.suite, metric.metric) for metric in decision.metrics if not metric.gates)
    done = sum(_gated(book.candidate, case, watched_only) for case in cases)
    unwatched = done - sum(evaluated(book.candidate, case) for case in cases)
    recorded = len(book.candidate.cases) - planned
    waived = sum(metric.waived for metric in decision.metrics)
    gating = [metric for metric in decision.metrics if metric.gates and not metric.waived]
    watched = len(decision.metrics) - len(gating) - waived
    passing = sum(metric.verdict is Verdict.PASS for metric in gating)
    beside = [f"{plural(watched, 'further metric')} only watched"] if watched else []
    beside += [f"{plural(waived, 'metric')} waived"] if waived else []
    yield Fact(
        label="Gates that pass",
        value=f"{count(passing)} of {count(len(gating))}",
        detail=", ".join(beside),
        serious=passing < len(gating) or not gating,
    )
    yield Fact(
        label="Cases evaluated",
        value=f"{count(done)} of {count(planned)}",
        detail=_missing(planned - done, unwatched)
        + (f", {count(recorded)} more only recorded" if recorded else "")
        + _champion_lacks(book.champion)
        + saved_by(decision),
        serious=done < planned or not planned,
    )
    yield Fact(label="Cases below par", value=count(missed), detail="not a failed build by themselves")
    if book.champion is not None:
        scored = [metric for metric in gating if not metric.unit]
        worse = sum(metric.worse for metric in scored)
        better = sum(metric.better for metric in scored)
        scores = plural(sum(metric.evaluated for metric in scored if not metric.two_sided), "score")
        detail = f"of {scores} on gates: {count(better)} better, {count(worse)} worse"
        yield Fact(label="Scores that changed", value=count(better + worse), detail=detail)


def _gated(record: Record, case: PlannedCase, watched: Collection[tuple[str, str]]) -> bool:
    """Whether every repeat of the case has what gates ask for; what is only watched may be missing."""
    results = [record.scored.get(key) for key in case.keys]
    return bool(results) and all(
        result is not None
        and isinstance(result.answer, Generation)
        and result.judged
        and not any(
            check.outcome is Outcome.ERROR and (check.required or (case.suite, check.metric) not in watched)
            for check in result.checks
        )
        for result in results
    )


def _missing(errors: int, unwatched: int) -> str:
    """What the gates lack, and apart from that what is only watched lacks."""
    gated = f"{count(errors)} with errors" if errors else "no errors"
    return f"{gated} on gates; {_lacking(unwatched)} a score that is only watched" if unwatched else gated


def _champion_lacks(champion: Record | None) -> str:
    """What the champion's side lacks, whatever metric it is for."""
    lost = sum(not evaluated(champion, case) for case in champion.cases if not case.unchecked) if champion else 0
    return f"; of the champion {_lacking(lost)} a score" if lost else ""


def _lacking(cases: int) -> str:
    return f"{plural(cases, 'case')} {'lacks' if cases == 1 else 'lack'}"
