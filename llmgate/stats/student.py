"""Bounds of an estimate whose standard error is estimated too."""

from __future__ import annotations

from llmgate.stats import special
from llmgate.stats.interval import Interval

__all__ = ["student"]


def student(estimate: float, se: float, df: int, alpha: float, method: str) -> Interval:
    """Student's t bounds: estimate ± t_{df, 1−alpha}·se, with P(T ≤ estimate/se) as the p-value against "0 or more".

    Args:
        estimate: The estimate.
        se: Its standard error, above 0.
        df: Degrees of freedom of the standard error.
        alpha: One-sided error rate.
        method: What readers call the interval.

    Reference: Student (1908), Biometrika 6:1-25.
    """
    reach = float(special.stdtrit(df, 1.0 - alpha)) * se
    return Interval(
        estimate=estimate,
        lower=estimate - reach,
        upper=estimate + reach,
        alpha=alpha,
        method=method,
        p_negative=float(special.stdtr(df, estimate / se)),
        standard_error=se,
        df=df,
    )
