"""Thresholds and settings of an assert, read and checked once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError, did_you_mean
from llmgate.score.assertion.check import Finding
from llmgate.score.assertion.rule import invalid_value, shown
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmgate.score.assertion.check import CheckContext
    from llmgate.suite.asserts import AssertSpec

__all__ = [
    "between",
    "bound",
    "bounded_text",
    "bounds",
    "choice",
    "flag",
    "graded",
    "least",
    "least_cosine",
    "library",
    "most",
    "read_number",
    "refuse_value",
    "whole",
]

_NO_BOUNDS: Final = {"min": -math.inf, "max": math.inf}
MOST_CHARS: Final = 200_000
"""Of an output whose n-grams are counted: about 50,000 tokens, and still under 3 s with the slowest metric."""


def library(spec: AssertSpec, name: str) -> Any:
    """A module of a package that only the extra `metrics` brings.

    Raises:
        SuiteError: If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0].replace("_", "-")
        raise invalid_value(spec, f"needs the package {package}", "pip install 'pytest-llmgate[metrics]'") from error


def refuse_value(spec: AssertSpec, fix: str = "Remove `value:`") -> None:
    """Refuses a value, which could only be meant as something that the type does not do.

    Raises:
        SuiteError: If there is one.
    """
    if spec.has_value and spec.value is not None and spec.value != "":
        raise invalid_value(spec, "this type takes no value", fix)


def bounds(spec: AssertSpec, value: object) -> tuple[float, float]:
    """The least and the most that `{min: …, max: …}` allows; without one of them there is no such bound.

    Raises:
        SuiteError: If the value has neither, or something else, or the least is above the most.
    """
    if not isinstance(value, Mapping) or not value:
        raise invalid_value(spec, f"the value must give `min` or `max`, not {shown(value)}", "Write {max: 40}")
    for key in value:
        if key not in _NO_BOUNDS:
            raise invalid_value(spec, f"unknown key {key!r}", did_you_mean(str(key), _NO_BOUNDS))
    low, high = (bound(spec, value[key]) if key in value else none for key, none in _NO_BOUNDS.items())
    if low > high:
        raise invalid_value(spec, f"min {low:g} is above max {high:g}")
    return low, high


def between(low: float, high: float) -> str:
    """What `bounds` allows, in words: `at most 3`, `at least 2`, `2 to 3`."""
    if math.isinf(low):
        return f"at most {high:g}"
    return f"at least {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"


def read_number(value: object) -> float:
    """A number, which may be written as a text; NaN for everything else."""
    written = javascript.is_number(value) or (isinstance(value, str) and javascript.trim(value))
    return javascript.to_number(value) if written else math.nan


def bound(spec: AssertSpec, value: object) -> float:
    """A finite number, which may be written as a text; an integer keeps all its digits.

    Raises:
        SuiteError: If it is none.
    """
    number = read_number(value)
    if not math.isfinite(number):
        raise invalid_value(spec, f"a bound must be a number, not {shown(value)}")
    return value if javascript.is_number(value) else number


def bounded_text(context: CheckContext) -> str:
    """The output as text, for metrics whose time grows with its length more than a little.

    Raises:
        CannotRunError: If it is too long.
    """
    text = context.text
    if len(text) > MOST_CHARS:
        raise CannotRunError(f"the output has {len(text):,} characters, more than the {MOST_CHARS:,} that are compared")
    return text


def least(spec: AssertSpec, default: float, *, unreachable: bool = False) -> float:
    """The threshold that a score between 0 and 1 has to reach.

    Args:
        spec: The assert.
        default: Where it has none.
        unreachable: Whether it may be above 1, so that every output fails, as in promptfoo. With `not-` every output
            would pass.

    Raises:
        SuiteError: If every score reaches it, or none may and none does.
    """
    threshold = default if spec.threshold is None else spec.threshold
    if threshold <= 0:
        raise invalid_value(spec, f"the threshold is {threshold:g}, so the check cannot fail", "Write a number above 0")
    if threshold > 1 and (spec.negated or not unreachable):
        raise invalid_value(
            spec, f"the threshold is {threshold:g}, but no score is above 1", "Write a number from 0 to 1"
        )
    return threshold


def least_cosine(spec: AssertSpec, default: float) -> float:
    """The threshold that a cosine, from −1 to 1, has to reach.

    Raises:
        SuiteError: If the assert cannot fail: every cosine reaches it, or none does and the assert is negated.
    """
    threshold = default if spec.threshold is None else spec.threshold
    if threshold <= -1 or (threshold > 1 and spec.negated):
        raise invalid_value(spec, f"the threshold is {threshold:g} for a cosine from -1 to 1, so the check cannot fail")
    return threshold


def most(spec: AssertSpec, default: float | None = None) -> float:
    """The threshold that a measurement must not exceed.

    Raises:
        SuiteError: If there is none, or it is below 0 and every output passes, as no measurement is below 0.
    """
    limit = default if spec.threshold is None else spec.threshold
    if limit is None:
        raise invalid_value(spec, "the assert has no threshold, so it cannot fail", "Add `threshold:`")
    if limit < 0 and spec.negated:
        raise invalid_value(spec, f"the threshold is {limit:g}, and nothing is below 0, so the check cannot fail")
    return limit


def graded(name: str, score: float, threshold: float) -> Finding:
    """The finding of a score that passes from the threshold on."""
    return Finding(score >= threshold, score, f"{name} {score:.4g}, wanted at least {threshold:g}")


def whole(spec: AssertSpec, key: str, default: int, *, low: int, high: int) -> int:
    """A setting of `config` that is a whole number within bounds.

    Raises:
        SuiteError: If it is none.
    """
    value = spec.config.get(key, default)
    if not javascript.is_number(value) or not low <= value <= high or value != int(value):
        raise invalid_value(spec, f"{key} must be a whole number from {low} to {high}, not {shown(value)}")
    return int(value)


def flag(spec: AssertSpec, key: str, *, default: bool) -> bool:
    """A setting of `config` that is true or false.

    Raises:
        SuiteError: If it is neither.
    """
    value = spec.config.get(key, default)
    if not isinstance(value, bool):
        raise invalid_value(spec, f"{key} must be true or false, not {shown(value)}")
    return value


def choice(spec: AssertSpec, key: str, default: str, names: Collection[str]) -> str:
    """A setting of `config` that is one of a few words.

    Raises:
        SuiteError: If it is another.
    """
    value = spec.config.get(key, default)
    if not isinstance(value, str) or value not in names:
        raise invalid_value(spec, f"unknown {key} {shown(value)}", did_you_mean(str(value), names))
    return value
