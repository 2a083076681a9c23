"""Which attempt of its candidate a run is: what the earlier ones came to, and what this one had to reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.types import Verdict
from llmgate.report.pieces import State
from llmgate.report.rows import Panel, PanelRow, columns
from llmgate.report.visible import full_name, one_line
from llmgate.report.words import percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.gate.decision.attempt_types import AttemptBound, AttemptDecision

__all__ = ["attempt_panels"]

STATES: Final = {Verdict.PASS: State.PASS, Verdict.FAIL: State.FAIL, Verdict.INCONCLUSIVE: State.INCONCLUSIVE}
SHOWN: Final = 12
"""Digits of an attempt's id."""
NOT_GUARANTEED: Final = (
    "Not counted are runs outside of the ledger, and those of a ledger that was deleted; a new version of the suite"
    " begins a new count."
)


def attempt_panels(verdict: Verdict, attempt: AttemptDecision) -> Iterator[Panel]:
    """The attempts, and the bounds of this one; nothing at the first.

    Args:
        verdict: Of this attempt.
        attempt: Which one it is, and what came before.
    """
    if not attempt.earlier:
        return
    verdicts = [*attempt.earlier, verdict]
    ids = [*(identity[:SHOWN] for identity in attempt.digests), "this run"]
    shares = [percent(share, 2) for share in attempt.shares]
    known = len(ids) == len(verdicts) == len(shares)
    yield Panel(
        id="attempts",
        title="Attempts",
        tag=f"this is attempt {attempt.number} at this candidate",
        lead=f"{one_line(attempt.sentence, 600)} {NOT_GUARANTEED}".strip(),
        columns=(*columns("Attempt", "Verdict", "Id"), *columns("Share of every error rate", number=True)),
        rows=tuple(
            PanelRow(
                cells=(
                    str(number),
                    one.value,
                    ids[number - 1] if known else "unknown",
                    shares[number - 1] if known else "unknown",
                ),
                state=STATES[one],
            )
            for number, one in enumerate(verdicts, start=1)
        ),
    )
    if attempt.bounds:
        yield bounds_panel(attempt)


def bounds_panel(attempt: AttemptDecision) -> Panel:
    """What each gating metric had to reach."""
    return Panel(
        id="attempt-bounds",
        title="Bounds of this attempt",
        tag=f"{plural(attempt.answers, 'answer')} count together" if attempt.answers else "",
        lead=(
            "Each attempt has its share of the error rate, so that all attempts together pass a true loss of the margin"
            " no more often than a single one would. Correlation is the share of a case's variance that asking again"
            " does not average out: the larger it is, the less another attempt tells."
        ),
        columns=(
            *columns("Suite and metric"),
            *columns("Bound (z) of the first", "Bound (z) now", "Correlation", "Information", number=True),
            *columns("What counts"),
        ),
        rows=tuple(map(bound_row, attempt.bounds)),
    )


def bound_row(bound: AttemptBound) -> PanelRow:
    """One metric."""
    return PanelRow(
        cells=(
            full_name(bound.suite, bound.metric),
            f"{bound.first:.2f}",
            f"{bound.z:.2f}",
            "–" if bound.correlation is None else f"{bound.correlation:.2f}",
            f"{bound.information[-1]:.2f}" if bound.information else "–",
            "all attempts" if bound.pooled else "this attempt alone",
        )
    )
