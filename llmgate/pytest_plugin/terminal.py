"""What the plugin writes to pytest's terminal."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from queue import Empty, SimpleQueue
from textwrap import fill
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError
from llmgate.record.run.files import read_arms
from llmgate.record.run.watch import RunPhase
from llmgate.report.terminal.decision import decision_lines
from llmgate.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest
    from _pytest.capture import CaptureManager

    from llmgate.gate.decision.types import Decision
    from llmgate.record.arms import ServingArms
    from llmgate.record.run.watch import RunState
    from llmgate.report.pieces import LedLine

__all__ = ["Letters", "Notices", "summarise"]

LETTERS: Final = 1_000
"""As many letters are some lines; more say nothing that a percentage does not."""

COLOURS = {"good": "green", "bad": "red", "warn": "yellow"}


class Notices:
    """Progress lines from another thread, written between pytest's own output.

    While a test runs, pytest captures what is written; only the main thread may suspend that. So lines wait until it
    calls `flush`. The xdist controller runs no tests and captures nothing: there lines are written at once.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
        self._capture: CaptureManager | None = config.pluginmanager.get_plugin("capturemanager")
        self._direct = config.pluginmanager.hasplugin("dsession")
        self._waiting: SimpleQueue[str] = SimpleQueue()

    def put(self, text: str) -> None:
        """Take a line, from any thread."""
        self._waiting.put(text)
        if self._direct:
            self._write()

    def flush(self) -> None:
        """Write what waits; call it from the main thread."""
        if self._waiting.empty():
            return
        with self._capture.global_and_fixture_disabled() if self._capture else nullcontext():
            self._write()

    def _write(self) -> None:
        while True:
            try:
                text = self._waiting.get_nowait()
            except Empty:
                return
            if self._reporter is not None and self._reporter.verbosity >= 0:
                self._reporter.ensure_newline()
                self._reporter.write_line(f"llmgate: {text}")


class Letters:
    """The letters of cases in pytest's progress: one each, or where there are thousands one for many.

    Args:
        cases: How many there are.

    Attributes:
        each: For how many cases one letter stands.
    """

    def __init__(self, *, cases: int = 0) -> None:
        self.each = 1 if cases <= LETTERS else -(-cases // LETTERS)
        self._seen: Counter[str] = Counter()

    def thinned(self, letter: str) -> str:
        """The letter where it is the first of so many, else nothing."""
        self._seen[letter] += 1
        return letter if (self._seen[letter] - 1) % self.each == 0 else ""


def summarise(
    reporter: pytest.TerminalReporter,
    *,
    out: Path,
    state: RunState,
    error: BaseException | None,
    decision: Decision | None,
    gated: bool,
    ungated: Sequence[str],
    published: Sequence[str],
    shown: int,
    part: str = "",
) -> None:
    """Write the verdict, or why there is none.

    Args:
        reporter: pytest's terminal.
        out: The run's folder.
        state: How the run ended.
        error: What ended it early.
        decision: The decision, None if no gate item ran.
        gated: Whether gates were selected.
        ungated: Suites whose gates were not selected.
        published: Where the results are.
        shown: How many missed cases to show.
        part: What there is to say of a shard in place of a verdict, "" for a whole run.
    """
    write_missed(reporter, shown)
    reporter.section("llmgate", sep="=")
    if state.phase is not RunPhase.SEALED:
        reason = str(error) if isinstance(error, LlmgateError) else state.reason or "the run was ended early"
        reporter.write_line(f"NO VERDICT: {visible(reason)}", red=True, bold=True)
        reporter.write_line(f"record: {out} (unfinished)")
        return
    if part:
        reporter.write_line(part, yellow=True)
        reporter.write_line(f"record: {out}")
        return
    if decision is None:
        why = (
            "no gate could decide; the failures above say why" if gated else "no gate item ran, so nothing was decided"
        )
        reporter.write_line(f"NO VERDICT: {why}", yellow=True)
        reporter.write_line(f"record: {out}")
        return
    arms = read_arms(out)
    width = width_of(reporter)
    lines = led_lines(decision, arms, width) if arms else decision_lines(decision, width=width)
    for lead, text, style in lines:
        reporter.write(lead, **({COLOURS[style]: True, "bold": True} if style in COLOURS else {}))
        reporter.write_line(text)
    if ungated:
        reporter.write_line(f"NO VERDICT for {', '.join(ungated)}: their gates were not selected", yellow=True)
    for line in published:
        reporter.write_line(line)


def led_lines(decision: Decision, arms: Sequence[ServingArms], width: int) -> list[LedLine]:
    """A decision with the measurements on two arms that it rests on."""
    from llmgate.report.terminal.serving import serving_led_lines

    return serving_led_lines(decision, arms, width)


def width_of(reporter: pytest.TerminalReporter) -> int:
    """Columns of pytest's terminal."""
    return reporter.config.get_terminal_writer().fullwidth


def write_missed(reporter: pytest.TerminalReporter, shown: int) -> None:
    """Show some of the missed cases with their output."""
    missed = reporter.stats.get("missed", [])
    if not missed or not shown:
        return
    reporter.section(f"{len(missed)} missed, {min(shown, len(missed))} shown", sep="-")
    for report in missed[:shown]:
        for name, text in report.sections:
            if "llmgate" in name:
                for line in text.splitlines():
                    reporter.write_line(fill(line, width_of(reporter), subsequent_indent="    "))
