"""What the plugin writes to pytest's terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.errors import LlmgateError
from llmgate.gate.decision import Verdict
from llmgate.record.watch import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest

    from llmgate.gate.decision import Decision
    from llmgate.record.watch import RunState

__all__ = ["line_writer", "summarise"]

COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}


def line_writer(reporter: pytest.TerminalReporter | None) -> Callable[[str], None]:
    """A function that writes progress lines between pytest's own output."""

    def write(text: str) -> None:
        if reporter is not None and reporter.verbosity >= 0:
            reporter.ensure_newline()
            reporter.write_line(f"llmgate: {text}")

    return write


def summarise(
    reporter: pytest.TerminalReporter,
    *,
    out: Path,
    state: RunState,
    error: BaseException | None,
    decision: Decision | None,
    ungated: Sequence[str],
    published: Sequence[str],
    shown: int,
) -> None:
    """Write the verdict, or why there is none.

    Args:
        reporter: pytest's terminal.
        out: The run's folder.
        state: How the run ended.
        error: What ended it early.
        decision: The decision, None if no gate item ran.
        ungated: Suites whose gates were not selected.
        published: Where the results are.
        shown: How many missed cases to show.
    """
    write_missed(reporter, shown)
    reporter.section("llmgate", sep="=")
    if state.state is not State.SEALED:
        reason = str(error) if isinstance(error, LlmgateError) else state.reason or "the run was ended early"
        reporter.write_line(f"NO VERDICT: {reason}", red=True, bold=True)
        reporter.write_line(f"record: {out} (unfinished)")
        return
    if decision is None:
        reporter.write_line("NO VERDICT: no gate item ran, so nothing was decided", yellow=True)
        reporter.write_line(f"record: {out}")
        return
    for metric in decision.metrics:
        reporter.write_line(
            f"{metric.verdict:<12} {metric.suite}::{metric.metric} ({metric.role}): {metric.reason}",
            **{COLOURS[metric.verdict]: True},
        )
    for problem in decision.problems:
        reporter.write_line(f"problem: {problem}", yellow=True)
    if ungated:
        reporter.write_line(f"NO VERDICT for {', '.join(ungated)}: their gates were not selected", yellow=True)
    reporter.write_line(decision.sentence, bold=True, **{COLOURS[decision.verdict]: True})
    for line in published:
        reporter.write_line(line)


def write_missed(reporter: pytest.TerminalReporter, shown: int) -> None:
    """Show some of the missed cases with their output."""
    missed = reporter.stats.get("missed", [])
    if not missed or not shown:
        return
    reporter.section(f"{len(missed)} missed, {min(shown, len(missed))} shown", sep="-")
    for report in missed[:shown]:
        for name, text in report.sections:
            if "llmgate" in name:
                reporter.write_line(text)
