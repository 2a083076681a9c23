"""Means of graded scores or of their paired differences: t, BCa bootstrap, cluster-robust t.

Values are fractions of the score range; differences (candidate − champion) lie in [−1, 1].
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats import special
from llmgate.stats.bootstrap import bootstrap_means, corrected_level, corrected_p, order_statistic
from llmgate.stats.clusters.grouped import Clusters, grouped
from llmgate.stats.interval import Interval, check_alpha
from llmgate.stats.student import student
from llmgate.stats.sums import total

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = ["bca", "cluster_t", "skew_error", "t_interval"]


def t_interval(values: NDArray[np.float64], *, alpha: float) -> Interval:
    """Student's t bounds of a mean; of paired differences, the paired t.

    SE² = Σ(x_i − x̄)² / (n(n − 1)), df = n − 1.

    Args:
        values: Shape (n,), n ≥ 2.
        alpha: One-sided error rate.

    Raises:
        UndefinedError: For fewer than two values, values that are not finite, or values that are all equal: no
            spread was seen, so a t interval of width zero would claim certainty from nothing.

    Reference: Miller (2024), arXiv 2411.00640, equation 1.
    """
    mean, residuals = _centred(values, alpha)
    n = len(values)
    se = math.sqrt(total(residuals * residuals) / (n * (n - 1)))
    return student(mean, se, n - 1, alpha, "paired t")


def bca(values: NDArray[np.float64], *, alpha: float, rng: Generator, resamples: int = 9_999) -> Interval:
    """Bias-corrected and accelerated bootstrap bounds of a mean, expanded for small samples.

    The level of the percentile is Φ(z0 + w / (1 − a·w)), w = z0 + z, where z0 is the normal quantile of the share of
    resampled means below the mean (ties half), a = Σ l_i³ / (6 (Σ l_i²)^1.5) with l_i = x_i − x̄, and z is
    √(n/(n − 1))·t_{n−1} instead of the normal quantile. Without that expansion the bounds are those of a normal with
    variance (n − 1)/n too small: at n = 10 the measured one-sided error for normal data was 8 % instead of 5 %.

    Args:
        values: Shape (n,), n ≥ 2.
        alpha: One-sided error rate.
        rng: Source of the resamples.
        resamples: How many.

    Raises:
        UndefinedError: As `t_interval`; also where the correction has no solution (extreme alpha on few values).

    Reference: Efron (1987), JASA 82:171-185; for the expansion Hesterberg (2015), The American Statistician
    69:371-386.
    """
    mean, residuals = _centred(values, alpha)
    n = len(values)
    replicates = bootstrap_means(values, np.ones(n), rng=rng, resamples=resamples)
    se = math.sqrt(total(residuals * residuals) / (n * (n - 1)))
    return _bca_interval(mean, residuals, replicates, se=se, alpha=alpha)


def cluster_t(values: NDArray[np.float64], clusters: Clusters, *, alpha: float) -> Interval:
    """Cluster-robust t bounds of a mean over all values, with G − 1 degrees of freedom.

    Nothing is decided by it alone: see `stats.clusters.rule`.

    SE² = G/(G − 1) · Σ_g (Σ_{i∈g} (x_i − x̄))² / n²

    Args:
        values: Shape (n,).
        clusters: The cluster key of each value.
        alpha: One-sided error rate.

    Raises:
        UndefinedError: For fewer than two clusters, values that are not finite, or clusters that show no spread.

    Reference: Miller (2024), arXiv 2411.00640, equation 4, with the finite-sample factor of Cameron & Miller (2015),
    Journal of Human Resources 50:317-372.
    """
    sums = grouped(values, clusters, alpha=alpha)
    return student(sums.mean, sums.standard_error, sums.groups - 1, alpha, "cluster-robust t")


def skew_error(values: NDArray[np.float64], *, alpha: float) -> float:
    """How far skewness moves the one-sided error of `t_interval` away from alpha, to first order.

    |γ|/√n · (2z² + 1)·φ(z)/6, γ the skewness: the leading Edgeworth term of the t statistic.

    Raises:
        UndefinedError: As `t_interval`.

    Reference: Hall (1992), The Bootstrap and Edgeworth Expansion, section 2.6.
    """
    _, residuals = _centred(values, alpha)
    n = len(values)
    squares = residuals * residuals
    # A product: numpy's power is twenty times as slow.
    gamma = total(squares * residuals) / n / math.pow(total(squares) / n, 1.5)
    z = float(special.ndtri(1.0 - alpha))
    density = math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)
    return abs(gamma) / math.sqrt(n) * (2.0 * z * z + 1.0) * density / 6.0


def _centred(values: NDArray[np.float64], alpha: float) -> tuple[float, NDArray[np.float64]]:
    check_alpha(alpha)
    if len(values) < 2:
        raise UndefinedError(f"{len(values)} values have no spread that could be estimated")
    if not np.all(np.isfinite(values)):
        raise UndefinedError("a value is not a finite number")
    if np.all(values == values[0]):
        raise UndefinedError(f"all {len(values)} values are equal, so their spread is unknown")
    mean = total(values) / len(values)
    return mean, values - mean


def _bca_interval(
    mean: float,
    influence: NDArray[np.float64],
    replicates: NDArray[np.float64],
    *,
    se: float,
    alpha: float,
) -> Interval:
    df = len(influence) - 1
    acceleration = float(np.sum(influence**3) / (6.0 * np.sum(influence**2) ** 1.5))
    below, ties = np.searchsorted(replicates, [mean - 1e-12, mean + 1e-12])
    z0 = float(special.ndtri((below + ties) / (2.0 * len(replicates))))
    z = math.sqrt((df + 1) / df) * float(special.stdtrit(df, alpha))
    lower = order_statistic(replicates, corrected_level(z, z0, acceleration), up=False)
    upper = order_statistic(replicates, corrected_level(-z, z0, acceleration), up=True)
    return Interval(
        estimate=mean,
        lower=min(lower, mean),
        upper=max(upper, mean),
        alpha=alpha,
        method="BCa bootstrap",
        p_negative=corrected_p(replicates, z0, acceleration, df),
        standard_error=se,
        df=df,
    )
