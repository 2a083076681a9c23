"""The files of a registered version, as MLflow's store gives them out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError
from llmgate.promote.mlflow_client import calls, without_credentials
from llmgate.record.artifact_store import is_artifact_store, local_path

if TYPE_CHECKING:
    from llmgate.promote.mlflow_target import MlflowTarget
    from llmgate.promote.target import VersionFacts

__all__ = ["fetch_files"]


def fetch_files(target: MlflowTarget, version: VersionFacts, into: Path) -> Path:
    """The folder of a version's files: where it lies if that is on this machine, else a copy.

    Args:
        target: The registry.
        version: The version.
        into: An empty folder with room for all of it.

    Raises:
        CannotRunError: If they cannot be reached, or lie where llmgate takes nothing from.
    """
    with calls(version.uri):
        # A source may be a logged model or a run; this is where its bytes are.
        place = target.client.get_model_version_download_uri(version.name, version.version)
    here = local_path(place)
    if here is not None:
        if not here.is_dir():
            raise CannotRunError(
                "the version's files lie in a folder that this machine does not have",
                where=str(here),
                fix="Verify where the folder is, or register the version with its files: --mlflow-uri http://…",
            )
        return here
    if not is_artifact_store(place):
        raise CannotRunError(
            f"the version's files lie at {without_credentials(place)!r}, from where llmgate takes none",
            where=version.uri,
            fix="Copy them to a folder, and verify that",
        )
    with calls(version.uri):
        from mlflow.artifacts import download_artifacts  # noqa: PLC0415 - an optional extra

        return Path(download_artifacts(artifact_uri=place, dst_path=str(into), tracking_uri=target.tracking_uri))
