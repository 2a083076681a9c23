"""A record's results and cases in memory: what deciding asks is kept, words are read again where they stand.

Of a result that are outcomes, scores and who answered; of a case, what it belongs to. Answers, reasons and prompts stay
in the files, so that 200,000 cases fit into memory however long they are. What is read again is held against a digest
that was taken when the file was first read: a file that changes meanwhile is noticed.
"""

from __future__ import annotations

import hashlib
import os
import struct
import weakref
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from llmgate.errors import RecordError
from llmgate.record.disk import JsonForm
from llmgate.record.reach import open_regular
from llmgate.record.schema import (
    CaseKey,
    CaseResult,
    CheckResult,
    Failure,
    Generation,
    Judgement,
    Message,
    Outcome,
    PlannedCase,
    WordlessResults,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from llmgate.record.output_features import AnswerFeatures

__all__ = [
    "CASE",
    "RESULT",
    "CaseFile",
    "CaseWords",
    "Places",
    "StoredCase",
    "StoredResults",
    "read_later",
    "stored_case",
]

RESULT: Final[JsonForm[CaseResult]] = JsonForm(CaseResult)
CASE: Final[JsonForm[PlannedCase]] = JsonForm(PlannedCase)
PLACE: Final = struct.Struct("<QI16s")
"""Offset and length of an entry, and its digest."""
GONE: Final = -1


def digest_of(entry: bytes) -> bytes:
    """What says that an entry is still the same."""
    return hashlib.blake2b(entry, digest_size=16).digest()


class Places:
    """Entries of a file that were read once, to be read again.

    The file is held open, so that another one of its name is not taken for it.

    Args:
        path: The file. It may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = GONE
        with suppress(FileNotFoundError):
            self._open()

    def _open(self) -> None:
        with open_regular(self.path) as file:
            self._fd = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._fd)

    def note(self, entry: bytes, at: int) -> bytes:
        """A place, for `read`."""
        return PLACE.pack(at, len(entry), digest_of(entry))

    def read(self, place: bytes) -> bytes:
        """The entry at a place.

        Raises:
            RecordError: If it cannot be read, or is not the one that was read before.
        """
        at, size, digest = PLACE.unpack(place)
        try:
            if self._fd == GONE:
                self._open()
            entry = os.pread(self._fd, size, at)
        except OSError as error:
            raise RecordError(f"cannot be read again ({error.strerror})", where=str(self.path)) from error
        if digest_of(entry) != digest:
            raise RecordError(
                f"the entry at byte {at} changed while it was being read",
                where=str(self.path),
                fix="Let nothing else write to the folder, and begin again",
            )
        return entry


class _Answer(Generation):
    """An answer without its words: who asks for them here asked in the wrong place."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<an answer without its words, {self.finish_reason}>"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def _no_words(_: object) -> NoReturn:
    raise RecordError("the words of an answer are not kept here", fix="Read them from the record's `results`")


WORDS: Final = ("text", "tool_calls", "logprobs")
for _name in WORDS:
    setattr(_Answer, _name, property(_no_words))
FACTS: Final = tuple(field.name for field in fields(Generation) if field.name not in WORDS)


class _Scored(CaseResult):
    """A result without words, and where the whole one stands."""

    __slots__ = ("place",)

    place: bytes


class StoredResults(WordlessResults):
    """The last result of every key in a journal, in order of first appearance.

    Args:
        path: The journal.
        planned: Keys that are known already: one object then stands for a key everywhere.
    """

    def __init__(self, path: Path, planned: Mapping[CaseKey, CaseKey] | None = None) -> None:
        self._places = Places(path)
        self._planned = planned or {}
        self._scored: dict[CaseKey, CaseResult] = {}
        self._same: dict[Any, Any] = {}
        """One object for all that are equal: of a hundred thousand checks most say the same."""

    def note(self, result: CaseResult, entry: bytes, at: int) -> None:
        """A result stands in the journal.

        Args:
            result: What the entry says.
            entry: Its bytes.
            at: Where they begin.
        """
        key = self._planned.get(result.key, result.key)
        scored = object.__new__(_Scored)
        put = object.__setattr__
        put(scored, "key", key)
        put(scored, "answer", self._wordless(result.answer))
        put(scored, "checks", self._one(tuple(map(self._check, result.checks))))
        put(scored, "judged", result.judged)
        put(scored, "threshold", result.threshold)
        put(scored, "traits", self._traits(result.traits))
        put(scored, "asserts", ())
        put(scored, "exchanges", ())
        put(scored, "place", self._places.note(entry, at))
        self._scored[key] = scored

    def settle(self) -> None:
        """Let go of what is only needed to take further results."""
        self._planned = {}
        self._same = {}

    @property
    def scored(self) -> Mapping[CaseKey, CaseResult]:
        """See `Record.scored`."""
        return self._scored

    def __getitem__(self, key: CaseKey) -> CaseResult:
        """The whole result, read again."""
        scored = self._scored[key]
        return RESULT.validate_json(self._places.read(scored.place if isinstance(scored, _Scored) else b""))

    def __contains__(self, key: object) -> bool:
        return key in self._scored

    def __iter__(self) -> Iterator[CaseKey]:
        return iter(self._scored)

    def __len__(self) -> int:
        return len(self._scored)

    def __repr__(self) -> str:
        return f"<{len(self)} results in {self._places.path}>"

    def _one(self, value: Any) -> Any:
        return self._same.setdefault(value, value)

    def _wordless(self, answer: Generation | Failure) -> Generation | Failure:
        if isinstance(answer, Failure):
            return self._same.setdefault(answer, answer)  # type: ignore[no-any-return]  # equal, so of the same type
        kept = object.__new__(_Answer)
        for name in FACTS:
            object.__setattr__(kept, name, getattr(answer, name))
        if answer.finish_reason is not None:
            object.__setattr__(kept, "finish_reason", self._one(answer.finish_reason))
        if answer.answered_by is not None:
            object.__setattr__(kept, "answered_by", self._one(answer.answered_by))
        return kept

    def _traits(self, traits: AnswerFeatures | None) -> AnswerFeatures | None:
        # An embedding is one answer's own.
        return traits if traits is None or traits.vector is not None else self._one(traits)

    def _check(self, check: CheckResult) -> CheckResult:
        """A check without the words of what it found; why it could not be evaluated is asked for."""
        reason = check.reason if check.outcome is Outcome.ERROR else ""
        asked = tuple(map(self._judgement, check.judgements))
        said = (
            *(check.type, check.outcome, check.score, reason, check.metric, check.weight),
            *(check.required, asked, check.part, check.forgeable),
        )
        known = self._same.get(said)
        if known is None:
            known = self._same[said] = CheckResult(
                type=check.type,
                outcome=check.outcome,
                score=check.score,
                reason=reason,
                metric=check.metric,
                weight=check.weight,
                required=check.required,
                judgements=asked,
                part=check.part,
                forgeable=check.forgeable,
            )
        return known

    def _judgement(self, asked: Judgement) -> Judgement:
        return self._one(  # type: ignore[no-any-return]  # equal, so of the same type
            Judgement(
                judge=asked.judge,
                reply=None if asked.reply is None else "",
                error=None if asked.error is None else "",
                prompt_tokens=asked.prompt_tokens,
                cached_tokens=asked.cached_tokens,
                model=asked.model,
            )
        )


class CaseWords(Protocol):
    """Where the words of planned cases lie."""

    def read_case(self, place: Any) -> tuple[tuple[Message, ...], str]:
        """The prompt of a case, and what its asserts look for, worded.

        Args:
            place: Where they stand.
        """


class CaseFile:
    """The words of cases in a cases.jsonl.

    Args:
        path: The file, which is read once from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self._places = Places(path)
        self._at = 0

    def note(self, line: bytes) -> bytes:
        """The place of the next line."""
        place = self._places.note(line, self._at)
        self._at += len(line)
        return place

    def read_case(self, place: bytes) -> tuple[tuple[Message, ...], str]:
        """As `CaseWords`.

        Raises:
            RecordError: If the line cannot be read, or is another one by now.
        """
        case = CASE.validate_json(self._places.read(place))
        return case.messages, case.expected


def read_later(owner: type, name: str, read: Callable[[Any], object]) -> property:
    """A field of a frozen dataclass as a property of a class below it: what was set, else what `read` returns.

    Args:
        owner: The dataclass, which has slots.
        name: The field.
        read: Returns its value for an object in which it was not set.
    """
    slot: Any = owner.__dict__[name]

    def get(instance: object) -> object:
        try:
            return slot.__get__(instance)
        except AttributeError:
            return read(instance)

    return property(get, slot.__set__)


class StoredCase(PlannedCase):
    """A planned case whose prompt and whose wording of what is expected are read when asked for."""

    __slots__ = ("known_keys", "place", "words")

    place: Any
    words: CaseWords
    known_keys: tuple[CaseKey, ...]
    messages = read_later(PlannedCase, "messages", lambda case: case.words.read_case(case.place)[0])
    expected = read_later(PlannedCase, "expected", lambda case: case.words.read_case(case.place)[1])

    @property
    def keys(self) -> tuple[CaseKey, ...]:
        """As `PlannedCase.keys`, made once: the plan, the decision and the report ask for them a dozen times."""
        try:
            return self.known_keys
        except AttributeError:
            made = super().keys
            object.__setattr__(self, "known_keys", made)
            return made

    def whole(self, words: tuple[tuple[Message, ...], str] | None = None) -> PlannedCase:
        """The case with its words in memory, for who needs them more than once.

        Args:
            words: What `CaseWords` said of it, where that is known.
        """
        if words is None and not hasattr(self, "place"):
            return self  # made of another one, with words of its own
        messages, expected = words or self.words.read_case(self.place)
        return PlannedCase(
            suite=self.suite,
            case=self.case,
            repeats=self.repeats,
            cluster=self.cluster,
            slices=self.slices,
            messages=messages,
            expected=expected,
            metrics=self.metrics,
            threshold=self.threshold,
            request_digest=self.request_digest,
            traits=self.traits,
        )

    def __eq__(self, other: object) -> bool:
        """By what both say, read or not."""
        if not isinstance(other, PlannedCase):
            return NotImplemented
        return all(getattr(self, field.name) == getattr(other, field.name) for field in fields(PlannedCase))

    __hash__ = None  # type: ignore[assignment]  # slices are a mapping, so that planned cases have no hash


SHARED: Final = ("suite", "cluster", "metrics", "traits")
"""Fields that say the same in many cases; slices do too."""
OWN: Final = tuple(
    field.name for field in fields(PlannedCase) if field.name not in {"messages", "expected", "slices", *SHARED}
)


def stored_case(case: PlannedCase, words: CaseWords, place: object, same: dict[Any, Any]) -> StoredCase:
    """A case without its words.

    Args:
        case: The whole case.
        words: Where its words lie.
        place: Where they stand there.
        same: One object for all values that are equal; filled.
    """
    stored, put = object.__new__(StoredCase), object.__setattr__
    for name in OWN:
        put(stored, name, getattr(case, name))
    for name in SHARED:
        value = getattr(case, name)
        # By name too: a metric and an output feature of one name are equal, and not of one type.
        put(stored, name, value if value is None else same.setdefault((name, value), value))
    slices = tuple(case.slices.items())
    put(stored, "slices", same.setdefault(("slices", slices), case.slices))
    put(stored, "place", place)
    put(stored, "words", words)
    return stored
