"""Score tables on disk: JSON Lines from any evaluation harness, read without mercy."""

from __future__ import annotations

import difflib
import json
import math
from pathlib import Path
from typing import NoReturn

from llmgate.errors import RecordError
from llmgate.record.scores import ItemScore, ScoreTable

__all__ = ["ItemScore", "ScoreTable", "load_score_table"]

_REQUIRED = ("item_id", "score")
_KEYS = (*_REQUIRED, "cluster")


def load_score_table(path: Path | str, *, suite: str = "scores", metric: str = "score") -> ScoreTable:
    """Read one `{"item_id": …, "score": …, "cluster": …}` object per line; `cluster` may be left out or null.

    Args:
        path: A UTF-8 file. Empty lines are skipped.
        suite: Name for the report.
        metric: Name for the report.

    Raises:
        RecordError: With file and line, for anything else: no rows, broken JSON, an unknown, missing or repeated key,
            an item id that is no text or occurs twice, a score that is no number in [0, 1] (NaN included).
    """
    items: list[ItemScore] = []
    first_seen: dict[str, int] = {}
    for number, line in enumerate(_read(Path(path)).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        item = _item(_row(line, where), where)
        if item.item_id in first_seen:
            raise RecordError(
                f"item_id {item.item_id!r} occurred already on line {first_seen[item.item_id]}",
                where=where,
                fix="Write one row per item; average repeats first",
            )
        first_seen[item.item_id] = number
        items.append(item)
    if not items:
        raise RecordError("no scores", where=str(path), fix='Write one {"item_id": "…", "score": 1} per line')
    return ScoreTable.of(items, suite=suite, metric=metric)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8 at byte {error.start}", where=str(path), fix="Save it as UTF-8") from error


def _row(line: str, where: str) -> dict[str, object]:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        row = dict(pairs)
        if len(row) != len(pairs):
            raise RecordError("a key occurs twice in one row", where=where, fix="Keep one of them")
        return row

    def refuse(constant: str) -> NoReturn:
        raise RecordError(
            f"{constant} is not a score", where=where, fix="Find out why it could not be scored; do not leave it out"
        )

    try:
        row = json.loads(line, object_pairs_hook=unique, parse_constant=refuse)
    except (json.JSONDecodeError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}", where=where, fix="Write one JSON object per line") from error
    if not isinstance(row, dict):
        raise RecordError(
            f"a {type(row).__name__} instead of an object",
            where=where,
            fix='Write {"item_id": "…", "score": 1} on every line',
        )
    return row


def _item(row: dict[str, object], where: str) -> ItemScore:
    for key in row:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            raise RecordError(
                f"unknown key {key!r}",
                where=where,
                fix=f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(_KEYS)}",
            )
    for key in _REQUIRED:
        if key not in row:
            raise RecordError(f"no {key!r}", where=where, fix="Every row needs an item_id and a score")
    item_id, cluster = row["item_id"], row.get("cluster")
    if not isinstance(item_id, str) or not item_id:
        raise RecordError(f"item_id is {item_id!r}, but must be a text that is not empty", where=where)
    if cluster is not None and (not isinstance(cluster, str) or not cluster):
        raise RecordError(f"cluster is {cluster!r}, but must be a text that is not empty, or null", where=where)
    return ItemScore(item_id=item_id, score=_score(row["score"], where), cluster=cluster)


def _score(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(
            f"score is {value!r}, but must be a number", where=where, fix="Write 1 for right, 0 for wrong"
        )
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise RecordError(
            f"score is {value}, but must lie in [0, 1]", where=where, fix="Divide by the largest possible score"
        )
    return float(value)
