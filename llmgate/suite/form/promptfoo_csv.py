"""Rows of a promptfoo CSV test file: what their `__expected` cells and the columns around them mean."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llmgate.errors import SuiteError
from llmgate.suite.template.javascript import WHITESPACE, text_to_number, trim

__all__ = ["PROMPTFOO_TYPES", "ExpectedRow", "read_cell", "read_row", "split_list"]

_SPACE = f"[{re.escape(WHITESPACE)}]*"
_QUOTED = re.compile(_SPACE + r'"((?:[^"\\]|\\.|"")*+)(")?', re.DOTALL)
_AFTER_QUOTED = re.compile(_SPACE + r"(,|\Z)")
_PLAIN = re.compile(r"([^,]*)(,|\Z)")
_ESCAPED = re.compile(r'\\(["\\])|""')

_DEFAULT_THRESHOLDS: Final[Mapping[str, float]] = {
    **dict.fromkeys(("answer-relevance", "classifier", "context-faithfulness", "context-recall"), 0.75),
    **dict.fromkeys(("context-relevance", "cost", "latency", "levenshtein", "perplexity", "perplexity-score"), 0.75),
    **dict.fromkeys(("rouge-n", "starts-with"), 0.75),
    **dict.fromkeys(("similar", "similar:cosine", "similar:dot", "similar:euclidean"), 0.8),
}
"""Types that a cell gives a threshold when it names none; not the defaults that they have elsewhere."""

_WITH_THRESHOLD: Final = frozenset(
    {
        *_DEFAULT_THRESHOLDS,
        *("bleu", "conversation-relevance", "g-eval", "gleu", "javascript", "llm-rubric", "meteor", "pi", "python"),
        *("ruby", "search-rubric", "tool-call-f1", "webhook"),
    }
)

_LISTS: Final = frozenset({"contains-all", "contains-any", "icontains-all", "icontains-any"})
_UNTRIMMED: Final = frozenset({"contains-json", "is-json"})

PROMPTFOO_TYPES: Final = (
    _WITH_THRESHOLD
    | _LISTS
    | _UNTRIMMED
    | frozenset(
        {
            *("contains", "contains-html", "contains-sql", "contains-xml", "equals", "factuality", "finish-reason"),
            *("guardrails", "icontains", "is-html", "is-refusal", "is-sql", "is-valid-function-call"),
            *("is-valid-openai-function-call", "is-valid-openai-tools-call", "is-xml", "model-graded-closedqa"),
            *("model-graded-factuality", "moderation", "regex", "skill-used", "trace-error-spans", "trace-span-count"),
            *("trace-span-duration", "trajectory:goal-success", "trajectory:step-count"),
            *("trajectory:tool-args-match", "trajectory:tool-sequence", "trajectory:tool-used", "word-count"),
        }
    )
)
"""What stands before the colon of a cell; anything else there is ordinary text."""

# Longest first, so that `similar:cosine(0.9): text` names a type and not the text `cosine(0.9): text`.
_NAMES: Final = "|".join(map(re.escape, sorted(PROMPTFOO_TYPES, key=lambda name: (-len(name), name))))
_CELL: Final = re.compile(rf"(not-)?({_NAMES})(?:\(([0-9]+(?:\.[0-9]+)?)\))?(?::(.*))?", re.DOTALL)
_CODE: Final = ("javascript:", "fn:", "eval:")
_RUBRIC: Final = ("grade:", "llm-rubric:")
_JAVASCRIPT_FILE: Final = re.compile(r"file://.*\.[cm]?[jt]s", re.DOTALL)
_PYTHON_FILE: Final = re.compile(r"file://.*\.py(?::.*)?", re.DOTALL)
_CONFIG_TARGET: Final = re.compile(r"__expected[0-9]*")
_UNESCAPED_COMMA: Final = re.compile(r"(?<!\\),")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRow:
    """One line of a CSV test file.

    Attributes:
        asserts: One mapping per cell that is not blank, as it would stand under `assert:`, in column order.
        vars: The columns that are variables.
        threshold: The least weighted mean that passes the test.
        description: Words for a reader.
        options: `prefix` and `suffix` of the prompt.
        metadata: What `__metadata:` columns say.
        provider_output: A recorded answer, if the row brings one.
    """

    asserts: tuple[Mapping[str, Any], ...] = ()
    vars: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None
    description: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str | list[str]] = field(default_factory=dict)
    provider_output: str | None = None


def read_cell(text: str, *, where: str | None = None) -> dict[str, Any]:
    """The assert that one `__expected` cell becomes.

    `type: value`, `type(threshold): value` or `type`; whatever names no type is the text that the output must equal.

    Args:
        text: The cell.
        where: Its place, for messages.

    Raises:
        SuiteError: If it is blank, a quote in a comma list is not closed, or a threshold is no finite number.
    """
    text = trim(text)
    if not text:
        raise SuiteError("the cell is blank, so there is nothing to check", where=where)
    special = _special(text)
    if special:
        return special
    match = _CELL.fullmatch(text)
    if not match:
        return {"type": "equals", "value": text}
    prefix, name, written, value = match.groups()
    result: dict[str, Any] = {"type": f"{prefix or ''}{name}"}
    if value is not None:
        result["value"] = _value(name, value, where)
    if name in _WITH_THRESHOLD:
        threshold = _DEFAULT_THRESHOLDS.get(name) if written is None else _number(written, "the threshold", where)
        if threshold is not None:
            result["threshold"] = threshold
    return result


def _special(text: str) -> dict[str, Any] | None:
    """Code, rubrics and files of code, which have forms of their own."""
    for prefix in _CODE:
        if text.startswith(prefix):
            return {"type": "javascript", "value": trim(text[len(prefix) :])}
    for prefix in _RUBRIC:
        if text.startswith(prefix):
            return {"type": "llm-rubric", "value": text[len(prefix) :]}
    if _JAVASCRIPT_FILE.fullmatch(text):
        return {"type": "javascript", "value": text}
    if text.startswith("python:") or _PYTHON_FILE.fullmatch(text):
        return {"type": "python", "value": trim(text[len("python:") :])}  # as long as `file://`
    return None


def _value(name: str, value: str, where: str | None) -> str | list[str]:
    if name in _UNTRIMMED:
        return value
    if name not in _LISTS or not value:
        return trim(value)
    try:
        return split_list(value)
    except ValueError as error:
        raise SuiteError(f"the comma list cannot be read: {error}", where=where, fix="Close every quote") from error


def split_list(text: str) -> list[str]:
    r"""Splits at commas.

    Fields are trimmed and empty ones dropped. A field that starts with a double quote goes to the closing one, commas
    and white space included; a quote inside it is written `\"` or `""`.

    Raises:
        ValueError: If a quote is not closed, something follows a closing quote, or a quoted field is empty.
    """
    fields: list[str] = []
    position = 0
    while position < len(text):
        quoted = _QUOTED.match(text, position)
        if quoted:
            if not quoted[2]:
                raise ValueError("a quote is not closed")
            field = _ESCAPED.sub(lambda escape: escape[1] or '"', quoted[1])
            if not field:
                raise ValueError("a quoted field is empty")
            after = _AFTER_QUOTED.match(text, quoted.end())
            if not after:
                raise ValueError("there is text after a closing quote")
            position = after.end()
        else:
            plain = _PLAIN.match(text, position)
            assert plain is not None  # noqa: S101 - the pattern matches everywhere
            field, position = trim(plain[1]), plain.end()
        if field:
            fields.append(field)
    return fields


def _number(text: str, what: str, where: str | None) -> float:
    number = text_to_number(text) if trim(text) else math.nan
    if not math.isfinite(number):
        raise SuiteError(f"{what} {text!r} is not a number", where=where, fix="Write a number such as 0.8")
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def read_row(row: Mapping[str, str], *, where: str | None = None) -> ExpectedRow:
    """Read one line of a CSV test file.

    Args:
        row: Column name to cell, in the order of the columns.
        where: Its place, for messages.

    Raises:
        SuiteError: If a cell or a threshold cannot be read, or a `__config:` column is about a check that the row
            does not have.
    """
    reader = _RowReader(where)
    for column, cell in row.items():
        reader.read(trim(column), cell)
    return reader.result()


class _RowReader:
    """Collects what the columns of one row say."""

    def __init__(self, where: str | None) -> None:
        self.where = where
        self.cells: list[tuple[str, dict[str, Any] | None]] = []
        self.thresholds: dict[str, float] = {}
        self.plain: dict[str, str] = {}
        self.vars: dict[str, str] = {}
        self.metadata: dict[str, str | list[str]] = {}

    def read(self, column: str, cell: str) -> None:
        if column.startswith("__expected"):
            self.cells.append((column, read_cell(cell, where=self.where) if trim(cell) else None))
        elif column in {"__prefix", "__suffix", "__description", "__providerOutput", "__metric", "__threshold"}:
            self.plain[column] = cell
        elif column.startswith("__config:"):
            self._config(column, cell)
        elif column.startswith("__metadata:"):
            self._metadata(column.removeprefix("__metadata:"), cell)
        elif column != "__metadata":  # without a key it says nothing
            self.vars[column] = cell

    def result(self) -> ExpectedRow:
        metric = self.plain.get("__metric", "")
        named = {"metric": metric} if trim(metric) else {}
        for target, threshold in self.thresholds.items():
            self._target(target)["threshold"] = threshold
        overall = self.plain.get("__threshold", "")
        return ExpectedRow(
            asserts=tuple({**check, **named} for _, check in self.cells if check),
            vars=self.vars,
            threshold=_number(overall, "__threshold", self.where) if trim(overall) else None,
            description=self.plain.get("__description") or None,
            options={name: self.plain[f"__{name}"] for name in ("prefix", "suffix") if f"__{name}" in self.plain},
            metadata=self.metadata,
            provider_output=self.plain.get("__providerOutput") or None,
        )

    def _config(self, column: str, cell: str) -> None:
        target, _, key = column.removeprefix("__config:").partition(":")
        if not _CONFIG_TARGET.fullmatch(target):
            raise self._error(f"{column!r} is about {target!r}, which is no column of checks", "Name __expected1")
        if key != "threshold":
            raise self._error(f"{column!r} sets {key!r}", "Only `threshold` can be set in this way")
        self.thresholds[target] = _number(cell, column, self.where)

    def _target(self, name: str) -> dict[str, Any]:
        """The check of a column; `__expected` and `__expected1` both mean the first if only one of them is there."""
        columns = [column for column, _ in self.cells]
        aliases = [name, *{"__expected": ["__expected1"], "__expected1": ["__expected"]}.get(name, [])]
        if name == "__expected" and len(columns) == 1:
            aliases.append(columns[0])
        for alias in aliases:
            if alias in columns:
                check = self.cells[columns.index(alias)][1]
                if check is None:
                    raise self._error(f"there is a threshold for {alias}, whose cell is blank", "Remove one of them")
                return check
        raise self._error(f"there is a threshold for {name}, but no such column", "Remove it, or name the right column")

    def _metadata(self, key: str, cell: str) -> None:
        if not trim(cell):
            return
        if key.endswith("[]"):
            self.metadata[key[:-2]] = [trim(part).replace("\\,", ",") for part in _UNESCAPED_COMMA.split(cell)]
        else:
            self.metadata[key] = cell

    def _error(self, what: str, fix: str) -> SuiteError:
        return SuiteError(what, where=self.where, fix=fix)
