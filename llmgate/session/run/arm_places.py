"""Where an arm of a serving comparison is: a folder that we serve, or an endpoint, and what it takes of the machine."""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import ServerError, UsageError, did_you_mean
from llmgate.generate.base_url import normalise_url
from llmgate.generate.identity import hardware
from llmgate.generate.vllm.checks import find_engine, gpus_wanted
from llmgate.generate.vllm.command import Device, ServerSpec
from llmgate.generate.vllm.model_folder import model_folder
from llmgate.record.environment import for_programs
from llmgate.report.visible import one_line
from llmgate.session.reach.adapters import beside_it, named_adapters, tell_apart
from llmgate.session.reach.engine_flags import engine_flags
from llmgate.session.reach.owned import NOTHING, identify_local, own_server
from llmgate.session.reach.sources import local_model
from llmgate.session.reach.target import endpoint_target
from llmgate.session.serving.hosting import ArmPlace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmgate.record.manifest import ModelIdentity
    from llmgate.session.progress import Progress
    from llmgate.session.reach.sources import LocalModel
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = [
    "NamedArm",
    "check_shared",
    "endpoint_place",
    "folder_place",
    "read_named",
    "running_place",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedArm:
    """What a user names as an arm: `DIR`, `DIR#NAME`, `URL` or `URL#NAME`.

    Attributes:
        text: As written.
        url: Of an endpoint, "" for a folder.
        folder: Of a model, "" for an endpoint.
        name: The model's name in requests, None for the only one, or the folder's.
    """

    text: str
    url: str = ""
    folder: str = ""
    name: str | None = None


def read_named(text: str, *, where: str) -> NamedArm:
    """Read what names an arm.

    Raises:
        UsageError: If it is empty, or names no folder that is there.
    """
    place, mark, name = text.rpartition("#")
    if not mark:
        place, name = text, ""
    if not place or (mark and not name):
        raise UsageError(f"{text!r} names no server", where=where, fix="Give a model folder or a URL, or either#NAME")
    if place.startswith(("http://", "https://")):
        return NamedArm(text=text, url=normalise_url(place), name=name or None)
    if "://" in place:
        raise UsageError("that is no http URL and no folder", where=where, fix="Give a model folder, or an http URL")
    if mark and Path(text).is_dir():
        return NamedArm(text=text, folder=text)
    try:
        model_folder(place)
    except ServerError as error:
        raise UsageError(error.what, where=f"{where} {place}", fix=error.fix) from error
    return NamedArm(text=text, folder=place, name=name or None)


def endpoint_place(settings: Settings, named: NamedArm, *, progress: Progress) -> ArmPlace:
    """An endpoint of somebody else, asked now what it serves.

    Raises:
        EndpointError: If it cannot be used.
    """
    target = endpoint_target(
        replace(settings, endpoint=named.url, model=None, served_name=named.name, deployment=None), progress
    )
    return ArmPlace(
        label=named.text,
        model=target.model,
        open=lambda: nullcontext(target),
        engine=target.server.engine,
        owned=False,
        server=f"url {named.url}",
    )


def folder_place(
    settings: Settings,
    named: NamedArm,
    *,
    log_path: Path,
    progress: Progress,
    env: Mapping[str, str] = NOTHING,
    identity: ModelIdentity | None = None,
) -> ArmPlace:
    """A model folder of which we start a server, with the flags of the settings.

    Args:
        settings: The options; its `server_args` are the flags.
        named: The folder, and where one server serves several models, the name of one.
        log_path: Where the server's output goes.
        progress: Told about the start.
        env: For the server.
        identity: Of the model, if that is known.

    Raises:
        UsageError: If a server of the folder would not serve that name.
        WeightsError: If the folder has no identity.
    """
    local = local_model(settings, named.folder, progress)
    base = local.name
    if identity is None:
        identity = identify_local(replace(settings, registry_uri=None), local, base, progress=progress)
    adapters = () if named.name is None else named_adapters(settings, local, identity, progress=progress)
    models = {each.name: each for each in (identity, *(each.model for each in adapters))}
    wanted = _served(models, named)

    @contextmanager
    def serve() -> Iterator[Target]:
        with own_server(
            settings,
            str(local.folder),
            base,
            log_path=log_path,
            progress=progress,
            identity=identity,
            adapters=adapters,
            env=env,
        ) as target:
            yield beside_it(target, wanted)

    return ArmPlace(
        label=named.text,
        model=wanted,
        open=serve,
        owned=True,
        server="" if named.name is None else _server_key(settings, local, models, env),
        beside=None if named.name is None else (lambda target: _guest(target, wanted)),
        gpus=_gpus(settings, str(local.folder), env),
    )


def _served(models: Mapping[str, ModelIdentity], named: NamedArm) -> ModelIdentity:
    base, *adapters = models
    name = named.name or base
    if name not in models:
        raise UsageError(
            f"a server of {named.folder} would not serve {name!r}",
            where=named.text,
            fix=did_you_mean(name, models) if adapters else f'Name the adapter: --adapter "{name}=DIR"',
        )
    return models[name]


def _server_key(
    settings: Settings, local: LocalModel, models: Mapping[str, ModelIdentity], env: Mapping[str, str]
) -> str:
    """Equal for two arms that one start of a server serves."""
    shaping = [
        engine_flags(settings),
        sorted(env.items()),
        sorted((each.name, each.adapter) for each in models.values()),
    ]
    return f"folder {local.folder} {hashlib.sha256(json.dumps(shaping).encode()).hexdigest()}"


def _guest(target: Target, model: ModelIdentity) -> Target:
    """A model on the server of the other arm.

    Raises:
        ServerError: If nothing shows that the server keeps the two apart.
    """
    if frozenset((target.model.name, model.name)) in target.alike:
        raise _alike(target.model, model, "Give each a server of its own: --serving-hosting restarts")
    return beside_it(target, model)


def check_shared(candidate: ArmPlace, champion: ArmPlace | None, *, progress: Progress) -> None:
    """Have a server of somebody else's show that it keeps two names apart, if one of them is an adapter.

    A server of ours shows it when it starts.

    Args:
        candidate: One arm on it.
        champion: The other; None where there is none.
        progress: Told about it.

    Raises:
        ServerError: If it does not, or nothing shows it.
    """
    if champion is None or candidate.owned or champion.owned or candidate.server != champion.server:
        return
    with candidate.open() as one, champion.open() as other:
        if one.model.name == other.model.name or not (one.parent or other.parent):
            return
        if one.model.source == other.model.source and one.parent == other.parent:
            return
        # Its base first, if it is one of them.
        arms = sorted((one, other), key=lambda target: bool(target.parent))
        if tell_apart(one, {target.model.name: target.model for target in arms}, progress=progress):
            raise _alike(one.model, other.model, "Measure each on a server of its own")


def _alike(one: ModelIdentity, other: ModelIdentity, fix: str) -> ServerError:
    names = f"{one_line(one.name, 80)} and {one_line(other.name, 80)}"
    return ServerError(
        f"nothing shows that one server keeps {names} apart: they answer alike", where="serving on one server", fix=fix
    )


def running_place(settings: Settings, target: Target, *, progress: Progress) -> ArmPlace:
    """A server that is up: ours, for the model under test, or an endpoint."""
    if not target.server.owned:
        return ArmPlace(
            label=target.endpoint.url,
            model=target.model,
            open=lambda: nullcontext(target),
            engine=target.server.engine,
            owned=False,
            server=f"url {target.endpoint.url}",
        )
    local = local_model(settings, settings.model or "", progress)
    return ArmPlace(
        label=f"{settings.model}#{target.model.name}" if target.beside else settings.model or target.model.name,
        model=target.model,
        open=lambda: nullcontext(target),
        owned=True,
        up=True,
        server=_server_key(settings, local, target.beside, NOTHING) if target.beside else "",
        gpus=_gpus(settings, str(local.folder), NOTHING),
    )


def _gpus(settings: Settings, model: str, env: Mapping[str, str]) -> int:
    """GPUs that a server of ours holds: 0 where vLLM was built for the processor, or there is none."""
    if not hardware().gpus:
        return 0
    spec = ServerSpec(model=model, served_name="any", python=settings.server_python or sys.executable, env=env)
    if find_engine(spec, for_programs() | dict(env)).device is Device.CPU:
        return 0
    return gpus_wanted(engine_flags(settings), elsewhere=True) or 1
