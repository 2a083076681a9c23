"""The strip of figures under the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Verdict
from llmgate.report.panels.cases import evaluated
from llmgate.report.panels.looks import saved_by
from llmgate.report.rows import Fact
from llmgate.report.words import count, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.gate.decision.types import Decision
    from llmgate.report.panels.cases import CaseBook

__all__ = ["facts"]


def facts(book: CaseBook, decision: Decision) -> Iterator[Fact]:
    """Gates, cases, cases below par, and with a champion the scores that changed."""
    planned = len(book.candidate.cases)
    done = sum(evaluated(book.candidate, case) for case in book.candidate.cases)
    waived = sum(metric.waived for metric in decision.metrics)
    gating = [metric for metric in decision.metrics if metric.gates and not metric.waived]
    watched = len(decision.metrics) - len(gating) - waived
    passing = sum(metric.verdict is Verdict.PASS for metric in gating)
    beside = [f"{plural(watched, 'more metric')} only watched"] if watched else []
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
        detail=(f"{count(planned - done)} with errors" if planned > done else "no errors") + saved_by(decision),
        serious=done < planned or not planned,
    )
    missed = count(len(book.missed_names()))
    yield Fact(label="Cases below par", value=missed, detail="not a failed build by themselves")
    if book.champion is not None:
        worse = sum(metric.worse for metric in decision.metrics)
        better = sum(metric.better for metric in decision.metrics)
        detail = f"{count(better)} better, {count(worse)} worse"
        yield Fact(label="Scores that changed", value=count(better + worse), detail=detail)
