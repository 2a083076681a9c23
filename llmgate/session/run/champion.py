"""Which champion is served for a comparison of serving: the model of its record, as it was served there."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError, EndpointError, LlmgateError
from llmgate.generate.vllm.adapters import without_adapters
from llmgate.session.reach.engine_flags import engine_flags, restored, without_engine
from llmgate.session.reach.owned import identify_folder
from llmgate.session.run.arm_places import NamedArm, endpoint_place, folder_place, read_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.record.manifest import Manifest, ModelIdentity
    from llmgate.session.progress import Progress
    from llmgate.session.serving.hosting import ArmPlace
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = ["LOG_NAME", "champion_place", "unserved", "vllm_flags", "why_not"]

LOG_NAME: Final = "server-champion.log"
OPTION: Final = "--serving-champion"
NAME_IT: Final = '--model BASE --adapter "NAME=DIR OLD=DIR"'
VARIABLE: Final = re.compile(r"VLLM_[A-Z0-9_]+=")
RUNS_CODE: Final = re.compile(
    r"(?i)^(--(?!generation[-_]config).*(plugin|middleware|[-_]cls|processor|trust[-_]remote|config|executor|extension|entrypoint)"
    r"|VLLM_.*(PLUGIN|ALLOW|DEV_MODE|EXEC|URL|HOST|MODULE|SERIALIZATION))"
)
"""Flags and variables that can name a module, a file or a host of somebody else's. A record may come from a store that
others write to, so they are taken from it only where this run's own flags or environment have them too."""


def unserved(settings: Settings, manifest: Manifest) -> CannotRunError | None:
    """Why the champion cannot be served, as far as that is known without asking or hashing anything; None for nothing.

    Args:
        settings: The options.
        manifest: Of the champion's run.
    """
    if settings.serving_champion is not None:
        return None
    if not manifest.server.owned:
        return None
    if manifest.model.adapter:
        if settings.model and settings.adapter:
            return None
        return CannotRunError(
            f"the champion is the adapter {manifest.model.name}, and this run serves none",
            where="serving of the champion",
            fix=f"Name it and its base: {NAME_IT}",
        )
    if Path(manifest.model.source).expanduser().is_dir():
        return None
    return CannotRunError(
        f"the champion's model folder {manifest.model.source} is not there",
        where="serving of the champion",
        fix=f"Name it, or an endpoint that serves it: {OPTION} PLACE|URL",
    )


def champion_place(
    settings: Settings, manifest: Manifest, *, log_path: Path, progress: Progress, running: Target | None = None
) -> ArmPlace:
    """Where the champion is served: what `--serving-champion` names, or the folder or endpoint of its run.

    A server of ours gets the flags that the champion's had: so it is what its users would get. An adapter is served
    with this run's flags, on one server with the candidate if that is an adapter of the same base.

    Args:
        settings: The options.
        manifest: Of the champion's run.
        log_path: Where its server's output goes.
        progress: Told about hashing.
        running: The model under test.

    Raises:
        CannotRunError: If it is gone, or is another model by now.
        UsageError: If `--serving-champion` names nothing that can be served.
        LlmgateError: As hashing and asking do.
    """
    problem = unserved(settings, manifest)
    if problem is not None:
        raise problem
    named = _named(settings, manifest, running)
    if named.url:
        place = endpoint_place(settings, named, progress=progress)
        if place.model is not None:
            _check_weights(place.model, manifest, named)
        return place
    own = settings
    env: Mapping[str, str] = {}
    if named.name is not None:
        place = folder_place(
            replace(own, port=None), named, log_path=log_path, progress=progress, identity=_base(named, running)
        )
        if place.model is not None:
            _check_weights(place.model, manifest, named)
        alike = () if running is None else running.alike
        arms = {each.name for each in (place.model, running and running.model) if each}
        # Two that answer alike get a server each, as nothing shows that one keeps them apart.
        return replace(place, server="") if arms in alike else place
    if manifest.server.owned:
        flags, env = vllm_flags(manifest.server.flags)
        flags = without_adapters(flags)
        _check_flags(flags, env, settings)
        own = replace(without_engine(settings), server_args=restored(flags, settings))
    own = replace(own, port=None)
    identity = identify_folder(
        replace(settings, registry_uri=None), named.folder, Path(named.folder).resolve().name, progress=progress
    )
    _check_weights(identity, manifest, named)
    return folder_place(own, named, log_path=log_path, progress=progress, env=env, identity=identity)


