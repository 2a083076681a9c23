"""json-diff: how two JSON values differ, field by field, and the share that agrees."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value, refuse_hidden_templates
from llmgate.score.assertion.settings import choice, least
from llmgate.score.structured.parse import check_json, not_json, output_json, parse_json
from llmgate.score.structured.path import MISSING, JsonPath
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec, Json

__all__ = ["TYPES", "Difference", "compare_json"]

_SHOWN_STEPS: Final = 12

_Trail = tuple[Any, str] | None
"""Where a value stands: the trail of what holds it, and its name there. Shared, because a full path for every leaf
takes quadratic memory in deep documents."""
_Pair = tuple[str, object, object]
"""Where two values stand in what holds them, and the values; one of them may be `MISSING`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a comparison found.

    Attributes:
        equal: Leaf paths at which both documents have the same.
        leaves: Leaf paths of either; at least 1.
        first: The path of a leaf that differs, empty if none does.
    """

    equal: int
    leaves: int
    first: str

    @property
    def score(self) -> float:
        """The share of leaf paths that agree."""
        return self.equal / self.leaves


def compare_json(expected: object, output: object, *, tolerance: float = 0, any_order: bool = False) -> Difference:
    """Compares two documents leaf by leaf.

    Args:
        expected: One.
        output: The other; turning them round changes nothing but the order in which leaves are looked at.
        tolerance: The greatest difference at which two numbers are equal.
        any_order: Whether to pair the items of lists by what they are: equal ones, then numbers within the tolerance,
            then what is left in the order written.
    """
    pairing = _Pairing(expected, output, tolerance) if any_order else None
    equal, leaves, first = 0, 0, ""
    waiting: list[tuple[_Trail, object, object]] = [(None, expected, output)]
    while waiting:
        trail, one, other = waiting.pop()
        parts = _parts(one, other, pairing)
        if parts is None:
            leaves += 1
            same = _same_leaf(one, other, tolerance)
            equal += same
            first = first or ("" if same else _shown(trail))
        else:
            waiting += [((trail, step) if step else trail, a, b) for step, a, b in reversed(parts)]
    return Difference(equal=equal, leaves=leaves, first=first)


def _parts(one: object, other: object, pairing: _Pairing | None) -> list[_Pair] | None:
    """What two values hold, side by side; None if neither holds anything."""
    kinds = {_kind(value) for value in (one, other) if value is not MISSING}
    if kinds == {"leaf"}:
        return None
    if len(kinds) > 1:
        # What one has is at other paths than what the other has.
        return [("", one, MISSING), ("", MISSING, other)]
    if isinstance(one, Mapping) or isinstance(other, Mapping):
        left: Any = {} if one is MISSING else one
        right: Any = {} if other is MISSING else other
        keys = [*left, *(key for key in right if key not in left)]
        return [(f".{key}", left.get(key, MISSING), right.get(key, MISSING)) for key in keys]
    left = [] if one is MISSING else one
    right = [] if other is MISSING else other
    items = pairing.pair(left, right) if pairing else zip_longest(left, right, fillvalue=MISSING)
    return [(f"[{index}]", a, b) for index, (a, b) in enumerate(items)]


def _kind(value: object) -> str:
    if not isinstance(value, Mapping | list) or not value:
        return "leaf"
    return "list" if isinstance(value, list) else "object"


def _same_leaf(one: object, other: object, tolerance: float) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if javascript.is_number(one) and javascript.is_number(other):
        return one == other or _distance(one, other) <= tolerance
    return one == other and one is not MISSING


def _distance(one: float, other: float) -> float:
    if isinstance(one, int) and isinstance(other, int):
        return abs(one - other)
    distance = abs(javascript.to_number(one) - javascript.to_number(other))
    return math.inf if math.isnan(distance) else distance


def _shown(trail: _Trail) -> str:
    steps: deque[str] = deque(maxlen=_SHOWN_STEPS)
    count = 0
    while trail is not None:
        trail, step = trail
        steps.appendleft(step[:40])
        count += 1
    return "$" + "".join(steps) + ("…" if count > _SHOWN_STEPS else "")


class _Pairing:
    """Pairs the items of lists in which the order does not count.

    Every list and object gets a number, the same for those that are equal, from the numbers of what it holds: comparing
    each item with each other takes quadratic time, and so does writing each out at every level that it is in.
    """

    def __init__(self, one: object, other: object, tolerance: float) -> None:
        self.tolerance = tolerance
        self._numbers: dict[object, int] = {}
        self._of: dict[int, int] = {}
        holders: list[Any] = []
        waiting = [one, other]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Mapping | list):
                holders.append(node)
                waiting.extend(node.values() if isinstance(node, Mapping) else node)
        # Those inside come after what holds them.
        for node in reversed(holders):
            if isinstance(node, Mapping):
                key: object = frozenset((name, self._number(value)) for name, value in node.items())
            else:
                key = tuple(sorted(map(self._number, node)))
            self._of[id(node)] = self._numbers.setdefault(key, len(self._numbers))

    def _number(self, value: object) -> int:
        if isinstance(value, Mapping | list):
            return self._of[id(value)]
        kind = "number" if javascript.is_number(value) else type(value).__name__
        return self._numbers.setdefault((kind, "", value), len(self._numbers))

    def pair(self, left: Sequence[object], right: Sequence[object]) -> list[tuple[object, object]]:
        """Every item once, with its partner or with `MISSING`."""
        there: dict[int, deque[int]] = {}
        for index, item in enumerate(right):
            there.setdefault(self._number(item), deque()).append(index)
        pairs: list[tuple[object, object]] = []
        alone, taken = [], set()
        for item in left:
            partners = there.get(self._number(item))
            if partners:
                index = partners.popleft()
                taken.add(index)
                pairs.append((item, right[index]))
            else:
                alone.append(item)
        others = [item for index, item in enumerate(right) if index not in taken]
        near, alone, others = self._near(alone, others)
        return [*pairs, *near, *zip_longest(alone, others, fillvalue=MISSING)]

    def _near(
        self, left: list[object], right: list[object]
    ) -> tuple[list[tuple[object, object]], list[object], list[object]]:
        """As many numbers within the tolerance as can be paired: from the smallest, each with the first near enough."""
        ours, theirs = _by_size(left), _by_size(right)
        pairs: dict[int, int] = {}
        i = j = 0
        while self.tolerance and i < len(ours) and j < len(theirs):
            (one, at), (other, there) = ours[i], theirs[j]
            if _distance(one, other) <= self.tolerance:
                pairs[at] = there
                i, j = i + 1, j + 1
            elif one < other:
                i += 1
            else:
                j += 1
        near: list[tuple[object, object]] = [(left[at], right[there]) for at, there in pairs.items()]
        return near, _less(left, pairs), _less(right, pairs.values())


def _by_size(items: list[object]) -> list[tuple[float, int]]:
    return sorted((item, index) for index, item in enumerate(items) if javascript.is_number(item))


def _less(items: list[object], at: Iterable[int]) -> list[object]:
    gone = set(at)
    return [item for index, item in enumerate(items) if index not in gone]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    ignore: tuple[JsonPath, ...] = ()
    tolerance: float = 0
    any_order: bool = False

    @classmethod
    def read(cls, spec: AssertSpec) -> _Settings:
        order = choice(spec, "list-order", "strict", ("ignore", "strict"))
        tolerance = spec.config.get("numeric-tolerance", 0)
        if not javascript.is_number(tolerance) or not 0 <= tolerance < math.inf:
            raise invalid_value(spec, "numeric-tolerance must be a number, 0 or more")
        written = spec.config.get("ignore", [])
        try:
            ignore = tuple(JsonPath.compile(path) for path in (written if isinstance(written, list) else [written]))
        except SuiteError as error:
            raise invalid_value(spec, error.what, error.fix) from error
        if not all(path.steps for path in ignore):
            raise invalid_value(spec, "ignore: $ leaves nothing to compare")
        return cls(ignore=ignore, tolerance=tolerance, any_order=order == "ignore")

    def prune(self, document: Json) -> Json:
        for path in self.ignore:
            document = path.without(document)
        return document


def _json_diff(spec: AssertSpec) -> Evaluate:
    refuse_hidden_templates(spec)
    threshold = least(spec, 1.0)
    settings = _Settings.read(spec)
    rule = AssertRule.compile(spec, lambda value: _Expected(settings.prune(_expected(spec, value))))

    def evaluate(context: CheckContext) -> Finding:
        expected = rule.on(context).document
        try:
            output = settings.prune(output_json(context))
        except ValueError as error:
            return not_json(spec, error)
        difference = compare_json(expected, output, tolerance=settings.tolerance, any_order=settings.any_order)
        reason = f"{difference.equal} of {difference.leaves} leaves agree"
        reason += f"; not {difference.first}" if difference.first else ""
        return Finding(difference.score >= threshold, difference.score, reason)

    return evaluate


@dataclass(frozen=True, slots=True)
class _Expected:
    """Wrapped, because null is a document too."""

    document: object


def _expected(spec: AssertSpec, value: object) -> Json:
    if not isinstance(value, str):
        return check_json(spec, value)
    try:
        return parse_json(value)
    except ValueError as error:
        raise invalid_value(
            spec,
            f"the expected value {value[:80]!r} is not JSON: {error}"[:200],
            "Write data, JSON text, or a template such as {{ column }} that renders to JSON text; a text is in quotes",
        ) from error


TYPES: Final = (
    CheckKind(
        id="json-diff",
        passes="it agrees with a document",
        score="share of leaves",
        value="the document, or a template of JSON",
        threshold="1",
        settings={
            "ignore": "paths",
            "numeric-tolerance": "how far numbers may differ, 0",
            "list-order": "`strict` (default) or `ignore`",
        },
        example={"value": {"a": [1, 2], "b": "x"}},
        version="2",
        prepare=_json_diff,
    ),
)
