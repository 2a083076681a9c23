"""Attempts that stand beside other records, or that MLflow knows: the ledger takes back what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError
from llmgate.gate.decision.types import Problem
from llmgate.record.disk import read_regular
from llmgate.record.run.files import ATTEMPTS_NAME
from llmgate.session.attempts.entry import AttemptEntry
from llmgate.session.attempts.note import MOST_NOTE, read_note, read_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


__all__ = ["Brought", "KnownElsewhere", "beside_others", "read_elsewhere"]

MOST_NEIGHBOURS: Final = 5_000
"""So many runs beside a run are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownElsewhere:
    """Attempts at one gate that notes tell of.

    Attributes:
        entries: By their ids.
        texts: What was kept of them, by digest, as far as it can be read.
    """

    entries: Mapping[str, AttemptEntry]
    texts: Mapping[str, bytes]

    def __or__(self, other: KnownElsewhere) -> KnownElsewhere:
        """What both know."""
        return KnownElsewhere(entries={**other.entries, **self.entries}, texts={**other.texts, **self.texts})

    def beyond(self, known: Sequence[AttemptEntry]) -> list[AttemptEntry]:
        """Those that a ledger lacks, in the order in which they were decided."""
        ids = {entry.id for entry in known}
        lacking = sorted(
            (entry for identity, entry in self.entries.items() if identity not in ids),
            key=lambda entry: (entry.decided_at, entry.number, entry.id),
        )
        found = []
        for entry in lacking:
            # What it completes may be known to nobody any more.
            found.append(entry if entry.replaces in ids else replace(entry, replaces=""))
            ids.add(entry.id)
        return found


NOBODY: Final = KnownElsewhere(entries=MappingProxyType({}), texts=MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """Attempts that a registry knows.

    Attributes:
        known: What could be had.
        problems: What is known to be there and cannot be had.
    """

    known: KnownElsewhere = NOBODY
    problems: tuple[Problem, ...] = ()


def read_elsewhere(folders: Iterable[Path], key: str) -> KnownElsewhere:
    """What notes in folders tell of a key; one that cannot be read tells nothing."""
    entries: dict[str, AttemptEntry] = {}
    texts: dict[str, bytes] = {}
    for folder in folders:
        with suppress(RecordError):
            note = read_note(folder)
            if note.own.key != key:
                continue
            for entry in (*note.before, note.own):
                entries.setdefault(entry.id, entry)
            texts |= read_texts(folder)
    return KnownElsewhere(entries=entries, texts=texts)


def beside_others(out: Path, key: str, known: frozenset[str]) -> list[Path]:
    """Folders beside a run's whose notes tell of attempts at this gate that are not known.

    Args:
        out: The run's folder.
        key: Of the gate and candidate.
        known: Ids of attempts that need not be looked for.
    """
    found = []
    own = out.resolve()
    with suppress(OSError):
        for path in sorted(own.parent.glob(f"*/{ATTEMPTS_NAME}"))[:MOST_NEIGHBOURS]:
            if path.parent == own:
                continue
            with suppress(OSError, RecordError):
                # Most are of other candidates, and need not be understood.
                if key.encode() not in read_regular(path, limit=MOST_NOTE):
                    continue
                note = read_note(path.parent)
                if not {note.own.id, *note.own.earlier} <= known:
                    found.append(path.parent)
    return found
