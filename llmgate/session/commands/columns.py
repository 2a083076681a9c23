"""Rows of a stranger: which column asks, which one has the right answer, and how strictly that can be checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from llmgate.errors import DatasetError, UsageError
from llmgate.suite.asserts import Json
from llmgate.suite.data.strict_json import value_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Expected", "ProjectKind", "RowReading", "understand"]

QUESTION: Final = (
    "question", "prompt", "input", "query", "instruction", "text", "message", "user", "user_input", "request",
    "problem", "ticket", "sentence", "utterance", "body", "content",
)  # fmt: skip
EXPECTED: Final = (
    "answer", "answers", "expected", "expected_output", "expected_answer", "reference", "reference_answer", "label",
    "target", "ideal", "ground_truth", "gold", "output", "completion", "response", "solution", "category", "class",
)  # fmt: skip
CONTEXT: Final = (
    "context", "contexts", "passages", "passage", "documents", "document", "chunks", "retrieved_contexts", "retrieved",
)  # fmt: skip
SLICES: Final = ("topic", "category", "language", "lang", "difficulty", "domain", "segment", "type", "source", "group")
IDS: Final = ("id", "case_id", "question_id", "qid", "uid", "key", "index")
USABLE: Final = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*")
"""Names that templates can write."""
RESERVED: Final = frozenset({"and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "null", "loop"})
ARTICLES: Final = frozenset({"a", "an", "the"})
MOST_LABELS: Final = 10
LABEL_CHARS: Final = 40
SHORT_CHARS: Final = 80
SHORT_WORDS: Final = 8
HIDDEN_CHARS: Final = 3
"""A text as short as this stands by chance inside of longer words."""
SLICE_VALUES: Final = 20


class ProjectKind(StrEnum):
    """What a model is asked for."""

    CHAT = "chat"
    JSON = "json"
    RAG = "rag"


class Expected(StrEnum):
    """What the right answers are."""

    CHOICE = "choice"
    LABEL = "label"
    EXACT = "exact"
    SHORT = "short"
    ACCEPTED = "accepted"
    DATA = "data"
    DATA_TEXT = "data-text"
    LONG = "long"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReading:
    """What rows are taken for.

    Attributes:
        rows: As they will be written: with ids, and columns that templates can name.
        kind: What the model is asked for.
        id_column: The column that names rows.
        question: The column that asks.
        conversation: Whether that holds messages instead of a text.
        context: The column with passages, None without.
        passages: Whether that holds lists.
        answer: The column with the right answers, None without.
        expected: What these are.
        labels: All of them where they are few.
        worded: Whether they are words alone, so that punctuation and articles around them mean nothing.
        fields: Keys that all of them have where they are objects.
        most_words: The most words that an answer may have where a short one could be hidden in a long one; else None.
        slices: Columns that results are broken down by.
        remarks: What was chosen, in words.
    """

    rows: tuple[Mapping[str, Json], ...]
    kind: ProjectKind
    id_column: str
    question: str
    conversation: bool = False
    context: str | None = None
    passages: bool = False
    answer: str | None = None
    expected: Expected = Expected.NONE
    labels: tuple[str, ...] = ()
    worded: bool = False
    fields: tuple[str, ...] = ()
    most_words: int | None = None
    slices: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def id_column(columns: Iterable[str]) -> str | None:
    """The column that names rows, None if there is none."""
    return _find(columns, IDS)


def understand(records: Sequence[Mapping[str, Json]], *, source: str, kind: ProjectKind | None = None) -> RowReading:
    """Choose columns, and how answers are to be checked.

    Args:
        records: At least one row, all with the same columns.
        source: The file, for messages.
        kind: What the user says that it is.

    Raises:
        DatasetError: If no column says what to ask, or a row lacks its question or its right answer.
        UsageError: If the rows are no such kind.
    """
    columns = list(records[0])
    _refuse_asserts_in_cells(columns, source)
    own_id = id_column(columns)
    answer = _find(columns, EXPECTED)
    context = _find(columns, CONTEXT)
    question = _question(records, columns, {own_id, answer, context}, source)
    messages = isinstance(records[0][question], list)
    for column in filter(None, (question, context, answer)):
        _refuse_blank(records, column, own_id, source)
    expected = Expected.NONE if answer is None else _expected([row[answer] for row in records])
    data = expected in {Expected.DATA, Expected.DATA_TEXT}
    found = ProjectKind.RAG if context else ProjectKind.JSON if data else ProjectKind.CHAT
    if kind is ProjectKind.RAG and not context:
        raise UsageError("no column holds a context", where=source, fix=f"Name one context; there are {_list(columns)}")
    if kind is ProjectKind.JSON and not data:
        raise UsageError("the right answers are no JSON", where=source, fix="Write JSON objects, or leave --kind out")
    reading = RowReading(
        rows=tuple(records) if own_id else tuple({"id": f"row-{i:04}", **row} for i, row in enumerate(records, 1)),
        kind=kind or found,
        id_column=own_id or "id",
        question=question,
        conversation=messages,
        context=context if kind is not ProjectKind.CHAT else None,
        passages=context is not None and all(isinstance(row[context], list) for row in records),
        answer=answer,
        expected=expected,
        slices=_slices(records, {own_id, answer, context, question}),
    )
    return _worded(_renamed(_detailed(reading)), numbered=own_id is None)


def _find(columns: Iterable[str], names: Sequence[str]) -> str | None:
    """The column that has the first of some names, however it is spelt."""
    spelt = {re.sub(r"[\s-]+", "_", column.strip().casefold()): column for column in reversed(list(columns))}
    return next((spelt[name] for name in names if name in spelt), None)


def _question(
    records: Sequence[Mapping[str, Json]], columns: Sequence[str], others: set[str | None], source: str
) -> str:
    left = [column for column in columns if column not in others]
    asks = _find(left, ("messages", "conversation"))
    if asks and all(isinstance(row[asks], list) for row in records):
        return asks
    found = _find(left, QUESTION)
    texts = [column for column in left if all(isinstance(row[column], str) for row in records)]
    if found is None and len(texts) == 1:
        found = texts[0]
    if found is None:
        raise DatasetError(
            "no column says what to ask", where=source, fix=f"Name one question; there are {_list(columns)}"
        )
    wrong = next((i for i, row in enumerate(records, 1) if isinstance(row[found], list | dict)), None)
    if wrong:
        raise DatasetError(
            f"row {wrong} has data in {found!r}, not a text to ask", where=source, fix="Write a text in every row"
        )
    return found


def _refuse_asserts_in_cells(columns: Sequence[str], source: str) -> None:
    own = next((column for column in columns if column.startswith("__")), None)
    if own:
        raise UsageError(
            f"the column {own!r} speaks to promptfoo, and brings asserts of its own",
            where=source,
            fix="Run `llmgate import promptfoo` on the configuration that names this file; or rename the column",
        )


def _refuse_blank(records: Sequence[Mapping[str, Json]], column: str, own_id: str | None, source: str) -> None:
    blank = [i for i, row in enumerate(records, 1) if not value_text(row[column]).strip() or row[column] in (None, [])]
    if blank:
        named = ", ".join(str(records[i - 1][own_id]) if own_id else str(i) for i in blank[:5])
        more = f" and {len(blank) - 5} more" if len(blank) > 5 else ""
        raise DatasetError(
            f"row {named}{more} has nothing in {column!r}", where=source, fix="Fill it in, or remove the row"
        )


def _expected(values: Sequence[Json]) -> Expected:
    """What right answers are, the strictest first that fits all of them."""
    if any(isinstance(value, list | dict) for value in values):
        data = all(isinstance(value, list | dict) for value in values)
        return Expected.ACCEPTED if all(map(_accepted, values)) else Expected.DATA if data else Expected.NONE
    if all(map(_is_data_text, values)):
        return Expected.DATA_TEXT
    texts = [value_text(value).strip() for value in values]
    distinct = set(texts)
    if all(re.fullmatch("[A-J]", text) for text in texts):
        return Expected.CHOICE
    few = 1 < len(distinct) <= MOST_LABELS and len(texts) >= 3 * len(distinct)
    # Labels stand in the prompt, where a brace of theirs could name a column: that of the right answer, for example.
    if few and all(len(text) <= LABEL_CHARS and "{" not in text for text in texts):
        return Expected.LABEL
    if any(len(text) > SHORT_CHARS or len(text.split()) > SHORT_WORDS for text in texts):
        return Expected.LONG
    hidden = any(len(text) <= HIDDEN_CHARS or _is_number(text) for text in texts)
    return Expected.EXACT if hidden else Expected.SHORT


def _accepted(value: Json) -> bool:
    """Whether it is a list of answers that all count; commas part them where they are looked for."""
    return isinstance(value, list) and all(isinstance(one, str) and one.strip() and "," not in one for one in value)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?[0-9][0-9.,]*%?", text) is not None


def _is_data_text(value: Json) -> bool:
    return isinstance(_data(value), dict | list) and isinstance(value, str)


def _data(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        read: Json = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return read


def _slices(records: Sequence[Mapping[str, Json]], taken: set[str | None]) -> tuple[str, ...]:
    found = []
    for column in records[0]:
        if column in taken or _find([column], SLICES) is None:
            continue
        values = [row[column] for row in records]
        plain = all(isinstance(value, str) and value.strip() for value in values)
        if plain and 1 < len(set(map(str, values))) <= SLICE_VALUES and 2 * len(set(map(str, values))) <= len(values):
            found.append(column)
    return tuple(found)


def _detailed(reading: RowReading) -> RowReading:
    """With what the right answers have in common."""
    if reading.answer is None:
        return reading
    values = [row[reading.answer] for row in reading.rows]
    if reading.expected in {Expected.LABEL, Expected.EXACT}:
        texts = sorted({value_text(value).strip() for value in values})
        worded = all(one.replace(" ", "").isalpha() and not ARTICLES & set(one.casefold().split()) for one in texts)
        return replace(reading, worded=worded, labels=tuple(texts) if reading.expected is Expected.LABEL else ())
    if reading.expected in {Expected.DATA, Expected.DATA_TEXT}:
        data = [_data(value) for value in values]
        keys = [list(one) if isinstance(one, dict) else [] for one in data]
        shared = tuple(key for key in keys[0] if all(key in each for each in keys))
        # They stand in the prompt, as labels do.
        return replace(reading, fields=() if "{" in "".join(shared) else shared)
    if reading.expected in {Expected.SHORT, Expected.ACCEPTED}:
        wanted = [value if isinstance(value, list) else [value] for value in values]
        if _could_be_repeated(reading, wanted):
            longest = max(len(value_text(one).split()) for each in wanted for one in each)
            return replace(reading, most_words=longest + 20)
    return reading


def _could_be_repeated(reading: RowReading, wanted: Sequence[Sequence[Json]]) -> bool:
    """Whether a model that repeats what it was given would be right."""
    if reading.context:
        return True
    asked = [value_text(row[reading.question]).casefold() for row in reading.rows]
    return any(value_text(one).casefold() in text for text, each in zip(asked, wanted, strict=True) for one in each)


def _renamed(reading: RowReading) -> RowReading:
    """With columns that templates can write."""
    new: dict[str, str] = {}
    taken = set(reading.rows[0])
    for column, role in ((reading.question, "question"), (reading.context, "context"), (reading.answer, "answer")):
        if column and (not USABLE.fullmatch(column) or column.casefold() in RESERVED):
            new[column] = next(name for name in (role, f"{role}_text", f"{role}_column") if name not in taken)
            taken.add(new[column])
    if not new:
        return reading
    return replace(
        reading,
        rows=tuple({new.get(column, column): value for column, value in row.items()} for row in reading.rows),
        question=new.get(reading.question, reading.question),
        context=reading.context and new.get(reading.context, reading.context),
        answer=reading.answer and new.get(reading.answer, reading.answer),
        remarks=tuple(
            f"column {old!r} is called {name} now, so that templates can name it" for old, name in new.items()
        ),
    )


def _worded(reading: RowReading, *, numbered: bool) -> RowReading:
    """With what was chosen, in words."""
    said = list(reading.remarks)
    if numbered:
        said.append("no column has ids, so rows are numbered; keep the numbers when you add rows")
    said.append(f"asks what is in {reading.question!r}" + (f", with {reading.context!r}" if reading.context else ""))
    checked = CHECKED[reading.expected].format(answer=reading.answer)
    if reading.most_words:
        checked += f"; {reading.most_words} words at most, as a model that repeats what it is given would be right too"
    said.append(checked)
    if reading.slices:
        said.append(f"results are also broken down by {_list(reading.slices)}")
    return replace(reading, remarks=tuple(said))


CHECKED: Final = {
    Expected.CHOICE: "{answer!r} has letters of a choice, so an answer has to settle on the right one",
    Expected.LABEL: "{answer!r} has few values, so an answer has to be the right one of them and nothing else",
    Expected.EXACT: "{answer!r} has numbers or very short texts, which stand in other answers by chance: an answer has"
    " to be the right one and nothing else",
    Expected.SHORT: "{answer!r} is short, so an answer has to contain it, in any case of letters",
    Expected.ACCEPTED: "{answer!r} lists what counts, so an answer has to contain one of them, in any case of letters",
    Expected.DATA: "{answer!r} is JSON, so an answer has to be the same JSON",
    Expected.DATA_TEXT: "{answer!r} is JSON, so an answer has to be the same JSON",
    Expected.LONG: "{answer!r} is long, and whether an answer means the same takes a judge or embeddings; without them"
    " it is measured how many words they share. The suite has the lines for both",
    Expected.NONE: "no column has right answers that can be compared, so all that is checked is that the model answers"
    " and does not refuse. Add a column `answer`, or ask a judge: docs/cookbook/judges.md",
}


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
