"""A shard under pytest: its items, and the suites that it is a part of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmgate.record.order import shard_cases
from llmgate.report.words import plural

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from llmgate.pytest_plugin.controller import PytestRun
    from llmgate.record.manifest import Shard
    from llmgate.suite.cases import PlannedSuite

__all__ = ["keep_part", "whole_cases"]


def keep_part(config: pytest.Config, run: PytestRun, items: list[pytest.Item], shard: Shard) -> None:
    """Deselect the cases that other shards ask; gates stay, to say that nothing is decided here."""
    ours = own_cases(run.planned, shard)
    others = [item for item in items if (case := run.case_of(item.nodeid)) is not None and case not in ours]
    if others:
        config.hook.pytest_deselected(items=others)
        gone = set(map(id, others))
        items[:] = [item for item in items if id(item) not in gone]


def whole_cases(
    planned: Iterable[PlannedSuite], selected: Collection[tuple[str, str]], shard: Shard
) -> set[tuple[str, str]]:
    """All cases of the suites that a shard is a part of.

    Args:
        planned: The suites.
        selected: The (suite, case) pairs of the selected items.
        shard: Which part.

    Raises:
        pytest.UsageError: If a case of the shard is not selected: all shards have to plan the same.
    """
    suites = list(planned)
    left_out = own_cases(suites, shard) - set(selected)
    if left_out:
        raise pytest.UsageError(
            f"llmgate: {plural(len(left_out), 'case')} of shard {shard.name} were not selected, the first is"
            f" {'::'.join(min(left_out))}: a shard is one of whole suites, so leave -k, -m and node ids out"
        )
    return {(case.planned.suite, case.planned.case) for each in suites for case in each.cases}


def own_cases(planned: Iterable[PlannedSuite], shard: Shard) -> set[tuple[str, str]]:
    """The cases of one shard, as suite and id."""
    cases = (case.planned for each in planned for case in each.cases)
    return {(case.suite, case.case) for case in shard_cases(cases, shard)}
