"""A model folder → the vLLM server that is started for it, with its identity; it ends with the block."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.errors import UsageError, did_you_mean
from llmgate.generate.client import Endpoint
from llmgate.generate.identity import model_identity
from llmgate.generate.vllm.adapters import adapter_flags, check_lora_flags, named_digests, read_adapter
from llmgate.generate.vllm.checks import config_file_flags
from llmgate.generate.vllm.model_folder import hub_folder, model_folder
from llmgate.generate.vllm.server import ServerSpec, launch
from llmgate.generate.vllm.watchdog import watched
from llmgate.record.disk import write_atomic
from llmgate.record.weights import MANIFEST_NAME
from llmgate.session.reach.adapters import NamedAdapter, beside_it, named_adapters, tell_apart
from llmgate.session.reach.engine_flags import engine_flags
from llmgate.session.reach.known_secrets import key_names
from llmgate.session.reach.sources import local_model, named_source
from llmgate.session.reach.weights import check_unchanged, hash_folder, hold
from llmgate.session.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from llmgate.record.manifest import ModelIdentity
    from llmgate.session.progress import Progress
    from llmgate.session.reach.sources import LocalModel
    from llmgate.session.settings.typed import Settings

__all__ = [
    "NOTHING",
    "base_name",
    "identify_folder",
    "identify_local",
    "open_again",
    "open_own",
    "own_server",
    "served_name",
    "server_spec",
]

NOTHING: Final = MappingProxyType[str, str]({})


@contextmanager
def open_own(settings: Settings, model: str, *, log_path: Path, progress: Progress) -> Iterator[Target]:
    """Start vLLM for the model under test and end it afterwards.

    The manifest of the folder that is served lies beside the log: it says later which file differs.

    Args:
        settings: The options.
        model: Where the model is, as it was named.
        log_path: Where the server's output goes.
        progress: Told about the start.

    Raises:
        ServerError: If the server does not start.
        UsageError: If the options contradict each other.
    """
    local = local_model(settings, model, progress)
    name, manifest = served_name(settings, local), log_path.with_name(MANIFEST_NAME)
    base = identify_local(settings, local, base_name(settings, local), progress=progress, manifest_path=manifest)
    if name != base.name:
        base = replace(base, registry_uri=local.registry_uri)
    adapters = named_adapters(settings, local, base, tested=name, progress=progress)
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
