"""What an import says at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.importers.result import Imported, ImportedSuite

__all__ = ["report_lines"]


def report_lines(imported: Imported, paths: list[Path]) -> list[tuple[str, str]]:
    """Lines with their mood: `good`, `warn` or `plain`."""
    lines = [
        (f"{path}: {counted(len(suite.rows), 'row')}, {_asserts(suite)}", "plain")
        for suite, path in zip(imported.suites, paths, strict=True)
    ]
    lines += [(f"note: {note}", "plain") for note in imported.notes if not note.lost]
    lost = [note for note in imported.notes if note.lost]
    lines += [(f"not carried over: {note}", "warn") for note in lost]
    if lost:
        were = f"{counted(len(lost), 'thing')} {'was' if len(lost) == 1 else 'were'}"
        lines.append((f"{were} not carried over; the suites say so in comments", "warn"))
    else:
        lines.append(("everything was carried over", "good"))
    return lines


def _asserts(suite: ImportedSuite) -> str:
    shared = f"{counted(len(suite.asserts), 'assert')} for all of them"
    if "asserts" not in suite.case:
        return shared
    return f"{shared}, others in the rows" if suite.asserts else "asserts in the rows"


def counted(number: int, what: str) -> str:
    """For example `1 row` and `2 rows`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
