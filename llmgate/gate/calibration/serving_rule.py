"""The serving rule on thousands of measurements at once, and rules that others use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.vectorised import Verdicts

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["accepted_loss", "decide_pairs"]


def accepted_loss(margin: float, *, latency: bool) -> float:
    """The logarithm of the ratio at which the margin is lost, turned so that more is better: below 0.

    Args:
        margin: 0.05 is 5 % less throughput, or 5 % more latency.
        latency: Whether less is better.
    """
    return -math.log1p(margin) if latency else math.log1p(-margin)


def decide_pairs(x: NDArray[np.float64], *, margin: float, latency: bool, alpha: float) -> Verdicts:
    """The gate's rule: a paired t on log ratios, the pair of runs as unit.

    PASS if the lower bound lies above `accepted_loss`; FAIL if not PASS and the upper bound lies below 0.

    Args:
        x: Log ratio of each pair, turned so that more is better; shape (R, pairs).
        margin: The largest relative loss that is accepted.
        latency: Whether the margin is of a latency.
        alpha: One-sided error rate.

    Raises:
        UndefinedError: If there are fewer than two pairs or a ratio is none.
    """
    if x.ndim != 2 or x.shape[1] < 2 or not np.all(np.isfinite(x)):
        raise UndefinedError(f"log ratios of shape {x.shape} have no spread that could be estimated")
    n = x.shape[1]
    mean = x.mean(axis=1)
    residuals = x - mean[:, None]
    reach = float(special.stdtrit(n - 1, 1.0 - alpha)) * np.sqrt((residuals * residuals).sum(axis=1) / (n * (n - 1)))
    # Equal values show no spread; the gate decides nothing from them.
    spread = ~np.all(x == x[:, :1], axis=1)
    passed = spread & (mean - reach > accepted_loss(margin, latency=latency))
    return Verdicts(passed=passed, failed=spread & ~passed & (mean + reach < 0.0))
