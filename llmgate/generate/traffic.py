"""When the next request may go to an endpoint: below the limits that the user named, and after a refusal for the rate.

Both are the endpoint's and not a request's: of 32 requests in flight that are refused together, one asks again, and the
others go when it was let in.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.generate.rate_limit import RateLimit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["FIRST_S", "LONGEST_SAID_S", "MOST_S", "PATIENCE_S", "Bucket", "Traffic"]

PATIENCE_S: Final = 61.0
"""So long an endpoint is asked again that lets nothing pass and does not say how long to wait: a window of a minute."""
LONGEST_SAID_S: Final = 300.0
"""A longer wait is a limit per day, and no wait of a run's."""
FIRST_S: Final = 1.0
MOST_S: Final = 20.0
"""One request each ten seconds does no harm, and longer pauses would miss the end of a window by half a minute."""
LOOK_S: Final = 0.1
"""While tokens are waited for, a reply may return some that were taken for it."""


@dataclass(slots=True)
class Bucket:
    """A token bucket that holds no more than one request: each goes when what was taken before has flowed back.

    So `n` that cost `c` each are `60 c / per_minute` seconds apart, and any 60 seconds (begin counted, end not) hold
    at most `per_minute`, plus what the last request in them costs beyond one. There is no burst at the start, because
    providers hold their limits over parts of a minute too.

    Attributes:
        per_minute: The limit.
        free_s: When all that was taken has flowed back.
    """

    per_minute: float
    free_s: float = -math.inf

    def wait_s(self, now_s: float) -> float:
        """How long until the next may go, in seconds."""
        return max(0.0, self.free_s - now_s)

    def take(self, amount: float, now_s: float) -> None:
        """Take for one that goes now; less than nothing gives back."""
        start = self.free_s if amount < 0 else max(self.free_s, now_s)
        self.free_s = start + amount * 60.0 / self.per_minute


class Traffic:
    """Lets requests to one endpoint pass. May be shared by several clients of one event loop.

    Args:
        limit: What the user says that the endpoint allows.
        told: Called when all have to wait for an endpoint's rate limit, with seconds.
        clock: Seconds, monotonic.
        sleep: Waits so many seconds.
        draw: A number from 0 to 1, uniform; by default of the system.
    """

    def __init__(
        self,
        limit: RateLimit | None = None,
        *,
        told: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] | None = None,
    ) -> None:
        limit = limit or RateLimit()
        self.refusals = 0
        self.waited_s = 0.0
        self._requests = Bucket(limit.rpm) if limit.rpm else None
        self._tokens = Bucket(limit.tpm) if limit.tpm else None
        self._told, self._clock, self._sleep = told, clock, sleep
        self._draw = draw or secrets.SystemRandom().random
        self._line = asyncio.Lock()
        self._changed = asyncio.Event()
        self._epoch = 0
        self._fresh = 0
        self._allowed = math.inf
        self._closed_until = -math.inf
        self._round = 0
        self._since: float | None = None
        self._said_s = 0.0

    @property
    def counts_tokens(self) -> bool:
        """Whether anybody needs to know what requests cost."""
        return self._tokens is not None

    @property
    def closed_s(self) -> float:
        """How long nobody may pass, in seconds, because the endpoint refused for the rate; 0 while some may."""
        return max(0.0, self._closed_until - self._clock())

    async def enter(self, tokens: int) -> int:
        """Wait until a request may go; those who came first go first. `leave` must follow.

        Args:
            tokens: What it will probably cost.

        Returns:
            How often the door had been closed when it went: what `leave` and `refused` are told.
        """
        if not self._free:
            async with self._line:
                await self._turn(tokens)
        self._fresh += 1
        return self._epoch

    async def _turn(self, tokens: int) -> None:
        while True:
            now = self._clock()
            if now < self._closed_until:
                await self._sleep(self._closed_until - now)
            elif self._fresh >= self._allowed:
                self._changed.clear()
                await self._changed.wait()
            elif (wait := self._bucket_wait_s(now)) > 0:
                await self._sleep(min(wait, LOOK_S) if self._tokens else wait)
            else:
                break
        if self._requests:
            self._requests.take(1, now)
        if self._tokens:
            self._tokens.take(tokens, now)

    def leave(self, epoch: int, *, passed: bool | None) -> None:
        """A request has ended.

        Args:
            epoch: What `enter` returned.
            passed: Whether the endpoint let it in. None if it was refused for the rate, or nobody knows.
        """
        if epoch != self._epoch:
            # It went before the door was closed, and says nothing about now.
            return
        self._fresh -= 1
        if passed:
            self._since, self._round, self._said_s = None, 0, 0.0
            # As many more at each round trip as were let in: 1, 2, 4, …
            self._allowed += 1
        self._changed.set()

    def settle(self, estimated: int, used: int | None) -> None:
        """Correct what was taken for a request by what it cost; None if nobody said it."""
        if self._tokens and used is not None:
            self._tokens.take(used - estimated, self._clock())

    def refused(self, epoch: int, said_s: float | None) -> bool:
        """A request was refused for the rate; call it before `leave`.

        Args:
            epoch: What `enter` returned.
            said_s: How long the endpoint asks to wait.

        Returns:
            Whether to ask again. False when it has let nothing pass for a minute and the time that it said, or says
            more than five minutes.
        """
        now = self._clock()
        self.refusals += 1
        if said_s is not None and said_s > LONGEST_SAID_S:
            return False
        self._since = now if self._since is None else self._since
        self._said_s = max(self._said_s, said_s or 0.0)
        left = self._since + PATIENCE_S + self._said_s - now
        if left <= 0:
            return False
        if epoch == self._epoch:
            self._round += 1
            pause = self._draw() * min(FIRST_S * 2.0 ** min(self._round - 1, 16), MOST_S)
            self._close(now, min(pause, left) if said_s is None else said_s + self._draw() * min(FIRST_S, said_s))
            self._epoch, self._fresh, self._allowed = self._epoch + 1, 0, 1.0
            self._changed.set()
        elif said_s is not None:
            # The others that went with the first one may know better how long it takes.
            self._close(now, said_s)
        return True

    def _close(self, now: float, pause_s: float) -> None:
        until = now + pause_s
        longer = until - max(now, self._closed_until)
        if longer > 0:
            self.waited_s += longer
            self._closed_until = until
            self._told(pause_s)

    @property
    def _free(self) -> bool:
        return self._allowed == math.inf and self._requests is None and self._tokens is None

    def _bucket_wait_s(self, now: float) -> float:
        return max(bucket.wait_s(now) if bucket else 0.0 for bucket in (self._requests, self._tokens))
