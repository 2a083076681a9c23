"""One attempt as the ledger keeps it, and the chain that its lines make. Pure.

A line is the JSON of a number, the digest of the line before it, and an attempt. So no line can be taken out, changed,
moved or put in without all lines behind it saying so; only the last lines can go unseen, which is what a head that is
kept elsewhere is for.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from llmgate.errors import RecordError
from llmgate.gate.decision.types import Verdict
from llmgate.record.disk import JsonForm, decoded, first_problem, lines_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "NOTHING",
    "AttemptEntry",
    "AttemptSide",
    "LedgerLine",
    "Verdict",
    "attempt_id",
    "chain",
    "current",
    "line_text",
    "read_chain",
]

NOTHING: Final = ""
"""Digest of the line before the first."""
MAJOR: Final = 1
DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSide:
    """One side's record in an attempt.

    Attributes:
        run: Run id.
        model: The model's name, for a reader.
        journal: Digest of its journal.
        head: Digests of what was kept of it, see `compact`.
        cases: Likewise.
        results: Likewise.
    """

    run: str
    model: str
    journal: str
    head: str
    cases: str
    results: str

    @property
    def texts(self) -> tuple[str, str, str]:
        """The digests of what was kept."""
        return self.head, self.cases, self.results


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEntry:
    """A verdict on a candidate.

    Attributes:
        key: See `attempt_key`.
        id: See `attempt_id`.
        verdict: What was decided.
        reserve: The policy's.
        decided_at: UTC, ISO 8601.
        candidate: What the candidate answered.
        champion: What the champion answered, None without one.
        earlier: Ids of the attempts that counted with it, in order.
        replaces: Id of the attempt that this one completes: the same run, with what was missing in it. "" for none.
    """

    key: str
    id: str
    verdict: Verdict
    reserve: float
    decided_at: str
    candidate: AttemptSide
    champion: AttemptSide | None = None
    earlier: tuple[str, ...] = ()
    replaces: str = ""

    @property
    def number(self) -> int:
        """Which attempt it is, counted from 1."""
        return len(self.earlier) + 1

    @property
    def texts(self) -> tuple[str, ...]:
        """The digests of all that was kept of it."""
        return (*self.candidate.texts, *(self.champion.texts if self.champion is not None else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """An attempt in its place."""

    major: int
    seq: int
    previous: str
    entry: AttemptEntry


LINE: Final[JsonForm[LedgerLine]] = JsonForm(LedgerLine)


def attempt_id(key: str, candidate: AttemptSide, champion: AttemptSide | None) -> str:
    """SHA-256 over what an attempt rests on: two runs that found the same on both sides are one attempt."""
    sides = [[side.cases, side.results] if side is not None else None for side in (candidate, champion)]
    return hashlib.sha256(json.dumps([key, sides]).encode()).hexdigest()


def line_text(line: LedgerLine) -> bytes:
    """A line of the file, with its line feed."""
    return json.dumps(asdict(line), sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def chain(entries: Sequence[AttemptEntry]) -> tuple[bytes, str]:
    """The file that holds these attempts, and the digest of its last line."""
    text, head = b"", NOTHING
    for seq, entry in enumerate(entries, start=1):
        line = line_text(LedgerLine(major=MAJOR, seq=seq, previous=head, entry=entry))
        text, head = text + line, hashlib.sha256(line).hexdigest()
    return text, head


def read_chain(data: bytes, key: str, *, where: str) -> tuple[tuple[AttemptEntry, ...], tuple[str, ...]]:
    """The attempts of a file, once every line is where it was written, and the digest of each line.

    Args:
        data: The file.
        key: Whose attempts they have to be.
        where: Names it in errors.

    Raises:
        RecordError: If a line is missing, changed, out of its place, twice there, or another key's.
    """
    entries: list[AttemptEntry] = []
    digests: list[str] = []
    ids: list[str] = []
    for seq, raw in enumerate(lines_of(data), start=1):
        here = f"{where}:{seq}"
        line = parse(raw, here)
        if line.major != MAJOR:
            raise RecordError(f"line of format {line.major}, and this llmgate reads {MAJOR}", where=here)
        if line.seq != seq or line.previous != (digests[-1] if digests else NOTHING):
            raise RecordError("the chain of attempts is broken: a line before this one is gone or changed", where=here)
        entry = line.entry
        if entry.key != key:
            raise RecordError("this is an attempt at another gate", where=here)
        if entry.id != attempt_id(key, entry.candidate, entry.champion):
            raise RecordError("the attempt is not the one that its digest names", where=here)
        if entry.id in ids or (entry.replaces and entry.replaces not in ids):
            raise RecordError("the attempt is there twice, or completes none that is there", where=here)
        entries.append(entry)
        ids.append(entry.id)
        digests.append(hashlib.sha256(raw).hexdigest())
    return tuple(entries), tuple(digests)


def parse(raw: bytes, where: str) -> LedgerLine:
    """One line."""
    if not raw.endswith(b"\n"):
        raise RecordError("the last line was cut", where=where)
    try:
        line = LINE.validate_json(decoded(raw, where, fix="Restore the file"))
    except ValidationError as error:
        raise RecordError(f"cannot be understood: {first_problem(error)}", where=where) from error
    if line_text(line) != raw:
        raise RecordError("the line holds more than an attempt", where=where)
    digests = [line.entry.key, line.entry.id, *line.entry.texts, *line.entry.earlier]
    if not all(DIGEST.fullmatch(digest) for digest in digests):
        raise RecordError("what stands for a digest is none", where=where)
    return line


def current(entries: Sequence[AttemptEntry]) -> tuple[AttemptEntry, ...]:
    """The attempts in order, each as it was completed."""
    kept: list[AttemptEntry] = []
    for entry in entries:
        if entry.replaces:
            place = next((i for i, old in enumerate(kept) if old.id == entry.replaces), None)
            if place is not None:
                kept[place] = entry
                continue
        kept.append(entry)
    return tuple(kept)
