"""Tests of suites in code, as pytest collects them: a test per row, and a gate per metric where all rows are there."""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import TYPE_CHECKING, Final, cast

import pytest

from llmgate.errors import LlmgateError, SuiteError, UsageError
from llmgate.pytest_plugin.door import GATES
from llmgate.pytest_plugin.items import GateItem
from llmgate.pytest_plugin.keys import pytest_run
from llmgate.record.disk import read_regular, write_atomic
from llmgate.report.visible import visible
from llmgate.suite.code.definition import CodeSuite, SuiteTest, test_of
from llmgate.suite.code.plan import CODE_PLAN, CodePlan, CollectedCase, code_plan, read_code

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmgate.pytest_plugin.controller import PytestRun

__all__ = ["add_gates", "make_cases", "read_plans", "suite_test", "write_plans"]

ARGUMENT: Final = "case"
ROWS: pytest.StashKey[dict[CodeSuite, tuple[list[str], int]]] = pytest.StashKey()
"""Row ids and repeats by suite."""
MOST_BYTES: Final = 1 << 30


def suite_test(item: object) -> SuiteTest | None:
    """The suite's test that an item calls, None if it is any other item."""
    return test_of(getattr(item, "function", None)) if isinstance(item, pytest.Function) else None


def make_cases(metafunc: pytest.Metafunc) -> None:
    """Call a test once for each row, and repeat.

    Raises:
        CollectError: If the suite cannot be read.
    """
    test = test_of(metafunc.function)
    if test is None:
        return
    try:
        if ARGUMENT not in inspect.signature(metafunc.function).parameters:
            name = metafunc.function.__name__
            raise UsageError(
                f"{name} does not take its case", where=str(test.suite.path), fix=f"Write def {name}(case, …)"
            )
        rows, repeats = rows_of(test.suite, metafunc.config)
    except LlmgateError as error:
        raise pytest.Collector.CollectError(visible(str(error))) from error
    calls = [(row, repeat) for row in rows for repeat in range(repeats)]
    ids = [row if repeat == 0 else f"{row}#{repeat}" for row, repeat in calls]
    metafunc.parametrize(ARGUMENT, calls, ids=ids, indirect=True)


def rows_of(suite: CodeSuite, config: pytest.Config) -> tuple[list[str], int]:
    """The ids of a suite's rows, read once, and how often each is asked.

    Raises:
        LlmgateError: If suite or dataset cannot be read, or the options are wrong.
    """
    known = config.stash.setdefault(ROWS, {})
    if suite not in known:
        run = pytest_run(config)
        run.prepare()
        plan = code_plan(suite, (), node="", whole=False)
        read = read_code(plan, run.vocabulary, allowed=run.settings.allow_outside)
        rows = run.tests.rows_of(read).rows
        known[suite] = ([row.id for row in rows], run.settings.repeat or read.repeat)
    return known[suite]


def add_gates(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Plan the suites whose tests were collected, and add their gates.

    Raises:
        UsageError: If a suite cannot be planned.
    """
    tests: dict[CodeSuite, list[pytest.Function]] = defaultdict(list)
    for item in items:
        test = suite_test(item)
        if test is not None and isinstance(item, pytest.Function):
            tests[test.suite].append(item)
    if not tests:
        return
    run = pytest_run(config)
    plans = [planned(suite, functions, config) for suite, functions in tests.items()]
    run.tests.add(plans)
    for plan, functions in zip(plans, tests.values(), strict=True):
        module = functions[0].getparent(pytest.Module)
        for metric in run.tests.suites[str(plan.document["suite"])].suite.metrics:
            if not metric.gates or module is None:
                continue
            # Known even where rows were left out, so that a session cannot end well without them.
            config.stash.setdefault(GATES, set()).add(f"{plan.node}::{plan.gate(metric.metric)}")
            if plan.whole:
                items.append(GateItem.from_parent(module, name=plan.gate(metric.metric), metric=metric))


def planned(suite: CodeSuite, items: Sequence[pytest.Function], config: pytest.Config) -> CodePlan:
    """What was collected of a suite, as its plan."""
    rows, repeats = rows_of(suite, config)
    several = len({suite_test(item) for item in items}) > 1 or len(suite.tests) > 1
    cases = [case_of(item, several=several) for item in items]
    check_once(suite, cases)
    calls = len(rows) * repeats
    met: dict[int, set[tuple[str, int]]] = defaultdict(set)
    for item, case in zip(items, cases, strict=True):
        met[id(suite_test(item))].add((case.row, case.repeat))
    whole = all(len(met[id(test)]) == calls for test in suite.tests)
    return code_plan(suite, cases, node=items[0].nodeid.partition("::")[0], whole=whole)


def check_once(suite: CodeSuite, cases: Sequence[CollectedCase]) -> None:
    """Refuse two tests that make the same case, as one result would stand for both.

    Raises:
        SuiteError: If there are any.
    """
    met: dict[tuple[str, int], str] = {}
    for case in cases:
        other = met.setdefault((case.case, case.repeat), case.node)
        if other != case.node:
            raise SuiteError(
                f"{case.node} and {other} are both the case {case.case!r}",
                where=str(suite.path),
                fix="Give the test functions of a suite different names",
            )


def case_of(item: pytest.Function, *, several: bool) -> CollectedCase:
    """The case of an item: its row's id, with the function's name where a suite has several, and other parameters."""
    test = suite_test(item)
    row, repeat = cast("tuple[str, int]", item.callspec.params[ARGUMENT])
    inside = item.name.removeprefix(f"{item.originalname}[").removesuffix("]")
    own = row if repeat == 0 else f"{row}#{repeat}"
    others = sorted((name, value) for name, value in item.callspec.indices.items() if name != ARGUMENT)
    case = f"{item.originalname}:{row}" if several else row
    if others:
        rest = inside.replace(own, "", 1).strip("-") or ",".join(f"{name}{index}" for name, index in others)
        case = f"{case}[{rest}]"
    return CollectedCase(node=item.nodeid, row=row, case=case, repeat=repeat, metrics=test.metrics if test else None)


def write_plans(run: PytestRun, folder: Path, worker: str) -> None:
    """Leave the plans where the xdist controller finds them."""
    if run.tests.plans:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [CODE_PLAN.dump_json(plan) for plan in run.tests.plans]
        write_atomic(folder / f"{worker}.jsonl", b"\n".join(lines))


def read_plans(folder: Path, worker: str) -> list[CodePlan]:
    """The plans that a worker left."""
    try:
        data = read_regular(folder / f"{worker}.jsonl", at_most=MOST_BYTES)
    except FileNotFoundError:
        return []
    return [CODE_PLAN.validate_json(line) for line in data.splitlines()]
