"""What a comparison with a chosen run does: one that earned its place by passing, or one of many that were to be had.

Let C be the champion's stored run, P its predecessor's, N the candidate's, of equally good models on the same cases.
C was compared with P, and N is compared with C: Z₁ from C − P, Z₂ from N − C. C's luck is in both, with opposite signs,
so corr(Z₁, Z₂) = −½. What is known is Z₁ > −a, where Φ(a) is the chance of an unchanged model to PASS; an unchanged
candidate PASSes if Z₂ > −a and FAILs if Z₂ < f, where Φ(f) is its chance to FAIL against a run that nobody chose.

The marginal chances may be exact ones of any rule; only their dependence is normal. See `benchmarks/baselines.py`.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats import special
from llmgate.stats.planning.power import Chances

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["after_selection", "against_the_best", "bivariate_normal", "given_one_run"]

_NEVER = 1e-12
"""What is as rare as that does not happen, and its quantile is no number of weight."""
SHARED_LUCK = -0.5
"""Of three independent runs of equal noise, two differences that share one."""
_NODES = 40
"""Of the Gauss-Legendre sum; 20 move no chance by 1e-12 where |ρ| ≤ ½."""
_FAR, _STEPS = 9.0, 721
"""Of the trapezoid sum over luck, which is as good as exact for what falls off like a normal density."""


def after_selection(chances: Chances) -> Chances:
    """P(PASS | δ = 0) and P(FAIL | δ = 0) against the run that itself passed against an equally good predecessor.

    Args:
        chances: Of an unchanged model against a run that nobody chose.

    Raises:
        UndefinedError: If a chance is none.
    """
    passed, failed = _share(chances.passed), _share(chances.failed)
    if passed < _NEVER:
        # A gate that nothing passes has no run that passed; what nobody chose is the limit of nothing.
        return chances
    a, f = _quantile(passed), _quantile(failed)
    both = bivariate_normal(a, a, SHARED_LUCK)
    fails = bivariate_normal(f, a, -SHARED_LUCK)
    return Chances(passed=min(1.0, both / passed), failed=min(1.0, fails / passed))


def given_one_run(failed: float, *, quantile: float = 0.9) -> float:
    """How often an unchanged model FAILs against one stored run that nobody chose, if that run is lucky.

    Over stored runs P(FAIL | δ = 0) is on average what it should be; against one it is Φ(√2·f + u), u ~ N(0, 1) the
    luck of that run, half of the variance of the difference being its.

    Args:
        failed: P(FAIL | δ = 0) over all runs.
        quantile: Of the luck, in (0, 1): 0.9 for what one run in ten exceeds.

    Raises:
        UndefinedError: If a chance is none.
    """
    if not 0.0 < quantile < 1.0:
        raise UndefinedError(f"{quantile} is no quantile")
    failed = _share(failed)
    if failed in {0.0, 1.0}:
        return failed
    luck = math.sqrt(2.0) * _quantile(failed) + float(special.ndtri(quantile))
    return float(special.ndtr_each(np.array([luck]))[0])


def against_the_best(chances: Chances, *, runs: int) -> Chances:
    """P(PASS | δ = 0) and P(FAIL | δ = 0) against the best of several runs of the same model.

    Given the luck u of the champion's run they are Φ(√2·a − u) and Φ(√2·f + u); the largest of k standard normal
    variables has the density k·φ(u)·Φ(u)^(k−1).

    Args:
        chances: Against a run that nobody chose.
        runs: How many there were to choose from.

    Raises:
        UndefinedError: If a chance is none, or there is no run.
    """
    if runs < 1:
        raise UndefinedError(f"nobody chooses from {runs} runs")
    a, f = _quantile(_share(chances.passed)), _quantile(_share(chances.failed))
    u = np.linspace(-_FAR, _FAR, _STEPS)
    density = runs * np.exp(-u * u / 2.0) / math.sqrt(2.0 * math.pi) * special.ndtr_each(u) ** (runs - 1)
    width = 2.0 * _FAR / (_STEPS - 1)
    passed, failed = (
        float(width * np.sum(density * special.ndtr_each(math.sqrt(2.0) * at + luck))) for at, luck in ((a, -u), (f, u))
    )
    return Chances(passed=min(1.0, passed), failed=min(1.0, failed))


def bivariate_normal(h: float, k: float, rho: float) -> float:
    """P(X ≤ h, Y ≤ k) of two standard normal variables of correlation ρ.

    Φ(h)·Φ(k) + (1/2π)·∫₀^{asin ρ} exp(−(h² + k² − 2hk·sin θ)/(2·cos² θ)) dθ, by Gauss-Legendre.

    Args:
        h: Any number, infinite ones too.
        k: Likewise.
        rho: In (−1, 1).

    Raises:
        UndefinedError: If ρ is no correlation, or a bound is no number.

    Reference: Drezner & Wesolowsky (1990), J. Statist. Comput. Simul. 35:101-107; Plackett (1954) for the identity.
    """
    if not -1.0 < rho < 1.0 or math.isnan(h) or math.isnan(k):
        raise UndefinedError(f"no two normal variables have the correlation {rho} and the bounds {h} and {k}")
    ends = special.ndtr_each(np.array([h, k]))
    product = float(ends[0] * ends[1])
    if math.isinf(h) or math.isinf(k):
        return product
    nodes, weights = _legendre()
    half = math.asin(rho) / 2.0
    theta = half * (nodes + 1.0)
    integrand = np.exp(-(h * h + k * k - 2.0 * h * k * np.sin(theta)) / (2.0 * np.cos(theta) ** 2))
    return min(1.0, max(0.0, product + half * float(weights @ integrand) / (2.0 * math.pi)))


@cache
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def _share(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise UndefinedError(f"{value} is no chance")
    return value


def _quantile(share: float) -> float:
    return -math.inf if share < _NEVER else math.inf if share > 1.0 - _NEVER else float(special.ndtri(share))