def _base(named: NamedArm, running: Target | None) -> ModelIdentity | None:
    """The identity of the base that an arm is served on, where the model under test is served on it already."""
    if running is None or not running.beside:
        return None
    base = next(iter(running.beside.values()))
    same = Path(base.source).expanduser().resolve() == Path(named.folder).expanduser().resolve()
    return replace(base, registry_uri=None) if same else None


def vllm_flags(recorded: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """What a record says of a server of ours → flags and variables that make it again."""
    flags = tuple(entry for entry in recorded if not VARIABLE.match(entry))
    variables = (entry.partition("=") for entry in recorded if VARIABLE.match(entry))
    return flags, {name: value for name, _, value in variables}


def _check_flags(flags: Sequence[str], env: Mapping[str, str], settings: Settings) -> None:
    """Refuse what a record asks for that could run code, and that this run does not ask for itself.

    Raises:
        CannotRunError: About the first of it.
    """
    ours = {flag.partition("=")[0] for flag in engine_flags(settings)}
    foreign = [flag for flag in flags if RUNS_CODE.match(flag) and flag.partition("=")[0] not in ours]
    foreign += [name for name, value in env.items() if RUNS_CODE.match(name) and os.environ.get(name) != value]
    if foreign:
        raise CannotRunError(
            f"the champion's record asks for {foreign[0].partition('=')[0]}, which can run code of others",
            where="serving of the champion",
            fix=f"Start it yourself and name its address: {OPTION} URL, or have it in this run's --server-args, too",
        )


def _named(settings: Settings, manifest: Manifest, running: Target | None) -> NamedArm:
    """Which arm the champion is.

    Raises:
        CannotRunError: If it is an adapter, and none of those that this run names.
        UsageError: If `--serving-champion` names nothing that can be served.
    """
    if settings.serving_champion is not None:
        named = read_named(settings.serving_champion, where=OPTION)
        known = named.url and named.name is None and not manifest.server.owned
        return replace(named, name=manifest.model.name) if known else named
    if manifest.model.adapter and manifest.server.owned:
        served = running.beside.values() if running is not None else ()
        same = next((each for each in served if each.weights_digest == manifest.model.weights_digest), None)
        if same is None:
            raise CannotRunError(
                f"the champion is the adapter {manifest.model.name}, and no adapter of this run holds its weights",
                where="serving of the champion",
                fix=f"Name it beside the candidate's, on the same base: {NAME_IT}",
            )
        base = settings.model or ""
        return NamedArm(text=f"{base}#{same.name}", folder=base, name=same.name)
    if manifest.server.owned:
        return NamedArm(text=manifest.model.source, folder=manifest.model.source)
    return NamedArm(
        text=f"{manifest.server.url}#{manifest.model.name}", url=manifest.server.url, name=manifest.model.name
    )


def _check_weights(served: ModelIdentity, manifest: Manifest, named: NamedArm) -> None:
    """Refuse another model than the one whose answers are compared with.

    Raises:
        CannotRunError: If it is one.
    """
    ran = manifest.model
    if served.weights_digest is not None and served.weights_digest != ran.weights_digest:
        raise CannotRunError(
            f"the weights in {named.text if named.name else named.folder} are not those of the champion's run",
            where="serving of the champion",
            fix=f"Name the folder that it was asked in: {OPTION} DIR, or DIR#NAME with --adapter for an adapter",
        )
    if ran.weights_digest is not None and named.url:
        raise EndpointError(
            "an endpoint does not prove its weights, and those of the champion's run are known",
            where=f"serving of the champion at {named.url}",
            fix=f"Name its model folder: {OPTION} DIR",
        )


def why_not(error: LlmgateError) -> str:
    """One line for whoever waits for the run."""
    return f"warning: serving is not compared with the champion, so the run will not pass: {error}"
