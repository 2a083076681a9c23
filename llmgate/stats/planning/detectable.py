"""Planned rules turned round: the loss that one finds, the margin that it can hold, the size that it needs.

All numbers that come out are those at which the rule reaches the wanted power by its own chances, not by a normal
approximation; they are rounded outwards to 0.01 points.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.errors import UndefinedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.stats.planning.rules import ComparisonRule, RateRule

__all__ = [
    "DEFAULT_POWER",
    "minimum_detectable_effect",
    "minimum_detectable_rate",
    "passing_rate",
    "smallest_margin",
    "smallest_number",
]

DEFAULT_POWER = 0.8
_STEP = 1e-4
"""0.01 points: finer would pretend that the spread is known as well."""
_MOST_CASES = 10_000_000


def minimum_detectable_effect(
    rule: ComparisonRule, *, margin: float, power: float = DEFAULT_POWER, most: float = 1.0
) -> float | None:
    """The smallest true loss that gets a FAIL with probability `power`.

    P(FAIL | −loss) rises with the loss, so bisection finds it.

    Args:
        rule: What is planned.
        margin: Of the gate: what is proven to lie within it is a PASS, however sure the loss is.
        power: In (0, 1).
        most: The largest loss that there can be; 1 for scores.

    Returns:
        A fraction of the score range, more than 0; None if not even the largest loss is found so often.

    Raises:
        UndefinedError: If power is none or the rule is impossible.
    """
    _check_power(power)
    return _first(lambda loss: rule.chances(delta=-loss, margin=margin).failed >= power, most)


def smallest_margin(rule: ComparisonRule, *, power: float = DEFAULT_POWER, most: float = 0.9999) -> float | None:
    """The smallest margin that an unchanged candidate passes with probability `power`.

    P(PASS | 0) rises with the margin, so bisection finds it.

    Args:
        rule: What is planned.
        power: In (0, 1).
        most: The largest margin that there can be.

    Returns:
        A fraction of the score range, more than 0; None if no margin is wide enough.

    Raises:
        UndefinedError: If power is none or the rule is impossible.
    """
    _check_power(power)
    return _first(lambda margin: rule.chances(delta=0.0, margin=margin).passed >= power, most)


def passing_rate(rule: RateRule, *, power: float = DEFAULT_POWER) -> float | None:
    """The lowest true rate that passes with probability `power`; None if not even 1 does.

    Raises:
        UndefinedError: If power is none or the rule is impossible.
    """
    _check_power(power)
    return _first(lambda rate: rule.chances(rate=rate).passed >= power, 1.0)


def minimum_detectable_rate(rule: RateRule, *, power: float = DEFAULT_POWER) -> float | None:
    """The highest true rate that gets a FAIL with probability `power`; None if not even 0 does.

    Raises:
        UndefinedError: If power is none or the rule is impossible.
    """
    _check_power(power)
    if rule.chances(rate=0.0).failed < power:
        return None
    shortfall = _first(lambda wrong: rule.chances(rate=1.0 - wrong).failed >= power, 1.0)
    return None if shortfall is None else 1.0 - shortfall


def smallest_number(chance: Callable[[int], float], *, power: float = DEFAULT_POWER, start: int = 2) -> int | None:
    """The number of cases (pairs of runs, …) at which a chance reaches `power`, by doubling and bisection.

    The chance of an exact rule rises in small saw teeth, so a few cases less may also do.

    Args:
        chance: By number.
        power: In (0, 1).
        start: Where to begin, the least that makes sense.

    Returns:
        None if ten million are not enough.

    Raises:
        UndefinedError: If power is none.
    """
    _check_power(power)
    low, high = start - 1, start
    while chance(high) < power:
        low, high = high, 2 * high
        if high > _MOST_CASES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    return high


def _first(holds: Callable[[float], bool], most: float) -> float | None:
    """The smallest multiple of the step at which something holds that then goes on holding."""
    if not holds(most):
        return None
    low, high = 0, math.ceil(most / _STEP)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle * _STEP) else (middle, high)
    return min(most, high * _STEP)


def _check_power(power: float) -> None:
    if not 0.0 < power < 1.0:
        raise UndefinedError(f"power is {power}, but must lie between 0 and 1, both excluded")
