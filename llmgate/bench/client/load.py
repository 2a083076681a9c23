"""Measures a server: sends a workload as a load says, and puts what happened into one trace."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from llmgate.bench.client.http import HttpOrigin, connect, fetch
from llmgate.bench.client.reading import AnswerReader, replays_marked
from llmgate.bench.client.selfcheck import KEPT, growth, read_ttft_histogram
from llmgate.bench.client.share import LoadJob, LoadShare, in_order
from llmgate.bench.client.workers import Workers, jobs_for, processes_for
from llmgate.bench.workload.workload import Workload, digest_bodies, model_in
from llmgate.errors import BenchError
from llmgate.record.serving.trace import RequestTrace, ServerHistogram, ServingTrace

if TYPE_CHECKING:
    from llmgate.bench.client.share import ShareOutcome
    from llmgate.bench.workload.load import Load
    from llmgate.generate.client import Endpoint

__all__ = ["CLIENT_VERSION", "Watch", "measure_serving"]

CLIENT_VERSION: Final = "llmgate-bench 2"
"""Changes when timings taken by two versions must not be compared."""
UNSTAMPED: Final = ", no kernel time stamps"
"""Added to it where times are those at which this process got to read: they are later."""
UNSTAMPED_SHARE: Final = 0.01

SCRAPE_TIMEOUT_S: Final = 10.0
OPEN_WARM_UP: Final = 8
SALT_BYTES: Final = 4

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
    salt: str | None = None,
) -> ServingTrace:
    """Measure a server.

    A request that fails is recorded in its trace and not tried again. (One whose connection the server had meant to
    close is sent again before anything is timed, see `Drive`; the trace counts them.) When a connection cannot be
    opened any more, the requests that are left are recorded as not sent.

    Args:
        workload: What to send; begun again when the load asks for more requests.
        endpoint: Where to.
        load: How many, and when.
        watches: Observe while it goes on.
        on_progress: Called with (ended, planned) during the measurement; must return at once.
        salt: Put into every prompt (see `Workload.take`), so that nothing that was asked before can be answered out of
            a cache. Give the same one to two measurements that are to send the same bytes; "" sends the prompts as they
            are. By default a new one.

    Raises:
        BenchError: If the server cannot be reached at all.
        UsageError: If the endpoint's URL is none, or the load cannot be divided as it says.
    """
    salt = secrets.token_hex(SALT_BYTES) if salt is None else salt
    bodies = workload.take(load.requests, salt=salt)
    origin = HttpOrigin.parse(endpoint.url, api_key=endpoint.api_key)
    processes = processes_for(load)
    crew = _crew(_job(workload, endpoint, load, origin, salt), bodies, processes)
    planned = len(bodies)
    on_ended = None if on_progress is None else lambda ended: on_progress(ended, planned)
    try:
        await crew.prepare()
        for watch in watches:
            await watch.start()
        before = await _scrape(origin)
        outcomes = await crew.run(on_ended)
        after = await _scrape(origin)
        for watch in reversed(watches):
            await watch.stop()
    finally:
        await crew.close()
    trace = replace(
        _trace(outcomes, planned),
        name=workload.name,
        workload=workload.description,
        workload_digest=digest_bodies(workload.take(load.requests)),
        concurrency=load.concurrency,
        server_ttft=growth(before, after),
        model=model_in(bodies[0]),
        arrivals=load.arrivals,
        salt=salt,
    )
    for watch in watches:
        trace = watch.told(trace)
    return trace


class _Crew(Protocol):
    async def prepare(self) -> None: ...

    async def run(self, on_ended: Callable[[int], None] | None) -> tuple[ShareOutcome, ...]: ...

    async def close(self) -> None: ...


class _Alone:
    """This process does it all."""

    def __init__(self, job: LoadJob, bodies: Sequence[bytes]) -> None:
        self._share = LoadShare(job, bodies, in_order(len(bodies)))

    async def prepare(self) -> None:
        await self._share.prepare()

    async def run(self, on_ended: Callable[[int], None] | None) -> tuple[ShareOutcome, ...]:
        return (await self._share.run(None, on_ended),)

    async def close(self) -> None:
        await self._share.close()


def _crew(job: LoadJob, bodies: Sequence[bytes], processes: int) -> _Crew:
    return _Alone(job, bodies) if processes == 1 else Workers(jobs_for(job, processes), bodies)


def _job(workload: Workload, endpoint: Endpoint, load: Load, origin: HttpOrigin, salt: str) -> LoadJob:
    """All of it, as one job."""
    in_flight = min(load.concurrency, load.requests)
    warm_up_concurrency = in_flight or min(OPEN_WARM_UP, load.requests)
    warm_up = warm_up_concurrency if load.warmup is None else load.warmup
    return LoadJob(
        origin=origin,
        reader=AnswerReader(
            model=model_in(workload.bodies[0]),
            names=endpoint.names,
            finish_reasons=endpoint.finish_reasons,
            api_key=endpoint.api_key,
        ),
        concurrency=in_flight,
        due=None if load.closed else tuple(enumerate(load.due_s)),
        warm_up=workload.warm_up(warm_up, salt=salt) if warm_up else (),
        warm_up_concurrency=warm_up_concurrency,
        timeout_s=load.timeout_s,
    )


def _trace(outcomes: Sequence[ShareOutcome], planned: int) -> ServingTrace:
    """What all processes saw, in one trace, in the order of the plan, without what is known beforehand.

    Raises:
        BenchError: If a request has no trace.
    """
    answers = sorted((a for outcome in outcomes for a in outcome.answers), key=lambda answer: answer.trace.index)
    if [answer.trace.index for answer in answers] != list(range(planned)):
        raise BenchError(f"{len(answers)} traces came of {planned} requests", where="bench")
    start_s, end_s = min(o.start_s for o in outcomes), max(o.end_s for o in outcomes)
    reads, unstamped = sum(a.reads for a in answers), sum(a.unstamped for a in answers)
    return ServingTrace(
        name="",
        workload="",
        workload_digest="",
        concurrency=0,
        requests=tuple(_relative(trace, start_s) for trace in replays_marked(answers)),
        duration_s=end_s - start_s,
        client_cpu_s=max(o.cpu_s for o in outcomes),
        client_lag_s=tuple(sorted((lag for o in outcomes for lag in o.lag_s), reverse=True)[:KEPT]),
        client_blocked_s=max(o.blocked_s for o in outcomes),
        client_version=CLIENT_VERSION + (UNSTAMPED if unstamped > UNSTAMPED_SHARE * reads else ""),
        client_processes=len(outcomes),
        client_resent=sum(o.resent for o in outcomes),
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
