"""Attempts that MLflow knows: runs on other machines, and of jobs that begin with an empty folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError, RecordError
from llmgate.gate.decision.types import Problem
from llmgate.promote.mlflow_attempts import download_attempt, logged_attempts
from llmgate.promote.registries import open_registry
from llmgate.session.attempts.counting import Brought
from llmgate.session.attempts.note import read_note, read_texts

if TYPE_CHECKING:
    from llmgate.promote.mlflow_attempts import LoggedAttempt
    from llmgate.promote.mlflow_target import MlflowTarget

__all__ = ["brought_from"]

RESTORE: Final = "Restore the artifacts of that run, or log it again from where it ran"


def brought_from(uri: str, experiment: str, key: str, known: frozenset[str]) -> Brought:
    """Download what MLflow knows of a key and is not known here.

    A later attempt tells of those before it, so most are not asked for themselves.

    Args:
        uri: Tracking server or store.
        experiment: In which runs are logged; others are looked into as well.
        key: See `attempt_key`.
        known: Ids of the attempts that are known.

    Returns:
        What was found. What cannot be had is a problem, and so is a server that does not answer.
    """
    folders: list[Path] = []
    problems: list[Problem] = []
    try:
        target = open_registry(uri, experiment=experiment, create=True)
        told = set(known)
        for logged in logged_attempts(target, key):
            if logged.id in told:
                continue
            folder, problem = brought(target, logged, key)
            if folder is not None:
                note = read_note(folder)
                told |= {note.own.id, *note.own.earlier}
                folders.append(folder)
            if problem is not None:
                problems.append(problem)
                told.add(logged.id)
    except LlmgateError as error:
        what = f"the attempts that MLflow knows cannot be asked for ({error.what})"
        problems.append(Problem(where=error.where or uri, what=what, fix="Mend that, and decide again"))
    return Brought(folders=tuple(folders), problems=tuple(problems))
