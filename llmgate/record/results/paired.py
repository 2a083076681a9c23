"""PairedResults of many systems on the same items, on disk: JSON Lines, plain or gzip, read without mercy."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import NDArray

from llmgate.errors import RecordError
from llmgate.record.growth import RESULT
from llmgate.record.results.jsonl import row_of, unique
from llmgate.record.results.source import lines_in, read_source

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PairedResults", "is_paired", "load_paired", "paired_name"]

_NAME = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*?)\.jsonl(?:\.gz)?")
_ROW = '{"item_id": "…", "system": "…", "score": 1, "cluster": null}'


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedResults:
    """A score of each system on each item.

    Attributes:
        name: Of the file, without its endings.
        sha256: Of the file.
        systems: S names, sorted.
        items: N ids, sorted.
        clusters: A code per item, shape (N,), None where the items are independent. Items without a key are clusters
            of their own.
        scores: Shape (S, N), in [0, 1]; NaN where a system has no result.
    """

    name: str
    sha256: str
    systems: tuple[str, ...]
    items: tuple[str, ...]
    clusters: NDArray[np.int64] | None
    scores: NDArray[np.float64]


def paired_name(path: Path) -> str | None:
    """The name of a data set by its file name, None if the file is no JSON Lines."""
    match = _NAME.fullmatch(path.name)
    return match["name"] if match else None


def is_paired(path: Path) -> bool:
    """Whether the first row is about a system; other files may lie beside results.

    Raises:
        RecordError: If the file cannot be read or begins with no JSON object.
    """
    where, first = next(lines_in(read_source(path)), ("", ""))
    return bool(first) and "system" in row_of(_decoder(), first, where)


def load_paired(path: Path) -> PairedResults:
    """Read one `{"item_id", "system", "score", "cluster"}` object per line; `cluster` may be left out or null.

    Other keys are skipped: files of results hold outputs and labels besides.

    Raises:
        RecordError: With file and line: broken JSON, a missing or repeated key, a name that is no text, a score that is
            no number in [0, 1], a second row of the same item and system, an item with two cluster keys, fewer than two
            systems.
    """
    source, decoder = read_source(path), _decoder()
    scores: dict[tuple[str, str], float] = {}
    keys: dict[str, str | None] = {}
    for where, line in lines_in(source):
        source.growth.spend(RESULT, where)
        row = row_of(decoder, line, where)
        item, system = _named(row, "item_id", where), _named(row, "system", where)
        if (item, system) in scores:
            raise RecordError(f"a second row of {system!r} on {item!r}", where=where, fix="Keep one of them")
        scores[item, system] = _score(row, where)
        cluster = _named(row, "cluster", where) if row.get("cluster") is not None else None
        if keys.setdefault(item, cluster) != cluster:
            raise RecordError(
                f"{item!r} is in cluster {cluster!r} here, but in {keys[item]!r} above", where=where, fix="Give it one"
            )
    systems, items = sorted({system for _, system in scores}), sorted(keys)
    if len(systems) < 2:
        raise RecordError(
            f"results of {len(systems)} system cannot be compared", where=str(path), fix="Add those of another one"
        )
    line_of, column_of = ({name: i for i, name in enumerate(names)} for names in (systems, items))
    source.growth.spend(8 * len(systems) * len(items))
    table = np.full((len(systems), len(items)), math.nan)
    for (item, system), score in scores.items():
        table[line_of[system], column_of[item]] = score
    return PairedResults(
        name=paired_name(path) or path.name,
        sha256=source.digest,
        systems=tuple(systems),
        items=tuple(items),
        clusters=_codes([keys[item] for item in items]),
        scores=table,
    )


def _codes(keys: list[str | None]) -> NDArray[np.int64] | None:
    if all(key is None for key in keys):
        return None
    index: dict[str, int] = {}
    named = [None if key is None else index.setdefault(key, len(index)) for key in keys]
    return np.array([len(index) + i if code is None else code for i, code in enumerate(named)], dtype=np.int64)


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=unique, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise RecordError(f"{constant} is not a number", fix="Leave the row out: it is then missing")


def _named(row: dict[str, object], key: str, where: str) -> str:
    if key not in row:
        raise RecordError(f"no {key!r}", where=where, fix=f"Write rows like {_ROW}")
    value = row[key]
    if not isinstance(value, str) or not value:
        raise RecordError(f"{key} is {value!r}, but must be a text that is not empty", where=where)
    return value


def _score(row: dict[str, object], where: str) -> float:
    if "score" not in row:
        raise RecordError("no 'score'", where=where, fix=f"Write rows like {_ROW}")
    value = row["score"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RecordError(
            f"score is {value!r}, but must be a number in [0, 1]",
            where=where,
            fix="Write 1 for right, 0 for wrong; leave out what has no result",
        )
    return float(value)
