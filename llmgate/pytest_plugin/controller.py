"""One gate run under pytest.

The server starts while pytest collects; all selected cases are asked at once; results are handed out as they arrive.

Asking happens in a thread of the process that owns the terminal: pytest itself, or the xdist controller. Items wait
for results in the run's journal, which works the same in that process and in xdist's workers.
"""

from __future__ import annotations

import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pytest

from llmgate.errors import EXIT_PASS, CannotRunError, LlmgateError
from llmgate.pytest_plugin import terminal
from llmgate.pytest_plugin.by_hand import check_by_hand
from llmgate.pytest_plugin.parts import case_of, part_words, selection
from llmgate.pytest_plugin.payload import out_of
from llmgate.pytest_plugin.stoppable import StoppableProgress, StoppedError
from llmgate.pytest_plugin.tests import Tests
from llmgate.record.run.loading import load_seal
from llmgate.record.run.watch import RunLock, RunPhase, RunState, RunWatch
from llmgate.session.decide.opened import OpenedRecords
from llmgate.session.decide.publish import publish, taken, withdraw
from llmgate.session.decide.records import decide_run, note_baseline, noted_baseline, resolve_baseline
from llmgate.session.options.table import OPTIONS
from llmgate.session.reach.known_secrets import redactor
from llmgate.session.run.custom_checks import with_checks_of
from llmgate.session.run.execute import check_folder, execute
from llmgate.session.run.models import check_models
from llmgate.session.run.plan import make_plan, plan_file
from llmgate.session.run.tested import Inbox
from llmgate.session.settings.combined import settings_from
from llmgate.session.termination import end_as_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmgate.gate.decision.types import Decision
    from llmgate.record.schema import CaseResult
    from llmgate.score.vocabulary import Checks
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings
    from llmgate.suite.cases import Case, PlannedSuite

__all__ = ["NotAskedError", "PytestRun"]

T = TypeVar("T")

POLL_S: Final = 0.02
END_S: Final = 60.0
BEGIN_S: Final = 20.0


class NotAskedError(Exception):
    """A case that a run which stopped early never asked."""


