"""Where the attempt ledger of a project is, and what else is asked: by the options of a run."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.session.attempts.counting import AttemptSources
from llmgate.session.attempts.ledger import AttemptLedger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.session.settings.typed import Settings

__all__ = ["ATTEMPTS_DIR", "ATTEMPTS_ENV", "attempts_at", "attempts_of", "said_of_ci"]

ATTEMPTS_ENV: Final = "LLMGATE_ATTEMPTS"
ATTEMPTS_DIR: Final = Path(".llmgate") / "attempts"


def ledger_at(given: str | Path | None, environ: Mapping[str, str]) -> AttemptLedger:
    """The ledger: where the option says, else the environment, else beside the project's runs."""
    return AttemptLedger(Path(given or environ.get(ATTEMPTS_ENV) or ATTEMPTS_DIR).absolute())


def attempts_at(given: str | Path | None, environ: Mapping[str, str] = os.environ) -> AttemptSources:
    """For deciding again on records: those that were never counted and need it are entered."""
    return AttemptSources(ledger=ledger_at(given, environ))


def attempts_of(settings: Settings, environ: Mapping[str, str] = os.environ) -> AttemptSources:
    """For a run: it is entered, and MLflow is asked where the run names it."""
    brought = None
    if settings.mlflow_uri:
        # The registry client is an extra: only who names a server pays for it.
        from llmgate.session.attempts.registry import brought_from  # noqa: PLC0415

        brought = partial(brought_from, settings.mlflow_uri, settings.mlflow_experiment)
    return AttemptSources(ledger=ledger_at(settings.attempts, environ), brought=brought, always=True)


def said_of_ci(settings: Settings, environ: Mapping[str, str] = os.environ) -> str:
    """What to say where each job begins with an empty ledger, "" where none does."""
    if not environ.get("CI") or settings.mlflow_uri or ledger_at(settings.attempts, environ).exists:
        return ""
    return (
        "attempts are not counted across machines: name --mlflow-uri, or keep the folder "
        f"{settings.attempts or environ.get(ATTEMPTS_ENV) or ATTEMPTS_DIR} from job to job"
    )
