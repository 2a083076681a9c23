"""From records of another tool to the rows of a dataset: ids, equal columns, lists in one text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError, SuiteError
from llmgate.record.growth import CELL, Growth
from llmgate.suite.form.asserts import read_assert
from llmgate.suite.importers.files import strict
from llmgate.suite.importers.result import ImportedSuite, Notebook

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmgate.suite.asserts import Json

__all__ = [
    "LETTERS",
    "any_of_pattern",
    "choice",
    "lettered",
    "literal",
    "several",
    "slug",
    "suite_of",
    "table",
    "texts",
]

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What options of multiple-choice questions are called."""

MOST_UNFIT: Final = 20
"""Rows in a row that an assert does not fit before it is taken for unsound."""
_UNFIT: Final = re.compile(r"[^A-Za-z0-9]+")
_SPECIAL: Final = re.compile(r"[\\^$.|?*+()\[\]{}/]")
_TAG: Final = re.compile(r"{(?=[{%#])")


def slug(text: str, *, limit: int = 60, fallback: str = "imported") -> str:
    """A readable name of letters, digits and dashes."""
    short = _UNFIT.sub("-", text)[: 4 * limit].strip("-").lower()[:limit].rstrip("-")
    return short or fallback


def table(
    records: Sequence[Mapping[str, Json]],
    names: Sequence[str | None],
    *,
    growth: Growth,
    also: Iterable[str] = (),
    prefix: str = "case",
) -> tuple[tuple[dict[str, Json], ...], dict[str, Json]]:
    """Rows with unique ids and the same columns in the same order; what a record lacks is null.

    Args:
        records: Column to value.
        names: What to call each row; made a unique id. None: its number.
        growth: What it may cost.
        also: Columns that have to exist.
        prefix: Starts ids that are numbers.

    Returns:
        The rows, and the entries of `case:` that name their id column.
    """
    columns = list(dict.fromkeys([*(key for record in records for key in record), *also]))
    growth.spend(CELL * (len(records) * len(columns) - sum(map(len, records))))
    column = next(
        name for name in ("id", "case_id", "llmgate_id", *(f"id_{i}" for i in range(1000))) if name not in columns
    )
    width = max(3, len(str(len(records))))
    taken: set[str] = set()
    rows = []
    for number, (record, name) in enumerate(zip(records, names, strict=True), start=1):
        wanted = slug(name, limit=80, fallback="") if name else ""
        row_id = wanted or f"{prefix}-{number:0{width}}"
        if row_id in taken:
            row_id = f"{row_id[:80]}-{number:0{width}}"
        while row_id in taken:
            row_id += "-x"
        taken.add(row_id)
        values = {key: strict(record.get(key)) for key in columns}
        rows.append({column: row_id, **{str(strict(key)): value for key, value in values.items()}})
    return tuple(rows), {} if column == "id" else {"id": column}


def suite_of(
    records: Sequence[Mapping[str, Json]],
    asserts: Iterable[tuple[Mapping[str, Json], str]],
    notes: Notebook,
    *,
    name: str,
    prompt: tuple[Mapping[str, str], ...],
    names: Sequence[str | None] | None = None,
    also: Iterable[str] = (),
    prefix: str,
    unchecked: tuple[str, str] | None = None,
    description: str = "",
    sampling: Mapping[str, Json] | None = None,
    repeat: int = 1,
) -> ImportedSuite:
    """A suite whose rows all have the same asserts.

    Args:
        records: Column to value.
        asserts: Asserts and their places; what is unsound is left out and noted.
        notes: What was noted so far.
        name: The suite's name.
        prompt: Messages.
        names: What to call each row; without them they are numbered.
        also: Columns that have to exist.
        prefix: Starts ids that are numbers.
        unchecked: What to note, and where, if no assert is left.
        description: Words for a reader.
        sampling: Entries of `sampling:`.
        repeat: How often each case is asked.
    """
    for record in records:
        notes.growth.value(record)
    rows, case = table(records, names or [None] * len(records), growth=notes.growth, also=also, prefix=prefix)
    kept: list[Mapping[str, Json]] = []
    for written, where in asserts:
        if written in kept:
            continue
        unfit = unfit_rows(written, rows, notes)
        if unfit and len(unfit) < len(rows):
            number, why = next(iter(unfit.items()))
            first = next(iter(rows[number].values()))
            notes.lost(
                f"{len(unfit)} of {len(rows)} cases, from {first} on, make no {written.get('type')}: {why}", where
            )
            rows = tuple(row for i, row in enumerate(rows) if i not in unfit)
        if notes.accepts(written, rows[0], where):
            kept.append(written)
    if unchecked and not kept:
        notes.lost(*unchecked)
    return ImportedSuite(
        name=name,
        description=description,
        prompt=prompt,
        rows=rows,
        asserts=tuple(kept),
        case=case,
        sampling=sampling or {},
        repeat=repeat,
        notes=notes.notes,
    )


