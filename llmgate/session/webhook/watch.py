"""Aliases against the server's ledger: when an event names one, and from time to time, since events get lost."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from llmgate.attest.tags import STAGE
from llmgate.errors import EXIT_CANNOT_RUN, EXIT_FAIL, EXIT_PASS, CannotRunError, LlmgateError
from llmgate.promote.webhook.ledger import AliasFinding, Standing, compare
from llmgate.session.webhook.alarm import alarm_body, post_alarm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from llmgate.promote.mirror import MirrorEvent
    from llmgate.promote.webhook.registry import WatchedRegistry
    from llmgate.session.webhook.memory import Memory
    from llmgate.session.webhook.settings import ReceiverSettings

__all__ = ["AliasWatch", "alarmed", "examine", "exit_code", "ledger_slot"]

SETTLE_S: Final = 1.0
"""Between the two looks that an alarm needs: alias and ledger are not always read from one moment."""
AGAIN_S: Final = 3600.0
"""An alarm about the same thing is repeated after this long."""


def ledger_slot(model: str, alias: str) -> str:
    """The key under which the newest known event of an alias is remembered."""
    return f"{model}/{alias}"


def exit_code(findings: Iterable[AliasFinding]) -> int:
    """0 if all agree, 1 if any moved, 4 if any could not be checked or there is none."""
    states = {finding.state for finding in findings}
    if Standing.MOVED in states:
        return EXIT_FAIL
    return EXIT_PASS if states == {Standing.AGREES} else EXIT_CANNOT_RUN


async def examine(
    registry: WatchedRegistry,
    model: str,
    alias: str,
    *,
    known: MirrorEvent | None = None,
    settle_s: float | None = None,
) -> AliasFinding:
    """Compare one alias with the ledger; what disagrees is looked at twice.

    Args:
        registry: Where both are.
        model: The model's name.
        alias: The alias.
        known: The newest event that was seen before.
        settle_s: Seconds between the two looks; None for the usual ones.
    """
    finding = await look(registry, model, alias, known)
    if finding.state is Standing.MOVED:
        await asyncio.sleep(SETTLE_S if settle_s is None else settle_s)
        finding = await look(registry, model, alias, known)
    return finding


async def look(registry: WatchedRegistry, model: str, alias: str, known: MirrorEvent | None) -> AliasFinding:
    """Compare one alias with the ledger now."""
    try:
        found = await asyncio.to_thread(registry.model, model)
        why = "there is no such model"
    except CannotRunError as error:
        found, why = None, str(error)
    if found is not None:
        return compare(found, alias, known=known)
    return AliasFinding(
        model=model, alias=alias, state=Standing.UNCHECKED, holder=None, expected=None, why=why, newest=None
    )


async def revert(registry: WatchedRegistry, finding: AliasFinding) -> str:
    """Set an alias back to the version that the ledger names, and say what became of it."""
    if finding.expected is None:
        return "not reverted: the ledger names no version that should hold it"
    if finding.alias.startswith(STAGE):
        return "not reverted: a stage is set back by hand, since other versions may be in it"
    if finding.expected == finding.holder:
        return "not reverted: it is not the holder that is wrong"
    try:
        await asyncio.to_thread(registry.set_alias, finding.model, finding.alias, finding.expected)
    except LlmgateError as error:
        return f"setting it back to v{finding.expected} FAILED: {error}"
    after = await look(registry, finding.model, finding.alias, None)
    if after.holder != finding.expected:
        held = "nobody" if after.holder is None else f"v{after.holder}"
        return f"setting it back to v{finding.expected} FAILED: {held} holds it afterwards"
    return f"set back to v{finding.expected}"


async def alarmed(
    registry: WatchedRegistry, finding: AliasFinding, *, revert_it: bool, url: str | None, say: Callable[[str], None]
) -> None:
    """Say that an alias moved past the gate, set it back if that is wanted, and tell whoever is to be told."""
    say(f"ALARM: {finding}")
    reverted = await revert(registry, finding) if revert_it else None
    if reverted:
        say(f"{finding.model} {finding.alias}: {reverted}")
    if url is not None:
        failed = await post_alarm(url, alarm_body(finding, reverted))
        if failed:
            say(f"{finding.model} {finding.alias}: {failed}")


class AliasWatch:
    """Looks at aliases when asked, and at all of them from time to time.

    Args:
        settings: Of the receiver.
        memory: Keeps what was seen of the ledger.
        registry: Where aliases and ledger are.
        say: Takes a line for the log.
        finished: Called with the findings of every look that an event asked for.
        polled: Called with the models at every poll.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        *,
        memory: Memory,
        registry: WatchedRegistry,
        say: Callable[[str], None],
        finished: Callable[[Sequence[AliasFinding]], None],
        polled: Callable[[Sequence[str]], Awaitable[None]] | None = None,
    ) -> None:
        self._settings = settings
        self._memory = memory
        self._registry = registry
        self._say = say
        self._finished = finished
        self._polled = polled
        self._wake = asyncio.Event()
        self._asked: dict[str, None] = {}
        self._said: dict[str, tuple[str, float]] = {}

    def ask(self, model: str) -> None:
        """Have a model looked at soon."""
        self._asked[model] = None
        self._wake.set()

    def wake(self) -> None:
        """Look whether to stop."""
        self._wake.set()

    async def work(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set."""
        poll_s = self._settings.poll_s
        due = time.monotonic() if poll_s else float("inf")
        while not stop.is_set():
            self._wake.clear()
            if self._asked:
                names = list(self._asked)
                self._asked.clear()
                self._finished(await self.look_at(names))
            elif time.monotonic() >= due:
                await self._poll()
                due = time.monotonic() + poll_s
            else:
                patience = None if due == float("inf") else max(0.0, due - time.monotonic())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), patience)

    async def _poll(self) -> None:
        try:
            names = await asyncio.to_thread(self._registry.models, self._settings.models)
        except CannotRunError as error:
            self._say(f"the models could not be listed, so no alias was compared with the ledger: {error}")
        else:
            await self.look_at(names)
            if self._polled is not None:
                await self._polled(names)

    async def look_at(self, names: Sequence[str]) -> list[AliasFinding]:
        """Compare the watched aliases of some models with the ledger, and act on what is found."""
        findings = []
        for name in names:
            for alias in self._settings.aliases:
                slot = ledger_slot(name, alias)
                finding = await examine(self._registry, name, alias, known=self._memory.ledger.get(slot))
                findings.append(finding)
                await self._act(finding, slot)
        return findings

    async def _act(self, finding: AliasFinding, slot: str) -> None:
        known = self._memory.ledger.get(slot)
        # What lost events is remembered as it was: it keeps being said until they are back.
        if finding.newest is not None and finding.newest != known and not finding.lost:
            self._memory.ledger[slot] = finding.newest
            self._memory.save()
        text, at = self._said.get(slot, ("", 0.0))
        if text == str(finding) and (finding.state is not Standing.MOVED or time.monotonic() - at < AGAIN_S):
            return
        if slot not in self._said and finding.state is Standing.AGREES:
            self._said[slot] = str(finding), time.monotonic()
            return
        self._said[slot] = str(finding), time.monotonic()
        if finding.state is not Standing.MOVED:
            self._say(str(finding))
            return
        url = self._settings.alarm_url
        await alarmed(self._registry, finding, revert_it=self._settings.revert, url=url, say=self._say)
