"""A throw-away PostgreSQL for tests of registries: Debian's package, started here and removed afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from llmgate.record.environment import for_programs

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Cluster", "find_programs", "free_port", "start_cluster"]

STARTUP_S = 300
DEBIAN = Path("/usr/lib/postgresql")
OWNER = "llmgate"
HASTY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB", "max_connections=200")
"""Nothing here has to survive a power cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running server, on loopback and on a socket of its own.

    Attributes:
        port: On 127.0.0.1.
        password: Of the superuser `llmgate`; nobody else on this machine may enter.
    """

    port: int
    password: str

    def uri(self, database: str) -> str:
        """What SQLAlchemy and MLflow take."""
        return f"postgresql://{OWNER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make an empty database, and return its URI."""
        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))
        return self.uri(database)


def find_programs() -> Path | None:
    """The folder with `initdb` and `postgres`: on PATH, else Debian's newest; None without."""
    on_path = shutil.which("initdb")
    if on_path is not None and (found := Path(on_path).resolve().parent / "postgres").exists():
        return found.parent
    folders = [path.parent for path in DEBIAN.glob("*/bin/initdb") if path.with_name("postgres").exists()]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_user() -> pwd.struct_passwd | None:
    """As whom to run it: PostgreSQL refuses root. None where this process may run it itself."""
    if os.getuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


@contextlib.contextmanager
def start_cluster(programs: Path) -> Iterator[Cluster]:
    """Make a cluster, serve it while the block runs, and leave nothing of it."""
    user = server_user()
    become: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # A socket's path is at most 107 bytes long, which pytest's folders are not.
    folder = Path(tempfile.mkdtemp(prefix="llmgate-pg-", dir="/tmp"))
    try:
        password = secrets.token_urlsafe(16)
        secret = folder / "password"
        secret.write_text(password, encoding="ascii")
        if user is not None:
            for path in (folder, secret):
                os.chown(path, user.pw_uid, user.pw_gid)
        data, port = folder / "data", free_port()
        environment = {**for_programs(), "LC_ALL": "C", "TZ": "UTC"}
        subprocess.run(
            [
                *(programs / "initdb", "--pgdata", data, "--username", OWNER, "--pwfile", secret),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            check=True, capture_output=True, cwd=folder, env=environment, **become,
        )  # fmt: skip
        options = [word for setting in HASTY for word in ("-c", setting)]
        command = [
            str(programs / "postgres"),
            "-D",
            str(data),
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-k",
            str(folder),
            *options,
        ]
        log = folder / "log"
        with log.open("wb") as stream:
            server = subprocess.Popen(
                command, stdout=stream, stderr=stream, cwd=folder, env=environment, start_new_session=True, **become
            )
        try:
            cluster = Cluster(port=port, password=password)
            wait_until_ready(cluster, server, log)
            yield cluster
        finally:
            # Immediate shutdown: what is connected is cut off, and nothing is written any more.
            server.send_signal(signal.SIGQUIT)
            server.wait(STARTUP_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_ready(cluster: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return when it answers.

    Raises:
        RuntimeError: It ended, or never answered; with its log.
    """
    deadline = time.monotonic() + STARTUP_S
    while time.monotonic() < deadline and server.poll() is None:
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(cluster.uri("postgres"), connect_timeout=10),
        ):
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-4000:]}")
