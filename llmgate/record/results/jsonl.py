"""Plain tables in JSON Lines, read without mercy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

from llmgate.errors import RecordError
from llmgate.record.growth import RESULT
from llmgate.record.results.rows import Rows
from llmgate.record.results.source import lines_in

if TYPE_CHECKING:
    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile
    from llmgate.record.scores import ScoreTable

__all__ = ["read_jsonl", "row_of", "unique"]


def read_jsonl(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """Read one object per line; empty lines are skipped.

    Raises:
        RecordError: With file and line, for broken JSON, an unknown, missing or repeated key, and what `Rows` refuses.
    """
    rows = Rows(layout, suite=suite)
    decoder = json.JSONDecoder(object_pairs_hook=unique, parse_constant=refuse)
    checked: set[tuple[str, ...]] = set()
    for where, line in lines_in(source):
        row = row_of(decoder, line, where)
        keys = tuple(row)
        if keys not in checked:
            layout.check(keys, where)
            checked.add(keys)
        source.growth.spend(RESULT, where)
        rows.add(row, where)
    return rows.tables(source.path)


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys differ."""
    row = dict(pairs)
    if len(row) != len(pairs):
        raise RecordError("a key occurs twice in one row", fix="Keep one of them")
    return row


def refuse(constant: str) -> NoReturn:
    """No NaN, no infinity."""
    raise RecordError(f"{constant} is not a score", fix="Find out why it could not be scored; do not leave it out")


def row_of(decoder: json.JSONDecoder, line: str, where: str) -> dict[str, object]:
    """One line as an object.

    Raises:
        RecordError: With the place.
    """
    try:
        row = decoder.decode(line)
    except RecordError as error:
        raise RecordError(error.what, where=where, fix=error.fix) from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}", where=where, fix="Write one JSON object per line") from error
    if not isinstance(row, dict):
        raise RecordError(
            f"a {type(row).__name__} instead of an object",
            where=where,
            fix='Write {"item_id": "…", "score": 1} on every line',
        )
    return row
