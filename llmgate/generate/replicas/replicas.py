"""One endpoint, or several that serve the same model, asked as one: each request goes to the least busy healthy one."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from llmgate.errors import EndpointError
from llmgate.generate.client import ElsewhereError
from llmgate.generate.finish import nothing_expected
from llmgate.generate.replicas.replica import GoneError, Replica
from llmgate.generate.replies import Vectors
from llmgate.record.schema import Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from llmgate.generate.client import ChatClient, Endpoint
    from llmgate.generate.pool.slots import Slots

__all__ = ["Replicas"]

PERIOD_S: Final = 2.0
"""Between two looks at a server's health."""
SICK_LOOKS: Final = 2
"""Looks in a row at which it was not healthy, before it is taken out: one may meet a busy moment."""
SOON_S: Final = 0.25
"""To the second look after the first one that was not good, or after a failed attempt."""
REST_S: Final = 5.0
"""A server that was taken out stays so at least so long, twice as long each time; one that says that it is healthy and
still fails would otherwise come back at once."""
LONGEST_REST_S: Final = 120.0
GIVE_UP_PER_SLOT: Final = 8
"""Failures in a row while no server is healthy, for each request that may be in flight; as with one endpoint."""

T = TypeVar("T", Generation, Vectors)


class Replicas:
    """Answers requests within a bound on those in flight, and a deadline. Use as an async context manager.

    With one server it only does that. Of several, each request goes to the healthy one with the fewest on their way.
    What fails or is refused for the rate goes to another one. A server is taken out when it fails several times
    in a row, or is not healthy twice; what was on its way to it is asked of others: a request is an ordinary
    completion, and of two answers only one is kept. It comes back when it is healthy and still serves the same.
    While none is healthy, requests fail as they do with one endpoint.

    Args:
        endpoints: The servers.
        connect: Makes the client of a server; gets what to hand on as its `elsewhere`. The client's own bound on
            requests in flight must be no less than that of all.
        slots: The bound on requests in flight of all.
        attempts: Attempts that may fail, for each request.
        deadline_s: Seconds from a request's turn to its answer, over all attempts and waits; None for no end.
        health: Why a server is not healthy, "" if it is.
        same: Why a server that comes back is not what it was, "" if it is.
        told: Called with a line when a server is taken out, and when it comes back.
        noted: Called with each answer or failure, and when it was sent, while its place is still held.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        connect: Callable[[Endpoint, Callable[[], bool]], ChatClient],
        slots: Slots,
        *,
        attempts: int,
        deadline_s: float | None = None,
        health: Callable[[Endpoint], Awaitable[str]] | None = None,
        same: Callable[[Endpoint], Awaitable[str]] | None = None,
        told: Callable[[str], None] = lambda _: None,
        noted: Callable[[Generation | Failure, float], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.places = tuple(
            Replica(connect(endpoint, partial(self._elsewhere, index)), clock=clock)
            for index, endpoint in enumerate(endpoints)
        )
        self.slots = slots
        self._attempts = attempts
        self._deadline_s = deadline_s
        self._health, self._same = health, same
        self._told, self._noted, self._clock = told, noted, clock
        self._failed_in_row = 0
        self._watchers: list[asyncio.Task[None]] = []
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the connections, and begin to look at the servers' health."""
        for place in self.places:
            await self._open.enter_async_context(place.client)
        if len(self.places) > 1 and self._health is not None:
            self._watchers = [asyncio.create_task(self._watch(place, self._health)) for place in self.places]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the looks, and close the connections."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await self._open.aclose()

    @property
    def endpoint(self) -> Endpoint:
        """The first server; the others have its names."""
        return self.places[0].client.endpoint

    @property
    def stopped(self) -> EndpointError | None:
        """Why nothing is asked any more: every server refuses for good."""
        reasons = [place.client.stopped for place in self.places]
        return reasons[0] if all(reasons) else None

    @property
    def gave_up(self) -> bool:
        """Whether no server is healthy, and so much failed meanwhile that asking on would only cost time."""
        if len(self.places) == 1:
            return self.places[0].client.gave_up or self._failed_in_row >= GIVE_UP_PER_SLOT * self.slots.limit
        return not any(place.healthy for place in self.places) and (
            all(place.for_ever for place in self.places) or self._failed_in_row >= GIVE_UP_PER_SLOT * self.slots.limit
        )

    async def ask(
        self,
        body: Mapping[str, Any],
        *,
        expected: Callable[[str], bool] = nothing_expected,
        which: str = "",  # noqa: ARG002 - see `Chat.ask`
    ) -> Generation | Failure:
        """See `ChatClient.ask`."""
        async with self.slots:
            sent_s = self._clock()
            answer = await self._in_time(lambda client: client.ask(body, expected=expected))
            self._noted(answer, sent_s)
            return answer

    async def embed(self, texts: Sequence[str]) -> Vectors | Failure:
        """See `ChatClient.embed`."""
        async with self.slots:
            return await self._in_time(lambda client: client.embed(texts))

    async def _in_time(self, send: Callable[[ChatClient], Awaitable[T | Failure]]) -> T | Failure:
        if self._deadline_s is None:
            return await self._moving(send)
        try:
            async with asyncio.timeout(self._deadline_s) as deadline:
                return await self._moving(send)
        except TimeoutError:
            if not deadline.expired():
                raise
            message = f"no answer within the deadline of {self._deadline_s:g} s, all attempts and waits together"
            return Failure(kind=FailureKind.TIMEOUT, message=message)

    async def _moving(self, send: Callable[[ChatClient], Awaitable[T | Failure]]) -> T | Failure:
        """Ask one server after another until one answers, or enough attempts have failed."""
        sent = failed = 0
        before: Replica | None = None
        while True:
            if self.gave_up:
                message = f"not asked: no server is healthy, and {self._failed_in_row} attempts in a row had failed"
                return Failure(kind=FailureKind.CONNECTION, message=message, attempts=sent)
            place = self._choose(before)
            try:
                answer = await place.answer(send, alone=len(self.places) == 1)
            except (GoneError, ElsewhereError, EndpointError) as error:
                lost = self._lost(place, error)
                sent, failed, before = sent + lost.failure.attempts, failed + (not lost.waits), place
                if failed >= self._attempts:
                    return replace(lost.failure, attempts=sent)
                place.moved += 1
                if not lost.waits and failed % len(self.places) == 0:
                    # All had their turn: what ails them together may pass.
                    await asyncio.sleep(place.client.retry.pause_s(failed // len(self.places), None))
            else:
                self._count(place, answer)
                return answer if isinstance(answer, Vectors) else replace(answer, attempts=answer.attempts + sent)

    def _lost(self, place: Replica, error: GoneError | ElsewhereError | EndpointError) -> ElsewhereError:
        """What was not answered by one server, to be asked of another.

        Raises:
            EndpointError: If there is no other, and it is of no use to ask on.
        """
        if isinstance(error, ElsewhereError):
            if not error.waits:
                self._doubt(place)
            return error
        if isinstance(error, EndpointError):
            if not self._other(place):
                raise error
            self._take_out(place, error.what, for_ever=True)
        why = Failure(kind=FailureKind.CONNECTION, message=f"{place.url} was taken out: {place.why_out}")
        return ElsewhereError(why, waits=False)

    def _choose(self, before: Replica | None) -> Replica:
        """The healthy server with the fewest requests on their way; not the one that just failed, if there is another.

        One whose rate limit is closed comes after those that let somebody pass, and if none is healthy, any may try.
        """
        if len(self.places) == 1:
            return self.places[0]
        among = [place for place in self.places if place.healthy]
        among = among or [place for place in self.places if not place.for_ever] or list(self.places)
        return min(among, key=lambda place: (place.closed, place is before, place.in_flight, place.answers))

    def _other(self, place: Replica) -> bool:
        """Whether another server is healthy."""
        return any(other.healthy for other in self.places if other is not place)

    def _elsewhere(self, index: int) -> bool:
        """Whether another server than one could answer now."""
        own = self.places[index]
        return any(other.healthy and not other.closed for other in self.places if other is not own)

    def _count(self, place: Replica, answer: Generation | Vectors | Failure) -> None:
        if not isinstance(answer, Failure):
            self._failed_in_row = 0
        elif answer.kind in {FailureKind.CONNECTION, FailureKind.TIMEOUT}:
            self._failed_in_row += answer.attempts
            self._doubt(place)

    def _doubt(self, place: Replica) -> None:
        if len(self.places) > 1 and place.failing:
            self._take_out(place, f"{place.failed_in_row} attempts in a row failed")

    def _take_out(self, place: Replica, why: str, *, for_ever: bool = False) -> None:
        if not place.healthy:
            place.take_out(why, for_ever=for_ever)
            return
        place.take_out(why, for_ever=for_ever)
        others = sum(other.healthy for other in self.places)
        left = f"{others} of {len(self.places)} go on" if others else "none is left"
        self._told(f"{place.url} is taken out: {why}; {left}")

    async def _watch(self, place: Replica, health: Callable[[Endpoint], Awaitable[str]]) -> None:
        """Take a server out when it is not healthy, and bring it back when it is."""
        sick = 0
        while not place.for_ever:
            if place.healthy:
                # However many attempts fail, nobody is asked for his health more often.
                await asyncio.sleep(SOON_S)
                await _either(place.doubted, 0.0 if sick else PERIOD_S - SOON_S)
                place.doubted.clear()
                problem = await health(place.client.endpoint)
                sick = sick + 1 if problem else 0
                if sick >= SICK_LOOKS:
                    self._take_out(place, problem)
                continue
            sick = 0
            await asyncio.sleep(min(REST_S * 2.0 ** (place.times_out - 1), LONGEST_REST_S))
            if await health(place.client.endpoint):
                continue
            changed = "" if self._same is None else await self._same(place.client.endpoint)
            if changed:
                place.take_out(changed, for_ever=True)
                self._told(f"{place.url} does not come back: {changed}")
            else:
                place.bring_back()
                self._failed_in_row = 0
                self._told(f"{place.url} is healthy again and is asked again")

    def counts(self) -> list[str]:
        """A line for each server: what it answered, what it had to leave to others, how long it was out."""
        lines = []
        for place in self.places:
            line = f"{place.url}: {place.answers:,} answers"
            if place.moved:
                line += f", {place.moved:,} requests asked of others in its place"
            if place.times_out:
                line += f", out for {place.lost_s():.0f} s" + (f" ({place.why_out})" if place.why_out else "")
            lines.append(line)
        return lines


async def _either(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for an event, so long at most."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
