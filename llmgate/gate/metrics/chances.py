"""What a gate of this size can do: how often it passes, and how many cases a decision would need."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmgate.gate.decision.wording import count, percent
from llmgate.stats import special
from llmgate.stats.power import required_pairs, t_pass_chance, tango_chances, tango_required_pairs

if TYPE_CHECKING:
    from llmgate.gate.metrics.intervals import Finding
    from llmgate.gate.metrics.tests import Measured

__all__ = ["more_cases", "pass_chances"]

_EXACT_UP_TO = 2_000
"""Beyond so many cases the search by exact sums takes long and moves the number by less than a hundredth."""


def pass_chances(measured: Measured) -> tuple[float | None, float | None]:
    """P(PASS) of the comparison if nothing had changed and, at most, if the margin were lost.

    Both at this number of cases, or at all that were planned where the run could stop early, and at the spread of
    scores between two runs of the same model, where that is known, else the spread that was seen here. None without a
    comparison.
    """
    pairs, found, margin, alpha = measured.pairs, measured.comparison, measured.margin, measured.policy.alpha
    if pairs is None or found is None or margin is None:
        return None, None
    n = measured.labels or len(pairs.item_ids)
    shrunk = 1.0
    if measured.look is not None and n and not measured.corrected:
        # At all cases, where the last look alone gives nearly all of the chance.
        alpha, shrunk, n = measured.look.bounds(alpha).tails[-1], n / measured.look.planned, measured.look.planned
    if pairs.simple and not measured.corrected:
        psi = _variance(measured, found, unchanged=True)
        unchanged = tango_chances(delta=0.0, discordance=psi, pairs=n, margin=margin, alpha=alpha)
        lost = tango_chances(delta=-margin, discordance=max(psi, margin), pairs=n, margin=margin, alpha=alpha)
        return unchanged.passed, max(measured.policy.alpha, lost.passed)
    df = max(1, round((found.interval.df or max(1, n - 1)) / shrunk))
    se = math.sqrt(_variance(measured, found, unchanged=True) / n)
    chances = [
        t_pass_chance(delta=delta, standard_error=se, df=df, pairs=n, margin=margin, alpha=alpha)
        for delta in (0.0, -margin)
    ]
    return chances[0], max(measured.policy.alpha, chances[1])


def more_cases(measured: Measured, finding: Finding) -> str:
    """How many cases a decision would need, in words; empty where this many should do."""
    if finding is measured.comparison and measured.margin is not None:
        needed = _for_unchanged(measured, finding, measured.margin)
        if needed > _cases(measured):
            return f"an unchanged model needs about {_about(needed, measured)} to pass 80 % of the time"
        shown = f"the true difference is the observed {100.0 * finding.interval.estimate:+.1f} points"
        return _for_observed(measured, finding, limit=-measured.margin, worse_than=0.0, shown=shown)
    minimum = measured.policy.floor or 0.0
    shown = f"the true rate is the observed {percent(round(measured.shown(finding.interval.estimate), 3))}"
    return _for_observed(measured, finding, limit=minimum, worse_than=minimum, shown=shown)


def _for_unchanged(measured: Measured, finding: Finding, margin: float) -> int:
    alpha, variance = measured.policy.alpha, _variance(measured, finding, unchanged=True)
    if measured.pairs is not None and measured.pairs.simple and not measured.corrected:
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


def _for_observed(measured: Measured, finding: Finding, *, limit: float, worse_than: float, shown: str) -> str:
    estimate, variance = finding.interval.estimate, _variance(measured, finding)
    passing = estimate > limit
    room = estimate - limit if passing else worse_than - estimate
    if room <= 0.0 or room >= 1.0 or variance == 0.0:
        return ""
    needed = required_pairs(variance=variance, margin=room, alpha=measured.policy.alpha)
    if needed <= _cases(measured):
        return ""
    return f"if {shown}, a {'PASS' if passing else 'FAIL'} needs about {_about(needed, measured)}"


def _cases(measured: Measured) -> int:
    return measured.labels or (0 if measured.pairs is None else len(measured.pairs.item_ids))


def _variance(measured: Measured, finding: Finding, *, unchanged: bool = False) -> float:
    """Of one case; for two right-or-wrong sides that is the discordance, as if nothing had changed on average."""
    pairs, se = measured.pairs, finding.interval.standard_error
    if pairs is None:
        return 0.0
    if unchanged and measured.noise is not None:
        return min(1.0, measured.noise.variance)
    if se is not None:
        return se * se * _cases(measured)
    if finding is measured.comparison and pairs.champion is not None:
        return float(np.mean(pairs.candidate != pairs.champion)) if pairs.simple else 0.0
    rate = finding.interval.estimate
    return rate * (1.0 - rate)


def _about(cases: int, measured: Measured) -> str:
    """Rounded up to two digits: more would pretend to know."""
    unit = 10 ** max(0, len(str(cases)) - 2)
    rounded = -(-cases // unit) * unit
    # The labels are what limits; the estimate holds if the cases grow with them.
    more = f"{count(rounded, 'labelled case')} among as many times more cases"
    return more if measured.corrected else count(rounded, "case")
