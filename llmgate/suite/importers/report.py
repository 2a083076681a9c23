"""What an import says at its end: equal remarks once with their places, what is missing first."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Final

from llmgate.suite.importers.result import NoteSort

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from llmgate.suite.importers.result import Imported, ImportedSuite, Note

__all__ = ["counted", "grouped", "report_lines"]

WIDTH: Final = 80
SHOWN: Final = 3
"""Places that are named of a remark on many."""
HEADS: Final = {
    NoteSort.CHECK: ("not carried over, so that less is checked than by the original:", "warn"),
    NoteSort.SETTING: ("asked in another way than by the original:", "plain"),
    NoteSort.REMARK: ("worth knowing:", "plain"),
}


def report_lines(imported: Imported, paths: list[Path], *, here: Path | None = None) -> list[tuple[str, str]]:
    """Lines with their mood: `good`, `warn` or `plain`.

    Args:
        imported: What was imported.
        paths: The suite files.
        here: The folder from which places are named; None for places as the import found them.
    """
    lines = [(f"{path}: {suite_words(suite)}", "plain") for suite, path in zip(imported.suites, paths, strict=True)]
    for sort, (head, mood) in HEADS.items():
        groups = grouped([note for note in imported.notes if note.sort is sort], here)
        lines += [(head, mood)] if groups else []
        lines += [(line, mood) for group in groups for line in indented(group)]
    lost = sum(note.lost for note in imported.notes)
    rows = sum(len(suite.rows) for suite in imported.suites)
    asserts = sum(len(suite.written) for suite in imported.suites)
    parts = (counted(len(paths), "suite"), counted(rows, "case"), counted(asserts, "assert"))
    lines.append((", ".join(parts), "plain"))
    if lost:
        last = f"{counted(lost, 'check or case', 'checks or cases')} not carried over; the suites say so in comments"
        lines.append((last, "warn"))
    elif any(note.sort is NoteSort.SETTING for note in imported.notes):
        lines.append(("every check was carried over; what is asked differs as named above", "good"))
    else:
        lines.append(("everything was carried over", "good"))
    return lines


def grouped(notes: Iterable[Note], here: Path | None = None) -> list[str]:
    """Notes in words, equal ones once with how often and where they stand.

    Args:
        notes: In the order in which they came.
        here: The folder from which places are named; None for places as they are.
    """
    places: dict[str, list[str]] = {}
    for note in notes:
        known = places.setdefault(note.what, [])
        if note.where and note.where not in known:
            known.append(note.where)
    return [near(placed(what, wheres), here) for what, wheres in places.items()]


def placed(what: str, places: list[str]) -> str:
    """A remark with the first of its places; a file that several of them lie in is named once."""
    if not places:
        return what
    shown: list[str] = []
    last = ""
    for place in places[:SHOWN]:
        file, _, line = place.rpartition(":")
        shown.append(line if line.isdigit() and file == last else place)
        last = file
    more = f" and {len(places) - SHOWN:,} more" if len(places) > SHOWN else ""
    return f"{what} [{', '.join(shown)}{more}]"


def near(text: str, here: Path | None) -> str:
    """A text in which files below a folder are named from there."""
    return text if here is None or len(here.parts) < 2 else text.replace(f"{here}/", "")


def indented(text: str) -> list[str]:
    """A remark in lines of a terminal's width; a path that is longer stays whole."""
    return wrap(
        text,
        width=WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def suite_words(suite: ImportedSuite) -> str:
    """What a suite has: `3 rows, 2 asserts for all of them`."""
    words = f"the rows of {suite.dataset}" if suite.dataset else counted(len(suite.rows), "row")
    shared = f"{counted(len(suite.asserts), 'assert')} for all of them"
    if "asserts" in suite.case and suite.unchecked < len(suite.rows):
        words += f", {shared}, others in the rows" if suite.asserts else ", asserts in the rows"
    elif suite.asserts:
        words += f", {shared}"
    bare = suite.unchecked
    if bare == len(suite.rows) and not suite.written:
        return f"{words}, no assert: answers are recorded and compared, nothing gates"
    return f"{words}; {bare:,} without any, only recorded" if bare else words


def counted(number: int, what: str, many: str = "") -> str:
    """For example `1 row` and `2 rows`."""
    return f"{number:,} {what if number == 1 else many or f'{what}s'}"
