"""Two one-sided tests: is a mean close to 0 on both sides, has it moved, or is neither shown?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats import special
from llmgate.stats.clusters.grouped import Clusters, cluster_codes
from llmgate.stats.clusters.rule import check_groups, cluster_test
from llmgate.stats.interval import Interval, check_alpha
from llmgate.stats.paired import t_interval
from llmgate.stats.unseen import unseen_share, widen_for_unseen

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Equivalence", "equivalence_chance", "equivalence_pairs", "paired_equivalence"]

_POINTS = 200
"""Of the sum over sampled standard errors; more move the chance by less than a thousandth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """A mean against both sides of a margin, and against 0.

    Attributes:
        interval: Mean with both one-sided (1−α) bounds. Its `p_negative` is one-sided as everywhere.
        margin: The mean is equivalent to 0 while it lies strictly between −margin and +margin.
        p_equivalent: Larger p-value of the two one-sided tests; None where all values are equal and only `reach` bounds
            the mean. Equivalence is shown at α exactly where both bounds lie within the margin.
        p_changed: Two-sided p-value of "the mean is 0".
    """

    interval: Interval
    margin: float
    p_equivalent: float | None
    p_changed: float

    @property
    def equivalent(self) -> bool:
        """Whether both bounds lie within the margin."""
        return -self.margin < self.interval.lower and self.interval.upper < self.margin


