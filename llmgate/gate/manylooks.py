"""Early stopping on thousands of right-or-wrong results at once: the rule that the gate has at a look, by columns.

At look k the tests are those of `manyruns.decide_counts` at the one-sided α of 1 − Φ(z_k), z_k by O'Brien and Fleming.
A run stops at the first look that passes or fails; before the last one FAIL also needs an estimate below −margin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmgate.errors import UndefinedError
from llmgate.gate.manyruns import Verdicts, decide_counts
from llmgate.stats.sequential import equal_fractions, obrien_fleming

__all__ = ["LOOKS", "Looked", "decide_looks", "look_sizes"]

LOOKS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """What came of many runs that may stop early.

    Attributes:
        verdicts: Of the look at which each run ended.
        used: Share of the cases that had been asked then, shape (R,).
    """

    verdicts: Verdicts
    used: NDArray[np.float64]


def look_sizes(pairs: int, looks: int = LOOKS) -> tuple[int, ...]:
    """How many pairs each look sees.

    Raises:
        UndefinedError: If there are fewer pairs than looks.
    """
    if pairs < looks:
        raise UndefinedError(f"{pairs} pairs are too few for {looks} looks")
    return tuple(round(fraction * pairs) for fraction in equal_fractions(looks))


def decide_looks(
    better: NDArray[np.int64], worse: NDArray[np.int64], sizes: tuple[int, ...], *, margin: float, alpha: float
) -> Looked:
    """The verdicts, and what they cost.

    Args:
        better: Pairs that only the candidate got right, of those that each look sees, shape (R, K).
        worse: Pairs that only the champion got right.
        sizes: Pairs that each look sees, ascending.
        margin: Non-inferiority margin.
        alpha: One-sided error rate over all looks.
    """
    planned = sizes[-1]
    bounds = obrien_fleming([size / planned for size in sizes], alpha=alpha)
    passed, failed = np.zeros(len(better), dtype=bool), np.zeros(len(better), dtype=bool)
    used = np.ones(len(better))
    for k, (size, tail) in enumerate(zip(sizes, bounds.tails, strict=True)):
        b, c = better[:, k], worse[:, k]
        found = decide_counts(b, c, np.full(len(b), size), margin=margin, alpha=tail)
        fails = found.failed if size == planned else found.failed & ((b - c) / size < -margin)
        going = ~(passed | failed)
        stops = going & (found.passed | fails)
        passed |= stops & found.passed
        failed |= stops & fails
        used[stops] = size / planned
    return Looked(verdicts=Verdicts(passed=passed, failed=failed), used=used)
