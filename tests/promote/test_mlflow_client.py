"""Quiet, bounded, and without a trace in the process."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING

import pytest
from support.registry import find_holder

from llmgate.errors import CannotRunError, UsageError
from llmgate.mlflow_quiet import quiet
from llmgate.promote import mlflow_client
from llmgate.promote.mlflow_client import calls, resolve_uris, without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on: bound, so that nobody else takes it either."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_quiet_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    before, level = dict(os.environ), logging.getLogger("mlflow").level
    with quiet({"MLFLOW_TRACKING_TOKEN": "t"}):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
        warnings.warn("chatter", DeprecationWarning, stacklevel=1)
    with pytest.raises(ZeroDivisionError), quiet():
        raise ZeroDivisionError
    assert dict(os.environ) == before
    assert logging.getLogger("mlflow").level == level
    with pytest.raises(DeprecationWarning):
        warnings.warn("ours", DeprecationWarning, stacklevel=1)


def test_a_mistake_of_ours_is_not_blamed_on_mlflow() -> None:
    with pytest.raises(KeyError), calls("here"):
        raise KeyError("mistake")


def test_credentials_are_not_repeated() -> None:
    with pytest.raises(CannotRunError) as caught, calls("http://me:secret@host"):
        raise OSError("no route to https://me:secret@host/api\nmore")
    assert str(caught.value).startswith("http://host: MLflow says: no route to https://host/api. ")
    assert without_credentials("postgresql+psycopg2://u:p@db/x") == "postgresql+psycopg2://db/x"


def test_no_server_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UsageError, match="no MLflow server is named"):
        resolve_uris(None, None)


@pytest.mark.parametrize("uri", ["http://[", "postgresql://u:secret@[", "file://[", "http://h:port"])
def test_what_is_no_url_is_named_and_no_bug(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    with pytest.raises(UsageError, match=r"MLFLOW_TRACKING_URI=.*no URL") as refused:
        resolve_uris(uri, None)
    assert "secret" not in str(refused.value)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
    with pytest.raises(UsageError, match=r"MLFLOW_REGISTRY_URI=.*no URL"):
        resolve_uris("http://a", None)


def test_servers_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://a")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    assert resolve_uris(None, None) == ("http://a", "http://a")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://b")
    assert resolve_uris(None, None) == ("http://a", "http://b")
    assert resolve_uris("http://c", "http://d") == ("http://c", "http://d")


def test_a_server_that_is_not_there(closed_port: int) -> None:
    with pytest.raises(
        CannotRunError, match=f"http://127.0.0.1:{closed_port}: no MLflow server answers there. Start it"
    ):
        find_holder("bot", tracking_uri=f"http://127.0.0.1:{closed_port}")


def test_a_server_that_never_answers(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_client, "FIRST_CALL", {**mlflow_client.FIRST_CALL, "MLFLOW_HTTP_REQUEST_TIMEOUT": "1"})
    with pytest.raises(CannotRunError, match="the MLflow server does not answer in time"):
        find_holder("bot", tracking_uri=f"http://127.0.0.1:{silent_port}")


def test_a_database_that_is_not_there(closed_port: int, tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="the database does not answer") as caught:
        find_holder("bot", tracking_uri=f"postgresql://me:secret@127.0.0.1:{closed_port}/mlflow")
    assert "secret" not in str(caught.value)
    missing = tmp_path / "typo.db"
    with pytest.raises(CannotRunError, match="there is no such database"):
        find_holder("bot", tracking_uri=f"sqlite:///{missing}")
    assert not missing.exists()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, whatever the name says", encoding="utf-8")
    with pytest.raises(CannotRunError, match="this file is no MLflow database"):
        find_holder("bot", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")


def test_a_server_that_closes_kept_connections_is_asked_once_more() -> None:
    with impatient_server() as url:
        for _ in range(2):
            with pytest.raises(CannotRunError, match="no MLflow server answers there, but another one"):
                find_holder("bot", tracking_uri=url)


@contextlib.contextmanager
def impatient_server() -> Iterator[str]:
    """Answers one request on each connection with 404, says that it keeps it, and ends it at the next request."""

    def serve(connection: socket.socket) -> None:
        with connection:
            if connection.recv(65536):
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")
            connection.recv(65536)

    def accept(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("said", "worded"),
    [
        ("INVALID_PARAMETER_VALUE: Invalid model name: 'a/b'.", "MLflow says: Invalid model name: 'a/b'"),
        ("API request to endpoint /x failed with error code 401 != 200", "the MLflow server does not know you"),
        ("Detected out-of-date database schema (found version a, but expected b)", "made by another version of MLflow"),
        ("(sqlite3.OperationalError) no such table: runs\n[SQL: SELECT 1]", "made by another version of MLflow"),
        ("HTTPSConnectionPool(host='x'): Read timed out. (read timeout=5)", "does not answer in time"),
        ("failed with exception HTTPConnectionPool(host='x'): Max retries exceeded with url: /y", "no MLflow server"),
        ("<!DOCTYPE html><title>Sign in</title>", "no MLflow server answers there, but another one"),
    ],
)
def test_what_mlflow_says_is_worded(said: str, worded: str) -> None:
    with pytest.raises(CannotRunError) as caught, calls("here"):
        raise OSError(said)
    assert worded in caught.value.what
    assert caught.value.fix


def test_without_mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(CannotRunError, match=r"mlflow is not installed. Install it with pip install 'pytest-llmgate\["):
        find_holder("bot", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")


def test_mlflow_is_imported_on_first_use_and_without_telemetry(tmp_path: Path) -> None:
    script = f"""
import sys
import llmgate.promote.registries
assert "mlflow" not in sys.modules
from llmgate.promote.mlflow_client import open_client
uri = "sqlite:///{tmp_path}/mlflow.db"
open_client(uri, uri, create=True)
import threading
from mlflow.telemetry.client import get_telemetry_client
assert get_telemetry_client() is None
assert [t.name for t in threading.enumerate() if "elemetry" in t.name] == []
"""
    environment = {k: v for k, v in os.environ.items() if k not in {"CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST"}}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:llmgate", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
