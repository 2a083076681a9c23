"""The models that asserts ask: which are needed, who they are, and how they are reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from llmgate.errors import UsageError, did_you_mean
from llmgate.generate.base_url import normalise_url
from llmgate.generate.client import ChatClient, Endpoint, RetryPolicy
from llmgate.generate.endpoint import EndpointFacts, probe
from llmgate.generate.pool.slots import Slots
from llmgate.generate.traffic import Traffic
from llmgate.record.manifest import JudgeIdentity, ModelIdentity
from llmgate.record.weights import weights_digest
from llmgate.score.assertion.definition import Need
from llmgate.score.assertion.models import JudgeSampling, Models
from llmgate.score.embeddings.folder import find_folder
from llmgate.score.judge_identity import identify
from llmgate.session.progress import rate_limit_lines
from llmgate.session.reach.known_secrets import redactor
from llmgate.session.reach.replicas import changed_judge, judge_others
from llmgate.session.reach.target import judge_endpoint, judge_identity, judge_place
from llmgate.session.run.admissions import check_admissions
from llmgate.session.run.anchors import named_anchors
from llmgate.session.run.measure import asker, embedder

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AsyncExitStack

    from llmgate.generate.chat import Chat
    from llmgate.record.manifest import Manifest
    from llmgate.score.assertion.models import Ask
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings

__all__ = [
    "Identities",
    "JudgeTraffic",
    "alive",
    "check_models",
    "embed_place",
    "identify_models",
    "make_client",
    "models_beside",
    "open_client",
    "open_models",
    "probe_embedding",
]

LATENCY: Final = "latency"
UNBOUND: Final = 1 << 16
"""Requests in flight of a client whose caller bounds them: as many as there are ports."""
JUDGE_RETRIES: Final = 2
"""Second questions after an unreadable reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """Who will be asked by asserts.

    Attributes:
        judge: The judge of asserts that name none, None if there is no such assert.
        judges: The judges that asserts name.
        embedding: The embedding model, None if no assert needs one.
        local_models: The models on this machine, as suites name them, with the digests of their weights.
    """

    judge: JudgeIdentity | None = None
    judges: Mapping[str, JudgeIdentity]
    embedding: ModelIdentity | None = None
    local_models: Mapping[str, str] = field(default_factory=dict)


def check_models(settings: Settings, plan: Plan) -> None:
    """Refuse asserts that need a model that was not named, before a server is started for nothing.

    Raises:
        UsageError: With what to name, or what cannot be asked so.
        PolicyError: If a judged metric is to gate and its judge was not admitted.
    """
    refuse_adaptive_latency(settings, plan)
    if plan.asks_default_judge and judge_place(settings) is None:
        raise UsageError(
            "an assert asks a judge, but no judge is named",
            where=", ".join(sorted({p.suite.name for p in plan.suites if p.suite.judged_metrics})),
            fix="Give --judge-model DIR or --judge-endpoint URL",
        )
    for name in sorted(plan.judge_names):
        named_judge(settings, name)
    named_anchors(settings, plan)
    if Need.EMBEDDINGS in plan.needs and not settings.embed_endpoint:
        needed = "an assert" if Need.EMBEDDINGS in plan.asserted else "`drift: {embeddings: watch}`"
        raise UsageError(f"{needed} needs embeddings, but no embedding model is named", fix="Give --embed-endpoint URL")
    check_admissions(settings, plan)


def refuse_adaptive_latency(settings: Settings, plan: Plan) -> None:
    """Refuse to let the number in flight adapt where asserts look at how long answers take, which depends on it.

    Raises:
        UsageError: With the suites.
    """
    if not settings.adaptive:
        return
    timed = [
        planned.suite.name
        for planned in plan.suites
        if any(
            member.type == LATENCY
            for case in planned.cases
            for spec in case.asserts
            for member in (spec, *spec.asserts)
        )
    ]
    if timed:
        raise UsageError(
            "an assert looks at the latency of answers, which depends on how many are in flight",
            where=", ".join(timed),
            fix="Give --concurrency a number, the same in each run",
        )


