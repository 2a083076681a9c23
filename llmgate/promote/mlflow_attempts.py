"""The attempts at a candidate that MLflow knows: gate runs with the same key, whatever their experiment."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.promote import tags
from llmgate.promote.mlflow_client import calls
from llmgate.promote.mlflow_target import ALL_RUNS, RECORD_FOLDER
from llmgate.record.artifact_store import is_artifact_store
from llmgate.record.disk import private_folder
from llmgate.record.run.files import ATTEMPTS_KEPT, ATTEMPTS_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities import Run

    from llmgate.promote.mlflow_target import MlflowTarget

__all__ = ["LoggedAttempt", "download_attempt", "logged_attempts"]

EXPERIMENTS: Final = 100
"""So many experiments are named in one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAttempt:
    """A gate run that was an attempt.

    Attributes:
        run: MLflow's id.
        id: Which attempt.
        number: Which one it was, counted from 1; 0 where the tag cannot be read.
        verdict: As the run's tag says.
        artifacts: Where its files are.
    """

    run: str
    id: str
    number: int
    verdict: str
    artifacts: str


def logged_attempts(target: MlflowTarget, key: str) -> tuple[LoggedAttempt, ...]:
    """All attempts of a key, deleted runs and experiments included: what was tried was tried. The last one first.

    Raises:
        CannotRunError: If MLflow cannot be reached.
    """
    wanted = f"tags.`{tags.ATTEMPT_KEY}` = '{key}'"
    found: list[LoggedAttempt] = []
    with calls(target.tracking_uri):
        experiments = [one.experiment_id for one in pages(target.client.search_experiments, view_type=ALL_RUNS)]
        for start in range(0, len(experiments), EXPERIMENTS):
            some = experiments[start : start + EXPERIMENTS]
            runs: Iterator[Run] = pages(
                target.client.search_runs, experiment_ids=some, filter_string=wanted, run_view_type=ALL_RUNS
            )
            found += [attempt(run) for run in runs if run.data.tags.get(tags.ATTEMPT_ID)]
    return tuple(sorted(found, key=lambda one: one.number, reverse=True))


def pages(search: Any, **asked: Any) -> Iterator[Any]:
    """Everything that a search finds."""
    token = None
    while True:
        page = search(**asked, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def attempt(run: Run) -> LoggedAttempt:
    """A run as an attempt."""
    told = run.data.tags
    number = told.get(tags.ATTEMPT, "")
    return LoggedAttempt(
        run=run.info.run_id,
        id=told[tags.ATTEMPT_ID],
        number=int(number) if number.isdecimal() else 0,
        verdict=told.get(tags.VERDICT, "?"),
        artifacts=run.info.artifact_uri or "",
    )


def download_attempt(target: MlflowTarget, logged: LoggedAttempt, into: Path) -> Path:
    """The files that tell of an attempt, downloaded.

    Args:
        target: The registry.
        logged: Which one.
        into: A folder of its own.

    Returns:
        The folder in which they lie as beside a record.

    Raises:
        CannotRunError: If they cannot be had.
        OSError: If the folder cannot be made.
    """
    private_folder(into)
    with calls(f"MLflow run {logged.run}"):
        if not is_artifact_store(logged.artifacts):
            raise OSError(f"keeps its files at {logged.artifacts!r}, from where llmgate takes none")
        for name in (ATTEMPTS_NAME, ATTEMPTS_KEPT):
            # Some stores keep the folders above a file, and others do not.
            lies = Path(target.client.download_artifacts(logged.run, f"{RECORD_FOLDER}/{name}", str(into)))
            if lies != into / name:
                shutil.copyfile(lies, into / name)
    return into
