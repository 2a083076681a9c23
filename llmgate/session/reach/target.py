"""A model folder or an endpoint → something that can be asked, with its identity; owned servers end with the block."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.errors import UsageError, did_you_mean
from llmgate.generate.base_url import normalise_url
from llmgate.generate.client import Endpoint
from llmgate.generate.endpoint import probe
from llmgate.generate.identity import model_identity
from llmgate.generate.vllm.adapters import adapter_flags, check_lora_flags, named_digests, read_adapter
from llmgate.generate.vllm.checks import config_file_flags
from llmgate.generate.vllm.model_folder import hub_folder, model_folder
from llmgate.generate.vllm.server import ServerSpec, launch
from llmgate.generate.vllm.watchdog import watched
from llmgate.record.disk import write_atomic
from llmgate.record.manifest import JudgeIdentity, ModelIdentity, ServerIdentity
from llmgate.record.weights import MANIFEST_NAME
from llmgate.report.visible import one_line
from llmgate.score.judge_identity import identify
from llmgate.session.reach.adapters import NamedAdapter, beside_it, named_adapters, tell_apart
from llmgate.session.reach.engine_flags import engine_flags, for_judge
from llmgate.session.reach.known_secrets import key_names
from llmgate.session.reach.replicas import check_judges, judge_facts
from llmgate.session.reach.sources import local_model, named_source
from llmgate.session.reach.weights import check_unchanged, folder_digest, hash_folder, hold
from llmgate.session.target import Target

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from llmgate.score.assertion.models import JudgeSampling
    from llmgate.session.progress import Progress
    from llmgate.session.reach.sources import LocalModel
    from llmgate.session.settings.typed import Settings

__all__ = [
    "JudgePlace",
    "base_name",
    "endpoint_target",
    "identify_folder",
    "identify_local",
    "judge_endpoint",
    "judge_identity",
    "judge_place",
    "open_again",
    "open_judge",
    "open_target",
    "own_server",
    "served_name",
    "server_spec",
]

NOTHING: Final = MappingProxyType[str, str]({})


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePlace:
    """Where the judge is: an endpoint, a folder, or the server of the model under test."""

    folder: str | None = None
    url: str | None = None
    same_server: bool = False


@contextmanager
def open_target(settings: Settings, *, log_path: Path, progress: Progress) -> Iterator[Target]:
    """Connect to the endpoint, or start vLLM for the model folder and end it afterwards.

    The manifest of the folder that is served lies beside the log: it says later which file differs.

    Raises:
        UsageError: If neither a model nor an endpoint is named.
        ServerError: If the server does not start.
        EndpointError: If the endpoint cannot be used.
    """
    if settings.endpoint:
        yield endpoint_target(settings, progress)
        return
    if not settings.model:
        raise UsageError(
            "no model is named", fix="Give --model DIR to start vLLM, or --endpoint URL of a running server"
        )
    local = local_model(settings, settings.model, progress)
    name, manifest = served_name(settings, local), log_path.with_name(MANIFEST_NAME)
    base = identify_local(settings, local, base_name(settings, local), progress=progress, manifest_path=manifest)
    adapters = named_adapters(settings, local, base, progress=progress)
    with own_server(
        settings,
        str(local.folder),
        base.name,
        log_path=log_path,
        progress=progress,
        identity=base,
        adapters=adapters,
    ) as target:
        yield beside_it(target, target.beside[name]) if adapters else target


@contextmanager
def open_again(settings: Settings, before: Target, *, log_path: Path, progress: Progress) -> Iterator[Target]:
    """Start the server of the model under test once more, as `open_target` did; nothing is hashed again.

    Args:
        settings: As they were then.
        before: What was opened then.
        log_path: Where its output goes.
        progress: Told about the start.
    """
    local = local_model(settings, settings.model or "", progress)
    adapters = tuple(
        NamedAdapter(
            adapter=read_adapter(name, local_model(settings, place, progress).folder), model=before.beside[name]
        )
        for name, place in settings.adapter.items()
    )
    name = base_name(settings, local)
    with own_server(
        settings,
        str(local.folder),
        name,
        log_path=log_path,
        progress=progress,
        identity=before.beside.get(name, before.model),
        adapters=adapters,
    ) as target:
        yield beside_it(target, before.model) if adapters else target


def endpoint_target(settings: Settings, progress: Progress) -> Target:
    """The model behind an endpoint that somebody else runs."""
    url = normalise_url(settings.endpoint or "")
    progress.stage(f"connecting to {url}")
    facts = probe(url, api_key=settings.api_key, model=settings.served_name, key_place=settings.key_place)
    if facts.unconfirmed:
        name, why = one_line(facts.model, 120), one_line(facts.unconfirmed, 160)
        progress.stage(f"nothing but its own answers confirms that {name} is served: {why}")
    if facts.parent:
        name, parent, root = (one_line(text, 120) for text in (facts.model, facts.parent, facts.source or "unknown"))
        progress.stage(
            f"{name} is an adapter of {parent}, from {root}: so the endpoint says, and nothing shows its weights"
        )
    return Target(
        endpoint=Endpoint(
            url=url,
            model=facts.model,
            api_key=settings.api_key,
            names=facts.names,
            finish_reasons=settings.finish_reasons,
            key_place=settings.key_place,
        ),
        model=ModelIdentity(name=facts.model, source=facts.source or url, registry_uri=settings.registry_uri),
        server=ServerIdentity(
            engine=facts.engine,
            version=facts.version,
            owned=False,
            url=url,
            model_names=tuple(dict.fromkeys((*facts.names, *settings.reply_names))),
            deployment=settings.deployment or "",
            unconfirmed=facts.unconfirmed,
        ),
        death=lambda: None,
        parent=facts.parent,
    )


def base_name(settings: Settings, local: LocalModel) -> str:
    """What requests call the model that is loaded whole: as given, unless that chooses an adapter, or the folder's."""
    return local.name if settings.adapter else settings.served_name or local.name


