"""Attempts to turn the gate green, and what they came to."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from llmgate.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PROPERTY", "Ending", "llmgate", "summary_lines"]

PROPERTY = "adversary"
"""Name of the user property by which a test tells the summary what its attempts came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a command ended.

    Attributes:
        exit_code: Of the process.
        verdict: Of the decision that lies in the run's folder, None if there is none.
        output: What it printed.
        promoted: Whether an alias moved.
    """

    exit_code: int
    verdict: str | None = None
    output: str = ""
    promoted: bool = False

    @property
    def green(self) -> bool:
        """Whether somebody who looks at one of the three would ship the model."""
        return self.exit_code == 0 or self.verdict == "PASS" or self.promoted

    @property
    def said(self) -> str:
        """What it printed, on one line: where a sentence is wrapped depends on ports and paths."""
        return " ".join(self.output.split())


def llmgate(*arguments: str | Path, out: Path | str = "run") -> Ending:
    """Carry out a command in this process.

    Args:
        arguments: As on the command line; `run` is given `--out` besides.
        out: Where the decision would lie.
    """
    words = [str(argument) for argument in arguments]
    if words[0] == "run" and "--out" not in words:
        words += ["--out", str(out)]
    done = CliRunner().invoke(main, words)
    return Ending(exit_code=done.exit_code, verdict=verdict_in(Path(out)), output=done.output)


def verdict_in(folder: Path) -> str | None:
    """The verdict of the decision in a folder, in capitals, None if there is none."""
    try:
        decision = json.loads((folder / "decision.json").read_text(encoding="utf-8"))
    except OSError:
        return None
    return str(decision["verdict"]).upper()


def summary_lines(results: Iterable[tuple[str, bool]]) -> list[str]:
    """One line per area, and one for all.

    Args:
        results: Area and whether it ended green, one per attempt.
    """
    attempts, green = Counter[str](), Counter[str]()
    for area, was_green in results:
        attempts[area] += 1
        green[area] += was_green
    rows = [*sorted(attempts), *(["together"] if attempts else [])]
    attempts["together"], green["together"] = attempts.total(), green.total()
    return [f"{area:<12}{attempts[area]:>5} attempts, {green[area]} ended in 0, PASS or promoted" for area in rows]
