"""Models in MLflow: a registered version, or what a run logged → where its files lie, and those files.

A folder on this machine is taken as it lies: what MLflow keeps there is not copied. Everything else goes into the cache.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError, LlmgateError
from llmgate.generate.sources.listing import BrokenOffError, RemoteFile
from llmgate.generate.sources.place import RegisteredModel, RunModel
from llmgate.mlflow_quiet import quiet
from llmgate.record.artifact_store import is_artifact_store, local_path
from llmgate.record.weights_files import counted_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.generate.sources.work import Counter

__all__ = ["Logged", "MlflowStore", "look_up"]

INSTALL: Final = "Install it with pip install 'pytest-llmgate[mlflow]'"
CHECK: Final = "Check the name, the server, your rights on it, and MLFLOW_TRACKING_URI"
CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]+@")
CODE: Final = re.compile(r"^(?:[A-Z][A-Z_]+: )+")
BROKEN_OFF: Final = frozenset({"ChunkedEncodingError", "ConnectionError", "ProtocolError", "ReadTimeout", "Timeout"})
"""Errors of `requests` and urllib3 after which another attempt may go through."""
DEEPEST: Final = 20
MOST_FOLDERS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A model as MLflow has it now.

    Attributes:
        uri: Where its files lie.
        revision: What was named, pinned: `models:/NAME/VERSION run RUN_ID`.
        made: When, by the server: two versions of one number are two.
        registry_uri: `models:/NAME/VERSION` of a registered version, None for a run's model.
    """

    uri: str
    revision: str
    made: str
    registry_uri: str | None = None

    @property
    def folder(self) -> Path | None:
        """Where its files lie on this machine, None if they do not."""
        return local_path(self.uri)


def look_up(place: RegisteredModel | RunModel, *, tracking_uri: str, registry_uri: str) -> Logged:
    """Ask MLflow where a model is.

    Args:
        place: The model.
        tracking_uri: The tracking server or store.
        registry_uri: The registry.

    Raises:
        CannotRunError: If there is no such model, it lies where llmgate takes nothing from, or nobody answers.
    """
    with asking(place.text):
        from mlflow import MlflowClient  # noqa: PLC0415 - an optional extra, and two seconds of import

        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=registry_uri)
        found = _registered(client, place) if isinstance(place, RegisteredModel) else _of_run(client, place)
    if found.folder is not None and not found.folder.is_dir():
        raise CannotRunError(
            f"its files lie in a folder that this machine does not have: {found.folder}",
            where=place.text,
            fix="Run it where the folder is, or let MLflow's server keep the files (--artifacts-destination)",
        )
    if not is_artifact_store(found.uri):
        raise CannotRunError(
            f"its files lie at {without_credentials(found.uri)!r}, from where llmgate takes none",
            where=place.text,
            fix="Copy them to a folder, and name that",
        )
    return found


def _registered(client: Any, place: RegisteredModel) -> Logged:
    version = (
        client.get_model_version_by_alias(place.name, place.alias)
        if place.alias
        else client.get_model_version(place.name, place.version)
    )
    pinned = f"models:/{place.name}/{version.version}"
    if version.status != "READY":
        raise CannotRunError("the registry has not finished creating this version", where=pinned, fix="Wait")
    uri = client.get_model_version_download_uri(place.name, str(version.version))
    run = f" run {version.run_id}" if version.run_id else ""
    return Logged(uri=uri, revision=f"{pinned}{run}", made=str(version.creation_timestamp), registry_uri=pinned)


def _of_run(client: Any, place: RunModel) -> Logged:
    """What a run logged under a path: files of the run, or since MLflow 3 a model of that name."""
    run = client.get_run(place.run)
    made = str(run.info.start_time)
    model = None if "'" in place.path or "/" in place.path else _model_of_run(client, run, place)
    if model is not None:
        return Logged(uri=model.artifact_location, revision=f"{place.text} model {model.model_id}", made=made)
    return Logged(uri=f"{run.info.artifact_uri.rstrip('/')}/{place.path}", revision=f"run {place.run}", made=made)


