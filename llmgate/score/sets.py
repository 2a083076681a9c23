"""Several checks of one output → one: an `assert-set`, or a whole test with its threshold.

The weighted mean of the scores is the score. Without a threshold all members have to pass; with one the mean has to
reach it, whatever single members say. A member that could not be evaluated makes the whole an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.errors import SuiteError
from llmgate.score.check import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Member", "combine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One check's part in the whole."""

    finding: Finding
    weight: float
    name: str


def combine(members: Sequence[Member], threshold: float | None) -> Finding:
    """What the members amount to.

    Args:
        members: All of them; none is fully right.
        threshold: The least mean that passes, None if every member has to pass.

    Raises:
        SuiteError: If the threshold is one that every output reaches.
    """
    if threshold is not None and not threshold > 0:
        raise SuiteError(f"the threshold is {threshold:g}, so the test cannot fail", fix="Write a number above 0")
    total = math.fsum(member.weight for member in members)
    # Nothing to check is fully right, and of what does not count the mean is 0, as in promptfoo.
    # A similarity may lie outside of [0, 1]; it must not make up for what others lack.
    score = (
        sum(m.weight * min(1.0, max(0.0, m.finding.score)) for m in members) / total if total else float(not members)
    )
    failed = [member for member in members if not member.finding.passed]
    if threshold is not None:
        return Finding(score >= threshold, score, f"the weighted mean is {score:.4g}, wanted {threshold:g}")
    if not failed:
        return Finding(True, score, f"all {len(members)} passed")
    return Finding(False, score, "; ".join(f"{m.name}: {m.finding.reason}" for m in failed))
