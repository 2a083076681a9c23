"""Whether an alias stands where the server's ledger says. The comparison only; what follows is not decided here.

A gated server mirrors the last events of each protected alias into a tag of the model, newest first. The mirror is for
reading: whoever can write to the database can write it too. So agreement proves little, and disagreement a lot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from llmgate.attest.names import skeleton
from llmgate.attest.tags import ledger_key
from llmgate.errors import AttestationError
from llmgate.promote.mirror import MirrorEvent, read_mirror

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AliasFinding", "ModelState", "Standing", "compare"]

NEARLY_FULL: Final = 2_000
"""Characters of a mirror from which on older events may have been left out: the server keeps it below 3,000, and an
event takes up to 1,000."""
LOST: Final = "the ledger's mirror lost events that were seen in it"
FOREIGN: Final = "the tag was written by something else than a gated server, or by a newer one"


class Standing(StrEnum):
    """What a comparison says."""

    AGREES = "agrees"
    MOVED = "moved past the gate"
    UNCHECKED = "could not be checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """What one question about a registered model was answered with.

    Attributes:
        name: Of the model.
        aliases: Version by alias; and by `stage:NAME` the version that a stage means.
        tags: Of the model, all of them.
    """

    name: str
    aliases: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasFinding:
    """An alias compared with the ledger.

    Attributes:
        model: Its name.
        alias: As the operator wrote it.
        state: What the comparison says.
        holder: The version that holds the alias, None if none does.
        expected: The version that the ledger says holds it, None if it names none.
        why: One clause.
        newest: The mirror's newest event, None if there is none that can be read.
        lost: Whether the mirror lost events that were seen in it.
    """

    model: str
    alias: str
    state: Standing
    holder: str | None
    expected: str | None
    why: str
    newest: MirrorEvent | None
    lost: bool = False

    def __str__(self) -> str:
        """One line for a log."""
        return f"{self.model} {self.alias}: {self.state}: {self.why}"


def compare(model: ModelState, alias: str, *, known: MirrorEvent | None = None) -> AliasFinding:
    """Compare who holds an alias with what the ledger's mirror says.

    Args:
        model: As the registry has it, read at once.
        alias: The alias.
        known: The newest event that an earlier comparison saw; a mirror that does not have it any more lost events.

    Returns:
        What was found: MOVED also if the mirror lost events or an alias that only looks like this one is there,
        for a gated server does neither.
    """
    holder = model.aliases.get(alias)
    text = model.tags.get(ledger_key(alias))
    events: tuple[MirrorEvent, ...] = ()
    lost = text is None and known is not None
    if text is None:
        state, why = without_ledger(holder, known)
    else:
        try:
            events = read_mirror(text, alias).events
        except AttestationError as error:
            state, why = (
                Standing.UNCHECKED,
                f"{held(holder)}, and the ledger's mirror cannot be read: {error.what}; {FOREIGN}",
            )
        else:
            full = len(text) >= NEARLY_FULL
            lost = known is not None and is_lost(known, events, full=full)
            state, why = (
                (Standing.MOVED, f"{LOST}; {held(holder)}") if lost else with_ledger(model, alias, events, full)
            )
    last = newest_move(events)
    return AliasFinding(
        model=model.name,
        alias=alias,
        state=state,
        holder=holder,
        expected=None if last is None else last.version,
        why=why,
        newest=events[0] if events else None,
        lost=lost,
    )


def without_ledger(holder: str | None, known: MirrorEvent | None) -> tuple[Standing, str]:
    """What it means that there is no mirror."""
    if known is not None:
        return Standing.MOVED, f"{LOST}; {held(holder)}"
    if holder is None:
        return Standing.AGREES, "nobody holds it, and there is no ledger of it"
    why = f"{held(holder)}, and there is no ledger of it: the server is not gated, or does not protect this alias"
    return Standing.UNCHECKED, why


def is_lost(known: MirrorEvent, events: Sequence[MirrorEvent], *, full: bool) -> bool:
    """Whether an event that was seen is gone, and was not pushed out by newer ones."""
    return known not in events and not (full and events[0].at >= known.at)


def with_ledger(model: ModelState, alias: str, events: Sequence[MirrorEvent], full: bool) -> tuple[Standing, str]:
    """Whether the holder is the ledger's."""
    holder = model.aliases.get(alias)
    last = newest_move(events)
    if last is None and full:
        return Standing.UNCHECKED, f"{held(holder)}, and the ledger's mirror does not reach back to who should"
    if holder != (None if last is None else last.version):
        says = "knows nobody who earned it" if last is None else f"says v{last.version} ({dated(last)})"
        return Standing.MOVED, f"{held(holder)}, and the ledger {says}"
    twins = sorted(name for name in model.aliases if name != alias and skeleton(name) == skeleton(alias))
    if twins:
        return Standing.MOVED, f"the alias {twins[0]!r} only looks like it, and a gated server refuses that"
    says = "nobody earned it" if last is None else dated(last)
    return Standing.AGREES, f"{held(holder)} ({says})"


def newest_move(events: Sequence[MirrorEvent]) -> MirrorEvent | None:
    """The event that says who holds the alias."""
    return next((event for event in events if event.moved), None)


def held(holder: str | None) -> str:
    """Who holds it, in words."""
    return "nobody holds it" if holder is None else f"v{holder} holds it"


def dated(event: MirrorEvent) -> str:
    """An event and when it was."""
    return f"{event.event} {event.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
