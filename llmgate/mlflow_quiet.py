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
LOOPBACK = "localhost,127.0.0.0/8,::1"
"""MLflow asks through `requests`, which hands a proxy what goes to a server on this machine, credentials included."""
LOGGERS = ("mlflow", "alembic", "sqlalchemy")

# Environment, warning filters and log levels belong to the process, so only one thread changes them at a time.
ONE_AT_A_TIME = threading.RLock()


def direct(environ: Mapping[str, str]) -> dict[str, str]:
    """The variable by which servers on this machine are asked without a proxy, besides those that the user named."""
    before = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return {} if before.strip() == "*" else {"no_proxy": ",".join(filter(None, (before, LOOPBACK)))}


@contextlib.contextmanager
def quiet(overrides: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run MLflow without chatter, with bounded retries, and on this machine without proxies; then all is as before.

    What the user has set for retries and timeout is left alone.

    Args:
        overrides: Environment for this block only, over the user's.
    """
    with ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bounded = {k: v for k, v in BOUNDED.items() if k not in os.environ}
        wanted = {**bounded, **QUIET, **direct(os.environ), **(overrides or {})}
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