def _model_of_run(client: Any, run: Any, place: RunModel) -> Any:
    if not hasattr(client, "search_logged_models"):
        return None  # before MLflow 3 there were none
    token = None
    while True:
        page = client.search_logged_models(
            experiment_ids=[run.info.experiment_id], filter_string=f"name = '{place.path}'", page_token=token
        )
        for model in page:
            if model.source_run_id == place.run:
                return model
        token = page.token
        if not token:
            return None


class MlflowStore:
    """The files of a model that MLflow's server, or an object store behind it, gives out.

    Args:
        place: As the user named it.
        logged: Where it is.
        tracking_uri: The tracking server.
    """

    def __init__(self, place: RegisteredModel | RunModel, logged: Logged, *, tracking_uri: str) -> None:
        self.where = place.text
        self.identity = "\n".join(
            ("mlflow", without_credentials(tracking_uri), logged.revision, logged.made, without_credentials(logged.uri))
        )
        with asking(self.where):
            from mlflow.store.artifact.artifact_repository_registry import (  # noqa: PLC0415 - an optional extra
                get_artifact_repository,
            )

            self._repository: Any = get_artifact_repository(logged.uri, tracking_uri=tracking_uri)

    def listing(self) -> Sequence[RemoteFile]:
        """The files that count for a model's identity; notes and traces of training are left where they are."""
        found: list[RemoteFile] = []
        left: list[tuple[str | None, int]] = [(None, 0)]
        folders = 0
        with asking(self.where):
            while left:
                folder, depth = left.pop()
                folders += 1
                if depth > DEEPEST or folders > MOST_FOLDERS:
                    raise CannotRunError("more folders lie there than a model has", where=self.where)
                for each in self._repository.list_artifacts(folder):
                    path = str(each.path)
                    if each.is_dir:
                        if folder is not None and not path.startswith(f"{folder}/"):
                            raise CannotRunError(
                                f"a folder is listed as {ascii(path)[:100]} inside of {ascii(folder)[:100]}",
                                where=self.where,
                            )
                        left.append((path, depth + 1))
                    else:
                        found.append(RemoteFile(path=path, size=each.file_size))
        counted = frozenset(counted_names([file.path for file in found]))
        return [file for file in found if file.path in counted]

    def fetch(self, file: RemoteFile, into: Path, counter: Counter) -> None:
        """Write a file's bytes; MLflow cannot be interrupted in the middle of one."""
        counter.add(0)
        with asking(self.where):
            # `download_artifacts` would list the folder again for each file, and make folders by the server's names.
            self._repository._download_file(file.path, str(into))  # noqa: SLF001


@contextlib.contextmanager
def asking(where: str) -> Iterator[None]:
    """Ask MLflow something, quietly and in bounded time.

    Args:
        where: What is asked about.

    Raises:
        BrokenOffError: If a transfer broke off.
        CannotRunError: For whatever else MLflow, the network or the disk says.
    """
    with quiet():
        try:
            yield
        except LlmgateError:
            raise
        except ImportError as error:
            raise CannotRunError("this needs MLflow", where=where, fix=INSTALL) from error
        except Exception as error:
            if not _is_mlflows(error):
                raise
            first = CODE.sub("", (str(error).strip() or type(error).__name__).splitlines()[0]).rstrip(". ")
            kinds = {kind.__name__ for kind in type(error).__mro__}
            problem = BrokenOffError if kinds & BROKEN_OFF else CannotRunError
            raise problem(f"MLflow says: {without_credentials(first)[:300]}", where=where, fix=CHECK) from error


def _is_mlflows(error: Exception) -> bool:
    """Whether it came from MLflow, its database, its transport or the disk, and not from a mistake of ours."""
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or bool(modules & {"mlflow", "sqlalchemy", "requests", "urllib3", "boto3", "botocore"})


def without_credentials(text: str) -> str:
    """The same text with `user:password@` taken out of every URL."""
    return CREDENTIALS.sub("", text)
