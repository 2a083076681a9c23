"""Student's t for skewed clusters: Hall's transformation, which takes the first-order effect of skewness away.

With T₀ = (μ̂ − μ)/SE and κ = Σe³/(Σe²)^1.5, which is the skewness over √G, the statistic
g(T₀) = T₀ + κT₀²/3 + κ²T₀³/27 + κ/6 = ((1 + κT₀/3)³ − 1)/κ + κ/6 is t-distributed to second order. It rises in T₀, so
that it has an inverse, and |κ| ≤ 1.

Reference: Hall (1992), "On the removal of skewness by transformation", JRSS B 54:221-228.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.stats.sums import total

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["most_reach", "reach", "skewness", "transformed"]

_STEEPEST = 1.125
"""y at which (1 − ∛(1 − y))/y is largest, 4/3."""


def skewness(residuals: NDArray[np.float64]) -> float:
    """κ = Σe³/(Σe²)^1.5, from −1 to 1; 0 where nothing varies.

    Args:
        residuals: e, shape (G,).
    """
    largest = float(abs(residuals).max())
    if not largest > 0.0:
        return 0.0
    # Scaled, so that powers neither vanish nor overflow.
    scaled = residuals / largest
    squares = scaled * scaled
    return max(-1.0, min(1.0, total(squares * scaled) / math.pow(total(squares), 1.5)))


def transformed(statistic: float, kappa: float) -> float:
    """g(T₀)."""
    kt = kappa * statistic
    return statistic * (1.0 + kt / 3.0 + kt * kt / 27.0) + kappa / 6.0


def reach(t: float, kappa: float) -> float:
    """The T with g(T) = t: how many standard errors the lower bound lies below the mean; for the upper one give −κ.

    T = (3/κ)(∛(1 + κ(t − κ/6)) − 1), written as 3(t − κ/6)/(1 + u + u²) with u the cube root, which loses no digits
    near κ = 0.
    """
    inner = t - kappa / 6.0
    u = math.cbrt(1.0 + kappa * inner)
    return 3.0 * inner / (1.0 + u + u * u)


def most_reach(t: float, least_kappa: float) -> float:
    """Never below `reach` at any κ from `least_kappa` to 1.

    For κ ≥ 0 it falls in κ. For κ = −x it is 3(t + x/6)·h(y) with y = x(t + x/6) and h(y) = (1 − ∛(1 − y))/y, which
    rises up to y = 1.125, where it is 4/3, and falls beyond.

    Args:
        t: Student's quantile, above 0.
        least_kappa: The smallest κ that is possible, from −1 to 1.
    """
    if least_kappa >= 0.0:
        return reach(t, least_kappa)
    inner = t - least_kappa / 6.0
    return reach(t, least_kappa) if -least_kappa * inner <= _STEEPEST else 4.0 * inner
