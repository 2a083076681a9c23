"""The output as JSON data, and values of a suite that can stand in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from llmgate.errors import CannotRunError, did_you_mean
from llmgate.score.check import Finding
from llmgate.score.jsontext import parse_json
from llmgate.score.rule import broken
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmgate.score.check import CheckContext
    from llmgate.suite.asserts import AssertSpec, Json

__all__ = ["check_json", "check_keys", "not_json", "output_json", "same_json"]


def output_json(context: CheckContext) -> Json:
    """The output, read as strict JSON if it is a text.

    Raises:
        ValueError: If it is not JSON.
    """
    return parse_json(context.output) if isinstance(context.output, str) else cast("Json", context.output)


def not_json(spec: AssertSpec, error: ValueError) -> Finding:
    """What is found in an output that is no JSON: nothing that was wanted.

    Raises:
        CannotRunError: If that would let a `not-` form pass, about data that is not there.
    """
    if spec.negated:
        raise CannotRunError(f"{spec.name}: the output is not JSON, so nothing can be said of its data: {error}"[:200])
    return Finding.of(False, f"not JSON: {error}"[:200])


def check_json(spec: AssertSpec, value: object) -> Json:
    """A value of a suite, if JSON has values of its kind.

    Raises:
        SuiteError: If it holds a date, a key that is no text, a number that is not finite, or the like.
    """
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            for key in node:
                if not isinstance(key, str):
                    raise broken(spec, f"the key {key!r} is no text, as all keys in JSON are", "Put it in quotes")
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, float) and not math.isfinite(node):
            raise broken(spec, f"{node} is no number in JSON")
        elif not (node is None or isinstance(node, str | bool | int | float)):
            raise broken(spec, f"{str(node)[:80]!r} is no value in JSON", "Put it in quotes")
    return cast("Json", value)


def check_keys(spec: AssertSpec, value: Mapping[str, object], known: Collection[str]) -> None:
    """Refuses keys that do not exist.

    Raises:
        SuiteError: If there is one.
    """
    for key in value:
        if key not in known:
            raise broken(spec, f"unknown key {key!r}", did_you_mean(str(key), known))


def same_json(left: object, right: object) -> bool:
    """Deep equality in which a boolean never equals a number, and 1 equals 1.0."""
    waiting = [(left, right)]
    while waiting:
        one, other = waiting.pop()
        if isinstance(one, bool) or isinstance(other, bool):
            same = one is other
        elif isinstance(one, list) and isinstance(other, list):
            same = len(one) == len(other)
            waiting.extend(zip(one, other, strict=False))
        elif isinstance(one, Mapping) and isinstance(other, Mapping):
            same = one.keys() == other.keys()
            waiting.extend((one[key], other[key]) for key in one if same)
        else:
            same = (
                not isinstance(one, Mapping | list)
                and javascript.is_number(one) == javascript.is_number(other)
                and (one == other)
            )
        if not same:
            return False
    return True
