"""A quiet, bounded MLflow client. MLflow is imported here and nowhere else, and only when it is used."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError, LlmgateError, UsageError
from llmgate.mlflow_quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow import MlflowClient

__all__ = ["ABSENT", "REFUSED", "calls", "is_absent", "open_client", "quoted", "resolve_uris", "without_credentials"]

FIRST_CALL: Mapping[str, str] = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""The first call only asks whether somebody is there; once more, as the server may have closed a kept connection."""
DATABASE_PORTS: Mapping[str, int] = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
CONNECT_TIMEOUT_S = 5.0

CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
CODE = re.compile(r"^(?:[A-Z][A-Z_]+: )+")
REFUSAL = re.compile(r"llmgate: (?:promotion blocked: .+? v\d+ -> .+?|refused: .+?): (?P<why>.+)", re.DOTALL)
"""What the gate in a server says: what was refused, why, and behind the last semicolon what to do."""
REFUSED = "the registry refuses"
CHECK = "Check the server, your rights on it, and MLFLOW_TRACKING_URI"
MEANINGS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), what, fix)
    for pattern, what, fix in (
        (r"timed ?out|timeout", "the MLflow server does not answer in time", CHECK),
        (
            r"connection refused|failed to establish|name or service not known|getaddrinfo|max retries exceeded",
            "no MLflow server answers there",
            "Start it, or correct MLFLOW_TRACKING_URI",
        ),
        (
            r"error code 401|unauthorized|unauthenticated",
            "the MLflow server does not know you",
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        ),
        (
            r"out-of-date database schema|can't locate revision|no such table",
            "the database was made by another version of MLflow",
            "Copy it and run `mlflow db upgrade`, or install the version that made it",
        ),
        (r"file is not a database", "this file is no MLflow database", "Correct MLFLOW_TRACKING_URI"),
        (r"error code 404|<!doctype|<html", "no MLflow server answers there, but another one", CHECK),
    )
)
"""What MLflow's commonest failures mean, by a pattern in their text; the first one that fits."""
ABSENT = "RESOURCE_DOES_NOT_EXIST"
INSTALL = "Install it with pip install 'pytest-llmgate[mlflow]'"


@contextlib.contextmanager
def calls(where: str, overrides: Mapping[str, str] | None = None) -> Iterator[None]:
    """Quiet, and with MLflow's errors as ours.

    Args:
        where: What is being talked to or about; credentials in it are not repeated.
        overrides: Environment for this block only.

    Raises:
        CannotRunError: For whatever MLflow, the network or the disk says.
    """
    with quiet(overrides):
        try:
            yield
        except LlmgateError:
            raise
        except Exception as error:
            if not is_mlflows(error):
                raise
            what, fix = worded(error)
            raise CannotRunError(what, where=without_credentials(where), fix=fix) from error


def is_mlflows(error: Exception) -> bool:
    """Whether this error came from MLflow, its database or its transport, not from a mistake of ours."""
    if isinstance(error, OSError):
        return True
    return any(kind.__module__.split(".")[0] in {"mlflow", "sqlalchemy"} for kind in type(error).__mro__)


def is_absent(error: Exception) -> bool:
    """Whether MLflow says that the thing asked for does not exist."""
    text = str(error)
    code = getattr(error, "error_code", None)
    return code == ABSENT or (code == "INVALID_PARAMETER_VALUE" and "alias" in text and "not found" in text)


def is_forbidden(error: Exception) -> bool:
    """Whether the server refused on purpose."""
    return getattr(error, "error_code", None) == "PERMISSION_DENIED"


def quoted(error: Exception) -> tuple[str, str | None] | None:
    """Why a gated server refused, and what it says can be done about it; None if it was something else that refused."""
    match = REFUSAL.fullmatch(CODE.sub("", first_line(error)))
    if match is None:
        return None
    why, semicolon, fix = match["why"].rpartition("; ")
    return (f"{REFUSED}: {why}", f"{fix[0].upper()}{fix[1:]}") if semicolon and fix else (f"{REFUSED}: {fix}", None)


def worded(error: Exception) -> tuple[str, str]:
    """What went wrong in plain words, and what to do about it."""
    for pattern, what, fix in MEANINGS:
        if pattern.search(str(error)):
            return what, fix
    return f"MLflow says: {CODE.sub('', first_line(error))}", CHECK


def first_line(error: Exception) -> str:
    """The message without credentials, class prefixes and continuation lines."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return without_credentials(lines[0]).rstrip(". ")


def without_credentials(text: str) -> str:
    """The same text with `user:password@` taken out of every URL."""
    return CREDENTIALS.sub("", text)


def resolve_uris(tracking_uri: str | None, registry_uri: str | None) -> tuple[str, str]:
    """Which servers to talk to.

    Raises:
        UsageError: If no tracking server is named, for MLflow would quietly start an empty store in this folder, or
            what is named is no URL.
    """
    tracking = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not tracking:
        raise UsageError(
            "no MLflow server is named",
            where="MLFLOW_TRACKING_URI",
            fix="Set it, for example to http://localhost:5000 or sqlite:///mlflow.db",
        )
    registry = registry_uri or os.environ.get("MLFLOW_REGISTRY_URI") or tracking
    for name, uri in (("MLFLOW_TRACKING_URI", tracking), ("MLFLOW_REGISTRY_URI", registry)):
        try:
            _ = urllib.parse.urlsplit(uri).port
        except ValueError as error:
            raise UsageError(
                f"this is no URL ({error})", where=f"{name}={without_credentials(uri)}", fix="Write http://HOST:PORT"
            ) from error
    return tracking, registry


def open_client(tracking_uri: str, registry_uri: str, *, create: bool = False) -> MlflowClient:
    """A client whose servers have answered.

    Args:
        tracking_uri: Where the runs are.
        registry_uri: Where the models are.
        create: Whether a missing SQLite file may be created.

    Raises:
        CannotRunError: If MLflow is not installed or nobody answers, within seconds.
    """
    for uri in {tracking_uri, registry_uri}:
        probe(uri, create=create)
    with quiet():
        try:
            from mlflow import MlflowClient  # noqa: PLC0415 - an optional extra, and two seconds of import
        except ImportError as error:
            raise CannotRunError("mlflow is not installed", fix=INSTALL) from error
    with calls(tracking_uri, FIRST_CALL):
        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=registry_uri)
        client.search_experiments(max_results=1)
    with calls(registry_uri, FIRST_CALL):
        client.search_registered_models(max_results=1)
    return client


def probe(uri: str, *, create: bool) -> None:
    """Find out in seconds what MLflow's ten attempts to open a database find out in minutes."""
    parsed = urllib.parse.urlsplit(uri)
    scheme = parsed.scheme.partition("+")[0]
    if scheme == "sqlite":
        path = Path(urllib.parse.unquote(parsed.path[1:]))
        if not path.exists() and not create:
            raise CannotRunError("there is no such database", where=str(path), fix="Check MLFLOW_TRACKING_URI")
        if not path.parent.is_dir():
            raise CannotRunError("there is no such folder", where=str(path.parent), fix="Make it first")
    elif scheme in DATABASE_PORTS and parsed.hostname:
        address = (parsed.hostname, parsed.port or DATABASE_PORTS[scheme])
        try:
            socket.create_connection(address, timeout=CONNECT_TIMEOUT_S).close()
        except OSError as error:
            raise CannotRunError(
                f"the database does not answer ({error.strerror or error})",
                where=without_credentials(uri),
                fix="Check MLFLOW_TRACKING_URI",
            ) from error
