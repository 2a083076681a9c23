"""Rules that look early, planned: how often they pass and fail, and which share of the cases they ask.

The mean so far is a Brownian motion with drift between two limits: above the one the run ends with PASS, below the
other with FAIL. Both are carried on by quadrature, as the bounds themselves are (see `stats.sequential.looks`).

Against 20,000 simulated runs of the gate with five looks (50 to 1,000 pairs, 5 to 20 % discordance, losses of 0 to 10
points) PASS and FAIL lie within 2.2 points, from 300 pairs on within 1; the share of cases that is used is up to 6
points too low where few pairs differ, because counts are no normal numbers at the first looks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from llmgate.stats.planning.loss import variance_at
from llmgate.stats.planning.power import Chances
from llmgate.stats.planning.rules import TangoRule, TRule
from llmgate.stats.sequential.looks import obrien_fleming

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["StagedRule"]

_REACH = 8.5
_ORDER = 16
_PANELS = 24
"""Each with 16 nodes: as fine as 1/8 of the shortest step of ten looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Path:
    """What a run with looks does.

    Attributes:
        passed: P(PASS).
        failed: P(FAIL).
        used: Expected share of the cases.
    """

    passed: float
    failed: float
    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedRule:
    """A comparison that may end early, at O'Brien and Fleming's bounds.

    PASS at look k if −m is excluded at z_k; FAIL if not PASS, 0 is excluded, and before the last look the estimate is
    worse than −m.

    Attributes:
        rule: The comparison at all cases, at the alpha that holds over all looks.
        fractions: Shares of the cases at which it looks, ascending to 1.
    """

    rule: TangoRule | TRule
    fractions: tuple[float, ...]

    def chances(self, *, delta: float, margin: float) -> Chances:
        """What happens if the true difference is `delta`.

        The exact chances of the last look alone, and what the earlier ones add in the normal limit.

        Raises:
            UndefinedError: If an argument is outside its range.
        """
        last = self._last().chances(delta=delta, margin=margin)
        staged, single = self._path(delta, margin), self._path(delta, margin, only_last=True)
        passed = min(1.0, max(0.0, last.passed + staged.passed - single.passed))
        failed = max(0.0, last.failed + staged.failed - single.failed)
        return Chances(passed=passed, failed=min(1.0 - passed, failed))

    def used(self, *, delta: float, margin: float) -> float:
        """The expected share of the cases that is asked, in the normal limit."""
        return self._path(delta, margin).used

    def _last(self) -> TangoRule | TRule:
        alpha = obrien_fleming(self.fractions, alpha=self.rule.alpha).tails[-1]
        failing = self.rule.alpha if self.rule.fail_alpha is None else self.rule.fail_alpha
        fail_alpha = obrien_fleming(self.fractions, alpha=failing).tails[-1]
        return replace(self.rule, alpha=alpha, fail_alpha=min(alpha, fail_alpha))

    def _path(self, delta: float, margin: float, *, only_last: bool = False) -> _Path:
        rule = self.rule
        failing = rule.alpha if rule.fail_alpha is None else rule.fail_alpha
        passing_z, failing_z = (obrien_fleming(self.fractions, alpha=alpha).z for alpha in (rule.alpha, failing))
        variance = (
            rule.variance_at(delta)
            if isinstance(rule, TRule)
            else variance_at(delta, unchanged=rule.discordance, level=rule.level)
        )
        # Where nothing differs the motion stands still; a spread that small has no other chances.
        unit = math.sqrt(rule.pairs / max(variance, 1e-12))
        steps = list(zip(self.fractions, passing_z, failing_z, strict=True))
        return _walk(steps[-1:] if only_last else steps, drift=delta * unit, margin=margin * unit)


def _walk(steps: Sequence[tuple[float, float, float]], *, drift: float, margin: float) -> _Path:
    """The motion u = x̄·n_k/(σ√n) at times t: mean drift·t, variance t.

    Args:
        steps: t_k, the bound of PASS and that of FAIL.
        drift: δ√n/σ.
        margin: m√n/σ.
    """
    nodes, masses = np.zeros(1), np.ones(1)
    passed = failed = used = ended = before = 0.0
    x, w = special.roots_legendre(_ORDER)
    for k, (t, z_pass, z_fail) in enumerate(steps):
        final = k + 1 == len(steps)
        sd = math.sqrt(t - before)
        means = nodes + drift * (t - before)
        above = z_pass * math.sqrt(t) - margin * t
        below = min(above, -z_fail * math.sqrt(t), math.inf if final else -margin * t)
        stops = float(masses @ special.ndtr((means - above) / sd)), float(masses @ special.ndtr((below - means) / sd))
        passed, failed = passed + stops[0], failed + stops[1]
        if final:
            break
        used, ended = used + sum(stops) * t, ended + sum(stops)
        low = max(below, drift * t - _REACH * math.sqrt(t))
        high = min(above, drift * t + _REACH * math.sqrt(t))
        if high <= low:
            break
        half = (high - low) / _PANELS / 2.0
        nodes = (low + half * (2.0 * np.arange(_PANELS)[:, None] + 1.0 + x[None, :])).ravel()
        kernel = np.exp(-0.5 * ((nodes[:, None] - means[None, :]) / sd) ** 2) / (sd * math.sqrt(2.0 * math.pi))
        masses = half * np.tile(w, _PANELS) * (kernel @ masses)
        before = t
    return _Path(passed=passed, failed=failed, used=used + (1.0 - ended))
