"""The gate's rules before there are data: how often each passes and fails, given the truth and the size.

A rule knows its size and its spread. `detectable` turns it round: which loss it finds, which margin it can hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from llmgate.errors import UndefinedError
from llmgate.stats import special
from llmgate.stats.interval import check_alpha
from llmgate.stats.planning.clustered import decides, rule_alpha
from llmgate.stats.planning.loss import discordance_at, variance_at
from llmgate.stats.planning.power import Chances, t_chances, tango_chances

__all__ = ["ComparisonRule", "RateRule", "TRule", "TangoRule", "rate_chances"]


class ComparisonRule(Protocol):
    """A comparison with a champion, planned."""

    def chances(self, *, delta: float, margin: float) -> Chances:
        """What happens if the true difference is `delta`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TangoRule:
    """Right-or-wrong scores of independent cases.

    Attributes:
        pairs: n.
        discordance: Share of pairs in which the two sides differ if they are equally good. A loss makes more of them
            differ (see `loss`).
        alpha: One-sided error rate.
        fail_alpha: See `tango_chances`.
        level: The champion's rate of right answers; None for the one with which a loss adds most.
    """

    pairs: int
    discordance: float
    alpha: float
    fail_alpha: float | None = None
    level: float | None = None

    def chances(self, *, delta: float, margin: float) -> Chances:
        """See `tango_chances`."""
        return tango_chances(
            delta=delta,
            discordance=discordance_at(delta, unchanged=self.discordance, level=self.level),
            pairs=self.pairs,
            margin=margin,
            alpha=self.alpha,
            fail_alpha=self.fail_alpha,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TRule:
    """Graded scores, means of repeats, and clusters; also log ratios of serving figures, whose units are pairs of runs.

    Attributes:
        variance: Of one pair's difference if nothing has changed. With clusters times the design effect: n times the
            square of the cluster-robust standard error.
        pairs: n.
        df: n − 1, or G − 1 with clusters.
        alpha: One-sided error rate.
        fail_alpha: See `tango_chances`.
        bounded: Whether differences lie in [−1, 1], so that bounds are widened for what stayed unseen, and a loss of
            whole points from some cases adds to the variance (see `loss`).
        level: The champion's mean score; None for the one with which a loss adds most.
        design_effect: What of the variance is due to clusters, as a factor, at least 1: what a loss adds is taken to
            lie in clusters as much as all that differs.
        clusters: The effective number of clusters, whose rule is stricter than t (see `clustered`); None without any.
    """

    variance: float
    pairs: int
    df: int
    alpha: float
    fail_alpha: float | None = None
    bounded: bool = True
    level: float | None = None
    design_effect: float = 1.0
    clusters: float | None = None

    def variance_at(self, delta: float) -> float:
        """Of one pair's difference if the true difference is `delta`, times the design effect."""
        if not (
            math.isfinite(self.variance) and self.variance >= 0.0 and self.pairs >= 1 and self.design_effect >= 1.0
        ):
            raise UndefinedError(f"no {self.pairs} pairs have differences with a variance of {self.variance}")
        if not self.bounded:
            return self.variance
        alone = min(1.0, self.variance / self.design_effect)
        return self.variance + self.design_effect * (variance_at(delta, unchanged=alone, level=self.level) - alone)

    def chances(self, *, delta: float, margin: float) -> Chances:
        """See `t_chances`."""
        alpha, fail_alpha = self.alpha, self.fail_alpha
        if self.clusters is not None:
            if not decides(self.clusters, alpha=alpha):
                return Chances(passed=0.0, failed=0.0)
            failing = alpha if fail_alpha is None else fail_alpha
            alpha, fail_alpha = (rule_alpha(self.clusters, alpha=one) for one in (alpha, failing))
        return t_chances(
            delta=delta,
            standard_error=math.sqrt(self.variance_at(delta) / self.pairs),
            df=self.df,
            margin=margin,
            alpha=alpha,
            fail_alpha=fail_alpha,
            pairs=self.pairs if self.bounded else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRule:
    """The candidate's own rate of right answers against a minimum.

    Attributes:
        trials: Cases.
        minimum: Of the rate, in (0, 1].
        alpha: One-sided error rate.
        fail_alpha: See `tango_chances`.
    """

    trials: int
    minimum: float
    alpha: float
    fail_alpha: float | None = None

    def chances(self, *, rate: float) -> Chances:
        """See `rate_chances`."""
        return rate_chances(
            rate=rate, trials=self.trials, minimum=self.minimum, alpha=self.alpha, fail_alpha=self.fail_alpha
        )


def rate_chances(*, rate: float, trials: int, minimum: float, alpha: float, fail_alpha: float | None = None) -> Chances:
    """P(PASS) and P(FAIL) of a rate that is held against a minimum by its Clopper-Pearson bounds.

    PASS if P(X ≥ x | minimum) ≤ α, FAIL if P(X ≤ x | minimum) ≤ α. Both are limits on x, so the sums are binomial
    tails at the true rate.

    Args:
        rate: True rate.
        trials: Cases.
        minimum: In (0, 1].
        alpha: One-sided error rate.
        fail_alpha: As for `tango_chances`.

    Raises:
        UndefinedError: If an argument is outside its range.

    Reference: Clopper & Pearson (1934), Biometrika 26:404-413. Exact.
    """
    failing = alpha if fail_alpha is None else fail_alpha
    check_alpha(alpha)
    check_alpha(failing)
    if trials < 1 or not (0.0 <= rate <= 1.0 and 0.0 < minimum <= 1.0 and failing <= alpha):
        raise UndefinedError(f"no {trials} cases with a rate of {rate} are held against a minimum of {minimum}")
    return Chances(
        passed=_at_least(least_passing(trials, minimum=minimum, alpha=alpha), trials, rate),
        failed=_at_most(most_failing(trials, minimum=minimum, alpha=failing), trials, rate),
    )


def least_passing(trials: int, *, minimum: float, alpha: float) -> int:
    """The fewest right answers whose lower bound reaches the minimum; more than all if none does."""
    low, high = -1, trials + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _at_least(middle, trials, minimum) <= alpha else (middle, high)
    return high


def most_failing(trials: int, *, minimum: float, alpha: float) -> int:
    """The most right answers whose upper bound is below the minimum; −1 if there are none."""
    low, high = -1, trials
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _at_most(middle, trials, minimum) <= alpha else (low, middle)
    return low


def _at_least(x: int, n: int, p: float) -> float:
    return 1.0 if x <= 0 else 0.0 if x > n else float(special.special_function("bdtrc")(x - 1, n, p))


def _at_most(x: int, n: int, p: float) -> float:
    return 0.0 if x < 0 else 1.0 if x >= n else float(special.bdtr(x, n, p))
