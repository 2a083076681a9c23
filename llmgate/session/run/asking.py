"""How the model under test is asked: of which servers, how many requests at once, until when, out of which cache."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import EndpointError, LlmgateError
from llmgate.generate.base_url import normalise_url
from llmgate.generate.chat import Chat
from llmgate.generate.endpoint import probe
from llmgate.generate.pool.slots import Slots
from llmgate.generate.rate_limit import RateLimit
from llmgate.generate.traffic import Traffic
from llmgate.report.visible import one_line
from llmgate.report.words import plural
from llmgate.session.progress import rate_limit_lines
from llmgate.session.reach.known_secrets import redactor
from llmgate.session.reach.replicas import different
from llmgate.session.run.models import make_client

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack

    from llmgate.generate.client import ChatClient, Endpoint
    from llmgate.generate.endpoint import EndpointFacts
    from llmgate.generate.replicas.adapting import Adapting
    from llmgate.generate.replicas.replicas import Replicas
    from llmgate.generate.response_cache import CachedChat
    from llmgate.record.run.rundir import RunDir
    from llmgate.session.progress import Progress
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = ["AskedModel", "open_model", "with_replicas"]

VLLM: Final = "vllm"


def with_replicas(settings: Settings, target: Target, progress: Progress) -> Target:
    """The target with the further servers that the options name, each asked now what it serves.

    Raises:
        EndpointError: If one cannot be used, or does not serve what the endpoint serves.
        UsageError: If the key may not go to one.
    """
    if not settings.replicas:
        return target
    others = []
    first = _facts(settings, target.endpoint)
    for written in settings.replicas:
        url = normalise_url(written)
        progress.stage(f"connecting to {url}")
        other = replace(target.endpoint, url=url, api_key=settings.replica_key(url))
        if why := different(first, _facts(settings, other)):
            raise EndpointError(
                f"{why}, so it is no replica of {target.endpoint.url}",
                where=f"--replicas {url}",
                fix="Serve the same model there by the same engine, or leave it out",
            )
        others.append(other)
    urls = tuple(other.url for other in others)
    return replace(target, others=tuple(others), server=replace(target.server, replicas=urls))


def _facts(settings: Settings, endpoint: Endpoint) -> EndpointFacts:
    return probe(endpoint.url, api_key=endpoint.api_key, model=endpoint.model, key_place=settings.key_place)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedModel:
    """The model under test as it is asked in one run.

    Attributes:
        chat: Asks it.
        in_flight: How many requests at once, in words.
        told: Says how it went, line by line, once everything was asked.
    """

    chat: Chat
    in_flight: str
    told: Callable[[], Iterator[str]]


async def open_model(
    settings: Settings, target: Target, run: RunDir, stack: AsyncExitStack, *, progress: Progress
) -> AskedModel:
    """Connect to the model under test; everything ends with the stack.

    With one server, a fixed number in flight and no deadline it is a client and nothing else.

    Args:
        settings: The options.
        target: Where the model is.
        run: Its manifest says who answers; it is told what the number in flight came to.
        stack: Closes what is opened here.
        progress: Told about servers that are lost, and rate limits that are waited for.

    Raises:
        UsageError: If answers are to be kept and cannot be.
    """
    endpoints = (target.endpoint, *target.others)
    share = _share(settings.limit, len(endpoints))
    traffics = {one.url: Traffic(share, told=rate_limit_lines(progress)) for one in endpoints}
    chat: Chat
    replicas: Replicas | None = None
    adapting: Adapting | None = None
    words = f"{settings.concurrency} in flight"
    if len(endpoints) == 1 and not settings.adaptive and not settings.deadline:
        client = make_client(
            target.endpoint,
            settings,
            death=target.death,
            traffic=traffics[target.endpoint.url],
            slots=Slots(settings.concurrency),
        )
        chat = await stack.enter_async_context(client)
    else:
        slots = Slots(settings.concurrency)
        if settings.adaptive:
            adapting = _adapting(slots, servers=len(endpoints))
            words = f"{slots.limit} to {settings.concurrency} in flight, as the server bears"
        replicas = _replicas(settings, target, traffics, slots, adapting=adapting, progress=progress)
        chat = await stack.enter_async_context(replicas)
        if adapting is not None:
            _beside(stack, adapting, replicas, metrics=target.server.engine == VLLM)
            stack.callback(_note, run, adapting)
    cached = _cached(settings, chat, run)

    def told() -> Iterator[str]:
        yield from _limited(settings, traffics)
        if replicas is not None and len(replicas.places) > 1:
            yield from replicas.counts()
        if adapting is not None:
            came = adapting.came_to()
            yield f"in flight by the {came.by}: {came.limit} in the end, {came.most} at most"
        if cached is not None:
            yield (
                f"{plural(cached.found, 'answer')} came out of the cache, {cached.kept:,} were put into it: "
                "no verdict that rests on it is PASS"
                if cached.found
                else f"no answer came out of the cache, {cached.kept:,} were put into it"
            )

    return AskedModel(chat=cached or chat, in_flight=words, told=told)


def _adapting(slots: Slots, *, servers: int) -> Adapting:
    """What changes the bound, which is the most until then."""
    # Few runs adapt, and none else has to load this.
    from llmgate.generate.pool.pace import START  # noqa: PLC0415
    from llmgate.generate.replicas.adapting import Adapting  # noqa: PLC0415
    from llmgate.generate.replicas.looks import LoadMeter  # noqa: PLC0415

    most = slots.limit
    slots.set_limit(min(START * servers, most))
    return Adapting(slots, most=most, load=LoadMeter())


def _replicas(
    settings: Settings,
    target: Target,
    traffics: Mapping[str, Traffic],
    slots: Slots,
    *,
    adapting: Adapting | None,
    progress: Progress,
) -> Replicas:
    # A run that asks one endpoint with a fixed number in flight does without.
    from llmgate.generate.replicas.looks import health_problem  # noqa: PLC0415
    from llmgate.generate.replicas.replicas import Replicas  # noqa: PLC0415

    def connect(one: Endpoint, elsewhere: Callable[[], bool]) -> ChatClient:
        return make_client(one, settings, death=target.death, traffic=traffics[one.url], elsewhere=elsewhere)

    async def same(one: Endpoint) -> str:
        return await asyncio.to_thread(_changed, settings, target, one)

    return Replicas(
        (target.endpoint, *target.others),
        connect,
        slots,
        attempts=settings.retries + 1,
        deadline_s=settings.deadline or None,
        health=partial(health_problem, vllm=target.server.engine == VLLM),
        same=same,
        told=progress.stage,
        noted=adapting.noted if adapting is not None else lambda *_: None,
    )


def _changed(settings: Settings, target: Target, one: Endpoint) -> str:
    """Why a server that comes back is not what it was, "" if it is."""
    server = target.server
    try:
        facts = _facts(settings, one)
    except LlmgateError as error:
        return one_line(error.what, 160)
    if (facts.model, facts.engine, facts.version) != (target.endpoint.model, server.engine, server.version):
        return f"it serves {one_line(facts.model, 120)} by {facts.engine} {facts.version or ''} now".rstrip()
    # An endpoint that tells no origin is its own.
    if (facts.source or target.endpoint.url) != target.model.source:
        return f"it serves {one_line(facts.source or 'what it does not tell', 120)} now"
    return ""


def _share(limit: RateLimit, servers: int) -> RateLimit:
    """The part of the limits that each of several servers gets: together they never go beyond."""
    return RateLimit(rpm=limit.rpm // servers, tpm=limit.tpm // servers)


def _beside(stack: AsyncExitStack, adapting: Adapting, replicas: Replicas, *, metrics: bool) -> None:
    """Let the number follow the servers until the stack closes."""
    following = asyncio.create_task(adapting.follow(replicas.places, metrics=metrics))

    async def end() -> None:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    stack.push_async_callback(end)


def _note(run: RunDir, adapting: Adapting) -> None:
    run.in_flight = adapting.came_to()


def _cached(settings: Settings, chat: Chat, run: RunDir) -> CachedChat | None:
    if not settings.cache:
        return None
    # It brings a validator that takes its time to build.
    from llmgate.generate.response_cache import CachedChat, ResponseCache, answerer  # noqa: PLC0415

    manifest = run.manifest
    who = answerer(manifest.model, manifest.server, manifest.hardware)
    return CachedChat(chat, ResponseCache(Path(settings.cache), redact=redactor(settings)), who=who)


def _limited(settings: Settings, traffics: Mapping[str, Traffic]) -> Iterator[str]:
    refusals = sum(traffic.refusals for traffic in traffics.values())
    if refusals:
        again = "" if settings.limit else "; --rpm N and --tpm N stay below it"
        waited_s = max(traffic.waited_s for traffic in traffics.values())
        yield f"{plural(refusals, 'request')} met the rate limit, {waited_s:.0f} s were waited{again}"
