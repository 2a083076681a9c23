"""The demo's own MLflow server, which lets nobody promote without a signed verdict.

Everything of it lies in one folder that the owner alone may enter: database, artifacts, keys, policy, log.
"""

from __future__ import annotations

import http.client
import os
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import yaml

from llmgate.attest.keys import generate
from llmgate.errors import CannotRunError, ServerError
from llmgate.generate.server_checks import reserve_port
from llmgate.generate.server_process import ServerProcess
from llmgate.record.disk import open_own, private_folder, read_regular, write_atomic
from llmgate.record.environment import for_programs

if TYPE_CHECKING:
    import socket
    from types import TracebackType

__all__ = ["REGISTRY_ID", "GatedServer", "RegistryFiles", "make_files"]

REGISTRY_ID: Final = "llmgate-demo"
"""The name that every verdict of the demo carries: it counts for this registry alone."""
HOST: Final = "127.0.0.1"
START_TIMEOUT_S: Final = 180.0
GRACE_S: Final = 5.0
POLL_S: Final = 0.1
LAST_WORDS: Final = 12
"""Lines of the log that are shown if the server ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFiles:
    """What lies in the registry's folder.

    Attributes:
        folder: The folder.
    """

    folder: Path

    @property
    def policy(self) -> Path:
        """Which models, aliases and keys the server goes by."""
        return self.folder / "policy.yaml"

    @property
    def database(self) -> Path:
        """MLflow's database, and the ledger's."""
        return self.folder / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """Where the runs' files lie."""
        return self.folder / "artifacts"

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.folder / "mlflow.log"

    def key(self, role: str) -> Path:
        """The private key of a role."""
        return self.folder / f"{role}.pem"


def make_files(folder: Path, *, model: str, suites: tuple[str, ...]) -> RegistryFiles:
    """Make keys and policy, or find them; the owner alone may read them.

    Two keys, as it should be at home: the one that signs the first champion, with which nothing is compared, is not
    the one that signs every day.

    Args:
        folder: The registry's folder.
        model: The model whose alias `champion` is protected.
        suites: The suites that a verdict has to have.

    Raises:
        CannotRunError: If the folder cannot be made.
        RecordError: If a file cannot be written.
    """
    files = RegistryFiles(folder=folder)
    try:
        private_folder(folder)
    except OSError as error:
        raise CannotRunError(f"it cannot be made: {error.strerror}", where=str(folder)) from error
    keys = {}
    for role in ("gate", "bootstrap"):
        public = files.key(role).with_suffix(".pub")
        if not (files.key(role).is_file() and public.is_file()):
            private_pem, public_pem = generate()
            write_atomic(files.key(role), private_pem.encode())
            write_atomic(public, public_pem.encode())
        keys[role] = {"file": public.name, "roles": [role]}
    policy = {
        "version": 1,
        "registry": REGISTRY_ID,
        "keys": keys,
        "protect": [
            {
                "models": [model],
                "aliases": ["champion"],
                "suites": dict.fromkeys(suites, "*"),
                "max_age": "30d",
                "binding": "weights",
                "rollback": "previous",
            }
        ],
    }
    write_atomic(files.policy, yaml.safe_dump(policy, sort_keys=False).encode())
    return files


class GatedServer:
    """A real `mlflow server` with the gated store, on a free port of this machine's own address.

    It starts at once and is ready later: `ready` waits. Its process tree belongs to a supervisor, so that it ends with
    this process however that ends. Use as a context manager.

    Args:
        files: Its policy, database and artifacts.

    Attributes:
        url: Where it answers.
    """

    def __init__(self, files: RegistryFiles) -> None:
        self.files = files
        self._held: socket.socket
        self._held, self._port = reserve_port(HOST, None)
        self.url = f"http://{HOST}:{self._port}"
        self._is_ready = False
        self._deadline = time.monotonic() + START_TIMEOUT_S
        database = f"sqlite:///{files.database.resolve()}"
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(self._port), "--workers", "1"),
            *("--backend-store-uri", database, "--registry-store-uri", f"llmgate:{database}"),
            # Files go straight to the disk that client and server share, which spares a 270 MB upload per model.
            *("--no-serve-artifacts", "--default-artifact-root", files.artifacts.resolve().as_uri()),
        ]
        own = {
            "LLMGATE_REGISTRY_POLICY": str(files.policy.resolve()),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Nobody asks it for jobs, and its job runner is several processes more.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
            "PYTHONSAFEPATH": "1",
        }
        try:
            log = open_own(files.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                self._process = ServerProcess(
                    command,
                    env={**for_programs(), **own},
                    log_fd=log,
                    lock=files.folder / "starting.lock",
                    health=(HOST, self._port),
                )
            finally:
                os.close(log)
        except BaseException:
            self._held.close()
            raise

    def __enter__(self) -> Self:
        """Nothing is waited for yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it and everything that it started."""
        self._held.close()
        self._process.end(GRACE_S)

    def ready(self) -> str:
        """Wait until it answers.

        Returns:
            Its URL.

        Raises:
            ServerError: If it ends, or does not answer in time; with the last lines of its log.
        """
        while not self._is_ready:
            self._process.poll()
            if self._process.ended:
                raise ServerError(f"the demo's MLflow server ended\n{self._said()}", where=str(self.files.log))
            if answers(self._port):
                self._held.close()
                self._is_ready = True
            elif time.monotonic() > self._deadline:
                raise ServerError(
                    f"the demo's MLflow server did not answer within {START_TIMEOUT_S:.0f} s\n{self._said()}",
                    where=str(self.files.log),
                )
            else:
                time.sleep(POLL_S)
        return self.url

    def _said(self) -> str:
        text = read_regular(self.files.log).decode(errors="replace")
        return "\n".join(text.splitlines()[-LAST_WORDS:])


def answers(port: int) -> bool:
    """Whether a server says that it is healthy."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
