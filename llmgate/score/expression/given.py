"""The arguments of a method of JavaScript, and what texts and lists have in common."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llmgate.score.expression import patterns
from llmgate.score.expression.spending import Spending, ThrownError
from llmgate.score.expression.values import JsFunction, JsRegex, is_index, joined, js_number, js_text
from llmgate.suite.template.javascript import UNDEFINED

__all__ = ["Apply", "Given", "has_own", "item_at", "part_of"]

Apply = Callable[[object, list[object]], object]
"""Calls a function of the program."""


class Given:
    """The arguments of a call, and what methods need besides."""

    __slots__ = ("apply", "spending", "values")

    def __init__(self, values: list[object], spending: Spending, apply: Apply) -> None:
        self.values = values
        self.spending = spending
        self.apply = apply

    def value(self, i: int) -> object:
        """An argument; undefined where there is none."""
        return self.values[i] if i < len(self.values) else UNDEFINED

    def text(self, i: int) -> str:
        """An argument as a text."""
        return js_text(self.value(i), self.spending)

    def whole(self, i: int, default: float) -> float:
        """A number without its fraction; NaN is 0."""
        if self.value(i) is UNDEFINED:
            return default
        number = js_number(self.value(i))
        return 0.0 if math.isnan(number) else number if math.isinf(number) else float(math.trunc(number))

    def place(self, i: int, default: float, size: int) -> int:
        """A position from 0 to the size; a negative one counts from the end."""
        number = self.whole(i, default)
        return int(max(size + number, 0) if number < 0 else min(number, size))

    def clamped(self, i: int, default: float, size: int) -> int:
        """A position from 0 to the size; a negative one is 0."""
        return int(min(max(self.whole(i, default), 0), size))

    def function(self, i: int) -> JsFunction:
        """An argument that must be a function."""
        value = self.value(i)
        if not isinstance(value, JsFunction):
            raise ThrownError("what is handed over is not a function")
        return value

    def needle(self, i: int) -> str:
        """A text to look for, which no pattern may stand for."""
        if isinstance(self.value(i), JsRegex):
            raise ThrownError("the first argument must not be a regular expression")
        return self.text(i)

    def pattern(self, i: int, flags: str = "") -> JsRegex:
        """A pattern, or the text of one."""
        value = self.value(i)
        if isinstance(value, JsRegex):
            return value
        return patterns.compiled("(?:)" if value is UNDEFINED else joined(self.text(i)), flags)


def has_own(value: object, given: Given) -> object:
    """`value.hasOwnProperty(name)`."""
    name = given.text(0)
    if isinstance(value, str | list):
        return name == "length" or (is_index(name) and int(name) < len(value))
    return isinstance(value, dict) and name in value


def item_at(text: str | list[Any], given: Given) -> object:
    """`value.at(position)`."""
    i = given.whole(0, 0)
    i = i + len(text) if i < 0 else i
    return text[int(i)] if 0 <= i < len(text) else UNDEFINED


def part_of(value: Any, given: Given) -> object:
    """`value.slice(start, end)`."""
    given.spending.steps(len(value) / 64)
    return value[given.place(0, 0, len(value)) : given.place(1, len(value), len(value))]
