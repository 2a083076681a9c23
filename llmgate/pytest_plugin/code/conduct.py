"""Tests of suites in code, as they run: with the model at hand, together, and with a result each."""

from __future__ import annotations

import asyncio
import inspect
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

from llmgate.pytest_plugin.code.collect import ARGUMENT, suite_test, write_plans
from llmgate.pytest_plugin.concurrent import Ahead
from llmgate.pytest_plugin.items import GateItem, describe, tell
from llmgate.pytest_plugin.payload import plans_of, share_of
from llmgate.pytest_plugin.tested_case import CaseUnderTest
from llmgate.pytest_plugin.tests import SENT
from llmgate.record.run.stored import RESULT
from llmgate.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Coroutine, Hashable, Sequence
    from concurrent.futures import Future

    from llmgate.pytest_plugin.controller import PytestRun
    from llmgate.record.schema import CaseResult

__all__ = ["Conductor", "conduct"]

CLOSE_S: Final = 5.0
KEPT: pytest.StashKey[CaseResult] = pytest.StashKey()


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="llmgate tests", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Run it there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        """End it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5.0)


class Conductor:
    """Runs the tests of suites in code; a plugin of its own, so that it knows its run.

    Args:
        run: The run.
        items: All items, in their order.
        window: Tests in flight at most.
    """

    def __init__(self, run: PytestRun, items: Sequence[pytest.Item], *, window: int) -> None:
        self._run = run
        self._loop = LoopThread()
        self._ahead = Ahead(items, group_of=group_of, start=self.start, window=window)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run async tests of a suite together."""
        return self._ahead.protocol(item, nextitem) or None

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Call a plain function of a suite."""
        if suite_test(pyfuncitem) is None or inspect.iscoroutinefunction(pyfuncitem.function):
            return None
        case = self._case(pyfuncitem)
        kept = self._run.tests.kept(case.key)
        if kept is not None:
            self._end(pyfuncitem, kept, None)
            return True
        self._run.tests.model()
        raised: Exception | None = None
        try:
            pyfuncitem.obj(**arguments(pyfuncitem))
        except Exception as error:  # noqa: BLE001 - it is the case's
            raised = error
        self._end(pyfuncitem, case.finish(raised), raised)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Send the result with the report, to whoever writes the record."""
        report = yield
        result = item.stash.get(KEPT, None)
        if call.when == "call" and result is not None:
            setattr(report, SENT, RESULT.dump_json(result).decode())
        return report

    def pytest_unconfigure(self) -> None:
        """Leave nothing running."""
        with suppress(Exception):  # a connection that cannot be closed well is closed with the process
            self._loop.submit(self._run.tests.close()).result(CLOSE_S)
        self._loop.close()

    def start(self, item: pytest.Function) -> Future[None]:
        """Start an async test that is set up."""
        return self._loop.submit(self._conduct(item, self._case(item)))

    async def _conduct(self, item: pytest.Function, case: CaseUnderTest) -> None:
        kept = self._run.tests.kept(case.key)
        if kept is not None:
            self._end(item, kept, None)
            return
        await asyncio.to_thread(self._run.tests.model)
        raised: Exception | None = None
        try:
            await item.obj(**arguments(item))
        except Exception as error:  # noqa: BLE001 - it is the case's
            raised = error
        self._end(item, await asyncio.to_thread(case.finish, raised), raised)

    def _case(self, item: pytest.Function) -> CaseUnderTest:
        case = item.funcargs.get(ARGUMENT)
        if not isinstance(case, CaseUnderTest):
            pytest.fail(
                f"a fixture called {ARGUMENT!r} of your own hides llmgate's: give it another name", pytrace=False
            )
        return case

    def _end(self, item: pytest.Function, result: CaseResult, raised: Exception | None) -> None:
        """Keep the result, and let pytest know: what was missed is no failure, what was not evaluated is one."""
        item.stash[KEPT] = result
        if raised is not None and not isinstance(raised, AssertionError):
            item.add_report_section("call", "llmgate", visible(describe(result)))
            raise raised
        tell(item, [result], watched=self._run.tests.watched(result.key.suite), pending=True)


def group_of(item: pytest.Item) -> Hashable | None:
    """The suite of an async test, None of anything else."""
    test = suite_test(item)
    return test.suite if test is not None and inspect.iscoroutinefunction(test.function) else None


def check_order(items: Sequence[pytest.Item]) -> None:
    """Refuse an order in which a gate would wait for tests that come after it, for ever.

    Raises:
        pytest.UsageError: If a plugin made one.
    """
    gates = [place for place, item in enumerate(items) if isinstance(item, GateItem)]
    tests = [place for place, item in enumerate(items) if suite_test(item) is not None]
    if gates and tests and gates[0] < tests[-1]:
        raise pytest.UsageError(
            "llmgate: another plugin put gates before tests that they wait for. Let it keep the order, for example by"
            " -p no:randomly or -p no:random_order"
        )


def arguments(item: pytest.Function) -> dict[str, Any]:
    """What the function takes."""
    return {name: item.funcargs[name] for name in item._fixtureinfo.argnames}  # noqa: SLF001 - as pytest itself calls it


def conduct(session: pytest.Session, run: PytestRun) -> None:
    """Run the tests of suites in code from here on; a worker of xdist leaves for the controller what it collected."""
    config = session.config
    check_order(session.items)
    if run.is_worker:
        write_plans(run, plans_of(config), str(getattr(config, "workerinput", {})["workerid"]))
    window = share_of(config, run.settings.fixed_concurrency)
    config.pluginmanager.register(Conductor(run, session.items, window=window))
