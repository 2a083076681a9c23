"""`llmgate attempts`: what the attempt ledger holds. It is read and held against its heads, never changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.errors import RecordError, UsageError
from llmgate.report.visible import one_line
from llmgate.session.attempts.entry import AttemptEntry, current
from llmgate.session.attempts.note import has_note, read_note
from llmgate.session.attempts.place import attempts_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.session.attempts.ledger import AttemptLedger

__all__ = ["TriedCandidate", "attempt_rows", "tried_candidates"]

SHOWN = 12
"""Digits of a key or id that a reader compares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedCandidate:
    """The attempts at one candidate and gate.

    Attributes:
        key: What they are attempts at.
        attempts: In order.
        suites: What was asked, "" where it cannot be read.
        problem: Why the ledger of this candidate cannot be believed, "" if it can.
    """

    key: str
    attempts: tuple[AttemptEntry, ...]
    suites: str = ""
    problem: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "key": self.key,
            "suites": self.suites,
            "problem": self.problem,
            "attempts": [
                {
                    "number": number,
                    "id": entry.id,
                    "verdict": entry.verdict.value,
                    "decided_at": entry.decided_at,
                    "run": entry.candidate.run,
                    "model": entry.candidate.model,
                    "champion_run": entry.champion.run if entry.champion is not None else None,
                    "reserve": entry.reserve,
                }
                for number, entry in enumerate(self.attempts, start=1)
            ],
        }


def tried_candidates(root: Path | None, wanted: str | None = None) -> tuple[TriedCandidate, ...]:
    """What a ledger holds, those with the last verdict last.

    Args:
        root: The ledger; None for that of the project.
        wanted: The beginning of a key, a run id, or the folder of a run; None for all.

    Raises:
        UsageError: If nothing of that name is there.
        RecordError: If the ledger's heads cannot be read.
    """
    ledger = attempts_at(root).ledger
    if ledger is None:
        return ()
    found = tuple(sorted((read(ledger, key) for key in ledger.keys_known()), key=last))
    if wanted is None:
        return found
    key = key_beside(wanted)
    named = tuple(one for one in found if is_named(one, wanted) or one.key == key)
    if not named:
        raise UsageError(
            f"no attempt has the key or run {one_line(wanted, 80)!r}",
            where=str(ledger.root),
            fix="See `llmgate attempts` for all; another ledger is named with --attempts DIR",
        )
    return named


def read(ledger: AttemptLedger, key: str) -> TriedCandidate:
    """The attempts of one key."""
    try:
        entries = current(ledger.peek(key))
    except RecordError as error:
        return TriedCandidate(key=key, attempts=(), problem=str(error))
    return TriedCandidate(key=key, attempts=entries, suites=suites_of(ledger, key, entries))


def suites_of(ledger: AttemptLedger, key: str, entries: Sequence[AttemptEntry]) -> str:
    """What the last attempt was asked."""
    if not entries:
        return ""
    try:
        head = json.loads(ledger.text(key, entries[-1].candidate.head))
        return ", ".join(f"{suite['name']} {suite['version']}" for suite in head["manifest"]["suites"])
    except (RecordError, ValueError, TypeError, KeyError):
        return ""


def last(tried: TriedCandidate) -> tuple[str, str]:
    """When the last verdict was given."""
    return (tried.attempts[-1].decided_at if tried.attempts else "", tried.key)


def is_named(tried: TriedCandidate, wanted: str) -> bool:
    """Whether it is the one that somebody means."""
    return tried.key.startswith(wanted) or any(entry.candidate.run == wanted for entry in tried.attempts)


def key_beside(wanted: str) -> str:
    """The key that stands beside the record in a folder, "" where none does."""
    folder = Path(wanted)
    try:
        return read_note(folder).own.key if has_note(folder) else ""
    except (RecordError, OSError):
        return ""


def attempt_rows(tried: Sequence[TriedCandidate], *, whole: bool) -> list[str]:
    """Lines for a terminal.

    Args:
        tried: What to tell of.
        whole: Each attempt in a line, and not all of a candidate in one.
    """
    lines: list[str] = []
    for one in tried:
        if one.problem:
            lines.append(f"{one.key[:SHOWN]}  cannot be believed: {one_line(one.problem, 600)}")
            continue
        model = one_line(one.attempts[-1].candidate.model, 60) if one.attempts else "nobody"
        verdicts = ", ".join(entry.verdict for entry in one.attempts)
        said = f"{one.key[:SHOWN]}  {model}, {one_line(one.suites, 120) or 'unknown suites'}"
        if not whole:
            lines.append(f"{said}: {verdicts or 'none'}")
            continue
        lines.append(said)
        for number, entry in enumerate(one.attempts, start=1):
            against = f" against {one_line(entry.champion.run, 60)}" if entry.champion is not None else ""
            lines.append(
                f"  {number}  {entry.verdict:<12}  {entry.decided_at[:16].replace('T', ' ')}Z"
                f"  {one_line(entry.candidate.run, 60)}{against}"
            )
    return lines
