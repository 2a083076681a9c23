"""What a gate of this size can do: how often it passes, and how many cases a decision would need."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from llmgate.gate.decision.wording import count, percent
from llmgate.stats import special
from llmgate.stats.planning.loss import discordance_at
from llmgate.stats.planning.power import Chances, required_pairs, t_chances, tango_chances, tango_required_pairs
from llmgate.stats.planning.selected import after_selection, given_one_run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.gate.decision.baseline_types import BaselineFacts
    from llmgate.gate.metrics.metric import HypothesisTest, MetricTest

__all__ = ["cases_to_add", "more_cases", "pass_chances", "rounded_up", "with_chances"]

_EXACT_UP_TO = 2_000
"""Beyond so many cases the search by exact sums takes long and moves the number by less than a hundredth."""


def pass_chances(test: MetricTest) -> tuple[float | None, float | None]:
    """P(PASS) of the comparison if nothing had changed and, at most, if the margin were lost.

    Both at this number of cases, or at all that were planned where the run could stop early, and at the spread of
    scores between two runs of the same model, where that is known, else the spread that was seen here. Where the
    champion's run was chosen because it passed, an unchanged model passes more rarely. None without a comparison.
    """
    at = _planned(test)
    if at is None:
        return None, None
    unchanged = at.chances(0.0)
    if test.selected:
        unchanged = after_selection(unchanged)
    return unchanged.passed, max(test.policy.alpha, at.chances(-at.margin).passed)


def with_chances(facts: BaselineFacts, tests: Iterable[MetricTest]) -> BaselineFacts:
    """The facts of a baseline with what they do to an unchanged model, at the gate that fails it most often."""
    planned = [_planned(test) for test in tests if test.policy.gates and not test.corrected]
    compared = [at.chances(0.0) for at in planned if at is not None]
    if not compared:
        return facts
    fresh = max(compared, key=lambda chances: chances.failed)
    failed = (
        max(map(after_selection, compared), key=lambda c: c.failed).failed if facts.how == "selected" else fresh.failed
    )
    return replace(
        facts,
        fail_if_unchanged=failed,
        fail_if_fresh=fresh.failed,
        unlucky=given_one_run(fresh.failed) if facts.how == "stored" else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """A comparison before it had data: what it can do.

    Attributes:
        variance: Of one case's difference between two runs of the same model.
        drawn: How many were drawn that might have been others: the pairs, or the answers to them.
        df: None for the rule on right-or-wrong scores.
    """

    variance: float
    pairs: int
    drawn: int
    margin: float
    alpha: float
    df: int | None

    def chances(self, delta: float) -> Chances:
        """Of each verdict, given the true difference."""
        if self.df is None:
            return tango_chances(
                delta=delta,
                discordance=discordance_at(delta, unchanged=self.variance),
                pairs=self.pairs,
                margin=self.margin,
                alpha=self.alpha,
            )
        return t_chances(
            delta=delta,
            standard_error=math.sqrt(self.variance / self.pairs),
            df=self.df,
            pairs=self.drawn,
            margin=self.margin,
            alpha=self.alpha,
        )


def _planned(test: MetricTest) -> _Planned | None:
    """None without a comparison."""
    pairs, comparison, margin, alpha = test.pairs, test.comparison, test.margin, test.level
    if pairs is None or comparison is None or margin is None:
        return None
    n = test.labels or len(pairs.item_ids)
    shrunk = 1.0
    if test.look is not None and n and not test.corrected:
        # At all cases, where the last look alone gives nearly all of the chance.
        alpha, shrunk, n = test.look.bounds(alpha).tails[-1], n / test.look.planned, test.look.planned
    variance, df = _variance(test, comparison, unchanged=True), None
    if not pairs.simple or pairs.sampling is not None or test.corrected:
        df = max(1, round((comparison.interval.df or max(1, n - 1)) / shrunk))
    # What may stay unseen is an answer to these cases, where they are all there are.
    drawn = n if pairs.sampling is None else int(n * np.min(pairs.sampling[:, [1, 3]]))
    return _Planned(variance=variance, pairs=n, drawn=drawn, margin=margin, alpha=alpha, df=df)


def more_cases(test: MetricTest, hypothesis: HypothesisTest) -> str:
    """How many cases a decision would need, in words; empty where this many should do."""
    if hypothesis is test.comparison and test.margin is not None:
        needed = _for_unchanged(test, hypothesis, test.margin)
        if needed > _cases(test):
            return f"an unchanged model needs about {_about(needed, test)} to pass 80 % of the time"
        shown = f"the true difference is the observed {100.0 * hypothesis.interval.estimate:+.1f} points"
    else:
        shown = f"the true rate is the observed {percent(round(test.shown(hypothesis.interval.estimate), 3))}"
    needed = _for_observed(test, hypothesis)
    if needed <= _cases(test):
        return ""
    passing = hypothesis.interval.estimate > _limits(test, hypothesis)[0]
    return f"if {shown}, a {'PASS' if passing else 'FAIL'} needs about {_about(needed, test)}"


def cases_to_add(test: MetricTest, hypothesis: HypothesisTest) -> int:
    """How many more cases (labels, where people's labels correct the scores) `more_cases` asks for, rounded up to tens.

    0 where this many should do, or no number would.
    """
    have = _cases(test)
    needed = 0
    if hypothesis is test.comparison and test.margin is not None:
        needed = _for_unchanged(test, hypothesis, test.margin)
    if needed <= have:
        needed = _for_observed(test, hypothesis)
    return 0 if needed <= have else rounded_up(needed - have)


def rounded_up(cases: int) -> int:
    """Up to two digits, and to tens from 20 on: more would pretend to know."""
    unit = 1 if cases < 20 else 10 ** max(1, len(str(cases)) - 2)
    return -(-cases // unit) * unit


def _for_unchanged(test: MetricTest, hypothesis: HypothesisTest, margin: float) -> int:
    alpha, variance = test.level, _variance(test, hypothesis, unchanged=True)
    if test.pairs is not None and test.pairs.simple and not test.corrected:
        if variance == 0.0:
            z = float(special.ndtri(1.0 - alpha))
            return math.floor(z * z * (1.0 - margin) / margin) + 1
        needed = required_pairs(variance=variance, margin=margin, alpha=alpha)
        return (
            needed if needed > _EXACT_UP_TO else tango_required_pairs(discordance=variance, margin=margin, alpha=alpha)
        )
    # What may have stayed unseen must fit into the margin.
    seen = math.floor(math.log(alpha) / math.log1p(-margin)) + 1
    return seen if variance == 0.0 else max(seen, required_pairs(variance=variance, margin=margin, alpha=alpha))


def _for_observed(test: MetricTest, hypothesis: HypothesisTest) -> int:
    """Cases that decide if the observed value is the true one; 0 if no number would."""
    estimate, variance = hypothesis.interval.estimate, _variance(test, hypothesis)
    limit, worse_than = _limits(test, hypothesis)
    room = estimate - limit if estimate > limit else worse_than - estimate
    if room <= 0.0 or room >= 1.0 or variance == 0.0:
        return 0
    return required_pairs(variance=variance, margin=room, alpha=test.level)


def _limits(test: MetricTest, hypothesis: HypothesisTest) -> tuple[float, float]:
    """What a PASS has to be above, and a FAIL below."""
    if hypothesis is test.comparison and test.margin is not None:
        return -test.margin, 0.0
    return test.policy.floor or 0.0, test.policy.floor or 0.0


def _cases(test: MetricTest) -> int:
    return test.labels or (0 if test.pairs is None else len(test.pairs.item_ids))


def _variance(test: MetricTest, hypothesis: HypothesisTest, *, unchanged: bool = False) -> float:
    """Of one case; for two right-or-wrong sides that is the discordance, as if nothing had changed on average."""
    pairs, se = test.pairs, hypothesis.interval.standard_error
    if pairs is None:
        return 0.0
    if unchanged and test.noise is not None:
        return min(1.0, test.noise.variance)
    if se is not None:
        return se * se * _cases(test)
    if hypothesis is test.comparison and pairs.champion is not None:
        return float(np.mean(pairs.candidate != pairs.champion)) if pairs.simple else 0.0
    rate = hypothesis.interval.estimate
    return rate * (1.0 - rate)


def _about(cases: int, test: MetricTest) -> str:
    """Rounded up to two digits: more would pretend to know."""
    unit = 10 ** max(0, len(str(cases)) - 2)
    rounded = -(-cases // unit) * unit
    # The labels are what limits; the estimate holds if the cases grow with them.
    more = f"{count(rounded, 'labelled case')} among as many times more cases"
    return more if test.corrected else count(rounded, "case")
