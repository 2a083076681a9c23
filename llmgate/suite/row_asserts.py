"""Asserts that rows bring themselves: a column with a list of them, or the `__expected` cells of a CSV test file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError
from llmgate.suite.asserts import AssertSpec, with_members
from llmgate.suite.data.rows import RESERVED
from llmgate.suite.form.asserts import read_assert
from llmgate.suite.form.promptfoo_csv import read_row
from llmgate.suite.spec import Suite
from llmgate.suite.template.javascript import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.suite.asserts import Json, Vocabulary
    from llmgate.suite.data.dataset import Dataset
    from llmgate.suite.data.rows import Row

__all__ = ["RowTest", "RowTests", "read_row_tests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTest:
    """What applies to one row.

    Attributes:
        asserts: The suite's asserts, then the row's own.
        threshold: The row's own threshold, else the suite's.
    """

    asserts: tuple[AssertSpec, ...]
    threshold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTests:
    """What applies to each row of a dataset.

    Attributes:
        suite: The suite, its metrics and digest those of all these asserts.
        rows: In the order of the dataset.
        own: Whether any row brings its own.
    """

    suite: Suite
    rows: tuple[RowTest, ...]
    own: bool


def read_row_tests(suite: Suite, dataset: Dataset, vocabulary: Vocabulary) -> RowTests:
    """Read the asserts that rows bring, and check each on its row.

    Raises:
        SuiteError: If one is malformed, a row has nothing to check, or `gate:` names a metric that nothing feeds.
    """
    for spec in suite.asserts:
        vocabulary.validate(spec, dataset.rows[0].values)
    reader = _Reader(suite, dataset, vocabulary)
    rows = tuple(reader.read(row) for row in dataset.rows)
    if not reader.seen:
        return RowTests(suite=complete(suite, suite.asserts, vocabulary), rows=rows, own=False)
    own = tuple(reader.seen.values())
    types = {spec.type for spec in with_members(own)}
    versions = {name: vocabulary.version(name) for name in sorted(types & vocabulary.names)}
    digest = hashlib.sha256(json.dumps([suite.digest, versions]).encode()).hexdigest()
    whole = complete(suite, (*suite.asserts, *own), vocabulary)
    return RowTests(suite=replace(whole, digest=digest), rows=rows, own=True)


def complete(suite: Suite, asserts: tuple[AssertSpec, ...], vocabulary: Vocabulary) -> Suite:
    """The suite with the metrics that all asserts feed."""
    further = suite.code.metrics if suite.code else ()
    return replace(suite, metrics=suite.gates.policies(asserts, vocabulary, further=further))


UNCHECKED: Final = RowTest(asserts=(), threshold=None)


class _Reader:
    """Equal asserts of different rows become one object, so that each is prepared once."""

    def __init__(self, suite: Suite, dataset: Dataset, vocabulary: Vocabulary) -> None:
        self.suite = suite
        self.name = suite.source.name
        self.vocabulary = vocabulary
        self.seen: dict[str, AssertSpec] = {}
        self.tests: dict[tuple[tuple[int, ...], float | None], RowTest] = {}
        """Rows with the same asserts share one object."""
        self.reserved = any(column.startswith(RESERVED) for column in dataset.columns)

    def read(self, row: Row) -> RowTest:
        where = f"{self.name}:{row.line}"
        written, threshold = self._written(row, where)
        asserts = (*self.suite.asserts, *(self._spec(entry, row, where) for entry in written))
        watched = not asserts and self.suite.watches
        if not asserts and not watched and self.suite.code is None:
            raise SuiteError(
                f"nothing checks the row {row.id!r}",
                where=where,
                fix="Give the suite or the row an assert, or write `assert: []` in the suite if such rows are only to "
                "be asked and recorded",
            )
        if watched:
            return UNCHECKED  # nothing can miss a threshold where nothing is scored
        threshold = self.suite.threshold if threshold is None else threshold
        return self.tests.setdefault(
            (tuple(map(id, asserts)), threshold), RowTest(asserts=asserts, threshold=threshold)
        )

    def _written(self, row: Row, where: str) -> tuple[list[Mapping[str, Json]], float | None]:
        written: list[Mapping[str, Json]] = []
        threshold: float | None = None
        if self.suite.assert_column is not None:
            written += _list(row.values[self.suite.assert_column], where)
        if self.suite.threshold_column is not None:
            threshold = _threshold(row.values[self.suite.threshold_column], where)
        if self.reserved:
            # Empty cells of other kinds of file are null.
            cells = {name: value for name, value in row.values.items() if name.startswith(RESERVED)}
            try:
                test = read_row({name: value for name, value in cells.items() if isinstance(value, str)})
            except SuiteError as error:
                raise SuiteError(error.what, where=where, fix=error.fix) from error
            written += test.asserts
            threshold = _threshold(test.threshold, where) if threshold is None else threshold
        return written, threshold

    def _spec(self, written: Mapping[str, Json], row: Row, where: str) -> AssertSpec:
        key = json.dumps(written, sort_keys=True, allow_nan=False)
        if key not in self.seen:
            spec = read_assert(written, self.vocabulary.names, where, self.suite.defaults)
            self.vocabulary.validate(spec, row.values)
            self.seen[key] = spec
        return self.seen[key]


def _list(value: Json, where: str) -> list[Mapping[str, Json]]:
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return [entry for entry in value if isinstance(entry, dict)]
    raise SuiteError("the row's asserts are no list of asserts", where=where, fix="Write them as under `assert:`")


def _threshold(value: Json, where: str) -> float | None:
    if value is None:
        return None
    if is_number(value) and 0 < value < float("inf"):
        return float(value)
    raise SuiteError(
        f"the row's threshold is {json.dumps(value)}, so the test could not fail or never pass",
        where=where,
        fix="Write a number above 0",
    )
