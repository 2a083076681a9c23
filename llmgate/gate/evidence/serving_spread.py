"""How much a serving figure varies from pair of runs to pair of runs, if nothing has changed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats.special import special_function

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ServingSpread", "pair_sd_of_cv", "pooled_spread"]

_TAIL = 0.025
"""Bounds are a 95 % interval."""
_NO_SPREAD = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSpread:
    """The spread of one figure, as earlier measurements show it.

    Attributes:
        suite: Suite name.
        metric: The figure.
        pair_sd: Standard deviation of the log ratio within pairs of neighbouring runs. What drifts more slowly than
            from one run to the next cancels in it, as it does in the gate.
        lowest: Lower 95 % bound of it.
        highest: Upper 95 % bound of it.
        pairs: How many pairs told.
        source: `run` for one measurement, `history` for several.
    """

    suite: str
    metric: str
    pair_sd: float
    lowest: float
    highest: float
    pairs: int
    source: Literal["run", "history"]


def pair_sd_of_cv(cv: float) -> float:
    """The standard deviation of a pair's log ratio, from the coefficient of variation of independent runs.

    √(2·log(1 + cv²)): exact for log-normal figures.

    Raises:
        UndefinedError: If cv is no positive number.
    """
    if not (math.isfinite(cv) and cv > 0.0):
        raise UndefinedError(f"runs do not vary by {cv}")
    return math.sqrt(2.0 * math.log1p(cv * cv))


def pooled_spread(suite: str, metric: str, measured: Sequence[NDArray[np.float64]]) -> ServingSpread | None:
    """The spread within measurements; what differs between them (another model, another day) does not count.

    s² = Σ Σ (x − x̄)² / Σ (n − 1), with the bounds of χ².

    Args:
        suite: Suite name.
        metric: The figure.
        measured: The log ratios of each measurement's pairs; those of fewer than two tell nothing.

    Returns:
        None if nothing tells, or nothing varies.
    """
    told = [ratios for ratios in measured if len(ratios) >= 2]
    df = sum(len(ratios) - 1 for ratios in told)
    squares = math.fsum(float(np.sum((ratios - ratios.mean()) ** 2)) for ratios in told)
    # Equal values leave residues of rounding, which are not spread.
    if df < 1 or not squares > df * _NO_SPREAD**2:
        return None
    chdtri = special_function("chdtri")
    return ServingSpread(
        suite=suite,
        metric=metric,
        pair_sd=math.sqrt(squares / df),
        lowest=math.sqrt(squares / float(chdtri(df, _TAIL))),
        highest=math.sqrt(squares / float(chdtri(df, 1.0 - _TAIL))),
        pairs=sum(map(len, told)),
        source="run" if len(told) == 1 else "history",
    )
