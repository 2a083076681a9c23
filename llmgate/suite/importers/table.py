"""From records of another tool to the rows of a dataset: ids, equal columns, lists in one text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llmgate.suite.importers.files import strict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from llmgate.suite.asserts import Json

__all__ = ["LETTERS", "any_of_pattern", "choice", "id_column", "literal", "several", "slug", "table", "texts"]

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What options of multiple-choice questions are called."""

_UNFIT: Final = re.compile(r"[^A-Za-z0-9]+")
_SPECIAL: Final = re.compile(r"[\\^$.|?*+()\[\]{}/]")
_TAG: Final = re.compile(r"{(?=[{%#])")


def slug(text: str, *, limit: int = 60, fallback: str = "imported") -> str:
    """A readable name of letters, digits and dashes."""
    short = _UNFIT.sub("-", text)[: 4 * limit].strip("-").lower()[:limit].rstrip("-")
    return short or fallback


def id_column(columns: Collection[str]) -> str:
    """A name for the id column that no column has yet."""
    return next(
        name for name in ("id", "case_id", "llmgate_id", *(f"id_{i}" for i in range(1000))) if name not in columns
    )


def table(
    records: Sequence[Mapping[str, Json]],
    names: Sequence[str | None],
    *,
    column: str = "id",
    also: Iterable[str] = (),
    prefix: str = "case",
) -> tuple[dict[str, Json], ...]:
    """Rows with unique ids and the same columns in the same order; what a record lacks is null.

    Args:
        records: Column to value.
        names: What to call each row; made a unique id. None: its number.
        column: The id column.
        also: Columns that have to exist.
        prefix: Starts ids that are numbers.
    """
    columns = list(dict.fromkeys([*(key for record in records for key in record), *also]))
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
        values = {key: strict(record.get(key)) for key in columns if key != column}
        rows.append({column: row_id, **{str(strict(key)): value for key, value in values.items()}})
    return tuple(rows)


def several(name: str, lists: Sequence[Sequence[str]]) -> tuple[list[dict[str, Json]], Json]:
    """A column for the expected texts of each row, and the value with which an assert reads it.

    One text each makes a text column. Otherwise lists are filled up to the longest by repeating their last text, so
    that one list of templates reads them all.
    """
    longest = max((len(one) for one in lists), default=1)
    if longest <= 1:
        return [{name: one[0] if one else ""} for one in lists], f"{{{{ {name} }}}}"
    columns: list[dict[str, Json]] = [{name: [*one, *[one[-1] if one else ""] * (longest - len(one))]} for one in lists]
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


def texts(value: Json) -> list[str]:
    """One text or a list of them, as a list of texts."""
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, str) else str(item) for item in items if item is not None]
