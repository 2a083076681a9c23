"""Rows of a plain table → columns: one row per item, every cell checked, nothing dropped in silence."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from llmgate.errors import RecordError
from llmgate.record.scores import Items, Labels, ScoreTable, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.record.results.layout import Layout

__all__ = ["NO_SCORE", "Rows", "check_range", "number_of", "shown_number"]

NO_SCORE = "no score"
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?")


class Rows:
    """Gathers rows into the columns of a sheet.

    Args:
        layout: Which column means what.
        suite: Name for the report.
        text: Whether all cells are text, as in CSV: numbers are then read from them, and an empty cell holds nothing.
    """

    def __init__(self, layout: Layout, *, suite: str, text: bool = False) -> None:
        self._layout = layout
        self._suite = suite
        self._text = text
        self._first: dict[str, str] = {}
        self._scores: dict[str, list[float]] = {name: [] for name in layout.score_columns}
        self._errors: dict[str, dict[int, str]] = {name: {} for name in layout.score_columns}
        self._clusters: list[str | None] = []
        self._human: list[float] = []
        self._slices: dict[str, list[str | None]] = {name: [] for name in layout.slices}

    def add(self, row: Mapping[str, Any], where: str) -> None:
        """One row more.

        Raises:
            RecordError: With the place, if the id is none or occurred already, or a cell holds what it must not.
        """
        layout = self._layout
        if layout.only and any(self._label(row.get(column), column, where) != value for column, value in layout.only):
            return
        item = self._item(row[layout.item_column], where)
        cluster = self._cluster(row.get(layout.cluster_column), where)
        if item in self._first:
            seen = self._first[item].rpartition(":")[2]
            raise RecordError(
                f"{layout.item_column} {item!r} occurred already on line {seen}",
                where=where,
                fix="Write one row per item; average repeats first",
            )
        index = len(self._first)
        self._first[item] = where
        self._clusters.append(cluster)
        why = row.get(layout.error_column)
        for name, scores in self._scores.items():
            score, error = self._score(row[name], why, name, where)
            scores.append(score)
            if error is not None:
                self._errors[name][index] = error
        human = self._number(row.get(layout.human_column), layout.human_column, where)
        self._human.append(math.nan if human is None else human)
        for name, values in self._slices.items():
            values.append(self._label(row.get(name), name, where))

    def tables(self, source: str) -> tuple[ScoreTable, ...]:
        """A table per score column, once all rows are there.

        Raises:
            RecordError: If there was no row, or what people say has no single score to belong to.
        """
        if not self._first:
            raise RecordError(
                f"no scores{self._layout.chosen}",
                where=source,
                fix='Write one {"item_id": "…", "score": 1} per line',
            )
        keyed = any(key is not None for key in self._clusters)
        items = Items(
            ids=texts(list(self._first)),
            clusters=Labels.of(self._clusters) if keyed else None,
            slices={name: Labels.of(values) for name, values in self._slices.items()},
        )
        human = np.array(self._human, dtype=np.float64)
        labelled = not bool(np.all(np.isnan(human)))
        if labelled and len(self._scores) > 1:
            raise RecordError(
                f"people's scores stand beside {len(self._scores)} columns of scores",
                where=source,
                fix="Name the one that they are about: --score COLUMN",
            )
        return tuple(
            ScoreTable(
                suite=self._suite,
                metric=name,
                items=items,
                scores=np.array(scores, dtype=np.float64),
                errors=self._errors[name],
                human=human if labelled else None,
            )
            for name, scores in self._scores.items()
        )

    def _item(self, value: object, where: str) -> str:
        if self._layout.named and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value:
            raise RecordError(
                f"{self._layout.item_column} is {value!r}, but must be a text that is not empty", where=where
            )
        return value

    def _cluster(self, value: object, where: str) -> str | None:
        if self._text and value == "":
            return None
        if value is not None and (not isinstance(value, str) or not value):
            raise RecordError(
                f"{self._layout.cluster_column} is {value!r}, but must be a text that is not empty, or null",
                where=where,
            )
        return value

    def _label(self, value: object, column: str, where: str) -> str | None:
        if value is None or (self._text and value == ""):
            return None
        if isinstance(value, str):
            return value
        if isinstance(value, bool | int | float):
            return json.dumps(value)
        raise RecordError(f"{column} is {value!r}, but must be a text, a number or null", where=where)

    def _score(self, value: object, why: object, column: str, where: str) -> tuple[float, str | None]:
        """The score, or NaN and the reason why there is none."""
        if why is not None and why != "":
            if not isinstance(why, str):
                raise RecordError(f"error is {why!r}, but must be a text or null", where=where)
            return math.nan, why
        if value is None and not (self._layout.named or self._text):
            raise RecordError(
                f"{column} is None, but must be a number",
                where=where,
                fix='If it could not be scored, say why beside it: "error": "…"',
            )
        score = self._number(value, column, where)
        return (math.nan, NO_SCORE) if score is None else (score, None)

    def _number(self, value: object, column: str, where: str) -> float | None:
        """A number in [0, 1]; None for nothing."""
        if value is None:
            return None
        number: object = number_of(value) if self._text and isinstance(value, str) else value
        if number is None:
            return None
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise RecordError(
                f"{column} is {value!r}, but must be a number", where=where, fix="Write 1 for right, 0 for wrong"
            )
        check_range(number, column, where)
        return float(number)


def number_of(cell: str) -> float | str | None:
    """The number that a cell holds; None if it holds nothing or NaN, its text if it holds something else."""
    words = {"": None, "nan": None, "null": None, "none": None, "true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
    folded = cell.strip().casefold()
    if folded in words:
        return words[folded]
    # Python also takes 0_1 and digits of other scripts for numbers.
    return float(folded) if NUMBER.fullmatch(folded) else cell


def check_range(score: float, column: str, where: str) -> None:
    """Refuse a number that is no fraction of a score range.

    Raises:
        RecordError: With the place.
    """
    if not 0.0 <= score <= 1.0:
        raise RecordError(
            f"{column} is {shown_number(score)}, but must lie in [0, 1]",
            where=where,
            fix="Divide by the largest possible score",
        )


def shown_number(number: float) -> str:
    """A number for messages; whole ones may be too large for anything else."""
    try:
        return f"{number:g}"
    except OverflowError:
        return "a number of more than 308 digits"