def identify_models(settings: Settings, plan: Plan) -> Identities:
    """Find out who will judge and embed, before anything is asked.

    Raises:
        UsageError: If an assert needs a model that was not named.
        SuiteError: If a model that should be on this machine is not.
        EndpointError: If an endpoint cannot be used.
    """
    check_models(settings, plan)
    sampling = judge_sampling(plan)
    place = judge_place(settings) if plan.asks_default_judge else None
    judge = None if place is None else judge_identity(settings, place, plan.judged, sampling)
    judges = {name: identify_named(settings, name, plan.judged, sampling) for name in sorted(plan.judge_names)}
    return Identities(
        judge=judge,
        judges=judges,
        embedding=identify_embedding(settings, plan),
        local_models={name: weights_digest(find_folder(name)) for name in sorted(plan.local_models)},
    )


def identify_embedding(settings: Settings, plan: Plan) -> ModelIdentity | None:
    """The embedding model, None if no assert needs one.

    Metrics of other libraries do not say what they need: they have one if one is named.
    """
    if not plan.needs - {Need.LOGPROBS} or not settings.embed_endpoint:
        return None
    url = normalise_url(settings.embed_endpoint)
    facts = probe_embedding(settings, url)
    return ModelIdentity(name=facts.model, source=url)


def probe_embedding(settings: Settings, url: str) -> EndpointFacts:
    """Which model embeds at a URL; EndpointError if it cannot be used."""
    return probe(
        url,
        api_key=settings.embed_api_key(url),
        model=settings.embed_name,
        key_place=settings.embed_key_place,
        trial="embeddings",
    )


def named_judge(settings: Settings, name: str) -> Endpoint:
    """The endpoint of a judge that a suite names.

    Raises:
        UsageError: If the name was not given.
    """
    if name not in settings.judges:
        raise UsageError(
            f"an assert asks the judge {name!r}, which is not named",
            fix=f'Give --judges "{name}=URL"' if not settings.judges else did_you_mean(name, settings.judges),
        )
    model, url = settings.judges[name]
    return judge_endpoint(settings, normalise_url(url), model, name=name)


def identify_named(settings: Settings, name: str, types: Collection[str], sampling: JudgeSampling) -> JudgeIdentity:
    """The identity of a judge that a suite names.

    Raises:
        UsageError: If the name was not given.
        EndpointError: If its endpoint cannot be used.
    """
    endpoint = named_judge(settings, name)
    facts = probe(endpoint.url, api_key=endpoint.api_key, model=endpoint.model or None, key_place=endpoint.key_place)
    return identify(facts.model, types, sampling, source=endpoint.url)


def judge_sampling(plan: Plan) -> JudgeSampling:
    """The judge as the suites want it; suites in one run share it, so the largest reply limit holds."""
    asking = [planned.suite for planned in plan.suites if planned.suite.judged_metrics]
    if not asking:
        return JudgeSampling()
    return JudgeSampling(
        max_tokens=max(suite.judge_max_tokens for suite in asking), seed=min(suite.judge_seed for suite in asking)
    )


async def models_beside(
    settings: Settings,
    plan: Plan,
    manifest: Manifest,
    client: Chat,
    stack: AsyncExitStack,
    *,
    progress: Progress | None = None,
) -> Models | None:
    """The models, if all that asserts need can be asked while the model under test runs.

    Args:
        settings: The options.
        plan: What is asked.
        manifest: Names the judges.
        client: Reaches the model under test, which may be its own judge.
        stack: Closes what is opened here.
        progress: Told when a rate limit is waited for.

    Returns:
        None if no assert asks a model, or the judge has to be started first.
    """
    if not plan.defers:
        return None
    default: Ask | None = None
    traffic = JudgeTraffic(settings, progress)
    if manifest.judge is not None:
        place = judge_place(settings)
        if place is None or (place.url is None and not place.same_server):
            return None
        if place.url is None:
            default = asker(client)
        else:
            endpoint = judge_endpoint(settings, place.url, manifest.judge.model)
            slots = traffic.slots(place.url)
            default = asker(await open_client(endpoint, settings, stack, traffic=traffic, slots=slots))
    return await open_models(settings, plan, manifest, default, stack, traffic=traffic)


async def open_models(
    settings: Settings,
    plan: Plan,
    manifest: Manifest,
    default: Ask | None,
    stack: AsyncExitStack,
    *,
    traffic: JudgeTraffic,
) -> Models:
    """The models: a default judge, the ones that asserts name, and the embedding model; closed with the stack."""
    judges = {} if default is None else {"": default}
    for name, identity in manifest.judges.items():
        named = replace(named_judge(settings, name), model=identity.model)
        judges[name] = asker(await open_client(named, settings, stack, traffic=traffic, slots=traffic.slots(named.url)))
    embed = None
    if manifest.embedding is not None:
        embed = embedder(await open_client(embed_place(settings, manifest.embedding), settings, stack))
    return Models(judges=judges, embed=embed, sampling=judge_sampling(plan), retries=JUDGE_RETRIES)


