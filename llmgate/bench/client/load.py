"""Drives a workload in a closed loop: a fixed number of requests in flight, each answer at once followed by the next.

The next request leaves from within the callback that saw the last byte of the answer before, so a slot is empty for
microseconds. Answers are read after the measurement; only when 64 MiB of them wait, each is read as it ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from llmgate.bench.client.events import read_answer
from llmgate.bench.client.http import Connection, Exchange, HttpOrigin, connect, fetch
from llmgate.bench.client.selfcheck import LagProbe, growth, quiet_collector, read_ttft_histogram
from llmgate.bench.workload.workload import Workload, digest_bodies, model_in
from llmgate.errors import BenchError, UsageError
from llmgate.generate.finish import FinishRule
from llmgate.generate.who_answered import with_headers
from llmgate.record.answered_by import AnsweredBy
from llmgate.record.redaction import REDACTED, Redactor
from llmgate.record.serving.trace import RequestTrace, ServerHistogram, ServingTrace

if TYPE_CHECKING:
    from llmgate.bench.workload.load import Load
    from llmgate.generate.client import Endpoint

__all__ = ["CLIENT_VERSION", "Watch", "measure_serving"]

CLIENT_VERSION = "llmgate-bench 1"
"""Changes when timings taken by two versions must not be compared."""

UNREAD_BYTES = 64 * 2**20
SCRAPE_TIMEOUT_S = 10.0
OWN_ID_CHARS = 16
"""Shorter ids of replies may come twice by chance: Ollama draws a number below 1000."""
REPLAYED = "one reply id came twice"
PATH = "/v1/chat/completions"

Progress = Callable[[int, int], None]


class Watch(Protocol):
    """Something that is observed while a measurement goes on, and told in its trace."""

    async def start(self) -> None:
        """The warm-up is over, and the measurement is about to begin."""

    async def stop(self) -> None:
        """The last answer has come."""

    def told(self, trace: ServingTrace) -> ServingTrace:
        """The trace with what was observed; called once, after `stop`."""


async def measure_serving(
    workload: Workload,
    endpoint: Endpoint,
    load: Load,
    *,
    watches: Sequence[Watch] = (),
    on_progress: Progress | None = None,
) -> ServingTrace:
    """Measure a server.

    A request that fails is recorded in its trace and sent only once. When a connection cannot be opened any more, the
    requests that are left are recorded as not sent.

    Args:
        workload: What to send; begun again when the load asks for more requests.
        endpoint: Where to.
        load: How many, and when.
        watches: Observe while it goes on.
        on_progress: Called with (ended, planned) during the measurement; must return at once.

    Raises:
        BenchError: If the server cannot be reached at all.
        UsageError: If the endpoint's URL is none.
    """
    if not load.closed:
        raise UsageError("only closed loops can be measured", where="bench", fix="Leave the arrivals out")
    warmup = load.concurrency if load.warmup is None else load.warmup
    origin = HttpOrigin.parse(endpoint.url, api_key=endpoint.api_key)
    bodies = workload.take(load.requests)
    digest = digest_bodies(bodies)
    rule = FinishRule(further=endpoint.finish_reasons)
    in_flight = min(load.concurrency, load.requests)
    slots = [_Slot(origin, load.timeout_s, await connect(origin)) for _ in range(in_flight)]
    try:
        if warmup:
            await _Drive(origin, workload.warm_up(warmup), slots, None, finish=rule).run()
        for watch in watches:
            await watch.start()
        before = await _scrape(origin)
        probe, drive = LagProbe(), _Drive(origin, bodies, slots, on_progress, finish=rule, names=endpoint.names)
        with quiet_collector():
            probe.start()
            cpu_s, start_s = time.process_time(), time.perf_counter()
            await drive.run()
            duration_s, cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_s
            probe.stop()
        after = await _scrape(origin)
        for watch in reversed(watches):
            await watch.stop()
    finally:
        for slot in slots:
            slot.connection.close()
        await asyncio.sleep(0)  # lets the transports close their sockets
    trace = ServingTrace(
        name=workload.name,
        workload=workload.description,
        workload_digest=digest,
        concurrency=load.concurrency,
        requests=tuple(_relative(trace, start_s) for trace in drive.traces()),
        duration_s=duration_s,
        client_cpu_s=cpu_s,
        client_lag_s=probe.worst_s,
        client_blocked_s=probe.blocked_s,
        client_version=CLIENT_VERSION,
        server_ttft=growth(before, after),
        model=drive.model,
        arrivals=load.arrivals,
    )
    for watch in watches:
        trace = watch.told(trace)
    return trace


class _Slot:
    """One of the requests in flight: its connection and what is on its way."""

    def __init__(self, origin: HttpOrigin, timeout_s: float, connection: Connection) -> None:
        self.origin = origin
        self.timeout_s = timeout_s
        self.connection = connection
        self.index = -1
        self.queued_s = 0.0


class _Drive:
    """Sends each body once, `len(slots)` at a time."""

    def __init__(
        self,
        origin: HttpOrigin,
        bodies: Sequence[bytes],
        slots: Sequence[_Slot],
        on_progress: Progress | None,
        *,
        finish: FinishRule,
        names: Sequence[str] = (),
    ) -> None:
        ready: dict[bytes, bytes] = {}
        self._requests = [ready.setdefault(body, origin.post(PATH, body)) for body in bodies]
        self.model = model_in(bodies[0])
        self._names = names
        self._origin = origin
        self._redact = Redactor((origin.api_key or "",))
        self._slots = slots
        self._finish = finish
        self._on_progress = on_progress
        self._traces: list[RequestTrace | None] = [None] * len(bodies)
        self._ids: set[str] = set()
        self._unread: list[tuple[int, float, Exchange]] = []
        self._unread_bytes = 0
        self._next = 0
        self._ended = 0
        self._lost: str | None = None
        self._reconnects: set[asyncio.Task[None]] = set()
        self._all_ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Send everything and wait for the last answer."""
        start_s = time.perf_counter()
        for slot in self._slots:
            self._go_on(slot, start_s)
        try:
            await self._all_ended
        finally:
            for task in self._reconnects:
                task.cancel()

    def traces(self) -> tuple[RequestTrace, ...]:
        """One entry per body, in order; reads what has been put off."""
        for index, queued_s, exchange in self._unread:
            self._read(index, queued_s, exchange)
        self._unread.clear()
        missing = [index for index, trace in enumerate(self._traces) if trace is None]
        if missing:
            raise BenchError(f"{len(missing)} requests ended without a trace", where=str(self._origin))
        return tuple(trace for trace in self._traces if trace is not None)

    def _go_on(self, slot: _Slot, free_s: float) -> None:
        """Send the next request of a slot that has been free since `free_s`."""
        if self._next >= len(self._requests):
            return
        slot.index, slot.queued_s = self._next, free_s
        self._next += 1
        if self._lost is not None:
            self._fail(slot, f"not sent: {self._lost}")
        elif slot.connection.usable:
            self._send(slot)
        else:
            task = asyncio.get_running_loop().create_task(self._reconnect(slot))
            self._reconnects.add(task)
            task.add_done_callback(self._reconnects.discard)

    def _send(self, slot: _Slot) -> None:
        request = self._requests[slot.index]
        slot.connection.send(request, lambda exchange: self._answered(slot, exchange), timeout_s=slot.timeout_s)

    async def _reconnect(self, slot: _Slot) -> None:
        try:
            try:
                slot.connection = await connect(slot.origin)
            except BenchError as error:
                self._lost = self._lost or error.what
                self._fail(slot, f"not sent: {error.what}")
            else:
                self._send(slot)
        except Exception as error:  # noqa: BLE001 - as in _answered
            self._give_up(error)

    def _answered(self, slot: _Slot, exchange: Exchange) -> None:
        try:
            index, queued_s = slot.index, slot.queued_s
            self._go_on(slot, exchange.end_s)
            if self._unread_bytes < UNREAD_BYTES:
                self._unread.append((index, queued_s, exchange))
                self._unread_bytes += exchange.size
            else:
                self._read(index, queued_s, exchange)
            self._count()
        except Exception as error:  # noqa: BLE001 - the event loop would only log it, and the run never end
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if not self._all_ended.done():
            self._all_ended.set_exception(error)

    def _fail(self, slot: _Slot, why: str) -> None:
        now = time.perf_counter()
        self._traces[slot.index] = RequestTrace(
            index=slot.index, queued_s=slot.queued_s, sent_s=now, token_events_s=(), end_s=now, error=why
        )
        self._count()
        # Not a direct call: thousands of requests that cannot be sent would be as many nested calls.
        asyncio.get_running_loop().call_soon(self._go_on, slot, now)

    def _count(self) -> None:
        self._ended += 1
        if self._on_progress is not None:
            self._on_progress(self._ended, len(self._requests))
        if self._ended == len(self._requests) and not self._all_ended.done():
            self._all_ended.set_result(None)

    def _read(self, index: int, queued_s: float, exchange: Exchange) -> None:
        answer = read_answer(exchange, self._finish)
        said = replace(answer.said, model=None) if answer.said.model in self._names else answer.said
        by = with_headers(said, exchange.headers, asked=self.model)
        if answer.reply_id in self._ids:
            by = replace(by or AnsweredBy(), cached=REPLAYED)
        elif len(answer.reply_id) >= OWN_ID_CHARS:
            self._ids.add(answer.reply_id)
        error = answer.error
        if error is not None:
            # Nothing but words is lost here, so the key goes however short it is.
            error = self._redact.text(error).replace(self._origin.api_key or REDACTED, REDACTED)
        self._traces[index] = RequestTrace(
            index=index,
            queued_s=queued_s,
            sent_s=exchange.sent_s,
            token_events_s=answer.token_events_s,
            end_s=exchange.end_s,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            error=error,
            answered_by=by,
        )


def _relative(trace: RequestTrace, start_s: float) -> RequestTrace:
    return replace(
        trace,
        queued_s=max(0.0, trace.queued_s - start_s),
        sent_s=trace.sent_s - start_s,
        token_events_s=tuple(t - start_s for t in trace.token_events_s),
        end_s=trace.end_s - start_s,
    )


async def _scrape(origin: HttpOrigin) -> ServerHistogram | None:
    """The server's histogram now; None where there are no such metrics."""
    with suppress(BenchError):
        connection = await connect(origin)
        try:
            exchange = await fetch(connection, origin.get("/metrics"), timeout_s=SCRAPE_TIMEOUT_S)
        finally:
            connection.close()
        if exchange.error is None and exchange.status == 200:
            return read_ttft_histogram(b"".join(data for _, data in exchange.pieces).decode("utf-8", "replace"))
    return None
