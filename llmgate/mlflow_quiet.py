"""MLflow without chatter and with bounded retries, for all who ask it anything. Does not import it."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["quiet"]

QUIET: Mapping[str, str] = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
BOUNDED: Mapping[str, str] = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""MLflow's own defaults, 7 retries and 120 s, take ten minutes to say that nobody answers."""
LOGGERS = ("mlflow", "alembic", "sqlalchemy")

# Environment, warning filters and log levels belong to the process, so only one thread changes them at a time.
ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def quiet(overrides: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run MLflow without chatter and with bounded retries; everything is as before afterwards.

    What the user has set for retries and timeout is left alone.

    Args:
        overrides: Environment for this block only, over the user's.
    """
    with ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = {**{k: v for k, v in BOUNDED.items() if k not in os.environ}, **QUIET, **(overrides or {})}
        before = {name: os.environ.get(name) for name in wanted}
        levels = {name: logging.getLogger(name).level for name in LOGGERS}
        os.environ.update(wanted)
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            for key, value in before.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value
