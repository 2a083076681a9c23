"""A statement that fits into a registry's tag: what is left out first, and how much it was.

Nothing is lost by it. The signed digests of the records and of the decision cover all that is left out, and the
decision can be taken again from the records.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from llmgate.attest.statement import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["PAYLOAD_BYTES", "fitted"]

PAYLOAD_BYTES: Final = 44_000
"""In base64 58,668 characters, which leaves room for five signatures below `attest.tags.MAX_ENVELOPE`."""
FIGURES: Final = (
    *("suite", "metric", "role", "verdict", "reference", "alpha", "candidate", "champion", "delta", "lower", "upper"),
    *("margin", "min", "max", "unit", "expected", "evaluated", "errors", "waived"),
)
"""What is left of a gating metric when there is no room for all of it."""
SHORTENED: Final = {
    "problems": 5,
    "requiredFailures": 5,
    "slicesFailed": 5,
    "weakerPolicy": 5,
    "serving": 0,
    "arms": 0,
    "admissions": 0,
}
"""Lists that are shortened after the metrics, in this order, and how many entries stay."""
WATCHED: Final = "watch"


def fitted(statement: Mapping[str, Any], *, room: int = PAYLOAD_BYTES) -> dict[str, Any]:
    """The statement, with as little left out as has to be.

    Watched metrics go first, from the last one on, then output features, which gate through the metrics. Gating
    metrics always stay; if there is no other way, with fewer figures. `predicate.leftOut` counts all of it.

    Args:
        statement: With everything that will be signed.
        room: Bytes of canonical JSON.

    Returns:
        A statement of at most so many bytes; a longer one if the gating metrics alone need more.
    """
    predicate = dict(statement["predicate"])
    left_out: dict[str, int] = {}
    whole = {**statement, "predicate": predicate}
    for name, shorten in steps(predicate):
        if len(canonical(whole)) <= room:
            break
        shorten()
        left_out[name] = left_out.get(name, 0) + 1
        predicate["leftOut"] = left_out
    return whole


def steps(predicate: dict[str, Any]) -> Iterator[tuple[str, Callable[[], None]]]:
    """What may be left out, one piece at a time: the name by which it is counted, and how it is done."""
    rows = list(predicate["metrics"])
    for index in reversed(range(len(rows))):
        if rows[index]["role"] == WATCHED:
            yield "watchedMetrics", partial(without, predicate, "metrics", index)
    yield from from_the_end(predicate, "outputs", 0)
    for index in range(len(predicate["metrics"])):
        yield "metricsInShort", partial(in_short, predicate, index)
    for name, stay in SHORTENED.items():
        yield from from_the_end(predicate, name, stay)


def from_the_end(predicate: dict[str, Any], name: str, stay: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """The entries of a list, the last one first."""
    for index in reversed(range(stay, len(predicate.get(name, ())))):
        yield name, partial(without, predicate, name, index)


def without(predicate: dict[str, Any], name: str, index: int) -> None:
    """Leave one entry out, in a new list."""
    predicate[name] = [entry for at, entry in enumerate(predicate[name]) if at != index]


def in_short(predicate: dict[str, Any], index: int) -> None:
    """Leave a metric its most important figures."""
    row = predicate["metrics"][index]
    short = {name: row[name] for name in FIGURES if row.get(name) is not None}
    predicate["metrics"] = [short if at == index else entry for at, entry in enumerate(predicate["metrics"])]
