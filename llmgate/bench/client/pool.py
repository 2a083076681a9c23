"""The connections of a measurement: which are idle, and that there are enough before they are needed."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from llmgate.bench.client.http import Connection, HttpOrigin, connect
from llmgate.errors import BenchError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine

    from llmgate.bench.client.stamps import KernelClock

__all__ = ["Pool"]

AT_ONCE: Final = 32
"""Connections that are opened side by side: a server's queue of new ones is short."""
DROPS: Final = 2
"""So many kept connections closed instead of answering show that the server keeps none, whatever it announces."""
SHORT_S: Final = 1.0


class Pool:
    """Connections to one server.

    A server may announce that it keeps a connection and close it all the same (llama.cpp after each stream). What it
    closes between two requests is opened anew at once; when it has closed twice instead of answering, every request
    gets a fresh connection from then on. None is then opened ahead: such servers give each connection a thread, and
    idle ones would take those of the requests.

    Args:
        origin: Where to.
        ssl_context: As for `connect`.
        clock: As for `connect`.

    Attributes:
        resent: Requests sent again, because a kept connection closed before a byte of the answer came.
    """

    def __init__(self, origin: HttpOrigin, *, ssl_context: ssl.SSLContext | None, clock: KernelClock) -> None:
        self.resent = 0
        self._origin = origin
        self._ssl_context = ssl_context
        self._clock = clock
        self._open: dict[Connection, float] = {}
        self._idle: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ahead = 0
        self._keeps = True
        self._closed = False

    async def fill(self, count: int) -> None:
        """Have so many idle connections.

        Raises:
            BenchError: If one cannot be opened.
        """
        while (missing := count - len(self._idle)) > 0:
            opened = await asyncio.gather(
                *(self._connected() for _ in range(min(missing, AT_ONCE))), return_exceptions=True
            )
            for one in opened:
                if isinstance(one, BaseException):
                    raise one
                self._idle.append(one)

    def keep_ahead(self, count: int) -> None:
        """From now on, keep so many idle connections beyond those in use."""
        self._ahead = count

    def take(self) -> Connection | None:
        """The connection that became idle last, None if there is none."""
        found = None
        while found is None and self._idle:
            connection = self._idle.pop()
            if connection.usable:
                found = connection
            else:
                self._forget(connection)
        if self._keeps and len(self._idle) + len(self._tasks) < self._ahead:
            self._begin(self._replace())
        return found

    def give(self, connection: Connection) -> None:
        """Have back a connection whose exchange has ended."""
        if self._keeps and connection.usable:
            self._idle.append(connection)
        else:
            self._forget(connection)

    def dropped(self, connection: Connection) -> None:
        """Note a kept connection that closed instead of answering."""
        self._forget(connection)
        self.resent += 1
        if self.resent >= DROPS and self._keeps:
            self._keeps = False
            for idle in self._idle:
                self._forget(idle)
            self._idle.clear()

    async def fresh(self) -> Connection:
        """A connection that has carried nothing yet.

        Raises:
            BenchError: If it cannot be opened.
        """
        return await self._connected()

    async def close(self) -> None:
        """Close all of them at once."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for connection in self._open:
            connection.close()
        self._open.clear()
        await asyncio.sleep(0)  # lets the transports close their sockets

    async def _connected(self) -> Connection:
        connection = await connect(self._origin, ssl_context=self._ssl_context, clock=self._clock)
        if self._closed:
            connection.close()
        connection.on_idle_end = self._ended
        self._open[connection] = time.perf_counter()
        return connection

    def _ended(self, connection: Connection) -> None:
        """The server closed an idle connection. One that it closes at once each time is not replaced for ever."""
        since_s = self._open.get(connection, 0.0)
        self._forget(connection)
        if connection in self._idle:
            self._idle.remove(connection)
            if self._keeps and (connection.carried or time.perf_counter() - since_s > SHORT_S):
                self._begin(self._replace())

    async def _replace(self) -> None:
        with suppress(BenchError):  # Whoever needs it will find out, and say so.
            connection = await self._connected()
            if self._keeps:
                self._idle.append(connection)
            else:
                self._forget(connection)

    def _begin(self, opening: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(opening)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _forget(self, connection: Connection) -> None:
        self._open.pop(connection, None)
        connection.close()
