"""The last events of a gated registry's ledger, as it shows them in a tag of the model. For reading, not for proof."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from llmgate.attest.envelope import parse_json
from llmgate.attest.fields import Fields
from llmgate.attest.statement import moment
from llmgate.attest.tags import ledger_key
from llmgate.errors import AttestationError

__all__ = ["MOVES", "Mirror", "MirrorEvent", "read_mirror"]

MOVES: Final = ("promoted", "bootstrapped", "overridden", "rolled-back")
"""Events after which their version holds the alias."""
SEEN: Final = "verdict"
"""The registry was shown a verdict; the alias stayed where it was."""
MAX_CHARACTERS: Final = 20_000
"""A registry writes 3,000."""
NUMBER: Final = re.compile(r"[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorEvent:
    """One event.

    Attributes:
        event: One of `MOVES`, or `verdict`.
        version: The version that it is about.
        at: When the registry wrote it down.
        verdict: Digest of the verdict that was shown, or by which the version holds the alias; None without one.
        outcome: PASS, FAIL, INCONCLUSIVE or OVERRIDE; None without a verdict.
        weights: Digest of the weights in that verdict, None where only answers are known.
        over: The version that held the alias before, None if nobody did or nothing moved.
        attempt: Which verdict on this version it was, None where that is not told.
        reason: Of an override or a rollback.
    """

    event: str
    version: str
    at: datetime
    verdict: str | None = None
    outcome: str | None = None
    weights: str | None = None
    over: str | None = None
    attempt: int | None = None
    reason: str = ""

    @property
    def moved(self) -> bool:
        """Whether the alias moved."""
        return self.event in MOVES


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """What a registry shows of one alias.

    Attributes:
        alias: The alias.
        events: Newest first; the oldest ones may be missing.
    """

    alias: str
    events: tuple[MirrorEvent, ...]

    @property
    def holding(self) -> MirrorEvent | None:
        """The event since which somebody holds the alias, None if it is not shown."""
        return next((event for event in self.events if event.moved), None)

    def move_to(self, version: str) -> MirrorEvent | None:
        """The last event by which a version got the alias, None if it is not shown."""
        return next((event for event in self.events if event.moved and event.version == version), None)

    @property
    def earned(self) -> frozenset[str]:
        """Digests of the verdicts that are shown to have moved the alias."""
        return frozenset(event.verdict for event in self.events if event.moved and event.verdict is not None)

    @property
    def former(self) -> tuple[str, ...]:
        """Who held the alias before and was not rolled back, the last one first, as far as it is shown."""
        held: list[str] = []
        for event in reversed(self.events):
            if event.event == "rolled-back":
                while held and held[-1] != event.version:
                    held.pop()
                if not held:
                    held.append(event.version)
            elif event.moved:
                if event.over is not None and held[-1:] != [event.over]:
                    held.append(event.over)
                held.append(event.version)
        return tuple(reversed(held[:-1]))

    def attempts(self, version: str) -> int:
        """How many verdicts the registry has seen on a version, as far as it is shown."""
        seen = [event for event in self.events if event.event == SEEN and event.version == version]
        return max([len(seen), *(event.attempt or 0 for event in seen)])


def read_mirror(text: str, alias: str) -> Mirror:
    """Read what a registry shows of an alias.

    Raises:
        AttestationError: If it is of another form: something else than a gated registry wrote it, or a newer one.
    """
    where = ledger_key(alias)
    if len(text) > MAX_CHARACTERS:
        raise AttestationError(
            f"the ledger has {len(text):,} characters, at most {MAX_CHARACTERS:,} are read", where=where
        )
    listed = parse_json(text, "the ledger")
    if not isinstance(listed, list):
        raise AttestationError("the ledger is no list", where=where)
    events = tuple(read_event(Fields(entry, f"{where}[{i}]")) for i, entry in enumerate(listed))
    return Mirror(alias=alias, events=events)


def read_event(entry: Fields) -> MirrorEvent:
    """One event."""
    attempt = entry.values.get("attempt")
    return MirrorEvent(
        event=entry.one_of("event", (*MOVES, SEEN)),
        version=number(entry),
        at=moment(entry.text("at")),
        verdict=maybe(entry, "verdict"),
        outcome=maybe(entry, "outcome"),
        weights=maybe(entry, "weights"),
        over=maybe(entry, "over"),
        attempt=None if attempt is None else entry.whole("attempt", least=1),
        reason=maybe(entry, "reason") or "",
    )


def number(entry: Fields) -> str:
    """A version's number, as text."""
    text = entry.text("version")
    if not NUMBER.fullmatch(text):
        raise AttestationError(f"{text[:40]!r} is no version number", where=entry.place("version"))
    return text


def maybe(entry: Fields, name: str) -> str | None:
    """A text that may be null or missing."""
    return None if entry.values.get(name) is None else entry.text(name)
