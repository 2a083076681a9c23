"""Attempts that MLflow knows: of other machines, and of jobs that begin with an empty folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError, RecordError
from llmgate.gate.decision.types import Problem
from llmgate.promote.elsewhere.address import is_elsewhere
from llmgate.promote.mlflow_attempts import download_attempt, logged_attempts
from llmgate.promote.registries import open_mlflow
from llmgate.session.attempts.elsewhere import Brought, KnownElsewhere, read_elsewhere
from llmgate.session.attempts.note import read_note, read_texts

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmgate.promote.mlflow_attempts import LoggedAttempt
    from llmgate.promote.mlflow_target import MlflowTarget
    from llmgate.session.attempts.entry import AttemptEntry

__all__ = ["brought_from", "verdicts_known_to"]

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
    entries: dict[str, AttemptEntry] = {}
    texts: dict[str, bytes] = {}
    problems: dict[str, Problem] = {}
    if is_elsewhere(uri):
        return Brought()  # Said where it is logged: such a registry keeps no runs.
    try:
        target = open_mlflow(uri, experiment=experiment, create=True)
        for logged in logged_attempts(target, key):
            if logged.id in known or logged.id in entries:
                continue
            try:
                found = download(target, logged, key)
            except (LlmgateError, OSError) as error:
                problems[logged.id] = lost(logged, error)
                continue
            entries |= found.entries
            texts |= found.texts
    except LlmgateError as error:
        what = f"the attempts that MLflow knows cannot be asked for ({error.what})"
        problems[""] = Problem(where=error.where or uri, what=what, fix="Mend that, and decide again")
    # The same attempt may have been logged twice, and be whole once.
    return Brought(
        known=KnownElsewhere(entries=entries, texts=texts),
        problems=tuple(problem for identity, problem in problems.items() if identity not in entries),
    )


def verdicts_known_to(uri: str, experiment: str, key: str, known: Collection[str]) -> list[str]:
    """The verdicts of the attempts at a key that MLflow knows and are not known here, in order.

    Raises:
        CannotRunError: If MLflow cannot be reached.
    """
    if is_elsewhere(uri):
        return []
    found = {one.id: one.verdict for one in reversed(logged_attempts(open_mlflow(uri, experiment=experiment), key))}
    return [verdict for identity, verdict in found.items() if identity not in known]


def download(target: MlflowTarget, logged: LoggedAttempt, key: str) -> KnownElsewhere:
    """What the files of one attempt tell.

    Raises:
        LlmgateError, OSError: If they cannot be had, or are of another attempt.
    """
    with tempfile.TemporaryDirectory(prefix="llmgate-attempt-") as folder:
        lies = download_attempt(target, logged, Path(folder, "own"))
        note = read_note(lies)
        read_texts(lies)
        if (note.own.key, note.own.id) != (key, logged.id):
            raise RecordError("its files are of another attempt")
        return read_elsewhere([lies], key)


def lost(logged: LoggedAttempt, error: LlmgateError | OSError) -> Problem:
    """An attempt that is known to have been made, and cannot be had."""
    why = error.what if isinstance(error, LlmgateError) else error.strerror or str(error)
    return Problem(
        where=f"MLflow run {logged.run}",
        what=f"attempt {logged.number or '?'} of this candidate ({logged.verdict}) cannot be read: {why}",
        fix=RESTORE,
    )
