"""Looking at the data before all of it is there: bounds that keep one error rate over all looks.

Notation: look k of K is taken at the information fraction t_k = n_k/n, with t_K = 1. The statistic Z_k is standard
normal where nothing is to be found, and Z_k·√t_k is a Brownian motion at time t_k, so that looks share what they saw.
A one-sided test that stops at the first Z_k ≥ z_k errs with the probability that the motion ever crosses.

A gate that tests "worse by the margin" (PASS) and "not worse" (FAIL) takes the same bounds for each of the two tests;
each of them keeps its own error rate, whatever ends the run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

from llmgate.errors import UndefinedError
from llmgate.stats.interval import check_alpha
from llmgate.stats.sequential.motion import exits

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Bounds", "equal_fractions", "obrien_fleming", "repeated_p"]

_HIGHEST = 37.0
"""The tail beyond is too small to be a floating point number; a look with such a bound never stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a statistic has to reach at each look.

    Attributes:
        fractions: t_1 < … < t_K = 1, the shares of all cases that each look sees.
        z: z_k, on the scale of a standard normal: a one-sided test rejects at the first look with Z_k ≥ z_k. A test
            with another reference distribution is put to the same tail, `tails[k]`.
        alpha: One-sided error rate over all looks together.
    """

    fractions: tuple[float, ...]
    z: tuple[float, ...]
    alpha: float

    @property
    def tails(self) -> tuple[float, ...]:
        """1 − Φ(z_k): the one-sided α at which look k is to be tested on its own, with any interval."""
        return tuple(float(special.ndtr(-z)) for z in self.z)


def equal_fractions(looks: int) -> tuple[float, ...]:
    """1/K, 2/K, …, 1.

    Raises:
        UndefinedError: If there is not at least one look.
    """
    if looks < 1:
        raise UndefinedError(f"{looks} looks are none")
    return tuple((k + 1) / looks for k in range(looks))


def obrien_fleming(looks: int | Sequence[float], *, alpha: float = 0.05) -> Bounds:
    """O'Brien and Fleming's bounds: z_k = c/√t_k, with the c that makes the error over all looks alpha.

    The first looks stop only for what is overwhelming, and the last one is hardly stricter than a test without looks.
    Five equal looks at a one-sided 5 % give z = 3.92, 2.77, 2.26, 1.96, 1.75.

    To use them at look k (counted from 0) on n_k = t_k·n cases: stop where the statistic of the test reaches
    `bounds.z[k]`, for Tango's `tango_z(counts, delta0=-margin) > bounds.z[k]`; or, the same, take any one-sided
    interval with `alpha=bounds.tails[k]` and ask whether it excludes the hypothesis. Vectorised over simulated runs,
    hold an array of shape (runs, looks) against `np.array(bounds.z)`.

    Args:
        looks: How many equally spaced looks, or the fractions of all cases at which they are taken, ascending, the
            last one 1. One look gives the test without looks.
        alpha: One-sided error rate over all looks.

    Raises:
        UndefinedError: If alpha is none or the fractions do not ascend to 1.

    Reference: O'Brien & Fleming (1979), Biometrics 35:549-556; the integration is that of Armitage, McPherson & Rowe
    (1969), JRSS A 132:235-244.
    """
    check_alpha(alpha)
    return _obrien_fleming(equal_fractions(looks) if isinstance(looks, int) else _checked(looks), alpha)


@lru_cache(maxsize=256)
def _obrien_fleming(fractions: tuple[float, ...], alpha: float) -> Bounds:
    roots = np.sqrt(np.array(fractions))

    def excess(c: float) -> float:
        return math.fsum(exits(fractions, c / roots)) - alpha

    single = float(special.ndtri(1.0 - alpha))
    # By the reflection principle even a motion that is watched all the time crosses c with 2(1 − Φ(c)) at most.
    highest = float(special.ndtri(1.0 - alpha / 2.0))
    # A little below: where earlier looks weigh next to nothing, rounding decides the sign at `single`.
    c = single if len(fractions) == 1 else float(optimize.brentq(excess, single - 1e-3, highest, xtol=1e-10))
    return Bounds(fractions=fractions, z=tuple((c / roots).tolist()), alpha=alpha)


def repeated_p(fractions: Sequence[float], *, look: int, z: float) -> float:
    """The smallest α at which `obrien_fleming` bounds would have rejected at this look.

    P(sup_j Z_j·√t_j ≥ z·√t_look). Whatever ends the run, and at whichever look, it falls below α with a probability of
    at most α; so p-values of several metrics that were stopped together can be adjusted together.

    Args:
        fractions: All planned looks, the last one 1.
        look: Which one, counted from 0.
        z: The statistic there.

    Raises:
        UndefinedError: If there is no such look or the fractions do not ascend to 1.

    Reference: Jennison & Turnbull (2000), section 9.2 (repeated p-values).
    """
    planned = _checked(fractions)
    if not 0 <= look < len(planned) or math.isnan(z):
        raise UndefinedError(f"there is no look {look + 1} of {len(planned)} with z = {z}")
    height = z * math.sqrt(planned[look])
    return min(1.0, math.fsum(exits(planned, np.clip(height / np.sqrt(np.array(planned)), -_HIGHEST, _HIGHEST))))


def _checked(fractions: Sequence[float]) -> tuple[float, ...]:
    values = tuple(float(t) for t in fractions)
    if values[-1:] != (1.0,) or not all(a < b for a, b in zip((0.0, *values), values, strict=False)):
        raise UndefinedError(f"looks at {list(values)} of the cases: they must ascend from above 0 and end at 1")
    return values
