"""What users named as models → folders of this machine, where they came from, and what they were pinned to.

A run does it once, before anything starts (`localised`): from then on its settings name folders, and `Settings.fetched`
knows where these came from. Whoever names a model elsewhere asks `local_model`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import RecordError, UsageError
from llmgate.generate.sources.model import LocalModel
from llmgate.generate.sources.place import Folder, is_hub_name, read_place
from llmgate.record.run.files import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.record.manifest import ModelIdentity
    from llmgate.session.progress import Progress
    from llmgate.session.settings.typed import Settings

__all__ = ["LocalModel", "local_arm", "local_model", "localised", "named_source", "refuse_moved"]

TRUSTED: Final = "--trust-remote-code"
MLMODEL: Final = "MLmodel"


def local_model(settings: Settings, text: str, progress: Progress) -> LocalModel:
    """Make a model lie on this machine: fetch it, unless it was fetched before.

    Calling it again for the same text gives the same folder; nothing is fetched twice, but each file is held against
    its digest again.

    Args:
        settings: Name the registry, and what was fetched already.
        text: A folder, or a place as `llmgate.generate.sources.place` reads it.
        progress: Told about what is fetched.

    Raises:
        UsageError: If the text names no place.
        CannotRunError: If it cannot be had.
    """
    known = settings.fetched.get(text)
    if known is not None:
        return known
    # A run that asks an endpoint needs none of it.
    from llmgate.generate.sources.local import bring_home  # noqa: PLC0415
    from llmgate.session.reach.weights import usable_cache  # noqa: PLC0415

    return bring_home(
        read_place(text),
        tracking_uri=settings.mlflow_uri,
        code=TRUSTED in settings.server_args,
        cache=usable_cache(os.environ, trusted=settings.trust_weights_cache),
        progress=progress,
    )


def localised(settings: Settings, progress: Progress) -> Settings:
    """The settings with folders in place of what has to be fetched: model, adapters, judge, the champion of serving.

    The model keeps its name, and a registered version of what is under test is the one that the run judges: of an
    adapter, and not of the base that it is served on.

    Raises:
        UsageError: If a place names nothing, or the run judges another version.
        CannotRunError: If a model cannot be had.
    """
    fetched = dict(settings.fetched)

    def folder(text: str | None) -> LocalModel | None:
        if text is None or text in fetched or not is_elsewhere(text):
            return None
        # Named twice it is one model, also where a branch moves in between.
        found = next((known for known in fetched.values() if known.source == text), None)
        if found is None:
            found = local_model(settings, text, progress)
            fetched[str(found.folder)] = found
        return found

    changes: dict[str, Any] = {}
    model = folder(settings.model)
    if model is not None:
        changes["model"] = str(model.folder)
        if not settings.adapter:  # which it would choose among
            changes["served_name"] = settings.served_name or model.name
    adapters = {name: folder(place) for name, place in settings.adapter.items()}
    changes |= _in_place(settings, model, adapters)
    judge = folder(settings.judge_model)
    if judge is not None:
        changes |= {"judge_model": str(judge.folder), "judge_name": settings.judge_name or judge.name}
    if changes:
        settings = replace(settings, fetched=fetched, **changes)
    if settings.serving_champion is None:
        return settings
    settings, champion = local_arm(settings, settings.serving_champion, progress)
    return replace(settings, serving_champion=champion)


def _in_place(
    settings: Settings, model: LocalModel | None, adapters: Mapping[str, LocalModel | None]
) -> dict[str, Any]:
    """What changes of the settings by adapters that were fetched, and by what is judged."""
    changes: dict[str, Any] = {}
    fetched = {name: str(local.folder) for name, local in adapters.items() if local is not None}
    if fetched:
        changes["adapter"] = {**settings.adapter, **fetched}
    tested = _tested(settings, model, adapters)
    if tested is not None:
        changes["registry_uri"] = _judged(settings, tested)
    return changes


def _tested(
    settings: Settings, model: LocalModel | None, adapters: Mapping[str, LocalModel | None]
) -> LocalModel | None:
    """Of what was fetched, the one that is under test; None if that was not fetched, or is not said."""
    names = [name for name in adapters if name != settings.champion_adapter]
    chosen = settings.served_name or (names[0] if len(names) == 1 else None)
    if not adapters or (model is not None and chosen == model.name):
        return model
    return adapters.get(chosen or "")


def _judged(settings: Settings, model: LocalModel) -> str | None:
    """The registered version under test.

    Raises:
        UsageError: If two are named.
    """
    if model.registry_uri is None or settings.registry_uri in {None, model.registry_uri}:
        return settings.registry_uri or model.registry_uri
    raise UsageError(
        f"the model is {model.registry_uri}, and the run is to judge {settings.registry_uri}",
        where="--registry-uri",
        fix="Leave it out: a version that is named as --model or --adapter is the one that is judged",
    )


def local_arm(settings: Settings, text: str, progress: Progress) -> tuple[Settings, str]:
    """What names an arm, `PLACE`, `PLACE#NAME` or a URL, with a folder in place of what has to be fetched.

    Args:
        settings: The options.
        text: As the user wrote it.
        progress: Told about what is fetched.

    Returns:
        The settings, which know where the folder came from, and the text.

    Raises:
        UsageError: If the place names nothing.
        CannotRunError: If it cannot be had.
    """
    if text.startswith(("http://", "https://")):
        return settings, text
    place, mark, name = text.rpartition("#")
    if not mark:
        place, name = text, ""
    if place in settings.fetched or not place or not is_elsewhere(place):
        return settings, text
    found = next((known for known in settings.fetched.values() if known.source == place), None)
    if found is None:
        found = local_model(settings, place, progress)
    return replace(settings, fetched={**settings.fetched, str(found.folder): found}), f"{found.folder}{mark}{name}"


def is_elsewhere(text: str) -> bool:
    """Whether a text names a model that is to be fetched, or to be found in what MLflow logged."""
    place = read_place(text)
    if not isinstance(place, Folder):
        return True
    path = Path(place.path).expanduser()
    if path.is_dir():
        flavoured = (path / MLMODEL).is_file() and not (path / "config.json").is_file()
        return flavoured or place.path != place.text
    return is_hub_name(text) and not path.exists() and not Path(path.parts[0]).is_dir()


def named_source(settings: Settings, folder: str, identity: ModelIdentity) -> ModelIdentity:
    """The identity of a folder's model, with what the user named and what that was pinned to, if it was fetched."""
    known = settings.fetched.get(folder)
    return identity if known is None else replace(identity, source=known.source, revision=known.revision)


def refuse_moved(out: Path, model: ModelIdentity) -> None:
    """Say it in words if a run cannot go on because what its model is named by means other weights by now.

    Raises:
        RecordError: If it does.
    """
    before = MANIFEST.read(out).model
    moved = before.revision and model.revision and before.revision != model.revision
    if moved and before.source == model.source and before.weights_digest != model.weights_digest:
        raise RecordError(
            f"{model.source} has moved: it was {before.revision} when the run began, and is {model.revision} now",
            where=str(out),
            fix="Start a new run; named by a commit or a version, a model stays what it is",
        )
