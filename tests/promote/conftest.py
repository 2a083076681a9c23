"""A live registry, once over SQLite in this process and once over HTTP from a real `mlflow server`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest
from support.promotions import digest_of
from support.registry import Registry

from llmgate.mlflow_quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STARTUP_S = 120


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server with its own database; killed with all its workers afterwards."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"),
        # The client asks again on a connection that it kept; on a slow machine the server has closed it after 5 s.
        *("--workers", "1", "--uvicorn-opts", "--timeout-keep-alive 300"),
    ]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}", server, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + STARTUP_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"mlflow server did not start:\n{log.read_text(encoding='utf-8')[-4000:]}")


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SQLite store whose default artifact folder lies beside it."""
    folder = tmp_path_factory.mktemp("mlflow-database")
    uri = f"sqlite:///{folder}/mlflow.db"
    with quiet():
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=uri).create_experiment("llmgate", artifact_location=(folder / "artifacts").as_uri())
    return uri


@pytest.fixture(params=["database", pytest.param("server", marks=[pytest.mark.e2e, pytest.mark.mlflow_server])])
def registry(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A model name of one's own in a live registry."""
    # MLflow puts the artifacts of a new experiment in a SQLite store below the working directory.
    monkeypatch.chdir(tmp_path)
    uri: str = request.getfixturevalue(f"mlflow_{request.param}")
    with quiet():
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
    folder = tmp_path / "records"
    folder.mkdir()
    return Registry(uri=uri, name=f"bot-{digest_of(str(tmp_path))[:12]}", folder=folder, client=client)
