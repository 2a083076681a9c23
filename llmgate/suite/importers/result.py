"""What an importer returns: suites that llmgate can run, and notes on what another tool would do differently."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from llmgate.errors import LlmgateError, SuiteError
from llmgate.record.growth import Growth
from llmgate.suite.asserts import Json
from llmgate.suite.form.asserts import read_assert

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmgate.suite.asserts import Vocabulary

__all__ = ["Imported", "ImportedSuite", "Note", "NoteSort", "Notebook"]

T = TypeVar("T")


class NoteSort(StrEnum):
    """What a note means for what the suite checks."""

    CHECK = "check"
    """Something that the other tool evaluates is missing, so the suite checks less than the original."""
    SETTING = "setting"
    """The model is asked in another way than the other tool would; nothing is checked less."""
    REMARK = "remark"
    """A reader should know; nothing is missing and nothing differs by accident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One remark on an import.

    Attributes:
        what: What was found.
        where: File, and line where it is known.
        sort: What it means for what the suite checks.
    """

    what: str
    where: str | None = None
    sort: NoteSort = NoteSort.CHECK

    @property
    def lost(self) -> bool:
        """Whether something that the other tool evaluates is missing in the suite."""
        return self.sort is NoteSort.CHECK

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSuite:
    """A suite and its dataset, before anything is written.

    Attributes:
        name: The suite's name; also the name of its files.
        description: Words for a reader.
        prompt: Entries of `prompt:`: messages with `role` and `content`, or the column that has them.
        rows: The dataset, all with the same columns; none if it lies elsewhere.
        dataset: Where the rows are that are not here, as `dataset:` names it.
        asserts: Entries of `assert:`.
        case: Entries of `case:`.
        sampling: Entries of `sampling:`.
        threshold: The suite's `threshold:`.
        repeat: The suite's `repeat:`.
        prices: The suite's `prices:`, written where an assert needs them.
        notes: What is named in the suite's comments.
    """

    name: str
    prompt: tuple[Mapping[str, Any], ...]
    rows: tuple[Mapping[str, Json], ...]
    dataset: str = ""
    description: str = ""
    asserts: tuple[Mapping[str, Json], ...] = ()
    case: Mapping[str, Json] = field(default_factory=dict)
    sampling: Mapping[str, Json] = field(default_factory=dict)
    threshold: float | None = None
    repeat: int = 1
    prices: Mapping[str, float] | None = None
    notes: tuple[Note, ...] = ()

    @property
    def written(self) -> list[Mapping[str, Json]]:
        """All asserts, of the suite and of its rows; those of sets beside the sets."""
        column = self.case.get("asserts")
        rows = [row[column] for row in self.rows] if isinstance(column, str) else []
        own = [written for asserts in rows if isinstance(asserts, list) for written in asserts]
        every = [written for written in (*self.asserts, *own) if isinstance(written, Mapping)]
        inner = [written.get("assert") for written in every]
        members = [each for asserts in inner if isinstance(asserts, list) for each in asserts]
        return [*every, *(member for member in members if isinstance(member, Mapping))]

    @property
    def types(self) -> frozenset[str]:
        """The types of all asserts."""
        return frozenset(str(written.get("type")) for written in self.written)

    @property
    def unchecked(self) -> int:
        """How many rows nothing checks: they are asked and recorded."""
        if self.asserts or self.dataset:
            return 0
        column = self.case.get("asserts")
        return sum(not row[column] for row in self.rows) if isinstance(column, str) else len(self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Everything that was made of the files of another tool."""

    suites: tuple[ImportedSuite, ...]
    notes: tuple[Note, ...]

    @property
    def complete(self) -> bool:
        """Whether no check is missing."""
        return not any(note.lost for note in self.notes)


class Notebook:
    """Collects notes, each once, and decides whether an assert can be carried over.

    Args:
        vocabulary: The assert types that exist.
        growth: What the import may cost; shared by the notebooks of one import.
    """

    def __init__(self, vocabulary: Vocabulary, growth: Growth | None = None) -> None:
        self.vocabulary = vocabulary
        self.growth = growth or Growth(0, "the import", error=SuiteError)
        self._read: dict[Path, Any] = {}
        self._notes: dict[Note, None] = {}
        self._accepted: set[str] = set()
        self._weights: dict[int, tuple[int, Any]] = {}

    @property
    def notes(self) -> tuple[Note, ...]:
        """In the order in which they came."""
        return tuple(self._notes)

    def lost(self, what: str, where: str | None = None) -> None:
        """Note that something which the other tool evaluates is missing in the suite: a check, or a case."""
        self._notes[Note(what=what, where=where)] = None

    def setting(self, what: str, where: str | None = None) -> None:
        """Note that the model is asked in another way than the other tool would ask it; no check is missing."""
        self._notes[Note(what=what, where=where, sort=NoteSort.SETTING)] = None

    def remark(self, what: str, where: str | None = None) -> None:
        """Note something that a reader should know, though nothing is missing."""
        self._notes[Note(what=what, where=where, sort=NoteSort.REMARK)] = None

    def another(self) -> Notebook:
        """An empty notebook of the same import."""
        other = Notebook(self.vocabulary, self.growth)
        other._read = self._read
        return other

    def once(self, path: Path, read: Callable[[], T]) -> T:
        """What a file holds, read once however many tests name it; its size adds to what they may grow to."""
        if path not in self._read:
            self._read[path] = read()
            self.growth.size += path.stat().st_size
        found: T = self._read[path]
        return found

    def weight(self, written: Any) -> int:
        """What one more row with an assert costs, in bytes of JSON; measured once however many tests share it."""
        if id(written) not in self._weights:
            # Kept with what was measured, so that its id is not used again.
            self._weights[id(written)] = (max(100, len(json.dumps(written, default=str))), written)
        return self._weights[id(written)][0]

    def take(self, other: Notebook) -> None:
        """Note what another notebook has."""
        self._notes |= other._notes

    def why(self, otherwise: str) -> str:
        """The first reasons why nothing is left."""
        return "; ".join(str(note) for note in [note for note in self.notes if note.lost][:3]) or otherwise

    def accepts(
        self,
        written: Mapping[str, Json],
        row: Mapping[str, Json],
        where: str | None = None,
        code: tuple[str, str] = ("", ""),
    ) -> bool:
        """Whether an assert is sound as llmgate reads it; notes why not.

        Args:
            written: As it would stand in the suite.
            row: A dataset row with all columns.
            where: Where it stands in the other tool's files.
            code: Of an assert that is code there: its type, and how the code begins.
        """
        key = json.dumps(written, sort_keys=True, default=str)
        if key in self._accepted:  # thousands of tests share their asserts
            return True
        try:
            spec = read_assert(written, self.vocabulary.names)
            for leaf in spec.leaves:
                self.vocabulary.validate(leaf, row)
        except LlmgateError as error:
            why = f"{error.what}. {error.fix}" if error.fix and not error.fix.startswith("Valid names") else error.what
            name, first = code
            shown = f" ({first})" if first else ""
            self.lost(f"assert {name or written.get('type')!r} left out: {why}{shown}", where)
            return False
        self._accepted.add(key)
        return True
