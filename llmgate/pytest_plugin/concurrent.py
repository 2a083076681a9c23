"""Async tests of one group that run together, although pytest runs items one after another.

When the first item of a group comes up, the next ones are set up and started as well, through pytest's own hooks. Each
is reported when its turn comes, with all that belongs to it: its setup, its call, its teardown. Where two tests cannot
be set up at once, or this pytest is made in another way, they run one after another: slower, and never wrong.
"""

from __future__ import annotations

import concurrent.futures
import functools
import threading
import warnings
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from llmgate.pytest_plugin.around import Between, ExplainedAsserts, queued_items
from llmgate.pytest_plugin.flight import Flight, break_off
from llmgate.pytest_plugin.own_output import OutputRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from concurrent.futures import Future

__all__ = ["Ahead", "leave_to_us"]

HELD_PER_SLOT: Final = 4
"""Set up and not yet reported, per one that runs: a slow test must not keep the others from running."""
ENDS: Final = (pytest.exit.Exception, KeyboardInterrupt)
"""They end the session, whoever raises them."""
POLL_S: Final = 1.0
TAKERS: Final = frozenset({"pytest_asyncio"})
"""Plugins whose items prepare an event loop that ours have no use for."""


class Ahead:
    """Runs the items of a group together.

    Args:
        items: All items, in the order in which pytest runs them.
        group_of: The group of an item that is ours, None of any other.
        start: Starts an item that is set up, on an event loop in another thread: awaits
            `item.obj(**{name: item.funcargs[name] for name in …})` there.
        window: Items that run at once at most.
    """

    def __init__(
        self,
        items: Sequence[pytest.Item],
        *,
        group_of: Callable[[pytest.Item], Hashable | None],
        start: Callable[[pytest.Function], Future[None]],
        window: int,
    ) -> None:
        self.notes: list[str] = []
        """Why items ran one after another, if some did."""
        self._items = items
        self._places = {id(item): place for place, item in enumerate(items)}
        self._group_of = group_of
        self._start = start
        self._window = max(window, 1)
        self._flights: list[Flight] = []
        self._making = threading.RLock()
        self._state: Any = None
        self._checked = False
        self._router: OutputRouter | None = None
        self._explained = ExplainedAsserts()
        if items:
            items[0].config.pluginmanager.register(
                Between(self._explained, busy=lambda: bool(self._flights), close=self.close)
            )

    def protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run an item of ours, and start those after it; False if pytest must do it."""
        group = self._group_of(item)
        # Those of `unittest` run themselves.
        if group is None or not isinstance(item, pytest.Function) or getattr(item, "nofuncargs", False):
            return False
        if self._flights and self._flights[0].item is not item:
            self.abandon(self._flights, beside=None)  # the order has changed
        common = self._common(item)
        if common is None:
            self._alone(item)
            return False
        try:
            self._run(item, nextitem, (group, common))
        except BaseException:
            break_off(self._flights)
            self.abandon(self._flights[1:], beside=item)
            self._state.unpark(item)  # pytest tears it down at the end of the session
            self._flights.clear()
            self._router_stop()
            raise
        return True

    # ------------------------------------------------------------------ one after another

    def _alone(self, item: pytest.Function) -> None:
        """Let pytest run it, all but its call."""

        def runtest() -> None:
            __tracebackhide__ = True
            flight = Flight(item, function=item.obj)
            item.obj = flight.run
            try:
                flight.future = self._start(item)
                flight.finish()
            except BaseException:
                break_off([flight])
                raise
            finally:
                item.obj = flight.function
                item.__dict__.pop("runtest", None)
                item.__dict__.pop("setup", None)

        self._take(item, runtest)

    def _take(self, item: pytest.Function, runtest: Callable[[], None]) -> None:
        item.__dict__["runtest"] = runtest
        if type(item).__module__.partition(".")[0] in TAKERS:
            item.__dict__["setup"] = functools.partial(pytest.Function.setup, item)

    def _common(self, item: pytest.Function) -> Hashable | None:
        """What items that run together have in common; None if this one runs by itself."""
        options = item.config.option
        if self._window == 1 or any(
            getattr(options, name, False) for name in ("setupshow", "setuponly", "setupplan", "usepdb", "trace")
        ):
            return None
        if not self._checked:
            self._checked = True
            self._prepare(item)
        if self._state is None:
            return None
        from llmgate.pytest_plugin.isolation import ALONE, shared_state

        common = shared_state(item)
        if common is None:
            names = sorted(ALONE & set(item.fixturenames)) or ["a parametrized one of a wider scope"]
            self._note(
                item, f"tests that use the fixture {names[0]} run one after another, as two cannot have it at once"
            )
        return common

    def _prepare(self, item: pytest.Function) -> None:
        try:
            from llmgate.pytest_plugin.isolation import differs, parking

            what = differs(item)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            what = str(error)
        if what:
            self._note(
                item,
                f"async tests run one after another: this pytest ({pytest.__version__}) is made in another way than"
                f" known ({what})",
            )
            return
        self._state = parking(item.session)
        self._router = OutputRouter(item.config)

    def _note(self, item: pytest.Item, text: str) -> None:
        """Say something once, where pytest tells its warnings, and never as an error."""
        if text in self.notes:
            return
        self.notes.append(text)
        message = warnings.WarningMessage(
            pytest.PytestWarning(f"llmgate: {text}"), pytest.PytestWarning, str(item.path), 0
        )
        item.config.hook.pytest_warning_recorded.call_historic(
            kwargs={"warning_message": message, "when": "runtest", "nodeid": item.nodeid, "location": None}
        )

    # ------------------------------------------------------------------ together

    def _run(self, item: pytest.Function, nextitem: pytest.Item | None, kind: Hashable) -> None:
        from llmgate.pytest_plugin.isolation import call_and_report

        hook, log = item.ihook, item.ihook.pytest_runtest_logreport
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        if not self._flights:
            self._set_up(item)
        flight = self._flights[0]
        report = cast("pytest.TestReport", flight.report)
        log(report=report)
        self._interact(flight, report)
        if report.passed:
            self._wait(flight, nextitem, kind)
            self._state.unpark(item)
            self._call(flight)
        self._state.unpark(item)
        if item.session.shouldfail or item.session.shouldstop or nextitem is None:
            nextitem = None
            self.abandon(self._flights[1:], beside=item)
        call_and_report(item, "teardown", nextitem=nextitem)
        self._let_go(flight)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _set_up(self, item: pytest.Function) -> None:
        """Set an item up by pytest's own hooks, and start it."""
        from llmgate.pytest_plugin.isolation import give_own_fixtures

        flight = Flight(item)
        self._flights.append(flight)
        give_own_fixtures(item, self._making, functools.partial(self._ask_alone, flight))
        self._take(item, flight.finish)

        def set_up() -> None:
            __tracebackhide__ = True
            item.ihook.pytest_runtest_setup(item=item)

        with self._making:
            try:
                flight.call = pytest.CallInfo.from_call(set_up, when="setup", reraise=ENDS)
            finally:
                self._state.park(item)
        flight.report = item.ihook.pytest_runtest_makereport(item=item, call=flight.call)
        if not flight.report.passed:
            return
        flight.function = item.obj
        item.obj = functools.update_wrapper(functools.partial(flight.run), flight.function)
        cast("OutputRouter", self._router).start()
        flight.launched = True
        try:
            flight.future = self._start(item)
        except Exception as error:  # noqa: BLE001 - it is reported as this test's
            flight.future = concurrent.futures.Future()
            flight.future.set_exception(error)

    def _wait(self, head: Flight, nextitem: pytest.Item | None, kind: Hashable) -> None:
        """Wait for an item, and meanwhile keep as many running as may."""
        self._explained.keep()
        while True:
            self._fill(head, nextitem, kind)
            running = [cast("Future[None]", flight.future) for flight in self._flights if flight.running]
            if not head.running:
                return
            with cast("OutputRouter", self._router).capturing():
                concurrent.futures.wait(running, timeout=POLL_S, return_when=concurrent.futures.FIRST_COMPLETED)

    def _fill(self, head: Flight, nextitem: pytest.Item | None, kind: Hashable) -> None:
        place = 1
        for item in self._upcoming(head.item, nextitem):
            if place < len(self._flights):
                if self._flights[place].item is not item:  # another worker of xdist took it
                    self.abandon(self._flights[place:], beside=head.item)
                else:
                    place += 1
                    continue
            session = item.session
            if session.shouldfail or session.shouldstop or any(flight.alone for flight in self._flights):
                return
            if len(self._flights) >= self._window * HELD_PER_SLOT:
                return
            if sum(flight.running for flight in self._flights) >= self._window:
                return
            if not isinstance(item, pytest.Function) or (self._group_of(item), self._common(item)) != kind:
                return
            self._set_up(item)
            place += 1
        self.abandon(self._flights[place:], beside=head.item)

    def _upcoming(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[pytest.Item]:
        """What is run after an item, as far as it is known."""
        if nextitem is None:
            return
        yield nextitem
        queued = queued_items(item)
        if queued is not None:
            yield from queued
            return
        place = self._places.get(id(item), -1)
        if place >= 0 and self._items[place + 1 : place + 2] == [nextitem]:
            for position in range(place + 2, len(self._items)):
                yield self._items[position]

    def _call(self, flight: Flight) -> None:
        """Report the call: what it said and raised, and how long it took."""
        item = flight.item
        router = cast("OutputRouter", self._router)

        def runtest() -> None:
            __tracebackhide__ = True
            router.replay(flight.output)
            flight.finish()

        def run_call() -> None:
            __tracebackhide__ = True
            item.ihook.pytest_runtest_call(item=item)

        item.__dict__["runtest"] = runtest
        call = pytest.CallInfo.from_call(run_call, when="call", reraise=ENDS)
        if flight.began:
            call.start, call.duration = flight.started_s, flight.duration_s
            call.stop = call.start + call.duration
        flight.call = call
        report = item.ihook.pytest_runtest_makereport(item=item, call=call)
        item.ihook.pytest_runtest_logreport(report=report)
        self._interact(flight, report)

    def _interact(self, flight: Flight, report: pytest.TestReport) -> None:
        from llmgate.pytest_plugin.isolation import check_interactive_exception

        if check_interactive_exception(flight.call, report):
            flight.item.ihook.pytest_exception_interact(node=flight.item, call=flight.call, report=report)

    def _let_go(self, flight: Flight) -> None:
        """Leave an item as pytest leaves one that has run."""
        item: Any = flight.item
        if flight in self._flights:
            self._flights.remove(flight)
        item.__dict__.pop("runtest", None)
        item.__dict__.pop("setup", None)
        if flight.function is not None:
            item.obj = flight.function
        item._request = False  # noqa: SLF001 - as pytest's own protocol does
        item.funcargs = None
        if not self._flights:
            self._router_stop()

    def _ask_alone(self, flight: Flight, name: str) -> None:
        """A fixture that no two items can have at once was asked for by name, in the middle of things."""
        if flight.launched:
            pytest.fail(
                f"the fixture {name!r} was asked for in a test that runs beside others: name it among its arguments"
            )
        if not flight.alone:
            flight.alone = True
            running = [cast("Future[None]", other.future) for other in self._flights if other.running]
            concurrent.futures.wait(running)

    def _router_stop(self) -> None:
        if self._router is not None:
            self._router.stop()

    def abandon(self, flights: Sequence[Flight], *, beside: pytest.Item | None) -> None:
        """Break off items that are not reported, and tear down what was set up for them.

        Args:
            flights: Which.
            beside: An item with the same collectors above it, which stay set up; None to tear those down as well.
        """
        from llmgate.pytest_plugin.isolation import call_and_report

        break_off(flights)
        for flight in reversed(list(flights)):
            self._state.unpark(flight.item)
            report = call_and_report(flight.item, "teardown", log=False, nextitem=beside)
            if report.failed:
                self._note(
                    flight.item, f"a fixture failed at its end, after the test was broken off: {report.longrepr}"
                )
            self._let_go(flight)

    def close(self) -> None:
        """Break off whatever is left."""
        if self._flights:
            self.abandon(self._flights, beside=None)
        self._router_stop()


def leave_to_us(function: Any) -> None:
    """Undo what the auto mode of anyio does to a test function before it is collected: its tests once per backend."""
    marks = getattr(function, "pytestmark", None)
    if isinstance(marks, list):
        function.pytestmark = [
            mark for mark in marks if not (mark.name == "usefixtures" and mark.args == ("anyio_backend",))
        ]
