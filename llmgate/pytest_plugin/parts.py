"""What of a run the items of a session are: the cases and gates that they name, and a shard's part of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from llmgate.record.order import shard_cases
from llmgate.record.run.watch import RunPhase
from llmgate.report.words import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmgate.pytest_plugin.tests import Tests
    from llmgate.record.manifest import Shard
    from llmgate.record.run.watch import RunState
    from llmgate.suite.cases import PlannedSuite

__all__ = ["Selection", "case_of", "keep_part", "part_words", "selection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What items name.

    Attributes:
        cases: Suite and case of all that is to be planned; a gate needs all cases of its suite.
        gated: The suites of which a gate is selected.
        gates: Node ids of the gates.
    """

    cases: frozenset[tuple[str, str]]
    gated: frozenset[str]
    gates: frozenset[str]


def selection(
    nodeids: Sequence[str], suites: Mapping[str, PlannedSuite], tests: Tests, *, shard: Shard | None
) -> Selection:
    """Read node ids.

    Args:
        nodeids: Those of suites.
        suites: The suites in files, by node id.
        tests: The suites in code.
        shard: Which part of the suites is asked.

    Raises:
        pytest.UsageError: If a case of the shard is not selected.
    """
    named = {nodeid: case_of(nodeid, suites, tests) for nodeid in nodeids}
    cases = {case for case in named.values() if case is not None}
    gates = frozenset(nodeid for nodeid, case in named.items() if case is None)
    gated = {tests[gate][0] if gate in tests else suites[gate.partition("::")[0]].suite.name for gate in gates}
    if shard is not None:
        planned = [*suites.values(), *tests.suites.values()]
        refuse_left_out(planned, cases, shard)
        gated = {each.suite.name for each in planned}
        cases = {(case.planned.suite, case.planned.case) for each in planned for case in each.cases}
    cases |= {
        (planned.suite.name, case.planned.case)
        for planned in suites.values()
        if planned.suite.name in gated
        for case in planned.cases
    }
    return Selection(cases=frozenset(cases), gated=frozenset(gated), gates=gates)


def case_of(nodeid: str, suites: Mapping[str, PlannedSuite], tests: Tests) -> tuple[str, str] | None:
    """Suite and case of an item; None if it is another one, or a gate."""
    if nodeid in tests:
        suite, case = tests[nodeid]
        return None if case is None else (suite, case)
    file, _, name = nodeid.partition("::")
    return None if file not in suites or name.startswith("gate::") else (suites[file].suite.name, name)


def keep_part(
    config: pytest.Config,
    items: list[pytest.Item],
    shard: Shard,
    planned: Iterable[PlannedSuite],
    case_of: Callable[[str], tuple[str, str] | None],
) -> None:
    """Deselect the cases that other shards ask; gates stay, to say that nothing is decided here.

    Args:
        config: pytest's configuration.
        items: All items; those of other shards are taken out.
        shard: Which part.
        planned: The suites.
        case_of: Suite and case of an item, None if it is none.
    """
    ours = own_cases(planned, shard)
    others = [item for item in items if (case := case_of(item.nodeid)) is not None and case not in ours]
    if others:
        config.hook.pytest_deselected(items=others)
        gone = set(map(id, others))
        items[:] = [item for item in items if id(item) not in gone]


def refuse_left_out(planned: Iterable[PlannedSuite], selected: set[tuple[str, str]], shard: Shard) -> None:
    """Refuse a shard of which a case is not selected: all shards have to plan the same.

    Raises:
        pytest.UsageError: With the first of them.
    """
    left_out = own_cases(planned, shard) - selected
    if left_out:
        raise pytest.UsageError(
            f"llmgate: {plural(len(left_out), 'case')} of shard {shard.name} were not selected, the first is"
            f" {'::'.join(min(left_out))}: a shard is one of whole suites, so leave -k, -m and node ids out"
        )


def own_cases(planned: Iterable[PlannedSuite], shard: Shard) -> set[tuple[str, str]]:
    """The cases of one shard, as suite and id."""
    cases = (case.planned for each in planned for case in each.cases)
    return {(case.suite, case.case) for case in shard_cases(cases, shard)}


def part_words(shard: Shard, state: RunState) -> str:
    """What there is to say of a shard in place of a verdict."""
    if state.phase is not RunPhase.SEALED:
        return f"NO DECISION: shard {shard.name} is not complete" + (f": {state.reason}" if state.reason else "")
    merge = f"merge all {shard.of} with `llmgate merge SHARD... --out DIR`"
    return f"NO DECISION: shard {shard.name} is recorded, and a part decides nothing: {merge}"
