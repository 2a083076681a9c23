"""What the formats of other tools have in common: rows of items, some of them repeated, some of them in error."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from llmgate.errors import RecordError, did_you_mean
from llmgate.record.results.rows import shown_number
from llmgate.record.results.source import text_of
from llmgate.record.scores import Items, ScoreTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile

__all__ = ["ForeignRow", "digest_of", "json_of", "listing", "mapping", "parsed", "score_of", "tables_of"]


MAX_DIGITS: Final = 300
"""Those of the largest float are a few more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRow:
    """One evaluation of one item.

    Attributes:
        item: Names the item on both sides.
        repeat: Tells the repeats of an item apart.
        scores: By metric: a number in [0, 1], or in words why there is none.
        error: Why nothing of the row counts, "" if it does.
        fields: What `--cluster`, `--slice` and `--candidate-only` may name.
        where: Its place, for messages.
    """

    item: str
    repeat: str = ""
    scores: Mapping[str, float | str] = field(default_factory=dict)
    error: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""


def tables_of(
    rows: Sequence[ForeignRow],
    layout: Layout,
    source: ResultsFile,
    *,
    suite: str,
    repeats: int = 1,
    twice: str = "Choose one model or prompt, e.g. --candidate-only provider=NAME",
) -> tuple[ScoreTable, ...]:
    """A table per metric. Repeats are averaged; an item that lacks one, or has one in error, is an error.

    A metric has the items of which a row names it, and those whose row is in error and does not say what it feeds.

    Args:
        rows: In any order.
        layout: Which fields are clusters and slices, and which rows count.
        source: The file.
        suite: Name for the report.
        repeats: How many repeats an item must have; more, if an item has more.
        twice: What to do where an item occurs twice.

    Raises:
        RecordError: If there are no scores, an item occurs twice, or a field is named that no row has.
    """
    rows = [row for row in rows if all(shown(row.fields.get(name)) == value for name, value in layout.only)]
    metrics = tuple(sorted({metric for row in rows for metric in row.scores}))
    if not metrics:
        raise RecordError(f"no scores{layout.chosen}", where=source.path, fix="Evaluate again, and look at its errors")
    wanted = layout.scores or metrics
    for metric in wanted:
        if metric not in metrics:
            raise RecordError(f"no metric {metric!r}", where=source.path, fix=did_you_mean(metric, metrics))
    check_fields(rows, layout, source)
    items: dict[str, dict[str, ForeignRow]] = {}
    for row in rows:
        known = items.setdefault(row.item, {})
        if row.repeat in known:
            raise RecordError(f"item {row.item[:200]!r} occurs twice", where=row.where, fix=twice)
        known[row.repeat] = row
    repeats = max(repeats, *(len(known) for known in items.values()))
    shared: dict[tuple[str, ...], Items] = {}
    return tuple(table_of(metric, items, shared, layout, suite=suite, repeats=repeats) for metric in wanted)


def check_fields(rows: Sequence[ForeignRow], layout: Layout, source: ResultsFile) -> None:
    """Refuse fields that no row has."""
    there = {name for row in rows for name in row.fields}
    for name in (*layout.slices, *([layout.cluster] if layout.cluster else [])):
        if name not in there:
            fix = did_you_mean(name, there) if there else None
            raise RecordError(f"no field {name!r}", where=source.path, fix=fix)


def table_of(
    metric: str,
    items: Mapping[str, Mapping[str, ForeignRow]],
    shared: dict[tuple[str, ...], Items],
    layout: Layout,
    *,
    suite: str,
    repeats: int,
) -> ScoreTable:
    """The table of one metric; metrics of the same items share them."""
    mine = {
        item: rows
        for item, rows in items.items()
        if any(metric in row.scores or (row.error and not row.scores) for row in rows.values())
    }
    means = [mean_of_repeats(list(rows.values()), metric, repeats) for rows in mine.values()]
    ids = tuple(mine)
    if ids not in shared:
        firsts = [next(iter(rows.values())).fields for rows in mine.values()]
        shared[ids] = Items.of(
            ids,
            clusters=[shown(row.get(layout.cluster)) or None for row in firsts] if layout.cluster else None,
            slices={name: [shown(row.get(name)) for row in firsts] for name in layout.slices},
        )
    return ScoreTable(
        suite=suite,
        metric=metric,
        items=shared[ids],
        scores=np.array([math.nan if isinstance(mean, str) else mean for mean in means], dtype=np.float64),
        errors={i: mean for i, mean in enumerate(means) if isinstance(mean, str)},
    )


def mean_of_repeats(rows: Sequence[ForeignRow], metric: str, repeats: int) -> float | str:
    """Of one item, or why there is none."""
    scores: list[float] = []
    for row in rows:
        score = row.error or row.scores.get(metric, "no score")
        if isinstance(score, str):
            return score
        scores.append(score)
    if len(scores) < repeats:
        return f"{len(scores)} of {repeats} repeats"
    # Rounding must not carry the mean of equal scores past them.
    return min(max(math.fsum(scores) / len(scores), min(scores)), max(scores))


def shown(value: object) -> str | None:
    """A field as text, None for nothing."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, default=str)


def score_of(value: object) -> float | str:
    """A number in [0, 1], or why it is none."""
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, int | float):
        return "no score" if value is None else f"the score is {str(value)[:40]!r}, which is no number"
    if math.isnan(value):
        return "the score is NaN"
    return float(value) if 0.0 <= value <= 1.0 else f"the score {shown_number(value)} lies outside [0, 1]"


def digest_of(value: object) -> str:
    """Eight hex digits that tell the contents of items apart."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def mapping(value: object) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: object) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def json_of(source: ResultsFile) -> Any:
    """The file as JSON; NaN and infinities, which other tools write, stay what they are and are errors as scores.

    Raises:
        RecordError: If it is none.
    """
    try:
        return parsed(text_of(source))
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}", where=source.path, fix="Write it again") from error


def parsed(text: str | bytes) -> Any:
    """JSON as other tools write it, NaN and all, in which no key stands twice.

    Raises:
        ValueError: If it is none.
        RecursionError: If it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=unique, parse_int=whole)


def whole(digits: str) -> int | float:
    """A whole number, or infinity, as other readers of JSON have it, where it is too large for arithmetic."""
    return int(digits) if len(digits) < MAX_DIGITS else float(digits)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found
