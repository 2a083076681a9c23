"""Scores as columns: what is left of a record, or of any other harness's results, when it comes to deciding.

A sheet is one side of a comparison: its items once, and a table of scores per metric. A million items are arrays and
not a million objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_LABEL", "ItemScore", "Items", "Labels", "ScoreTable"]

NO_LABEL = -1
"""Code of an item that carries none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """A text per item where many items share few texts: cluster keys, the values of a slice field.

    Attributes:
        codes: Shape (n,), integers: the index of each item's text in `names`, −1 for none.
        names: The texts, each once.

    Raises:
        ValueError: If a code names no text, or a text occurs twice.
    """

    codes: NDArray[np.int64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError("a label occurs twice")
        if len(self.codes) and not (self.codes.min() >= NO_LABEL and self.codes.max() < len(self.names)):
            raise ValueError("a code stands for no label")

    @classmethod
    def of(cls, values: Iterable[str | None]) -> Labels:
        """From one text (or None) per item."""
        index: dict[str | None, int] = {None: NO_LABEL}
        codes = [index.setdefault(value, len(index) - 1) for value in values]
        return cls(codes=np.array(codes, dtype=np.int64), names=tuple(n for n in index if n is not None))

    def at(self, item: int) -> str | None:
        """The text of one item."""
        code = int(self.codes[item])
        return None if code == NO_LABEL else self.names[code]

    def taken(self, indices: NDArray[np.int64]) -> Labels:
        """The labels of some items, in the order of `indices`."""
        return Labels(codes=self.codes[indices], names=self.names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Items:
    """The items of one side, shared by all its metrics.

    Attributes:
        ids: Shape (n,), texts, each once.
        clusters: Items that share a document, conversation or task carry the same key; None if no item has one.
        slices: Field name to the items' values.

    Raises:
        ValueError: If an id occurs twice or a column has another length.
    """

    ids: NDArray[np.object_]
    clusters: Labels | None = None
    slices: Mapping[str, Labels] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.ids.tolist())) != len(self.ids):
            raise ValueError("an item id occurs twice")
        columns = [*self.slices.values(), *([self.clusters] if self.clusters else [])]
        if any(len(column.codes) != len(self.ids) for column in columns):
            raise ValueError("a column does not have one value per item")

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        *,
        clusters: Sequence[str | None] | None = None,
        slices: Mapping[str, Sequence[str | None]] | None = None,
    ) -> Items:
        """From plain lists. Clusters that are all None are none."""
        keyed = clusters is not None and any(key is not None for key in clusters)
        return cls(
            ids=texts(ids),
            clusters=Labels.of(clusters) if clusters is not None and keyed else None,
            slices={name: Labels.of(values) for name, values in (slices or {}).items()},
        )

    def __len__(self) -> int:
        return len(self.ids)


def texts(values: Sequence[str]) -> NDArray[np.object_]:
    """A column of texts; numpy's own text type would pad each to the longest."""
    column = np.empty(len(values), dtype=np.object_)
    column[:] = values
    return column


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemScore:
    """The score of one case, or the reason why there is none.

    Attributes:
        item_id: Case id, unique within its table.
        score: Finite, in [0, 1]; None exactly when there is an error.
        cluster: Items that share a document, conversation or task carry the same key.
        error: Why the case could not be evaluated.
        human: What people say of the same answer, in [0, 1]; None where nobody labelled it.

    Raises:
        ValueError: If score and error contradict each other or a number is no number in [0, 1].
    """

    item_id: str
    score: float | None
    cluster: str | None = None
    error: str | None = None
    human: float | None = None

    def __post_init__(self) -> None:
        if (self.score is None) == (self.error is None):
            raise ValueError(f"item {self.item_id!r} needs either a score or an error")
        for number in (self.score, self.human):
            if number is not None and not (math.isfinite(number) and 0.0 <= number <= 1.0):
                raise ValueError(f"score {number} of item {self.item_id!r} is not a finite number in [0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreTable:
    """All items of one suite on one metric, those without a score included.

    Attributes:
        suite: Suite name.
        metric: Metric name.
        items: Which items, shared with the other metrics of the sheet.
        scores: Shape (n,), each in [0, 1], NaN exactly where there is an error.
        errors: Why an item has no score, by its index.
        human: Shape (n,): what people say of the same answers, NaN where nobody labelled one; None without labels.
            With it, `scores` are a judge's.
        right_or_wrong: Whether a score can be nothing but 0 or 1, one that is missing too.
        needed: Items, by index, that have no score and may not be without one: an assert of theirs must never fail, or
            nobody knows whether one must not.
        sampling: Shape (n, 2): of each item the variance of its answers' mean, s²/K, and K; NaN where one answer or
            none tells. None where nobody asked.

    Raises:
        ValueError: If a column has another length, a score lies outside [0, 1], or scores and errors contradict.
    """

    suite: str
    metric: str
    items: Items
    scores: NDArray[np.float64]
    errors: Mapping[int, str] = field(default_factory=dict)
    human: NDArray[np.float64] | None = None
    right_or_wrong: bool = False
    needed: frozenset[int] = frozenset()
    sampling: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        name = f"{self.suite}::{self.metric}"
        for column in (self.scores, *([] if self.human is None else [self.human])):
            if len(column) != len(self.items):
                raise ValueError(f"{name} does not have one value per item")
            # NaN fails both comparisons, infinity one of them.
            if not bool(np.all(np.isnan(column) | ((column >= 0.0) & (column <= 1.0)))):
                raise ValueError(f"a score of {name} is not a finite number in [0, 1]")
        if self.sampling is not None and self.sampling.shape != (len(self.items), 2):
            raise ValueError(f"{name} does not have one spread per item")
        if set(np.flatnonzero(np.isnan(self.scores)).tolist()) != self.errors.keys():
            raise ValueError(f"{name} needs either a score or an error for every item")

    @classmethod
    def of(cls, items: Iterable[ItemScore], *, suite: str, metric: str) -> ScoreTable:
        """From one object per item.

        Raises:
            ValueError: If an item id occurs twice.
        """
        rows = tuple(items)
        labelled = any(row.human is not None for row in rows)
        return cls(
            suite=suite,
            metric=metric,
            items=Items.of([row.item_id for row in rows], clusters=[row.cluster for row in rows]),
            scores=column_of(row.score for row in rows),
            errors={i: row.error for i, row in enumerate(rows) if row.error is not None},
            human=column_of(row.human for row in rows) if labelled else None,
        )

    def rows(self) -> Iterator[ItemScore]:
        """One object per item, for readers that want a few."""
        clusters = self.items.clusters
        for i, item_id in enumerate(self.items.ids.tolist()):
            score, human = float(self.scores[i]), math.nan if self.human is None else float(self.human[i])
            yield ItemScore(
                item_id=item_id,
                score=None if math.isnan(score) else score,
                cluster=clusters.at(i) if clusters else None,
                error=self.errors.get(i),
                human=None if math.isnan(human) else human,
            )


def column_of(values: Iterable[float | None]) -> NDArray[np.float64]:
    """Numbers as a column, NaN for None."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
