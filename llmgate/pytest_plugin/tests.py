"""The tests in code of a run: which cases they are, which model they ask, and what they report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest
from pydantic import ValidationError

from llmgate.errors import SuiteError
from llmgate.pytest_plugin.payload import share_of
from llmgate.record.run.stored import RESULT
from llmgate.record.run.watch import RunWatch
from llmgate.report.visible import one_line
from llmgate.session.run.tested import Inbox, TestedModel, is_kept, not_run, tested_model
from llmgate.suite.cases import load_rows
from llmgate.suite.code.plan import CodePlan, plan_code

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from llmgate.pytest_plugin.tested_case import CaseUnderTest
    from llmgate.record.schema import CaseKey, CaseResult, Exchange
    from llmgate.score.vocabulary import Checks
    from llmgate.session.settings.typed import Settings
    from llmgate.suite.cases import Case, PlannedSuite
    from llmgate.suite.data.dataset import Dataset
    from llmgate.suite.spec import Suite

__all__ = ["SENT", "Tests"]

CRASHED: Final = "???"
"""When pytest-xdist reports the test of a worker that died."""

SENT: Final = "llmgate_result"
"""The attribute of a report that has the result."""


class TestHost(Protocol):
    """The run that tests belong to."""

    settings: Settings
    config: pytest.Config
    out: Path

    @property
    def vocabulary(self) -> Checks:
        """The assert types that exist."""

    def wait_until(self, ready: Callable[[], TestedModel | None]) -> TestedModel:
        """Wait for something that the run brings about."""


class Tests:
    """See the module's text.

    Args:
        run: The run that they belong to.

    Attributes:
        suites: The suites in code, by name.
        plans: What was collected of them.
        inbox: Where results go; None in workers and until a run has begun.
    """

    __test__ = False

    def __init__(self, run: TestHost) -> None:
        self._run = run
        self.suites: dict[str, PlannedSuite] = {}
        self.plans: list[CodePlan] = []
        self.inbox: Inbox | None = None
        self._cases: dict[str, tuple[Case, CaseKey]] = {}
        self._gates: dict[str, str] = {}
        self._rows: dict[tuple[str, str], Dataset] = {}
        self._held: dict[str, CaseUnderTest] = {}
        self._reported: set[str] = set()
        self._model: TestedModel | None = None
        self._watch: RunWatch | None = None
        self._clients: Any = None

    def __contains__(self, nodeid: object) -> bool:
        return self._known(str(nodeid)) is not None

    def __getitem__(self, nodeid: str) -> tuple[str, str | None]:
        """Suite and case of a node; no case if it is a gate."""
        known = self._known(nodeid) or nodeid
        if known in self._gates:
            return self._gates[known], None
        key = self._cases[known][1]
        return key.suite, key.case

    def _known(self, nodeid: str) -> str | None:
        """The node id as it was collected: `--dist loadgroup` adds the group behind an `@`."""
        for known in (nodeid, nodeid.rpartition("@")[0]):
            if known in self._cases or known in self._gates:
                return known
        return None

    # Collecting.

    def add(self, plans: Iterable[CodePlan]) -> None:
        """Plan suites.

        Raises:
            LlmgateError: If one cannot be planned, or two share a name.
        """
        run = self._run
        for plan in plans:
            planned = plan_code(
                plan,
                run.vocabulary,
                repeat=run.settings.repeat,
                allowed=run.settings.allow_outside,
                load=self.rows_of,
            )
            name = planned.suite.name
            if name in self.suites:
                _check_same(plan, next(known for known in self.plans if known.document["suite"] == name))
                continue
            self.suites[name] = planned
            self.plans.append(plan)
            cases = {case.planned.case: case for case in planned.cases}
            for each in plan.cases:
                self._cases[each.node] = cases[each.case], cases[each.case].key(each.repeat)
            if plan.whole:
                gates = [metric.metric for metric in planned.suite.metrics if metric.gates]
                self._gates |= {f"{plan.node}::{plan.gate(metric)}": name for metric in gates}

    def rows_of(self, suite: Suite) -> Dataset:
        """The rows of a suite, read once: tests are made of them, and then planned with them.

        Raises:
            DatasetError: If they cannot be read.
        """
        place = (str(suite.path), suite.name)
        if place not in self._rows:
            self._rows[place] = load_rows(suite)
        return self._rows[place]

    def check_whole(self, cases: Collection[tuple[str, str]], gated: Collection[str]) -> None:
        """Refuse gates of which cases were left out: unlike a file's, they cannot be asked without their tests.

        Raises:
            pytest.UsageError: If a gate is selected without all cases of its suite.
        """
        for name, planned in self.suites.items():
            left_out = sum((name, case.planned.case) not in cases for case in planned.cases)
            if name in gated and left_out:
                raise pytest.UsageError(
                    f"llmgate: the gates of {name} were selected, and {left_out} of its {len(planned.cases)} cases were"
                    " not: select all of them, or leave the gates out (-k 'not gate')"
                )

    # Running.

    def hold(self, nodeid: str) -> CaseUnderTest:
        """What a test gets as `case`."""
        from llmgate.pytest_plugin.tested_case import CaseUnderTest

        case, key = self._cases[self._known(nodeid) or nodeid]
        code = self.suites[key.suite].suite.code
        held = CaseUnderTest(
            case,
            key,
            metrics=code.metrics if code else (),
            vocabulary=self._run.vocabulary,
            model=self.model,
            clients=self.clients,
        )
        self._held[held.token] = held
        return held

    def model(self) -> TestedModel:
        """Where the model under test is; waits until it can be asked.

        Raises:
            CannotRunError: If the run ended before.
        """
        if self._model is None:
            self._model = self._run.wait_until(lambda: tested_model(self._run.out))
        return self._model

    def clients(self) -> Any:
        """The official clients of this process.

        Raises:
            UsageError: If the package openai is not installed.
        """
        if self._clients is None:
            from llmgate.pytest_plugin.official import open_clients

            share = share_of(self._run.config, self._run.settings.fixed_concurrency)
            self._clients = open_clients(self._run.settings, self.model(), self._keep, concurrency=share)
        return self._clients

    def _keep(self, token: str, exchange: Exchange) -> None:
        if token in self._held:
            self._held[token].keep(exchange)

    def kept(self, key: CaseKey) -> CaseResult | None:
        """What an earlier part of this run found, None if the test has to run."""
        if not self._run.settings.resume:
            return None
        if self._watch is None:
            self._watch = RunWatch(self._run.out)
            self._watch.refresh()
        result = self._watch.results.get(key)
        return result if is_kept(result) else None

    def watched(self, suite: str) -> frozenset[str]:
        """The metrics that do not gate."""
        return frozenset(metric.metric for metric in self.suites[suite].suite.metrics if not metric.gates)

    # Reporting: in the process that writes the record.

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the result that comes with a report; a test that did not run to its end has one that says so."""
        nodeid = self._known(report.nodeid)
        if self.inbox is None or nodeid not in self._cases or nodeid in self._reported:
            return
        key = self._cases[nodeid][1]
        text = getattr(report, SENT, None)
        if text is not None:
            result = self._read(key, text)
        elif report.passed or str(report.outcome) == "rerun":
            return
        else:
            result = not_run(key, f"the test was {report.outcome}: {one_line(reason_of(report))}")
        self.inbox.crashed = self.inbox.crashed or str(report.when) == CRASHED
        self._reported.add(nodeid)
        self.inbox.put(result)

    def _read(self, key: CaseKey, text: str) -> CaseResult:
        try:
            result = RESULT.validate_json(text)
        except ValidationError as error:
            return not_run(key, f"its result cannot be understood: {one_line(str(error))}")
        return result if result.key == key else not_run(key, "the result of another case came with it")

    async def close(self) -> None:
        """Close the clients, on the loop that they were used on."""
        clients, self._clients = self._clients, None
        if clients is not None:
            await clients.aclose()


def _check_same(plan: CodePlan, known: CodePlan) -> None:
    """Refuse two suites of one name; workers of xdist all say the same.

    Raises:
        SuiteError: If they differ.
    """
    if plan != known:
        raise SuiteError(
            f"the suite name {known.document['suite']!r} is used twice, also in {known.path}",
            where=plan.path,
            fix="Give each suite its own name",
        )


def reason_of(report: pytest.TestReport) -> str:
    """The last line of why a test did not run."""
    told = report.longrepr
    if isinstance(told, tuple):
        return str(told[-1])
    crash = getattr(told, "reprcrash", None)
    return str(crash.message) if crash is not None else (report.longreprtext.strip().splitlines() or ["no reason"])[-1]