class PytestRun:
    """See the module's text.

    Args:
        config: pytest's configuration.

    Attributes:
        gates: Node ids of the gates that were selected.
        good: Whether the decision is one to end with 0, and lies on disk.
        tests: The tests in code.

    Raises:
        UsageError: If the options are wrong.
    """

    def __init__(self, config: pytest.Config) -> None:
        given = {option.field: config.getoption(f"llmgate_{option.field}") for option in OPTIONS}
        self.config = config
        self.is_worker = hasattr(config, "workerinput")
        if not self.is_worker:
            check_by_hand(config.invocation_params.args, given)
        self.settings: Settings = settings_from(given, root=config.rootpath)
        self.out = out_of(config)
        self._watch = RunWatch(self.out)
        self._notices = terminal.Notices(config)
        self._suites: dict[str, PlannedSuite] = {}
        self._plan: Plan | None = None
        self._selected = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._decision: Decision | None = None
        self._records = OpenedRecords()
        self._published: Sequence[str] = ()
        self._gated: frozenset[str] = frozenset()
        self.gates: frozenset[str] = frozenset()
        self.good = False
        self._waiting_since = 0.0
        self._letters = terminal.Letters()
        self._vocabulary: tuple[int, Checks] | None = None
        self.tests = Tests(self)

    # Collecting.

    def load(self, path: Path, nodeid: str) -> PlannedSuite:
        """Plan a suite file.

        Args:
            path: The file.
            nodeid: Its node id, by which items are selected.

        Raises:
            SuiteError, DatasetError: With file, line and advice.
        """
        if nodeid not in self._suites:
            planned = self._suites[nodeid] = plan_file(
                path,
                repeat=self.settings.repeat,
                vocabulary=self.vocabulary,
                allowed=self.settings.allow_outside,
            )
            for warning in planned.warnings:
                warnings.warn(pytest.PytestCollectionWarning(warning), stacklevel=1)
        return self._suites[nodeid]

    @property
    def planned(self) -> list[PlannedSuite]:
        """All suites, those in code included."""
        return [*self._suites.values(), *self.tests.suites.values()]

    @property
    def paths(self) -> list[Path]:
        """The suite files that were loaded."""
        return [planned.suite.path for planned in self._suites.values()]

    @property
    def vocabulary(self) -> Checks:
        """The assert types, with those of installed packages and of every `conftest.py` that pytest has read."""
        plugins = list(self.config.pluginmanager.get_plugins())
        if self._vocabulary is None or self._vocabulary[0] != len(plugins):
            conftests = [p for p in plugins if getattr(p, "__file__", None) and Path(p.__file__).name == "conftest.py"]
            self._vocabulary = (len(plugins), with_checks_of(conftests, limit_s=self.settings.timeout))
        return self._vocabulary[1]

    def prepare(self) -> None:
        """Check what can be checked and start the server, once, because that takes longer than collecting.

        Raises:
            LlmgateError: If the baseline or the output folder cannot be used.
        """
        if self.is_worker or self.config.option.collectonly or self._thread is not None:
            return
        if self.settings.model or self.settings.endpoint:
            check_folder(self.settings, self.out)
            withdraw(self.out)
            baseline = None if self.settings.shard else resolve_baseline(self.settings, self.out)
            lock = RunLock(self.out, redact=redactor(self.settings))
            note_baseline(self.out, baseline)
            self.tests.inbox = Inbox(self.out)
            end_as_ctrl_c()
            self._thread = threading.Thread(target=self._work, args=(lock,), name="llmgate", daemon=True)
            self._thread.start()

    # Running.

    def start(self, items: Sequence[pytest.Item]) -> None:
        """Ask for the cases of the selected items."""
        if self.is_worker or self.config.option.collectonly:
            return
        self.select([item.nodeid for item in items if self.is_ours(item.nodeid)])

    def is_ours(self, nodeid: str) -> bool:
        """Whether it is a case or a gate, of a file or in code."""
        return nodeid.partition("::")[0] in self._suites or nodeid in self.tests

    def select(self, nodeids: Sequence[str]) -> None:
        """Ask for the cases that items name; a gate needs all cases of its suite.

        Raises:
            pytest.UsageError: If no model is named.
        """
        if self._selected.is_set() or not nodeids:
            return
        if self._thread is None:
            raise pytest.UsageError(
                "llmgate: no model is named. Give --llmgate-model DIR to start vLLM, or --llmgate-endpoint URL"
            )
        chosen = selection(nodeids, self._suites, self.tests, shard=self.settings.shard)
        cases, gated = chosen.cases, chosen.gated
        self.tests.check_whole(cases, gated)
        suites = [p for p in self.planned if any(suite == p.suite.name for suite, _ in cases)]
        try:
            self._plan = make_plan(suites, self.settings, selected=cases, gated=gated, vocabulary=self.vocabulary)
            check_models(self.settings, self._plan)
        except LlmgateError as error:
            raise pytest.UsageError(str(error)) from error
        self._gated, self.gates = gated, chosen.gates
        self._letters = terminal.Letters(cases=len(cases))
        if self._letters.each > 1:
            self._notices.put(f"one letter stands for up to {self._letters.each} cases")
        self._selected.set()

    def _work(self, lock: RunLock) -> None:
        """The thread: carry out the run, whatever happens tell the followers."""
        progress = StoppableProgress(self._stop, self._notices.put)
        try:
            with lock:
                inbox = self.tests.inbox
                record = execute(self.settings, self._wait_for_plan, out=self.out, progress=progress, inbox=inbox)
            self._records.keep(self.out, record)
        except BaseException as error:  # noqa: BLE001 - handed to the items, which raise it
            self._error = error

    def _wait_for_plan(self) -> Plan:
        while not self._selected.wait(POLL_S):
            if self._stop.is_set():
                raise StoppedError("pytest ended before anything was selected")
        if self._plan is None:
            raise StoppedError("nothing was selected")
        return self._plan

    # Waiting.

    def is_case(self, nodeid: str) -> bool:
        """Whether it is a case of a suite, and no gate."""
        file, _, name = nodeid.partition("::")
        if nodeid in self.tests:
            return self.tests[nodeid][1] is not None
        return file in self._suites and not name.startswith("gate::")

    def case_of(self, nodeid: str) -> tuple[str, str] | None:
        """Suite and case of an item; None if it is another one, or a gate."""
        return case_of(nodeid, self._suites, self.tests)

    def letter(self, letter: str) -> str:
        """The letter of a case in pytest's progress; of thousands of cases, most have none."""
        return self._letters.thinned(letter)

    def at_hand(self, case: Case) -> list[CaseResult]:
        """All repeats of a case if they were read already, as most are with those before them; else nothing."""
        return self._watch.all_settled([case.key(k) for k in range(case.planned.repeats)])

    def wait_for(self, case: Case) -> list[CaseResult]:
        """Wait for all repeats of a case.

        Raises:
            NotAskedError: If the run stopped before it asked them.
            CannotRunError: If the run ended without them.
        """
        # No look at the files for each of thousands of items.
        if settled := self.at_hand(case):
            return settled
        keys = [case.key(k) for k in range(case.planned.repeats)]
        while True:
            state = self._state()
            self._watch.refresh()
            if settled := self._watch.all_settled(keys):
                return settled
            if state.phase is not RunPhase.RUNNING:
                break
            self._pause()
        results = [self._watch.results[key] for key in keys if key in self._watch.results]
        if len(results) == len(keys):
            return results
        if state.phase is RunPhase.SEALED and not results:
            for stop in load_seal(self.out).stops:
                if stop.suite == case.planned.suite:
                    raise NotAskedError(f"not asked: {stop.suite} stopped at look {stop.look}, {stop.reason}")
        raise self._failure(state.reason)

    def decision(self) -> Decision:
        """Wait until the record is sealed, then decide, once.

        Raises:
            CannotRunError: If the run ended before it was complete.
            NotComparableError: If the baseline cannot be compared with.
        """
        if self._decision is None:
            self.complete()
            if self._thread is not None:
                self._thread.join(END_S)  # it reads the record back as it seals it, so that it need not be read again
            self._decision = decide_run(self.out, noted_baseline(self.out), self.settings, self._records)
        return self._decision

    def complete(self) -> None:
        """Wait until the record is sealed.

        Raises:
            CannotRunError: If the run ended before it was complete.
        """
        while (state := self._state()).phase is RunPhase.RUNNING:
            self._pause()
        if state.phase is RunPhase.ABORTED:
            raise self._failure(state.reason)

    @property
    def part(self) -> str:
        """That a shard is recorded and decides nothing, or that it is not complete; "" for a whole run."""
        shard = self.settings.shard
        return "" if shard is None or self._thread is None else part_words(shard, self._watch.state())

    def wait_until(self, ready: Callable[[], T | None]) -> T:
        """Wait for something that the run brings about.

        Raises:
            CannotRunError: If the run ended without it.
        """
        while True:
            state = self._state()
            if (found := ready()) is not None:
                return found
            if state.phase is not RunPhase.RUNNING:
                raise self._failure(state.reason)
            time.sleep(POLL_S)

    def _state(self) -> RunState:
        """How far the run is; in a worker, not for ever that it has not begun.

        The controller takes the run's lock before workers get their first item, so a lock that is missing means
        that it never will.
        """
        self._waiting_since = self._waiting_since or time.monotonic()
        if self.is_worker and not self._watch.begun() and time.monotonic() - self._waiting_since > BEGIN_S:
            raise CannotRunError(
                "the xdist controller did not start the run",
                where=str(self.out),
                fix="Run it without -n, and report this",
            )
        return self._watch.state()

    def _pause(self) -> None:
        self._notices.flush()
        time.sleep(POLL_S)

    def _failure(self, reason: str) -> LlmgateError:
        if isinstance(self._error, LlmgateError):
            return self._error
        return CannotRunError(
            f"the run could not be completed: {reason or self._error}",
            where=str(self.out),
            fix="What was answered is kept: mend the cause and add --llmgate-resume with --llmgate-out",
        )

    # Ending.

    def finish(self, exitstatus: int | pytest.ExitCode) -> None:
        """Publish a complete run, end an incomplete one; it is good only if its decision is, and lies on disk."""
        if self.is_worker or self._thread is None:
            return
        early = (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR)
        if exitstatus in early or not self._selected.is_set() or self._stopped_short():
            self._stop.set()
        # No item may be there to wait for a shard.
        self._thread.join(None if self.settings.shard and not self._stop.is_set() else END_S)
        self._notices.flush()
        if self._watch.state().phase is not RunPhase.SEALED or not self.gates or self.settings.shard:
            return
        try:
            decision = self.decision()
            published = publish(self.out, decision, noted_baseline(self.out), self.settings, self._records)
            self._published = published.lines()
            self.good = taken(self.out, decision).exit_code == EXIT_PASS
        except LlmgateError as error:
            self._published = (f"not published: {error}",)

    def _stopped_short(self) -> bool:
        """Whether pytest stopped at a failure (-x) with answers still to come."""
        session = self.config.pluginmanager.get_plugin("session")
        return bool(getattr(session, "shouldfail", False) or getattr(session, "shouldstop", False))

    def summarise(self, reporter: pytest.TerminalReporter) -> None:
        """Say the verdict, or why there is none."""
        if self.is_worker or self.config.option.collectonly or self._thread is None:
            return
        terminal.summarise(
            reporter,
            out=self.out,
            state=self._watch.state(),
            error=self._error,
            decision=self._decision,
            gated=bool(self.gates),
            # Their gates were not selected, so no verdict covers them.
            ungated=sorted({p.suite.name for p in self.planned} - self._gated),
            published=self._published,
            shown=self.settings.show_missed,
            part=self.part,
        )

    def close(self) -> None:
        """Leave nothing running."""
        self._stop.set()
        self._selected.set()
        if self._thread is not None:
            self._thread.join(END_S)