def paired_equivalence(
    differences: NDArray[np.float64],
    *,
    margin: float,
    alpha: float,
    clusters: Clusters | None = None,
    reach: float | None = None,
) -> Equivalence:
    """Two one-sided tests of paired differences, such as logarithms of length ratios.

    t_lower = (d̄ + m)/SE rejects "d̄ ≤ −m", t_upper = (d̄ − m)/SE rejects "d̄ ≥ m", each at α; equivalence at level α needs
    both (no adjustment: intersection–union). SE and degrees of freedom are those of `t_interval` (n − 1); with clusters
    bounds and p-values are those of `stats.clusters.rule`. p_changed = 2·min(p_negative, p_positive), at most 1.

    Args:
        differences: Shape (n,), in any unit.
        margin: In the same unit, > 0; finite.
        alpha: Error rate of each one-sided test.
        clusters: The cluster key of each difference, None if they are independent.
        reach: The largest difference that could have stayed unseen, > 0; no bound is then narrower than
            `unseen_share` of the population at ±reach, and equal differences have bounds too. None for the plain t.

    Raises:
        UndefinedError: For a margin or reach that is none; as `t_interval` and `cluster_test` do, except that with a
            reach equal differences are no error; for clusters without a reach that are too few for a bound; for a
            difference beyond the reach.

    Reference: Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657-680.
    """
    check_alpha(alpha)
    for name, number in (("margin", margin), ("reach", reach)):
        if number is not None and not (math.isfinite(number) and number > 0.0):
            raise UndefinedError(f"the {name} is {number}, but must be finite and above 0")
    if not np.all(np.isfinite(differences)):
        raise UndefinedError("a difference is not a finite number")
    if clusters is not None:
        check_groups(cluster_codes(clusters)[1], alpha=alpha)
    plain = None
    # With a reach something else bounds the mean of equal values.
    if reach is None or not len(differences) or not np.all(differences == differences[0]):
        plain = _student(differences, alpha) if clusters is None else _clustered(differences, clusters, alpha, reach)
    below, above = _both_ways(differences, plain, alpha, reach)
    return Equivalence(
        interval=below,
        margin=margin,
        p_equivalent=None if plain is None else max(plain.p_at_most(-margin), plain.p_at_least(margin)),
        p_changed=min(1.0, 2.0 * min(below.p_negative or 0.0, above.p_negative or 0.0)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    """A mean with its bounds, and its p-values against any limit."""

    interval: Interval
    p_at_most: Callable[[float], float]
    p_at_least: Callable[[float], float]

    @property
    def turned(self) -> Interval:
        """The interval of the negative mean."""
        interval = self.interval
        return replace(
            interval,
            estimate=-interval.estimate,
            lower=-interval.upper,
            upper=-interval.lower,
            p_negative=self.p_at_most(0.0),
        )


def equivalence_chance(
    *, delta: float, standard_error: float, df: int, margin: float, alpha: float, pairs: int, reach: float
) -> float:
    """P(equivalent) of `paired_equivalence` with a reach, if the mean were `delta`.

    Both bounds lie within the margin exactly if |d̄| < min(m − t·S, (m − u·r)/(1 − u)), u = `unseen_share(n)`, r the
    reach: E_S[Φ((c − δ)/SE) − Φ((−c − δ)/SE)]⁺, the sampled standard error S being SE·√(χ²_df/df). The expectation is
    a sum over quantiles of χ² by Wilson and Hilferty's cube.

    Args:
        delta: The true mean.
        standard_error: SE of the mean, > 0.
        df: Its degrees of freedom, at least 1.
        margin: As for the test.
        alpha: Error rate of each one-sided test.
        pairs: n.
        reach: As for the test.

    Raises:
        UndefinedError: If an argument is outside its range.

    Reference: Phillips (1990), Journal of Pharmacokinetics and Biopharmaceutics 18:137-144; Wilson & Hilferty (1931),
    PNAS 17:684-688.
    """
    check_alpha(alpha)
    if not (math.isfinite(delta) and standard_error > 0.0 and df >= 1 and margin > 0.0 and reach > 0.0):
        raise UndefinedError("no chance follows from these numbers")
    unseen = unseen_share(pairs, alpha=alpha)
    z = np.array([special.ndtri((k + 0.5) / _POINTS) for k in range(_POINTS)])
    share = 2.0 / (9.0 * df)
    sampled = standard_error * np.sqrt(np.maximum(1.0 - share + z * math.sqrt(share), 0.0) ** 3)
    most = np.minimum(margin - special.stdtrit(df, 1.0 - alpha) * sampled, (margin - unseen * reach) / (1.0 - unseen))
    inside = special.ndtr_each((most - delta) / standard_error) - special.ndtr_each((-most - delta) / standard_error)
    return float(np.mean(np.maximum(inside, 0.0)))


def equivalence_pairs(*, variance: float, margin: float, alpha: float, reach: float, power: float = 0.8) -> int:
    """Pairs at which an unchanged mean is found equivalent with probability `power`, by the normal approximation.

    n = (z_α + z_{β/2})²·σ²/m², and so many that what stayed unseen fits into the margin: u(n)·r < m.

    Args:
        variance: Of one difference, ≥ 0.
        margin: As for the test.
        alpha: Error rate of each one-sided test.
        reach: As for the test.
        power: In (0, 1).

    Raises:
        UndefinedError: If an argument is outside its range.

    Reference: Phillips (1990), as above.
    """
    check_alpha(alpha)
    if not (variance >= 0.0 and math.isfinite(variance) and margin > 0.0 and reach > 0.0 and 0.0 < power < 1.0):
        raise UndefinedError("no number of pairs follows from these numbers")
    z = special.ndtri(1.0 - alpha) + special.ndtri((1.0 + power) / 2.0)
    seen = 1 if margin >= reach else math.floor(math.log(alpha) / math.log1p(-margin / reach)) + 1
    return max(2, seen, math.ceil(z * z * variance / (margin * margin)))


def _student(differences: NDArray[np.float64], alpha: float) -> _Spread:
    interval = t_interval(differences, alpha=alpha)
    se, df = interval.standard_error or 0.0, interval.df or 1
    return _Spread(
        interval=interval,
        p_at_most=lambda limit: float(special.stdtr(df, (limit - interval.estimate) / se)),
        p_at_least=lambda limit: float(special.stdtr(df, (interval.estimate - limit) / se)),
    )


def _clustered(differences: NDArray[np.float64], clusters: Clusters, alpha: float, reach: float | None) -> _Spread:
    try:
        test = cluster_test(differences, clusters, alpha=alpha)
    except UndefinedError:
        if reach is None or len(differences) < 2:
            raise
        # Clusters that balance out exactly have no spread between them; what is inside them still varies.
        return _student(differences, alpha)
    return _Spread(
        interval=test.interval(floor=-(reach or math.inf), ceiling=reach or math.inf),
        p_at_most=test.p_at_most,
        p_at_least=test.p_at_least,
    )


def _both_ways(
    differences: NDArray[np.float64], plain: _Spread | None, alpha: float, reach: float | None
) -> tuple[Interval, Interval]:
    """The interval of the mean and that of its negative, whose `p_negative` is the other side's p-value."""
    if reach is None:
        if plain is None:
            raise UndefinedError("all differences are equal, so their spread is unknown")
        return plain.interval, plain.turned
    interval, turned = (None, None) if plain is None else (plain.interval, plain.turned)
    return (
        widen_for_unseen(differences, interval, alpha=alpha, floor=-reach, ceiling=reach),
        widen_for_unseen(-differences, turned, alpha=alpha, floor=-reach, ceiling=reach),
    )
