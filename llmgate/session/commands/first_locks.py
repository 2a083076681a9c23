"""What `llmgate run --lock` does before it plans: lock the datasets that have no lock yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.wording import count
from llmgate.session.commands.datasets import Named, lock_dataset
from llmgate.session.run.custom_checks import beside_suites
from llmgate.session.run.plan import find_suites
from llmgate.suite.data.dataset import read_rows
from llmgate.suite.spec import load_suite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["lock_missing"]


def lock_missing(suites: Iterable[Path]) -> Iterator[str]:
    """Lock the datasets of suites that have no lock yet, each when its line has been taken.

    Raises:
        SuiteError, DatasetError: If a suite or its dataset cannot be read, or the lock was deleted and git has it.
    """
    files, _ = find_suites(suites)
    vocabulary = beside_suites(files)
    for path in files:
        suite = load_suite(path, vocabulary)
        if suite.source.lock.exists():
            continue
        content = suite.source.read(missing_fix="Check the `dataset:` path, which is relative to the suite file")
        rows = read_rows(suite.source, content, id_column=suite.id_column)
        yield (
            f"locking {suite.source.name}: {count(len(rows), 'row')}, columns {', '.join(rows.column_types)};"
            f" {rows[0].id} is the first, {rows[-1].id} the last. Commit {suite.source.lock} with it"
        )
        lock_dataset(Named(source=suite.source, id_column=suite.id_column))
