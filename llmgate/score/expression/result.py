"""What a program gives → what is found: true, false, a number, or `{pass, score, reason}`, as promptfoo reads them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from llmgate.errors import CannotRunError
from llmgate.score.assertion.check import Finding
from llmgate.score.expression.globals import parsed_float
from llmgate.score.structured.parse import parse_json

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["found", "without_result"]


def found(spec: AssertSpec, result: object, *, strict: bool) -> Finding:
    """The finding of what a program gives.

    Args:
        spec: The assert.
        result: Data of JSON; `undefined` is None.
        strict: Whether the score of a mapping must reach the threshold, too, and texts may stand for numbers, as with
            Python's programs.

    Raises:
        CannotRunError: If a `not-` form would make a pass of what is no result, or a score is no number.
    """
    if strict and isinstance(result, str):
        result = _said(result)
    if isinstance(result, bool):
        return Finding.of(result, f"the code gives {'true' if result else 'false'}")
    if isinstance(result, int | float):
        score = _score(spec, result)
        wanted = "above 0" if spec.threshold is None else f"at least {spec.threshold:g}"
        passed = result > 0 if spec.threshold is None else result >= spec.threshold
        return Finding(passed, score, f"the code gives {result:g}, wanted {wanted}")
    parts: Any = result if isinstance(result, dict) else {}
    passed, number, reason = parts.get("pass"), parts.get("score"), parts.get("reason")
    if strict and "pass_" in parts:
        passed = parts["pass_"]
    numeric = isinstance(number, int | float) and not isinstance(number, bool)
    if not isinstance(passed, bool) or not numeric or not isinstance(reason, str):
        return without_result(
            spec, f"the code gives {_kind(result)}, not true, false, a number, or {{pass, score, reason}}"
        )
    if strict and spec.threshold is not None and number < spec.threshold:
        passed, reason = False, f"{number:g} is below {spec.threshold:g}: {reason}"
    return Finding(passed, _score(spec, number), reason or f"the code gives {'a pass' if passed else 'a fail'}")


def without_result(spec: AssertSpec, why: str) -> Finding:
    """What is found where a program says nothing about an answer: not what was wanted.

    Raises:
        CannotRunError: If a `not-` form would make a pass of it.
    """
    if spec.negated:
        raise CannotRunError(f"{spec.name}: {why}"[:300])
    return Finding.of(False, why[:300])


def _score(spec: AssertSpec, number: float) -> float:
    if math.isnan(number):
        raise CannotRunError(f"{spec.name}: the code gives a score that is no number")
    return float(min(1.0, max(0.0, number)))


def _said(text: str) -> object:
    """What a text of Python's means to promptfoo: true, false, a mapping in JSON, or the number in front."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if text.startswith("{"):
        try:
            return parse_json(text)
        except ValueError:
            return text
    number = parsed_float(text)
    return text if math.isnan(number) else number


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    kinds: dict[type, str] = {str: "a text", list: "a list", dict: "a mapping without pass, score and reason"}
    return kinds.get(type(value), "something else")
