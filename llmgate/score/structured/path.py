"""Paths into a JSON document: a small, strict part of JSONPath.

`$` is the document; `.name`, `['name']`, `["name"]`, `[0]`, `[-1]` (from the end) and `[*]` (every item or member) lead
further. Filters, slices and `..` do not exist. The meaning is that of RFC 9535.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError
from llmgate.score.structured.parse import parse_json

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json

__all__ = ["MISSING", "JsonPath", "Missing"]

MAX_STEPS: Final = 100

_STEP = re.compile(
    r"""\.(?P<name>[^\W\d]\w*+)
      | \[(?P<index>0|-?[1-9][0-9]{0,8})\]
      | \[(?P<every>\*)\]
      | \[(?P<text>"(?:[^"\\]|\\.)*+"|'[^'\\]*+')\]""",
    re.VERBOSE | re.DOTALL,
)


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "nothing"


MISSING: Final = Missing.MISSING
"""What a path leads to where the document ends before the path."""


class _Every(Enum):
    EVERY = "*"


_Step = str | int | _Every


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path that has been read.

    Attributes:
        source: As written.
        steps: Member names, list indexes and `[*]`.
    """

    source: str
    steps: tuple[_Step, ...]

    @classmethod
    def compile(cls, source: object) -> JsonPath:
        """Reads a path.

        Raises:
            SuiteError: If it is none. The message does not say where; the caller knows.
        """
        fix = "Write it as $.order.lines[0]['unit price'], with [-1] for the last item and [*] for all"
        if not isinstance(source, str) or not source.startswith("$"):
            raise SuiteError(f"a path starts with $, but this one is {str(source)[:80]!r}", fix=fix)
        steps: list[_Step] = []
        position = 1
        while position < len(source):
            match = _STEP.match(source, position)
            step = _step(match) if match else None
            if match is None or step is None or len(steps) >= MAX_STEPS:
                raise SuiteError(f"the path {source[:80]!r} cannot be read at character {position + 1}", fix=fix)
            steps.append(step)
            position = match.end()
        return cls(source, tuple(steps))

    def find(self, document: Json) -> list[Json | Missing]:
        """What the path leads to: one value, or as many as `[*]` stands for, in order.

        Returns:
            `MISSING` in the place of each value that is not there; nothing for `[*]` of an empty list or object.
        """
        nodes: list[Json | Missing] = [document]
        for step in self.steps:
            nodes = [value for node in nodes for value in _children(node, step)]
        return nodes

    def without(self, document: Json) -> Json:
        """The document less what the path leads to; the given one is not changed."""
        return _without(document, self.steps)


def _step(match: re.Match[str]) -> _Step | None:
    if match["name"] is not None:
        return match["name"]
    if match["index"] is not None:
        return int(match["index"])
    if match["every"]:
        return _Every.EVERY
    if match["text"].startswith("'"):
        return match["text"][1:-1]
    try:
        return str(parse_json(match["text"]))
    except ValueError:
        return None


def _children(node: Json | Missing, step: _Step) -> list[Json | Missing]:
    if isinstance(step, _Every):
        if isinstance(node, Mapping):
            return list(node.values())
        return list(node) if isinstance(node, list) else [MISSING]
    if isinstance(step, str):
        return [node[step] if isinstance(node, Mapping) and step in node else MISSING]
    return [node[step] if isinstance(node, list) and -len(node) <= step < len(node) else MISSING]


def _without(node: Json, steps: tuple[_Step, ...]) -> Json:
    """Recurses once per step of the path, however deep the document is."""
    step, rest = steps[0], steps[1:]
    if isinstance(node, Mapping) and not isinstance(step, int):
        chosen = set(node) if isinstance(step, _Every) else {step}
        return {
            key: _without(value, rest) if key in chosen else value
            for key, value in node.items()
            if rest or key not in chosen
        }
    if isinstance(node, list) and not isinstance(step, str):
        at = range(len(node)) if isinstance(step, _Every) else [step + len(node) * (step < 0)]
        return [_without(value, rest) if i in at else value for i, value in enumerate(node) if rest or i not in at]
    return node
