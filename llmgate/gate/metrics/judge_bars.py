"""A judge that drifted cannot gate: what its anchors say about the metrics that it scores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Problem
from llmgate.gate.judges.admission_status import hold_to_admission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.judge_types import JudgeDrift
    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.gate.metrics.tests import Measured

__all__ = ["drifts_of", "hold_to_anchors", "hold_to_judges"]

FIX = "Take the judge that the anchors were frozen with; for a new one freeze anew, and run the champion again"


def drifts_of(candidate: Evidence, champion: Evidence | None) -> tuple[JudgeDrift, ...]:
    """What became of the anchors on both sides, where there are any."""
    sides = {"candidate": candidate} if champion is None else {"candidate": candidate, "champion": champion}
    return tuple(replace(one.drift, side=side) for side, one in sides.items() if one.drift is not None)


def hold_to_judges(measured: Measured, candidate: Evidence, champion: Evidence | None) -> Measured:
    """A metric with what its judges mean for it: whether they were admitted, and whether they drifted.

    Args:
        measured: A metric.
        candidate: The candidate's evidence.
        champion: The champion's, None without one.
    """
    held = hold_to_admission(measured, candidate)
    return hold_to_anchors(held, drifts_of(candidate, champion), champion is not None)


def hold_to_anchors(measured: Measured, drifts: Sequence[JudgeDrift], compared: bool) -> Measured:
    """A metric with a problem that bars a PASS, if it hangs on a judge that drifted.

    A metric that people's labels correct hangs on no judge. One side with anchors and the other without is a problem
    too: leaving them out must not be a way to pass.

    Args:
        measured: A metric; one that no judge scores, or that is only watched, stays as it is.
        drifts: What became of the anchors.
        compared: Whether there is a champion.
    """
    policy = measured.policy
    if not (policy.judged and policy.gates) or measured.corrected or not drifts:
        return measured
    what = next((f"the judge drifted ({one.side}'s run): {one.drifted}" for one in drifts if one.drifted), "")
    if not what and compared and len(drifts) == 1:
        what = f"only the {drifts[0].side}'s run judged anchors"
    if not what and len({one.digest for one in drifts}) > 1:
        what = "the two runs judged different anchors"
    if not what:
        return measured
    problem = Problem(where=f"{policy.suite}::gate::{policy.metric}", what=what, fix=FIX)
    return replace(measured, problem=measured.problem or problem)
