"""The last word on pytest's exit code: a session with gates ends with 0 only by a decision.

Only pytest is imported here, because every run of the environment passes through.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import pytest

from llmgate.pytest_plugin.keys import RUN

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["DECIDED", "DOOR", "GATES", "Door"]

PLACES: Final = ("model", "endpoint")
"""Options that name a model."""
NO: Final = frozenset({"", "0", "false"})
"""What `CI` says where it does not mean it."""


SHARD_CODE: Final = 3
"""What `llmgate run --shard` ends with; pytest's own 3 never stands (see `Door.code`)."""
GATES: pytest.StashKey[set[str]] = pytest.StashKey()
"""Node ids of all gates that were collected, whether or not they stay selected."""
DECIDED: Final = ("llmgate", "decided")
"""The user property of a gate that took the decision and passed."""


class Door:
    """See the module's text. Registered after the conftests that come first, so that none of them stands outside.

    Args:
        config: pytest's configuration, before any conftest could change it.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.required = bool(getattr(config.known_args_namespace, "llmgate_require_verdict", False))
        self.strict = self.required or os.environ.get("CI", "").lower() not in NO
        self._named = any(getattr(config.known_args_namespace, f"llmgate_{name}", None) for name in PLACES)
        self._passed: set[str] = set()
        self._overruled = False

    def concerns(self, config: pytest.Config) -> bool:
        """Whether this run was to measure a model, as far as that can be told before anything is collected."""
        from llmgate.errors import LlmgateError
        from llmgate.session.options.table import file_options

        if self.required or self._named:
            return True
        try:
            return any(map(file_options(config.rootpath).get, PLACES))
        except LlmgateError:
            return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember which gates decided and passed; neither a skipped nor an expected failure did."""
        if report.when == "call" and report.passed and DECIDED in set(map(tuple, report.user_properties)):
            self._passed.add(report.nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, int | pytest.ExitCode | None, int]:
        """Say at the very end if nothing was decided, and let no other exit code stand than what was decided."""
        try:
            code = int((yield) or pytest.ExitCode.OK)
        except SystemExit as error:
            say(config, f"llmgate: something called sys.exit({error.code!r}), so pytest did not end")
            return int(pytest.ExitCode.USAGE_ERROR)
        if hasattr(config, "workerinput"):
            return code
        ended = self.code(config, code)
        if text := self.words(config, ended):
            say(config, text)
        return ended

    def code(self, config: pytest.Config, code: int) -> int:
        """The exit code that stands: 1 where pytest would say 0 without a decision that allows it, 3 for a shard."""
        run = config.stash.get(RUN, None)
        if code == pytest.ExitCode.OK and self.shortfall(config):
            self._overruled = True
            return SHARD_CODE if run is not None and run.part else int(pytest.ExitCode.TESTS_FAILED)
        if code == pytest.ExitCode.INTERNAL_ERROR and (run is not None or self.concerns(config)):
            # Its 3 is INCONCLUSIVE to whoever knows the exit codes of llmgate; ours of a shard comes by here again.
            return SHARD_CODE if self._overruled else int(pytest.ExitCode.USAGE_ERROR)
        return code

    def shortfall(self, config: pytest.Config) -> str:
        """Why the session must not end with 0, "" if nothing speaks against it."""
        run = config.stash.get(RUN, None)
        if run is not None and run.part:
            return str(run.part)
        if run is None or not run.gates:
            undecided = self.undecided(config, frozenset())
            if undecided and self.strict:
                return f"NO VERDICT: nothing was decided, and {undecided}"
            expected = self.required or (self.strict and self._named and run is None)
            return "NO VERDICT: no gate was collected, so nothing was decided" if expected else ""
        if not run.good:
            return "the decision is not PASS, or was not published"
        if unproven := sorted(run.gates - self._passed):
            return f"NO VERDICT: {shown(unproven)} was skipped, or never run"
        undecided = self.undecided(config, frozenset(map(file_of, run.gates)))
        return f"NO VERDICT for all: {undecided}" if undecided and self.strict else ""

    def undecided(self, config: pytest.Config, decided: frozenset[str]) -> str:
        """Names the suites whose gates were collected and not decided, "" if there is none."""
        files = sorted(set(map(file_of, config.stash.get(GATES, ()))) - decided)
        return f"{shown(files)} was left without its gates" if files else ""

    def words(self, config: pytest.Config, code: int) -> str:
        """The last line: why the session fails although pytest would not, or that its 0 says nothing; else ""."""
        if self._overruled:
            run = config.stash.get(RUN, None)
            return f"llmgate: {self.shortfall(config)}" + (
                "" if run is not None and run.part else ", so the session fails"
            )
        run = config.stash.get(RUN, None)
        if code or run is None or run.gates or config.option.collectonly or not config.stash.get(GATES, ()):
            return ""
        return "llmgate: NO VERDICT: nothing was decided, because no gate was selected"


DOOR: pytest.StashKey[Door] = pytest.StashKey()


def file_of(nodeid: str) -> str:
    """The file part of a node id."""
    return nodeid.partition("::")[0]


def shown(names: list[str]) -> str:
    """Names, the first few of many."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def say(config: pytest.Config, text: str) -> None:
    """Write a line after all that pytest writes."""
    from llmgate.report.visible import visible

    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        sys.stderr.write(f"{visible(text)}\n")
    else:
        reporter.ensure_newline()
        reporter.write_line(visible(text), yellow=True)
