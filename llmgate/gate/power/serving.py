"""Before runs are measured: what so many pairs of them can decide, figure by figure.

The unit is the pair, and its log ratio the value, as in the gate: a paired t with n − 1 degrees of freedom. All
chances are those of that rule, by `TRule`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from llmgate.errors import UndefinedError
from llmgate.gate.evidence.serving_spread import ServingSpread, pair_sd_of_cv
from llmgate.gate.metrics.serving_scale import lost_margin
from llmgate.record.policy import Direction, Role
from llmgate.record.serving.plan import LEAST_PAIRS
from llmgate.record.serving.policy import ServingPolicy
from llmgate.stats.planning.detectable import DEFAULT_POWER, minimum_detectable_effect, smallest_margin, smallest_number
from llmgate.stats.planning.rules import TRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.stats.planning.power import Chances

__all__ = [
    "ASSUMED_RUN_CV",
    "DEFAULT_SLOWDOWN",
    "MISSED",
    "ServingChances",
    "ServingDesign",
    "ServingLimit",
    "ServingNoise",
    "ServingPower",
    "hypotheses_of",
    "plan_serving",
    "slowdown_log",
]

ASSUMED_RUN_CV: Final = 0.05
"""Where nothing was measured: throughput of short runs of a small model on a quiet machine varied by 4.9 %."""
DEFAULT_SLOWDOWN: Final = 0.08
MISSED: Final = 0.05
"""How often a slowdown that is to be found may pass."""
_MOST = 2.0
"""The largest slowdown that is looked for, as a logarithm: seven times as slow."""

SpreadSource = Literal["run", "history", "given", "assumed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingDesign:
    """One gated figure and how many pairs of runs are planned."""

    policy: ServingPolicy
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingNoise:
    """How much runs vary, and which slowdown is asked about.

    Attributes:
        spreads: What was measured.
        cv: For figures of which nothing was measured, a fraction; None assumes 5 %.
        slowdown: Of which the answer is to speak, a fraction.
    """

    spreads: tuple[ServingSpread, ...] = ()
    cv: float | None = None
    slowdown: float = DEFAULT_SLOWDOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLimit:
    """What is to be expected of `min:` or `max:`, in the figure's unit.

    Attributes:
        limit: The limit.
        passing: The true figure from which on it passes with the wanted probability; None if there is none.
        failing: The true figure from which on it fails with the wanted probability; None if there is none.
    """

    limit: float
    passing: float | None
    failing: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingChances:
    """How a comparison with the champion may end. All numbers are fractions.

    Attributes:
        margin: The largest relative loss that is accepted.
        slowdown: Of which `found`, `missed` and `pairs_to_find` speak.
        pass_if_unchanged: P(PASS | nothing changed).
        pass_least: The least of it within the bounds of the spread; None where that was not measured.
        pass_most: The most of it.
        pass_if_lost: P(PASS | the margin is lost): alpha.
        found: P(FAIL | slower by `slowdown`).
        missed: P(PASS | slower by `slowdown`).
        detectable: The true slowdown that gets a FAIL with the wanted probability; None if there is none.
        pairs_to_pass: Pairs with which an unchanged model passes with the wanted probability; None if no number does.
        pairs_to_find: Pairs with which `slowdown` gets a FAIL with the wanted probability and passes at most 5 % of
            the time; None if no number does.
    """

    margin: float
    slowdown: float
    pass_if_unchanged: float
    pass_least: float | None
    pass_most: float | None
    pass_if_lost: float
    found: float
    missed: float
    detectable: float | None
    pairs_to_pass: int | None
    pairs_to_find: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPower:
    """What the gate of one serving figure can do.

    Attributes:
        suite: Suite name.
        metric: The figure.
        role: Of its gate.
        pairs: Pairs of runs, n.
        latency: Whether less is better.
        run_cv: How much runs vary, a fraction: the pair's standard deviation / √2, as logarithms.
        lowest: Lower 95 % bound of it; None where it was not measured.
        highest: Upper 95 % bound of it.
        source: Where it comes from.
        measured_on: How many pairs told it.
        comparison: Against the champion; None where only a limit is asked about.
        threshold: Of a limit, None without one.
    """

    suite: str
    metric: str
    role: Role
    pairs: int
    latency: bool
    run_cv: float
    lowest: float | None
    highest: float | None
    source: SpreadSource
    measured_on: int | None
    comparison: ServingChances | None
    threshold: ServingLimit | None


def hypotheses_of(gates: Iterable[ServingPolicy]) -> int:
    """How many hypotheses the gating figures put into the family over which p-values are adjusted."""
    return sum((gate.margin is not None) + (gate.limit is not None) for gate in gates if gate.gates)


def slowdown_log(slowdown: float, *, latency: bool) -> float:
    """A relative slowdown as a distance of logarithms, above 0: 0.08 is 8 % less throughput, or 8 % more latency.

    Raises:
        UndefinedError: If it is none.
    """
    if not (math.isfinite(slowdown) and slowdown > 0.0 and (latency or slowdown < 1.0)):
        raise UndefinedError(f"a slowdown of {slowdown} is none")
    return math.log1p(slowdown) if latency else -math.log1p(-slowdown)


def plan_serving(
    designs: Iterable[ServingDesign],
    noise: ServingNoise,
    *,
    hypotheses: int | None = None,
    wanted: float = DEFAULT_POWER,
) -> tuple[ServingPower, ...]:
    """What gates of serving can decide, from the number of pairs and from how much runs vary.

    Args:
        designs: The gating figures.
        noise: How much runs vary.
        hypotheses: Of the whole gate, scores included; None for those of the designs alone.
        wanted: The probability with which an unchanged model is to pass and a slowdown is to be found.

    Raises:
        UndefinedError: If a number is outside its range.
    """
    planned = tuple(designs)
    known = {(spread.suite, spread.metric): spread for spread in noise.spreads}
    family = hypotheses_of(design.policy for design in planned) if hypotheses is None else hypotheses
    asked = _Asked(cv=noise.cv, slowdown=noise.slowdown, family=max(1, family), wanted=wanted)
    return tuple(_plan(design, known.get((design.policy.suite, design.policy.metric)), asked) for design in planned)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """As for `plan_serving`."""

    cv: float | None
    slowdown: float
    family: int
    wanted: float


def _plan(design: ServingDesign, spread: ServingSpread | None, asked: _Asked) -> ServingPower:
    policy = design.policy
    latency = policy.direction is Direction.LOWER
    given = pair_sd_of_cv(ASSUMED_RUN_CV if asked.cv is None else asked.cv)
    pair_sd = given if spread is None else spread.pair_sd
    bounds = () if spread is None else (spread.lowest, spread.highest)
    return ServingPower(
        suite=policy.suite,
        metric=policy.metric,
        role=policy.role,
        pairs=design.pairs,
        latency=latency,
        run_cv=_run_cv(pair_sd),
        lowest=_run_cv(bounds[0]) if bounds else None,
        highest=_run_cv(bounds[1]) if bounds else None,
        source=spread.source if spread is not None else "assumed" if asked.cv is None else "given",
        measured_on=None if spread is None else spread.pairs,
        comparison=None if policy.margin is None else _compared(design, pair_sd, bounds, asked),
        threshold=_threshold(design, pair_sd / math.sqrt(2.0), asked),
    )


def _compared(design: ServingDesign, pair_sd: float, bounds: Sequence[float], asked: _Asked) -> ServingChances:
    policy, margin = design.policy, lost_margin(design.policy)
    latency = policy.direction is Direction.LOWER
    slower = slowdown_log(asked.slowdown, latency=latency)

    def chances(delta: float, *, pairs: int = design.pairs, sd: float = pair_sd) -> Chances:
        return _rule(policy, sd, pairs, asked.family).chances(delta=delta, margin=margin)

    def finds(pairs: int) -> float:
        told = chances(-slower, pairs=pairs)
        return told.failed if told.passed <= MISSED else 0.0

    unchanged, slow = chances(0.0).passed, chances(-slower)
    within = [unchanged, *(chances(0.0, sd=bound).passed for bound in bounds)]
    rule = _rule(policy, pair_sd, design.pairs, asked.family)
    found = minimum_detectable_effect(rule, margin=margin, power=asked.wanted, most=_MOST)
    return ServingChances(
        margin=policy.margin or 0.0,
        slowdown=asked.slowdown,
        pass_if_unchanged=unchanged,
        pass_least=min(within) if bounds else None,
        pass_most=max(within) if bounds else None,
        pass_if_lost=chances(-margin).passed,
        found=slow.failed,
        missed=slow.passed,
        detectable=None if found is None else math.expm1(found) if latency else -math.expm1(-found),
        pairs_to_pass=smallest_number(lambda n: chances(0.0, pairs=n).passed, power=asked.wanted, start=LEAST_PAIRS),
        # What the margin accepts passes ever more surely, so no number of pairs finds it.
        pairs_to_find=smallest_number(finds, power=asked.wanted, start=LEAST_PAIRS) if slower > margin else None,
    )


def _rule(policy: ServingPolicy, sd: float, pairs: int, family: int) -> TRule:
    return TRule(
        variance=sd * sd,
        pairs=pairs,
        df=pairs - 1,
        alpha=policy.alpha,
        fail_alpha=policy.alpha / family,
        bounded=False,
    )


def _run_cv(pair_sd: float) -> float:
    """`pair_sd_of_cv` turned round."""
    return math.sqrt(math.expm1(pair_sd * pair_sd / 2.0))


def _threshold(design: ServingDesign, run_sd: float, asked: _Asked) -> ServingLimit | None:
    """Runs are taken as independent; one arm has no partner in whom a drift would cancel."""
    policy, limit = design.policy, design.policy.limit
    if limit is None:
        return None
    # A figure that is better than the limit by d passes as an unchanged one does with a margin of d; one that is worse
    # by d fails as often, at the stricter alpha.
    passing, failing = (
        smallest_margin(_rule(replace(policy, alpha=alpha), run_sd, design.pairs, 1), power=asked.wanted, most=_MOST)
        for alpha in (policy.alpha, policy.alpha / asked.family)
    )
    better = -1.0 if policy.direction is Direction.LOWER else 1.0
    return ServingLimit(
        limit=limit,
        passing=None if passing is None else limit * math.exp(better * passing),
        failing=None if failing is None else limit * math.exp(-better * failing),
    )
