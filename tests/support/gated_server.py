"""A real `mlflow server`, gated or not, as an operator would start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.attest.policy import POLICY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["ADMIN", "MlflowServer", "entry_points", "free_port", "server_command", "start_server", "wait_until_healthy"]

ROOT: Final = Path(__file__).parents[2]
STARTUP_S: Final = 300.0
ADMIN: Final = ("admin", "a-password-for-tests")
"""Who may do anything on a server that was started with `app_name="basic-auth"`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowServer:
    """A server that answers.

    Attributes:
        url: Where.
        process: The command; it leads a process group of its own.
        log: What it and its workers print.
        folder: Of its database and artifacts.
        backend: URI of its database.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    folder: Path
    backend: str

    def kill(self) -> None:
        """End it and all its workers at once."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.wait()


def entry_points(folder: Path) -> Path:
    """A folder for PYTHONPATH by which this checkout's entry points for MLflow count, whatever is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {name: points for name, points in project["entry-points"].items() if name.startswith("mlflow.")}
    info = folder / "llmgate_entry_points-0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llmgate-entry-points\nVersion: 0\n", encoding="utf-8")
    lines = [f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for name, points in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def server_command(port: int, *options: str, python: Path | str = sys.executable) -> list[str]:
    """The command of a server on loopback."""
    return [str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), *options]


def server_environment(folder: Path, more: Mapping[str, str], *, plugin: bool) -> dict[str, str]:
    """Of a server that sends nothing home, runs no jobs, and finds this checkout."""
    paths = [*([str(entry_points(folder / "plugin"))] if plugin else []), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "LLMGATE_"))},
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **more,
    }


@contextmanager
def start_server(
    folder: Path,
    *,
    policy: Path | None,
    backend: str | None = None,
    registry: str | None = None,
    app_name: str | None = None,
    workers: int = 1,
    workspaces: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Iterator[MlflowServer]:
    """Serve while the block runs, and leave no process behind.

    Args:
        folder: Gets the database (unless `backend` says otherwise), artifacts and log.
        policy: The registry's policy; None for a server without a gate.
        backend: URI of the database; SQLite in the folder by default.
        registry: URI of the registry; the gated backend by default.
        app_name: `basic-auth` for a server that asks for a password, which is that of ADMIN.
        workers: Processes that answer.
        workspaces: Whether it has workspaces.
        environ: More variables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    backend = backend or f"sqlite:///{folder}/mlflow.db"
    options = ["--backend-store-uri", backend, "--artifacts-destination", f"{folder}/artifacts"]
    options += ["--workers", str(workers)]
    more = dict(environ or {})
    if policy is not None:
        options += ["--registry-store-uri", registry or f"llmgate:{backend}"]
        more[POLICY_VARIABLE] = str(policy)
    elif registry is not None:
        options += ["--registry-store-uri", registry]
    if workspaces:
        options += ["--enable-workspaces"]
        options += ["--workspace-store-uri", f"llmgate:{backend}"] if policy is not None else []
    if app_name is not None:
        options += ["--app-name", app_name]
        more |= password_protection(folder)
    port = free_port()
    log = folder / "log"
    environment = server_environment(folder, more, plugin=policy is not None)
    command = server_command(port, *options)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, cwd=folder, env=environment, start_new_session=True
        )
    server = MlflowServer(url=f"http://127.0.0.1:{port}", process=process, log=log, folder=folder, backend=backend)
    try:
        wait_until_healthy(server.url, process, log)
        yield server
    finally:
        server.kill()


def password_protection(folder: Path) -> dict[str, str]:
    """The settings of MLflow's `basic-auth`."""
    user, password = ADMIN
    settings = folder / "auth.ini"
    settings.write_text(
        "[mlflow]\n"
        "default_permission = READ\n"
        f"database_uri = sqlite:///{folder}/auth.db\n"
        f"admin_username = {user}\n"
        f"admin_password = {password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        # To check a password takes a second on purpose, and every call has one.
        "auth_cache_ttl_seconds = 600\n",
        encoding="utf-8",
    )
    return {"MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-secret-for-tests"}


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when it answers.

    Raises:
        RuntimeError: It ended, or never answered; with its log.
    """
    deadline = time.monotonic() + STARTUP_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"mlflow server did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-4000:]}")
