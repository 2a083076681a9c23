"""Examples in a prompt that are also test rows: a model that copies them looks better than it is.

The examples are what the suite itself writes: messages without variables, and the text around the variables of the
others. Rows are what is filled in. Compared are

- a whole example message with a whole filled-in message of the same role,
- every text of at least `MIN_CHARS` characters that a row holds with every example: whether it stands in it. Of columns
  that the prompt does not use, only texts count that one row alone has: a label is no question.

Case, white space and Unicode forms do not count. Equal or contained is an error, nearly so (`NEARLY`) a warning.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate.suite.data.ngrams import Hashes, containment, grams, plain
from llmgate.suite.data.strict_json import texts_in
from llmgate.suite.prompt.render import CompiledMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from llmgate.suite.asserts import Json
    from llmgate.suite.data.rows import Row
    from llmgate.suite.prompt.conversation import Wire
    from llmgate.suite.prompt.render import CompiledPrompt

__all__ = ["MIN_CHARS", "NEARLY", "Leak", "find_leaks"]

MIN_CHARS: Final = 20
"""Of a plain text that may be looked for inside an example: shorter ones stand in many texts by chance."""
NEARLY: Final = 0.85
"""Share of a text's n-grams that stand in an example from which a warning is due."""
TAG: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A row that an example gives away.

    Attributes:
        row: The row's id.
        line: Its line.
        what: The column, or `message` for a whole message.
        example: Where the example stands.
        exact: Whether it is the same text; otherwise it is nearly the same.
        share: How much of it is there.
    """

    row: str
    line: int
    what: str
    example: str
    exact: bool
    share: float

    def __str__(self) -> str:
        """For example `row 'a' (line 3): its column 'text' stands in the example of suites/x.yaml:9`."""
        subject = "what it asks" if self.what == "message" else f"its column {self.what!r}"
        verb = "stands" if self.exact else f"nearly ({self.share:.0%}) stands"
        return f"row {self.row!r} (line {self.line}): {subject} {verb} in the example of {self.example}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Example:
    role: str
    text: str
    grams: Hashes
    whole: bool
    where: str


def find_leaks(prompt: CompiledPrompt, rows: Sequence[Row], asked: Iterable[Sequence[Wire]]) -> list[Leak]:
    """Compare the examples of a prompt with the rows that it is filled with.

    Args:
        prompt: The prompt.
        rows: The rows.
        asked: The messages of each row, as they are sent.

    Returns:
        At most one leak per row, the worst.
    """
    examples = list(_examples(prompt))
    if not examples:
        return []
    used = {name for entry in prompt.entries if isinstance(entry, CompiledMessage) for name in _names(entry)}
    shared = _shared_texts(rows, used)
    everything = np.unique(np.concatenate([example.grams for example in examples]))
    leaks = []
    for row, wire in zip(rows, asked, strict=True):
        candidates = [*_whole(row, wire, examples, prompt), *_fields(row, examples, everything, used, shared)]
        if candidates:
            leaks.append(max(candidates, key=lambda leak: (leak.exact, leak.share)))
    return leaks


def _names(entry: CompiledMessage) -> set[str]:
    return {name for _, template, _ in entry.pieces for name in template.names}


def _examples(prompt: CompiledPrompt) -> Iterator[_Example]:
    for entry in prompt.entries:
        if not isinstance(entry, CompiledMessage):
            continue
        for kind, template, _ in entry.pieces:
            if kind != "text":
                continue
            for written in [template.text] if template.constant else TAG.split(template.text):
                text = plain(written)
                # A system message without variables is an instruction, but instructions hold examples too.
                whole = template.constant and entry.role != "system"
                if text and (whole or len(text) >= MIN_CHARS):
                    yield _Example(role=entry.role, text=text, grams=grams(text), whole=whole, where=entry.where)


def _whole(row: Row, wire: Sequence[Wire], examples: Sequence[_Example], prompt: CompiledPrompt) -> Iterator[Leak]:
    if len(wire) != len(prompt.entries):
        return  # a conversation is in it; its texts are no fields, and the prompt around it has no examples to copy
    for entry, message in zip(prompt.entries, wire, strict=True):
        content = message.get("content")
        if not isinstance(entry, CompiledMessage) or not _names(entry) or not isinstance(content, str):
            continue
        text = plain(content)
        for example in examples:
            if example.whole and example.role == entry.role and text == example.text:
                yield Leak(row=row.id, line=row.line, what="message", example=example.where, exact=True, share=1.0)


def _fields(
    row: Row, examples: Sequence[_Example], everything: Hashes, used: set[str], shared: set[str]
) -> Iterator[Leak]:
    for column, text in _texts(row.values):
        if len(text) < MIN_CHARS or (column not in used and text in shared):
            continue
        own = grams(text)
        if containment(own, everything) < NEARLY:
            continue
        for example in examples:
            exact = text in example.text
            share = 1.0 if exact else containment(own, example.grams)
            if exact or share >= NEARLY:
                yield Leak(row=row.id, line=row.line, what=column, example=example.where, exact=exact, share=share)


def _shared_texts(rows: Sequence[Row], used: set[str]) -> set[str]:
    counts = Counter(
        text for row in rows for column, text in _texts(row.values) if column not in used and len(text) >= MIN_CHARS
    )
    return {text for text, count in counts.items() if count > 1}


def _texts(values: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """The texts of a row as plain texts, those inside lists and objects too."""
    return ((column, plain(text)) for column, value in values.items() for text in texts_in(value))