def served_name(settings: Settings, local: LocalModel) -> str:
    """What requests call the model under test: as given, the only adapter that is not the champion, or the folder's.

    Raises:
        UsageError: If several adapters are named and none is chosen, or another one is chosen.
    """
    if not settings.adapter:
        return settings.served_name or local.name
    names = (*settings.adapter, local.name)
    if settings.served_name is not None:
        if settings.served_name in names:
            return settings.served_name
        raise UsageError(
            f"{settings.served_name!r} is no adapter that is named, and not the base {local.name}",
            where="--served-name",
            fix=did_you_mean(settings.served_name, names),
        )
    candidates = [name for name in settings.adapter if name != settings.champion_adapter]
    if len(candidates) == 1:
        return candidates[0]
    raise UsageError(
        f"the adapters {', '.join(candidates)} are named, and one is under test"
        if candidates
        else "no adapter is tested",
        where="--adapter",
        fix=f"Choose it with --served-name, e.g. {names[0] if candidates else local.name}",
    )


def identify_folder(
    settings: Settings, model: str, name: str, *, progress: Progress, manifest_path: Path | None = None
) -> ModelIdentity:
    """Which model a folder holds, by its weights; what they are goes to a file if one is named."""
    progress.stage(f"hashing the weights of {model}")

    def digest(folder: Path) -> str:
        manifest = hash_folder(folder, progress, trust_cache=settings.trust_weights_cache)
        if manifest_path is not None:
            write_atomic(manifest_path, manifest.to_json().encode())
        return manifest.digest

    return named_source(
        settings, model, model_identity(model, name=name, registry_uri=settings.registry_uri, digest=digest)
    )


def identify_local(
    settings: Settings, local: LocalModel, name: str, *, progress: Progress, manifest_path: Path | None = None
) -> ModelIdentity:
    """Which model lies on this machine, and where it came from; see `identify_folder`."""
    identity = identify_folder(settings, str(local.folder), name, progress=progress, manifest_path=manifest_path)
    return replace(identity, source=local.source, revision=local.revision)


def server_spec(
    settings: Settings,
    model: str,
    name: str,
    *,
    adapters: Sequence[NamedAdapter] = (),
    env: Mapping[str, str] = NOTHING,
) -> ServerSpec:
    """The server that the options ask for, wherever it listens.

    Args:
        settings: The options.
        model: A folder, or a name in the hub's cache.
        name: Under which it is served.
        adapters: Served beside it.
        env: For the server, besides what it inherits.

    Raises:
        UsageError: If flags contradict each other or the adapters.
    """
    flags = engine_flags(settings)
    check_lora_flags(flags, adapters=bool(adapters), further=config_file_flags(flags))
    return ServerSpec(
        model=model,
        served_name=name,
        flags=(*adapter_flags([each.adapter for each in adapters]), *flags),
        env=env,
        startup_timeout_s=settings.startup_timeout,
        python=settings.server_python or sys.executable,
        withheld=key_names(settings),
    )


