"""The number in flight follows the servers: by their metrics where they have them, else by their answers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from llmgate.generate.pool.blind_pace import BlindPace
from llmgate.generate.pool.pace import LOOK_S, ServerPace, added
from llmgate.record.manifest import InFlight
from llmgate.record.schema import Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llmgate.generate.client import Endpoint
    from llmgate.generate.pool.pace import ServerLoad
    from llmgate.generate.pool.slots import Slots
    from llmgate.generate.replicas.replica import Replica

__all__ = ["Adapting"]

BROKEN: Final = frozenset({FailureKind.TIMEOUT, FailureKind.CONNECTION})
"""What a server that is asked too much answers with, besides refusals for the rate."""


class Adapting:
    """Changes a bound on requests in flight while they run.

    Args:
        slots: The bound.
        most: The most that it may become.
        load: How busy a server is, None if it does not say.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        slots: Slots,
        *,
        most: int,
        load: Callable[[Endpoint], Awaitable[ServerLoad | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots, self._most, self._load, self._clock = slots, most, load, clock
        self._by_metrics: ServerPace | None = None
        self._by_answers = BlindPace(start=slots.limit, most=most)
        self._refusals = 0

    def noted(self, answer: Generation | Failure, sent_s: float) -> None:
        """Take an answer into account, where the servers do not say how busy they are."""
        if self._by_metrics is not None:
            return
        now = self._clock()
        if isinstance(answer, Failure):
            if answer.kind in BROKEN:
                self._slots.set_limit(self._by_answers.refused(now_s=now, sent_s=sent_s))
            return
        limit = self._by_answers.answered(
            now_s=now,
            latency_s=answer.latency_s,
            tokens=answer.completion_tokens or 1,
            in_flight=self._slots.in_flight,
        )
        if limit != self._slots.limit:
            self._slots.set_limit(limit)

    async def follow(self, places: Sequence[Replica], *, metrics: bool) -> None:
        """Look at the servers until cancelled.

        Args:
            places: The servers.
            metrics: Whether they may be asked for their metrics; a service on the web has none, and is not bothered.
        """
        while True:
            await asyncio.sleep(LOOK_S)
            self._look_for_refusals(places)
            if not metrics:
                continue
            asked = [place for place in places if place.healthy]
            loads = await asyncio.gather(*(self._load(place.client.endpoint) for place in asked))
            known = [load for load in loads if load is not None]
            if not known or len(known) < len(asked):
                continue  # Part of a load would read as room.
            if self._by_metrics is None:
                self._by_metrics = ServerPace(start=self._slots.limit, most=self._most)
            limit = self._by_metrics.look(added(known), in_flight=self._slots.in_flight)
            if limit != self._slots.limit:
                self._slots.set_limit(limit)

    def _look_for_refusals(self, places: Sequence[Replica]) -> None:
        refusals = sum(place.client.traffic.refusals for place in places)
        if refusals > self._refusals:
            self._refusals = refusals
            now = self._clock()
            limit = self._by_answers.refused(now_s=now, sent_s=now - LOOK_S)
            if self._by_metrics is not None:
                limit = self._by_metrics.refused()
            self._slots.set_limit(limit)

    def came_to(self) -> InFlight:
        """What the number was."""
        by = "answers" if self._by_metrics is None else "metrics"
        return InFlight(by=by, limit=self._slots.limit, most=self._slots.most)