def unfit_rows(written: Mapping[str, Json], rows: Sequence[Mapping[str, Json]], notes: Notebook) -> dict[int, str]:
    """The numbers of rows whose values make no rule of an assert, and why; all of them if the assert is unsound."""
    if "{{" not in str(written):
        return {}
    try:
        leaves = list(read_assert(written, notes.vocabulary.names).leaves)
    except LlmgateError:
        return {}  # `accepts` says why
    words = set(re.findall(r"\w+", str(written)))
    read = [column for column in rows[0] if column in words] if rows else []
    sound: set[str] = set()
    unfit: dict[int, str] = {}
    for number, row in enumerate(rows):
        values = repr([row.get(column) for column in read])
        if values in sound:  # many rows have few answers
            continue
        try:
            for leaf in leaves:
                notes.vocabulary.validate(leaf, row)
            sound.add(values)
        except LlmgateError as error:
            unfit[number] = error.what.replace(" (tried on the first row)", "")
            if number == len(unfit) - 1 == MOST_UNFIT:
                return dict.fromkeys(range(len(rows)), error.what)  # an assert that fits no row is unsound
    return unfit


def several(name: str, lists: Sequence[Sequence[str]]) -> tuple[list[dict[str, Json]], Json]:
    """A column for the expected texts of each row, and the value with which an assert reads it.

    One text each makes a text column. Otherwise lists are filled up to the longest by repeating their last text, so
    that one list of templates reads them all.
    """
    longest = max((len(items) for items in lists), default=1)
    if longest <= 1:
        return [{name: items[0] if items else ""} for items in lists], f"{{{{ {name} }}}}"
    Growth(0, f"the column {name!r}", error=SuiteError).spend(CELL * longest * len(lists))
    columns: list[dict[str, Json]] = [
        {name: [*items, *[items[-1] if items else ""] * (longest - len(items))]} for items in lists
    ]
    return columns, [f"{{{{ {name}[{i}] }}}}" for i in range(longest)]


def any_of_pattern(items: Iterable[str], *, start: bool = False, whole: bool = False) -> str:
    """A regular expression that finds any of these texts."""
    body = "|".join(_SPECIAL.sub(r"\\\g<0>", item).replace("\n", "\\n") for item in items)
    return f"{'^' if start or whole else ''}(?:{body}){'$' if whole else ''}"


def literal(text: str) -> str:
    """A template that renders to exactly this text."""
    return _TAG.sub("{{ '{' }}", text)


def choice(value: Json, options: Iterable[int]) -> dict[str, Json]:
    """A `choice` assert.

    Args:
        value: What reads the right letter.
        options: How many options each question has.
    """
    most = max(options, default=0)
    letters: dict[str, Json] = {"config": {"letters": LETTERS[:most]}} if most >= 2 else {}
    return {"type": "choice", "value": value, **letters}


def lettered(question: str, options: Sequence[str]) -> str:
    """A question with its options, each called by a letter."""
    listed = "\n".join(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))
    return f"{question}\n\n{listed}\n\nAnswer with the letter of the right option."


def texts(value: Json) -> list[str]:
    """One text or a list of them, as a list of texts."""
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, str) else str(item) for item in items if item is not None]
