"""The demo's own MLflow server, which lets nobody promote without a signed verdict.

Everything of it lies in one folder that the owner alone may enter: database, artifacts, keys, policy, log.
"""

from __future__ import annotations

import http.client
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import yaml

from llmgate.attest.keys import generate
from llmgate.attest.policy import POLICY_VARIABLE
from llmgate.errors import CannotRunError, ServerError
from llmgate.generate.vllm.checks import reserve_port
from llmgate.generate.vllm.process import ServerProcess
from llmgate.promote.mlflow_client import calls, is_forbidden, open_client
from llmgate.record.disk import open_own, private_folder, read_regular, write_atomic
from llmgate.record.environment import for_programs

if TYPE_CHECKING:
    import socket
    from types import TracebackType

__all__ = ["ALIAS", "REGISTRY_ID", "GatedServer", "RegistryFiles", "ask_directly", "make_anew", "make_files"]

REGISTRY_ID: Final = "llmgate-demo"
"""The name that every verdict of the demo carries: it counts for this registry alone."""
MARKER: Final = ".llmgate-demo"
"""Says that a folder is the demo's, which removes it."""
ALIAS: Final = "champion"
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


def make_anew(folder: Path, *, model: str, suites: tuple[str, ...]) -> RegistryFiles:
    """A registry that knows of nothing yet, in the place of the one that an earlier demo made.

    Raises:
        CannotRunError: If something else is there, which is left alone.
    """
    if folder.is_symlink() or (folder.exists() and not (folder / MARKER).is_file()):
        raise CannotRunError(
            "it exists and was not made by the demo", where=str(folder), fix="Remove it, or choose another folder"
        )
    if folder.exists():
        shutil.rmtree(folder)
    return make_files(folder, model=model, suites=suites)


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
    write_atomic(folder / MARKER, b"")
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
                "aliases": [ALIAS],
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

    Its port is known at once; `start` starts it and `ready` waits until it answers. Its process tree belongs to a
    supervisor, so that it ends with this process however that ends. Use as a context manager.

    Attributes:
        url: Where it will answer.
    """

    def __init__(self) -> None:
        self._held: socket.socket
        self._held, self._port = reserve_port(HOST, None)
        self.url = f"http://{HOST}:{self._port}"
        self._process: ServerProcess | None = None
        self._log = Path()
        self._is_ready = False
        self._deadline = 0.0

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it and everything that it started."""
        self._held.close()
        if self._process is not None:
            self._process.end(GRACE_S)

    def start(self, files: RegistryFiles) -> None:
        """Start it on these files, and wait for nothing."""
        self._log = files.log
        self._deadline = time.monotonic() + START_TIMEOUT_S
        own = {
            POLICY_VARIABLE: str(files.policy.resolve()),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Nobody asks it for jobs, and its job runner is several processes more.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PYTHONSAFEPATH": "1",
        }
        log = open_own(files.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            self._process = ServerProcess(
                command(files, self._port),
                env={**for_programs(), **own},
                log_fd=log,
                lock=files.folder / "starting.lock",
                health=(HOST, self._port),
            )
        finally:
            os.close(log)

    def ready(self) -> str:
        """Wait until it answers.

        Returns:
            Its URL.

        Raises:
            ServerError: If it ends, or does not answer in time; with the last lines of its log.
        """
        while not self._is_ready:
            if self._process is None:
                raise ServerError("the demo's MLflow server was not started")
            self._process.poll()
            if self._process.ended:
                raise ServerError(f"the demo's MLflow server ended\n{self._said()}", where=str(self._log))
            if answers(self._port):
                self._held.close()
                self._is_ready = True
            elif time.monotonic() > self._deadline:
                raise ServerError(
                    f"the demo's MLflow server did not answer within {START_TIMEOUT_S:.0f} s\n{self._said()}",
                    where=str(self._log),
                )
            else:
                time.sleep(POLL_S)
        return self.url

    def _said(self) -> str:
        text = read_regular(self._log).decode(errors="replace")
        return "\n".join(text.splitlines()[-LAST_WORDS:])


def command(files: RegistryFiles, port: int) -> list[str]:
    """What starts the server."""
    database = f"sqlite:///{files.database.resolve()}"
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", database, "--registry-store-uri", f"llmgate:{database}"),
        # Client and server share a disk, so files go straight there: three models are 800 MB.
        *("--no-serve-artifacts", "--default-artifact-root", files.artifacts.resolve().as_uri()),
    ]


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


def ask_directly(url: str, model: str, version: str) -> str | None:
    """Ask the server for the alias as anybody could, by MLflow's own client and without llmgate.

    Args:
        url: The server.
        model: Name of the model.
        version: Its number.

    Returns:
        The server's refusal, None if it gave the alias.

    Raises:
        CannotRunError: If it says anything else, or nothing.
    """
    client = open_client(url, url)
    with calls(url):
        try:
            client.set_registered_model_alias(model, ALIAS, version)
        except Exception as error:
            if is_forbidden(error):
                return str(error)
            raise
    return None
