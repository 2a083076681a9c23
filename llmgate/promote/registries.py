"""The acts on a registry: log a gate run, find the baseline, promote. Which registry a URI means is told here alone.

They check and explain. They block nobody who sets the alias by other means; that takes a registry that checks on its
own side.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError, PromotionRefusedError
from llmgate.promote.alias import CHAMPION
from llmgate.promote.earned import read_earned
from llmgate.promote.elsewhere.address import is_elsewhere
from llmgate.promote.mlflow_client import resolve_uris
from llmgate.promote.mlflow_log import MlflowRegistry
from llmgate.promote.permission import DEFAULT_MAX_AGE
from llmgate.promote.promotion import Promotion, promote_version
from llmgate.promote.refreshed import read_refreshed
from llmgate.promote.target import VersionFacts, parse_version_uri
from llmgate.record.disk import private_folder

if TYPE_CHECKING:
    from datetime import timedelta

    from llmgate.attest.policy import RegistryPolicy
    from llmgate.promote.evidence import Redecide, SourceDigest
    from llmgate.promote.target import GateRun, LoggedRun, NewVersion, Registry

__all__ = [
    "ChampionRecord",
    "find_baseline",
    "log_run",
    "open_mlflow",
    "open_registry",
    "promote",
]

EXPERIMENT = "llmgate"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionRecord:
    """The record of the model in production.

    Attributes:
        folder: The record, downloaded.
        version: The version that holds the alias.
        refreshed: Whether it is the run that was made after the promotion, and not the one that earned the alias.
    """

    folder: Path
    version: VersionFacts
    refreshed: bool = False


def open_registry(uri: str | None, *, experiment: str = EXPERIMENT, create: bool = False) -> Registry:
    """The registry that a URI means: MLflow, whatever the scheme, but for those of `llmgate.promote.elsewhere`.

    Args:
        uri: Server or store; by default `MLFLOW_TRACKING_URI`, for models `MLFLOW_REGISTRY_URI` if that is set.
        experiment: Name under which runs are grouped.
        create: Whether a registry in a file may be created.

    Raises:
        UsageError: If no registry is named.
        CannotRunError: If its client is not installed, or it cannot be reached.
    """
    if uri is not None and is_elsewhere(uri):
        raise CannotRunError(
            "this registry keeps no gate runs and no records",
            where=uri,
            fix="Keep them in MLflow, and promote there by the signed verdict: `llmgate promote URI --verdict FILE`",
        )
    return open_mlflow(uri, experiment=experiment, create=create)


def open_mlflow(uri: str | None, *, experiment: str = EXPERIMENT, create: bool = False) -> MlflowRegistry:
    """As `open_registry`, where nothing but MLflow will do."""
    return MlflowRegistry(*resolve_uris(uri, None), experiment=experiment, create=create)


def log_run(
    run: GateRun,
    *,
    model_version: str | None = None,
    new: NewVersion | None = None,
    experiment: str = EXPERIMENT,
    tracking_uri: str | None = None,
) -> LoggedRun:
    """Keep a gate run in the registry, and link the version that it judged; see `Registry.log`.

    Args:
        run: What the gate run left behind.
        model_version: The version that was judged, `models:/NAME/VERSION`; by default the one in the manifest.
        new: Register the model that was judged as a new version, without any alias.
        experiment: As for `open_registry`.
        tracking_uri: As for `open_registry`.
    """
    registry = open_registry(tracking_uri, experiment=experiment, create=True)
    return registry.log(run, subject=model_version, new=new)


def find_baseline(
    model_name: str,
    alias: str = CHAMPION,
    *,
    into: Path,
    tracking_uri: str | None = None,
) -> ChampionRecord:
    """Download the record that earned the model in production its place: alias → verdict → record.

    If the champion was asked again since (`llmgate champion refresh`), it is that record, of the same weights. Where
    the verdict is signed, the record must be the one that it names, byte for byte.

    Args:
        model_name: Registered model.
        alias: The alias of the model in production.
        into: A folder for the record; made if it does not exist.
        tracking_uri: As for `open_registry`.

    Raises:
        CannotRunError: Naming the link that is missing, and what to do.
    """
    registry = open_registry(tracking_uri)
    where = f"models:/{model_name}@{alias}"
    holder = registry.holder(model_name, alias)
    if holder is None:
        raise CannotRunError(
            "no version holds this alias, so there is no baseline",
            where=where,
            fix="Judge the first version by absolute thresholds (min:), without a baseline",
        )
    try:
        private_folder(into)
        with tempfile.TemporaryDirectory(prefix=".llmgate-", dir=into) as scratch:
            earned = read_earned(registry, holder, alias, Path(scratch))
            if earned is None:
                raise CannotRunError(
                    f"version {holder.version} holds the alias {alias!r}, but what earned it was not kept: an older "
                    "llmgate set the alias, or something else did",
                    where=holder.uri,
                    fix=f"Run `llmgate promote {holder.uri} --alias {alias}`, which leaves the alias and keeps its "
                    "evidence, or name a record with --baseline",
                )
            fresh = read_refreshed(registry, holder, alias, earned, Path(scratch) / "refreshed")
            record = into / "record"
            if record.exists():  # from an earlier start of the same run
                record.rename(Path(tempfile.mkdtemp(prefix="before-", dir=into)) / "record")
            found = (fresh or earned.files.candidate).rename(record)
            return ChampionRecord(folder=found, version=holder, refreshed=fresh is not None)
    except OSError as error:
        raise CannotRunError(f"cannot be written ({error.strerror})", where=str(into)) from error
    except PromotionRefusedError as error:
        raise CannotRunError(error.what, where=holder.uri, fix="Or name a record with --baseline") from error


def promote(
    uri: str,
    alias: str = CHAMPION,
    *,
    redecide: Redecide,
    source_digest: SourceDigest,
    max_age: timedelta = DEFAULT_MAX_AGE,
    accept: str | None = None,
    policy: RegistryPolicy | None = None,
    tracking_uri: str | None = None,
) -> Promotion:
    """Give a version the alias if a PASS verdict for exactly this version can be taken again from its records.

    Args:
        uri: `models:/NAME/VERSION`.
        alias: The alias.
        redecide: Takes the decision from two record folders.
        source_digest: SHA-256 over the files at a version's source, None where they cannot be reached.
        max_age: How long a verdict counts.
        accept: As for `promote_version`.
        policy: As for `promote_version`.
        tracking_uri: As for `open_registry`.

    Raises:
        PromotionRefusedError: With one sentence: why, and what to do.
        UsageError: If the URI names no single version, or no server is named.
        CannotRunError: If MLflow is not installed or cannot be reached.
    """
    parse_version_uri(uri)
    registry = open_registry(tracking_uri)
    return promote_version(
        registry,
        uri,
        alias=alias,
        redecide=redecide,
        source_digest=source_digest,
        max_age=max_age,
        accept=accept,
        policy=policy,
    )