@contextmanager
def own_server(
    settings: Settings,
    model: str,
    name: str,
    *,
    log_path: Path,
    progress: Progress,
    manifest_path: Path | None = None,
    identity: ModelIdentity | None = None,
    adapters: Sequence[NamedAdapter] = (),
    env: Mapping[str, str] = NOTHING,
) -> Iterator[Target]:
    """Start vLLM, wait until it answers, end it with the block.

    A server of several adapters is believed only after it has shown that it keeps them apart.

    Args:
        settings: The options.
        model: What it serves.
        name: Under which name.
        log_path: Where its output goes.
        progress: Told about the start.
        manifest_path: Gets the manifest of the model's files.
        identity: Of the model, where that is known already: a folder is not hashed at every start.
        adapters: Served beside it; the target is the base.
        env: For the server, besides what it inherits.

    Raises:
        ServerError: If it does not start, or gives a name another model's weights.
        WeightsError: If a folder is not what was identified any more, or changed while it was loaded.
    """
    if identity is None:
        identity = identify_folder(settings, model, name, progress=progress, manifest_path=manifest_path)
    # Links are followed once: what is held has to be what vLLM is given.
    place = model_folder(model)
    folder, trust = place or hub_folder(model), settings.trust_weights_cache
    loaded = [] if folder is None else [(folder, identity.weights_digest)]
    loaded += [(each.adapter.folder, each.model.adapter or None) for each in adapters]
    held = [hold(path, digest, progress, trust_cache=trust) for path, digest in loaded]
    spec = server_spec(settings, model if place is None else str(place), name, adapters=adapters, env=env)
    spec = replace(spec, port=settings.port, log_path=log_path)
    with launch(spec, on_progress=progress.stage) as server:
        server.wait_ready(progress.check)
        check_unchanged(held, progress)
        models = {each.name: each for each in (identity, *(each.model for each in adapters))}
        own = server.identity()
        digests = {each.model.name: each.model.adapter for each in adapters}
        target = Target(
            endpoint=Endpoint(url=f"{server.url}/v1", model=name),
            model=identity,
            server=replace(own, model_names=(name,), flags=named_digests(own.flags, digests)),
            death=server.death_reason,
            pid=server.pid,
            beside=models if adapters else {},
        )
        with watched(server, limit_s=settings.stall_timeout, busy_limit_s=settings.timeout, on_hang=progress.stage):
            yield replace(target, alike=tell_apart(target, models, progress=progress)) if adapters else target
            progress.stage("stopping the server")


def judge_place(settings: Settings) -> JudgePlace | None:
    """Where the judge is, None if none was named."""
    if settings.judge_endpoint:
        return JudgePlace(url=normalise_url(settings.judge_endpoint))
    if settings.judge_model:
        # With adapters the base would judge in one batch with what it judges, under another name: it is started after.
        same = bool(settings.model) and not settings.adapter
        same = same and Path(settings.judge_model).resolve() == Path(settings.model or "").resolve()
        return JudgePlace(folder=settings.judge_model, same_server=same)
    return None


def judge_endpoint(settings: Settings, url: str, model: str, *, name: str = "") -> Endpoint:
    """A judge that somebody else runs, by its name if suites name it."""
    return Endpoint(
        url=url,
        model=model,
        api_key=settings.judge_api_key(url, name),
        finish_reasons=settings.judge_finish_reasons,
        key_place=settings.judge_key_place(name),
    )


def judge_identity(
    settings: Settings, place: JudgePlace, types: Collection[str], sampling: JudgeSampling
) -> JudgeIdentity:
    """The judge's identity, known before it is started.

    Two runs are comparable only if the same judge scored both, so an owned judge is named by its weights.
    """
    if place.folder:
        model = settings.judge_name or Path(place.folder).resolve().name
        digest = folder_digest(Path(place.folder))
    else:
        url = place.url or ""
        facts = judge_facts(settings, url, settings.judge_name)
        check_judges(settings, facts)
        model, digest = facts.model, None
    known = settings.fetched.get(place.folder or "")
    source = known.source if known else place.folder or place.url or ""
    return identify(model, types, sampling, source=source, weights_digest=digest)


@contextmanager
def open_judge(
    settings: Settings, place: JudgePlace, identity: JudgeIdentity, *, log_path: Path, progress: Progress
) -> Iterator[Target]:
    """Reach the judge: connect to its endpoint, or start vLLM for its folder."""
    if place.folder:
        own, name = for_judge(settings), identity.model
        # What judges has to be what was identified when the run began, which may be hours ago.
        model = ModelIdentity(name=name, source=place.folder, weights_digest=identity.weights_digest)
        with own_server(own, place.folder, name, log_path=log_path, progress=progress, identity=model) as target:
            yield target
        return
    yield Target(
        endpoint=judge_endpoint(settings, place.url or "", identity.model),
        model=ModelIdentity(name=identity.model, source=place.url or ""),
        server=ServerIdentity(engine="openai-compatible", owned=False, url=place.url or ""),
        death=lambda: None,
    )
