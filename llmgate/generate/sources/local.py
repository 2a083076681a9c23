"""A place → a folder of this machine: looked at where it lies, or fetched."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError, UsageError
from llmgate.generate.sources.fetched import fetch_folder
from llmgate.generate.sources.hub import hub_snapshot
from llmgate.generate.sources.layout import loadable, safe_name
from llmgate.generate.sources.mlflow import MlflowStore, look_up
from llmgate.generate.sources.model import LocalModel
from llmgate.generate.sources.place import (
    Folder,
    HubModel,
    ObjectFolder,
    Place,
    RegisteredModel,
    RunModel,
    is_hub_name,
)
from llmgate.generate.sources.remote import ObjectStore
from llmgate.record.weights_cache import cache_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.generate.sources.listing import Teller
    from llmgate.record.weights_cache import WeightsCache

__all__ = ["bring_home", "models_root", "tracking_of"]

CACHE: Final = "models"


def models_root(environ: Mapping[str, str] = os.environ) -> Path:
    """Where fetched models lie: beside the digests of weights, in the user's folder for such things.

    Raises:
        CannotRunError: If the user has no home.
    """
    file = cache_file(environ)
    if file is None:
        raise CannotRunError(
            "there is no home directory, so fetched models have no place", fix="Set XDG_CACHE_HOME to a folder"
        )
    return file.parent / CACHE


def tracking_of(tracking_uri: str | None, where: str, environ: Mapping[str, str] = os.environ) -> str:
    """The MLflow server or store that has a model.

    Raises:
        UsageError: If none is named: MLflow would quietly start an empty one in this folder.
    """
    tracking = tracking_uri or environ.get("MLFLOW_TRACKING_URI")
    if not tracking:
        raise UsageError(
            "no MLflow server is named that has this model",
            where=where,
            fix="Give --mlflow-uri, or set MLFLOW_TRACKING_URI, for example to http://localhost:5000",
        )
    return tracking


def bring_home(
    place: Place,
    *,
    tracking_uri: str | None,
    code: bool,
    cache: WeightsCache | None,
    progress: Teller,
) -> LocalModel:
    """Make a model lie on this machine.

    Args:
        place: Where it is.
        tracking_uri: MLflow's server or store, None for MLFLOW_TRACKING_URI.
        code: Whether code that a model of the hub brings along is wanted too.
        cache: Digests of files that were hashed before, None to read every byte.
        progress: Told what is done.

    Raises:
        UsageError: If the place names nothing that is there.
        CannotRunError: If it cannot be had.
    """
    match place:
        case Folder():
            return _folder(place, code=code, cache=cache, progress=progress)
        case HubModel():
            snapshot = hub_snapshot(place, root=models_root(), code=code, cache=cache, progress=progress)
            return LocalModel(folder=snapshot.folder, source=place.text, revision=snapshot.commit, name=place.name)
        case RegisteredModel() | RunModel():
            return _of_mlflow(place, tracking_uri=tracking_uri, cache=cache, progress=progress)
        case ObjectFolder():
            store, name = ObjectStore(place), safe_name(place.name)
            fetched = fetch_folder(store, name=name, root=models_root(), cache=cache, progress=progress)
            return LocalModel(
                folder=loadable(fetched.folder, views=models_root, name=name, where=place.text),
                source=place.text,
                revision=f"objects sha256:{fetched.listed}",
                name=place.name,
            )


def _folder(place: Folder, *, code: bool, cache: WeightsCache | None, progress: Teller) -> LocalModel:
    path = Path(place.path).expanduser()
    if path.is_dir():
        folder = path.resolve()
        inner = loadable(folder, views=models_root, name=folder.name, where=place.text)
        return LocalModel(folder=inner, source=place.text, name=folder.name)
    if path.exists() or not is_hub_name(place.text) or Path(path.parts[0]).is_dir():
        raise UsageError(
            "the model must be a folder, this is a file" if path.exists() else "there is no such model folder",
            where=place.text,
            fix=f"Correct the path; it was looked up from {Path.cwd()}",
        )
    on_hub = HubModel(text=f"hf://{place.text}", repo=place.text)
    found = bring_home(on_hub, tracking_uri=None, code=code, cache=cache, progress=progress)
    return replace(found, source=place.text)


def _of_mlflow(
    place: RegisteredModel | RunModel, *, tracking_uri: str | None, cache: WeightsCache | None, progress: Teller
) -> LocalModel:
    tracking = tracking_of(tracking_uri, place.text)
    logged = look_up(place, tracking_uri=tracking, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or tracking)
    if logged.registry_uri is not None and logged.registry_uri != place.text:
        progress.stage(f"{place.text} is {logged.registry_uri} now")
    folder = logged.folder
    if folder is None:
        store = MlflowStore(place, logged, tracking_uri=tracking)
        name = safe_name(place.name)
        folder = fetch_folder(store, name=name, root=models_root(), cache=cache, progress=progress).folder
    return LocalModel(
        folder=loadable(folder.resolve(), views=models_root, name=place.name, where=place.text),
        source=place.text,
        revision=logged.revision,
        name=place.name,
        registry_uri=logged.registry_uri,
    )