class JudgeTraffic:
    """When judges may be asked, and how many questions at once: the same for all who answer at one endpoint.

    Args:
        settings: Their limits.
        progress: Told when a rate limit is waited for.
    """

    def __init__(self, settings: Settings, progress: Progress | None) -> None:
        self._limit, self._progress = settings.judge_limit, progress
        self._of: dict[str, Traffic] = {}
        self._in_flight, self._slots = settings.judge_in_flight, dict[str, Slots]()

    def told(self, line: str) -> None:
        """Say what became of one of several servers of a judge."""
        if self._progress is not None:
            self._progress.stage(f"judge: {line}")

    def slots(self, url: str) -> Slots:
        """The bound on questions in flight at an endpoint, and all its replicas together."""
        return self._slots.setdefault(url, Slots(self._in_flight))

    def of(self, url: str) -> Traffic:
        """That of an endpoint."""
        if url not in self._of:
            told = rate_limit_lines(self._progress, "the judge's rate limit") if self._progress else None
            self._of[url] = Traffic(self._limit, told=told) if told else Traffic(self._limit)
        return self._of[url]


def embed_place(settings: Settings, identity: ModelIdentity) -> Endpoint:
    """The endpoint of the embedding model."""
    return Endpoint(
        url=identity.source,
        model=identity.name,
        api_key=settings.embed_api_key(identity.source),
        key_place=settings.embed_key_place,
    )


def alive() -> str | None:
    """An endpoint of others does not tell why it is gone."""
    return None


async def open_client(
    endpoint: Endpoint,
    settings: Settings,
    stack: AsyncExitStack,
    *,
    death: Callable[[], str | None] = alive,
    traffic: JudgeTraffic | None = None,
    slots: Slots | None = None,
) -> Chat:
    """A client of a judge, of all its replicas, or of an embedding model, closed with the stack.

    Args:
        endpoint: Where it answers.
        settings: The options.
        stack: Closes it.
        death: As for `ChatClient`.
        traffic: When a judge may be asked; None for an embedding model and a server of ours.
        slots: The bound on requests in flight, where others share it.
    """
    slots = slots or Slots(settings.judge_in_flight)
    others = () if traffic is None else judge_others(settings, endpoint)

    def own_traffic(one: Endpoint) -> Traffic | None:
        return None if traffic is None else traffic.of(one.url)

    if not settings.deadline and not others:
        client = make_client(endpoint, settings, death=death, traffic=own_traffic(endpoint), slots=slots)
        return await stack.enter_async_context(client)
    # Few runs have a deadline, or several servers of a judge.
    from llmgate.generate.replicas.looks import health_problem  # noqa: PLC0415
    from llmgate.generate.replicas.replicas import Replicas  # noqa: PLC0415

    async def same(one: Endpoint) -> str:
        return await asyncio.to_thread(changed_judge, settings, one.url, endpoint.model)

    # The deadline begins with the turn, so the client's own bound must not be what a request waits for.
    bounded = Replicas(
        [endpoint, *others],
        lambda one, elsewhere: make_client(one, settings, death=death, traffic=own_traffic(one), elsewhere=elsewhere),
        slots,
        attempts=settings.retries + 1,
        deadline_s=settings.deadline or None,
        health=partial(health_problem, vllm=False),
        same=same,
        told=traffic.told if traffic is not None else lambda _: None,
    )
    return await stack.enter_async_context(bounded)


def make_client(
    endpoint: Endpoint,
    settings: Settings,
    *,
    death: Callable[[], str | None] = alive,
    traffic: Traffic | None = None,
    slots: Slots | None = None,
    elsewhere: Callable[[], bool] = lambda: False,
) -> ChatClient:
    """A client by the options; arguments as for `ChatClient`, without `slots` with no bound on requests in flight."""
    return ChatClient(
        replace(endpoint, names=(*endpoint.names, *settings.reply_names)),
        concurrency=UNBOUND if slots is None else slots.limit,
        retry=RetryPolicy(attempts=settings.retries + 1, timeout_s=settings.timeout),
        death=death,
        redact=redactor(settings),
        traffic=traffic,
        slots=slots,
        elsewhere=elsewhere,
    )
