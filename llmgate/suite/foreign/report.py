"""What an import says at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.foreign.imported import Imported

__all__ = ["report_lines"]


def report_lines(imported: Imported, paths: list[Path]) -> list[tuple[str, str]]:
    """Lines with their mood: `good`, `warn` or `plain`."""
    lines = [
        (f"{path}: {len(suite.rows)} rows, {len(suite.asserts)} asserts for all of them", "plain")
        for suite, path in zip(imported.suites, paths, strict=True)
    ]
    lines += [(f"note: {note}", "plain") for note in imported.notes if not note.lost]
    lost = [note for note in imported.notes if note.lost]
    lines += [(f"not carried over: {note}", "warn") for note in lost]
    if lost:
        lines.append((f"not carried over: {len(lost)} in all; the suites name them in comments", "warn"))
    else:
        lines.append(("everything was carried over", "good"))
    return lines
