"""Summaries of latencies. Nothing is said about an empty sample, where a 0 would pass any limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Spread", "percentile", "spread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean, median, standard deviation and percentiles of a sample, in the sample's unit.

    Attributes:
        std: Of the sample itself, divided by n and not n − 1, as `vllm bench serve` has it.
    """

    mean: float
    median: float
    std: float
    p50: float
    p90: float
    p95: float
    p99: float


def percentile(values: Sequence[float], percent: float) -> float:
    """Percentile by linear interpolation between order statistics.

    With x₀ ≤ … ≤ xₙ₋₁ and h = (n − 1)·percent/100: x⌊h⌋ + (h − ⌊h⌋)·(x⌊h⌋₊₁ − x⌊h⌋). With few values a high
    percentile is hardly more than the maximum: p99 of 20 values lies between the two largest ones.

    Args:
        values: Finite numbers in any order and unit.
        percent: In [0, 100].

    Returns:
        A number between the smallest and the largest value, in their unit.

    Raises:
        UndefinedError: If there are no values, one is not finite, or percent is out of range.

    Reference: Hyndman and Fan (1996), The American Statistician 50:361–365, definition 7; the default of numpy.
    """
    if not 0 <= percent <= 100:
        raise UndefinedError(f"there is no {percent}th percentile", fix="Ask for one between 0 and 100")
    return float(np.percentile(_sample(values), percent))


def spread(values: Sequence[float]) -> Spread:
    """Everything that is reported about one latency.

    Args:
        values: Finite numbers in any order and unit.

    Raises:
        UndefinedError: If there are no values or one is not finite.
    """
    sample = _sample(values)
    p50, p90, p95, p99 = (float(p) for p in np.percentile(sample, (50, 90, 95, 99)))
    mean = math.fsum(values) / len(values)
    return Spread(mean=mean, median=p50, std=float(np.std(sample)), p50=p50, p90=p90, p95=p95, p99=p99)


def _sample(values: Sequence[float]) -> np.typing.NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        raise UndefinedError("a summary of no values", fix="Look for why nothing was measured")
    if not np.isfinite(sample).all():
        raise UndefinedError("a summary of values that are not finite", fix="Look for what made them NaN or infinite")
    return sample
