"""Where an arm of a serving comparison is: a folder that we serve, or an endpoint, and what it takes of the machine."""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import ServerError, UsageError, did_you_mean
from llmgate.generate.base_url import normalise_url
from llmgate.generate.identity import hardware
from llmgate.generate.vllm.checks import find_engine, gpus_wanted
from llmgate.generate.vllm.command import Device, ServerSpec
from llmgate.generate.vllm.model_folder import model_folder
from llmgate.record.environment import for_programs
from llmgate.record.weights import weights_digest
from llmgate.session.run.engine_flags import engine_flags
from llmgate.session.run.target import NOTHING, endpoint_target, identify_folder, own_server
from llmgate.session.serving.hosting import ArmPlace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmgate.record.manifest import ModelIdentity
    from llmgate.session.progress import Progress
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = [
    "NamedArm",
    "adapters",
    "beside_it",
    "endpoint_place",
    "flag_value",
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
    base = Path(named.folder).expanduser().resolve().name
    if identity is None:
        identity = identify_folder(replace(settings, registry_uri=None), named.folder, base, progress=progress)
    if named.name is not None:
        identity = _adapted(identity, named, base, adapters(engine_flags(settings)))
    wanted = identity

    @contextmanager
    def serve() -> Iterator[Target]:
        with own_server(
            settings, named.folder, base, log_path=log_path, progress=progress, identity=wanted, env=env
        ) as target:
            yield beside_it(target, wanted, served=base)

    gpus = _gpus(settings, named.folder, env)
    flags = hashlib.sha256(json.dumps([engine_flags(settings), sorted(env.items())]).encode()).hexdigest()
    return ArmPlace(
        label=named.text,
        model=wanted,
        open=serve,
        owned=True,
        server=f"folder {Path(named.folder).expanduser().resolve()} {flags}" if named.name is not None else "",
        beside=(lambda target: beside_it(target, wanted, served=base)) if named.name is not None else None,
        gpus=gpus,
    )


def running_place(settings: Settings, target: Target) -> ArmPlace:
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
    gpus = _gpus(settings, settings.model or "", NOTHING)
    return ArmPlace(
        label=settings.model or target.model.name,
        model=target.model,
        open=lambda: nullcontext(target),
        owned=True,
        up=True,
        gpus=gpus,
    )


def beside_it(target: Target, model: ModelIdentity, *, served: str) -> Target:
    """Another model that the same server serves, by its name."""
    if model.name == served:
        return replace(target, model=model)
    return replace(
        target,
        endpoint=replace(target.endpoint, model=model.name),
        model=model,
        server=replace(target.server, model_names=(model.name,)),
    )


def adapters(flags: Sequence[str]) -> dict[str, str]:
    """The adapters that `--lora-modules` serves: names and folders, given as `name=path` or as JSON."""
    found: dict[str, str] = {}
    inside = False
    for flag in flags:
        if flag.startswith("-"):
            name, equals, value = flag.partition("=")
            inside = name.lstrip("-").replace("_", "-") == "lora-modules"
            entries = [value] if inside and equals else []
        else:
            entries = [flag] if inside else []
        for entry in entries:
            found |= _adapter(entry)
    return found


def _adapter(entry: str) -> dict[str, str]:
    if entry.startswith("{"):
        try:
            facts = json.loads(entry)
            return {str(facts["name"]): str(facts["path"])}
        except (ValueError, KeyError, TypeError):
            return {}  # vLLM says what is wrong with it
    name, equals, path = entry.partition("=")
    return {name: path} if equals else {}


def _adapted(identity: ModelIdentity, named: NamedArm, base: str, known: Mapping[str, str]) -> ModelIdentity:
    """The base, or one of its adapters: its weights are those of both."""
    name = named.name or base
    if name == base:
        return identity
    if name not in known:
        raise UsageError(
            f"a server of {named.folder} would not serve {name!r}",
            where=named.text,
            fix=did_you_mean(name, (base, *known))
            if known
            else "Name its adapters for the server: --enable-lora --lora-modules NAME=PATH",
        )
    folder = model_folder(known[name])
    own = weights_digest(folder) if folder is not None else None
    digest = (
        hashlib.sha256(f"{identity.weights_digest}\n{own}\n".encode()).hexdigest()
        if own is not None and identity.weights_digest is not None
        else None
    )
    return replace(identity, name=name, source=known[name], weights_digest=digest)


def flag_value(flags: Sequence[str], *names: str) -> str | None:
    """The value of the last flag of one of these names, None if none is given."""
    value: str | None = None
    for flag, following in pairwise((*flags, "")):
        name, equals, own = flag.partition("=")
        if name.startswith("-") and name.lstrip("-").replace("_", "-") in names:
            value = own if equals else following
    return value


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _gpus(settings: Settings, model: str, env: Mapping[str, str]) -> int:
    """GPUs that a server of ours holds: 0 where vLLM was built for the processor, or there is none."""
    if not hardware().gpus:
        return 0
    spec = ServerSpec(model=model, served_name="any", python=settings.server_python or sys.executable, env=env)
    if find_engine(spec, for_programs() | dict(env)).device is Device.CPU:
        return 0
    return gpus_wanted(engine_flags(settings), elsewhere=True) or 1
