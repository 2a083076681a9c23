"""Connections: kept ahead, replaced when the server closes them, and no longer trusted when it does so each time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_server import FakeServer

from llmgate.bench.client.http import Connection, HttpOrigin
from llmgate.bench.client.pool import Pool
from llmgate.bench.client.stamps import KernelClock
from llmgate.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

BODY = b'{"stream":true,"messages":[{"role":"user","content":"a b c"}]}'


def with_pool(server: FakeServer, use: Callable[[Pool], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        clock = KernelClock()
        pool = Pool(HttpOrigin.parse(server.url), ssl_context=None, clock=clock)
        try:
            await use(pool)
        finally:
            await pool.close()
            clock.close()

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.005)


async def carry(pool: Pool, connection: Connection) -> None:
    done = asyncio.get_running_loop().create_future()
    request = pool._origin.post("/v1/chat/completions", BODY)
    connection.send(request, done.set_result, timeout_s=20)
    assert (await done).error is None
    pool.give(connection)


def test_it_is_filled_and_gives_what_became_idle_last() -> None:
    with FakeServer() as server:

        async def use(pool: Pool) -> None:
            assert pool.take() is None
            await pool.fill(40)
            await pool.fill(3)
            await until(lambda: server.connections == 40)
            first = pool.take()
            assert first is not None
            await carry(pool, first)
            assert pool.take() is first

        with_pool(server, use)


def test_connections_are_kept_ahead() -> None:
    with FakeServer() as server:

        async def use(pool: Pool) -> None:
            await pool.fill(2)
            pool.keep_ahead(2)
            taken = [pool.take(), pool.take()]
            assert None not in taken
            await until(lambda: server.connections == 4 and len(pool._idle) == 2)
            assert pool.take() is not None

        with_pool(server, use)


def test_what_the_server_closes_between_requests_is_opened_anew_at_once() -> None:
    with FakeServer(hangs_up=True) as server:

        async def use(pool: Pool) -> None:
            await pool.fill(1)
            connection = pool.take()
            assert connection is not None
            await carry(pool, connection)
            await until(lambda: server.connections == 2 and pool._idle not in ([], [connection]))
            fresh = pool.take()
            assert fresh is not None
            assert fresh is not connection
            assert fresh.carried == 0
            assert pool.resent == 0

        with_pool(server, use)


def test_a_fresh_connection_that_is_closed_at_once_is_not_replaced_for_ever() -> None:
    with FakeServer() as server:

        async def use(pool: Pool) -> None:
            await pool.fill(2)
            await until(lambda: len(server.open) == 2)
            server.loop.call_soon_threadsafe(server._drop)
            await until(lambda: not pool._idle)
            await asyncio.sleep(0.05)
            assert server.connections == 2

        with_pool(server, use)


def test_a_server_that_dropped_kept_connections_twice_gets_a_fresh_one_for_each_request() -> None:
    with FakeServer() as server:

        async def use(pool: Pool) -> None:
            await pool.fill(4)
            pool.keep_ahead(4)
            for _ in range(2):
                connection = pool.take()
                assert connection is not None
                pool.dropped(connection)
            assert pool.resent == 2
            assert pool.take() is None, "what is idle is not trusted either"
            fresh = await pool.fresh()
            await carry(pool, fresh)
            assert pool.take() is None, "nor what has carried a request"

        with_pool(server, use)


def test_a_server_that_is_gone() -> None:
    with FakeServer() as server:
        pass

    async def use(pool: Pool) -> None:
        for opening in (pool.fresh(), pool.fill(2)):
            with pytest.raises(BenchError, match="cannot be reached"):
                await opening

    with_pool(server, use)
