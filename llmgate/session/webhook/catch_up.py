"""New versions that no event told of: MLflow sends an event once, from a thread, and forgets it if that fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError
from llmgate.promote.webhook.command import argument_name
from llmgate.promote.webhook.events import VersionCreated
from llmgate.promote.webhook.refusal import DeliveryRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmgate.promote.webhook.registry import WatchedRegistry
    from llmgate.session.webhook.memory import Memory
    from llmgate.session.webhook.runs import GateRuns

__all__ = ["CatchUp"]

DELIVERY: Final = "poll"
"""Stands where the id of a delivery does."""


class CatchUp:
    """Queues versions that are newer than the receiver's first start and on which nobody noted a gate run.

    A version is queued when it is seen so for the second time: in between its event may come, or its run may end.

    Args:
        memory: Knows since when, what waits, and what is still to be noted.
        registry: Knows the versions.
        runs: The queue.
        say: Takes a line for the log.
    """

    def __init__(self, memory: Memory, registry: WatchedRegistry, runs: GateRuns, say: Callable[[str], None]) -> None:
        self._memory = memory
        self._registry = registry
        self._runs = runs
        self._say = say
        self._seen: frozenset[tuple[str, str]] = frozenset()

    async def look(self, models: Sequence[str]) -> None:
        """Look at the newest versions of some models."""
        untold: set[tuple[str, str]] = set()
        for name in filter(is_argument, models):
            try:
                versions = await asyncio.to_thread(self._registry.ungated, name, self._memory.since)
            except CannotRunError as error:
                self._say(f"{name}: its versions could not be listed: {error}")
            else:
                untold |= {(name, version) for version in versions}
        known = self._memory.jobs.keys() | self._memory.notes.keys()
        untold = {(name, version) for name, version in untold if f"{name}/{version}" not in known}
        self._queue(sorted(untold & self._seen))
        self._seen = frozenset(untold)

    def _queue(self, versions: Iterable[tuple[str, str]]) -> None:
        queued = False
        for name, version in versions:
            try:
                self._runs.offer(VersionCreated(workspace=None, name=name, version=version), DELIVERY)
            except DeliveryRefusedError:
                break  # The queue is full; the next look finds the rest.
            self._say(f"models:/{name}/{version}: new, though no event told of it; queued")
            queued = True
        if queued:
            self._memory.save()


def is_argument(name: str) -> bool:
    """Whether a name may be put into a command."""
    try:
        argument_name(name)
    except DeliveryRefusedError:
        return False
    return True
