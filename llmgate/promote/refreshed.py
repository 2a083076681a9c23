"""A fresh run of the champion, made after its promotion: what later candidates are compared with.

The run that earned the alias was chosen because it passed. One of the same weights, asked again, was not. It is kept as
an MLflow run that no verdict rests on, and a tag of the version leads to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError, LlmgateError
from llmgate.promote import tags
from llmgate.promote.evidence import read_identity
from llmgate.promote.mlflow_client import calls
from llmgate.promote.mlflow_log import (
    MlflowRegistry,
    experiment_id,
    log_files,
    log_inputs,
    log_values,
    logged_model_of,
    run_url,
)
from llmgate.promote.mlflow_target import failing
from llmgate.promote.mlflow_values import run_tags
from llmgate.promote.succession import same_weights
from llmgate.record.manifest import FOR_COMPARISON
from llmgate.record.run.loading import load_record, record_digest

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.promote.earned import Earned
    from llmgate.promote.target import GateRun, PromotionTarget, Registry, VersionFacts

__all__ = ["RefreshNote", "log_refresh", "may_stand_in", "read_refreshed", "refresh_note"]

POINTER: Final = re.compile(r"(?P<run>\S+) sha256:(?P<digest>[0-9a-f]{64}) (?P<at>\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshNote:
    """What a version's tag says of the fresh run of it: a pointer, and no proof.

    Attributes:
        run: The registry's id of the run.
        digest: Of its record.
        at: When it was sealed, as the tag says.
        where: The version and the tag.
    """

    run: str
    digest: str
    at: str
    where: str


def refresh_note(version: VersionFacts, alias: str) -> RefreshNote | None:
    """The note of a version's fresh run, None without one.

    Raises:
        CannotRunError: If the tag is not what llmgate writes.
    """
    told = version.tags.get(refreshed_tag(alias))
    if told is None:
        return None
    where = f"{version.uri}, tag {refreshed_tag(alias)}"
    match = POINTER.fullmatch(told)
    if match is None:
        raise CannotRunError(
            "the tag that leads to the champion's fresh run was altered", where=where, fix=mend(version)
        )
    return RefreshNote(run=match["run"], digest=match["digest"], at=match["at"], where=where)


def may_stand_in(earned: Earned) -> bool:
    """Whether a fresh run may stand for the one that earned the alias.

    Not where that one is named by a signed verdict: nothing signs the fresh one, and who may write tags would choose
    what candidates are compared with.
    """
    return not earned.signed


def read_refreshed(
    target: PromotionTarget, holder: VersionFacts, alias: str, earned: Earned, into: Path
) -> Path | None:
    """Download the fresh run of the holder of an alias.

    Args:
        target: The registry.
        holder: Who holds the alias.
        alias: The alias.
        earned: What earned it; the fresh run has to be of the same weights, served in the same way.
        into: An empty folder.

    Returns:
        The record's folder; None if there is no fresh run, or a signed verdict says what is compared with.

    Raises:
        CannotRunError: If the run is gone, was altered, or is of something else.
    """
    note = refresh_note(holder, alias)
    if note is None or not may_stand_in(earned):
        return None
    try:
        files = target.evidence(holder, into, kept=note.run)
        if files is None or record_digest(files.candidate) != note.digest:
            raise CannotRunError("the champion's fresh run was altered", where=note.where, fix=mend(holder))
        fresh = read_identity(files.candidate)
    except CannotRunError:
        raise
    except LlmgateError as error:
        raise CannotRunError(
            f"the champion's fresh run cannot be had ({error.what})", where=note.where, fix=mend(holder)
        ) from error
    if fresh.manifest.made_for != FOR_COMPARISON or not same_weights(fresh, earned.record):
        raise CannotRunError(
            "the champion's fresh run is of other weights than those that earned the alias, or served otherwise",
            where=note.where,
            fix=mend(holder),
        )
    return files.candidate


def log_refresh(registry: Registry, version: VersionFacts, alias: str, run: GateRun) -> tuple[str, str | None]:
    """Keep the fresh run of a version, and let the version's tag lead to it. It is no verdict on the version.

    Args:
        registry: MLflow.
        version: Who holds the alias.
        alias: The alias.
        run: What the run left behind.

    Returns:
        MLflow's id of the run, and its page where there is a server.

    Raises:
        CannotRunError: If it is no MLflow, cannot be reached, or refuses.
    """
    if not isinstance(registry, MlflowRegistry):
        raise CannotRunError(
            "this registry keeps no runs", where=version.uri, fix="Name an MLflow server: --mlflow-uri"
        )
    record = load_record(run.folder)
    told = {
        key: value
        for key, value in run_tags(record.manifest, run.decision, subject=None, baseline=None).items()
        if key not in {tags.VERDICT, tags.SUBJECT}
    }
    with calls(registry.tracking_uri):
        opened = registry.client.create_run(
            experiment_id(registry, registry.experiment),
            run_name=f"{version.name} v{version.version} refreshed",
            tags={**told, tags.REFRESHES: version.uri},
        )
    run_id: str = opened.info.run_id
    with failing(registry, run_id), calls(registry.tracking_uri):
        model_id = logged_model_of(registry, version)
        log_values(registry, opened, run, record, model_id)
        log_inputs(registry, run_id, record, model_id)
        log_files(registry, run_id, run, record)
        registry.client.set_terminated(run_id, "FINISHED")
    at = record.seal.sealed_at if record.seal else datetime.now(UTC).isoformat(timespec="seconds")
    pointer = f"{run_id} sha256:{record_digest(run.folder)} {at}"
    registry.annotate(version.name, version.version, {refreshed_tag(alias): pointer})
    return run_id, run_url(registry, opened)


def refreshed_tag(alias: str) -> str:
    """Which tag of a version leads to its fresh run."""
    return f"{tags.REFRESHED}/{alias}"


def mend(version: VersionFacts) -> str:
    """What to do about a fresh run that is of no use."""
    return f"Run `llmgate champion refresh models:/{version.name} SUITES...` again, or name a record with --baseline"
