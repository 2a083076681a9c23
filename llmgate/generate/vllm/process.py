"""A supervised process tree, as its owner sees it."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from llmgate.errors import ServerError
from llmgate.generate.vllm import supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ServerProcess"]

ORPHAN_GRACE_S = 5.0
"""Between SIGTERM and SIGKILL when this process has vanished."""
MARGIN_S = supervisor.SETTLE_S + supervisor.KILL_S + 5.0
"""What the supervisor may need beyond the grace; after that it counts as hung."""
MARK = "LLMGATE_PROCESS_TREE"
"""Environment variable that marks every process of the tree."""
SOCKET_PATH_BYTES = 107
"""What a path of a Unix socket may have (unix(7))."""
SOCKET_NAME_BYTES = 40
"""What vLLM adds to the folder: a slash and a UUID."""


class ServerProcess:
    """Starts a command under a supervisor and knows what became of it. Methods may be called from several threads.

    Args:
        argv: The command.
        env: Its complete environment.
        log_fd: Where its output goes.
        lock: File that is locked while it starts; None if it need not wait for others.
        health: Host and port at which it answers once it has started; None for what is no server.
        scratch: Whether it gets a folder for temporary files of its own, which is removed with it: every start of vLLM
            leaves sockets and files in the common one, even after an orderly end (0.32).

    Attributes:
        waiting_for: Who holds the lock, None if nobody did.
        pid: The command's process id, None before it was started.
        started_at: When that was, on the monotonic clock.
        status: Its exit status, negative for a signal, None while it runs and if nobody could see it.
        failed: Why it could not be executed.
        ended: Whether nothing runs any more, or will.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log_fd: int,
        lock: Path | None = None,
        health: tuple[str, int] | None = None,
        scratch: bool = False,
    ) -> None:
        self.waiting_for: str | None = None
        self.pid: int | None = None
        self.started_at: float | None = None
        self.status: int | None = None
        self.failed: str | None = None
        self.ended = False
        self._left: tuple[int, ...] | None = None
        self._over: tuple[int, ...] | None = None
        self._shared: frozenset[str] = frozenset()
        self._ending = threading.Lock()
        self._guard = threading.RLock()
        self._unread = b""
        self._mark = f"{MARK}={uuid.uuid4().hex}"
        name, _, value = self._mark.partition("=")
        # By file path and with -I: nothing of the package or of the current folder is imported.
        own = [sys.executable, "-I", str(Path(supervisor.__file__)), "--parent", str(os.getpid())]
        own += ["--grace", str(ORPHAN_GRACE_S)]
        own += [] if lock is None else ["--lock", str(lock)]
        own += [] if health is None else ["--health-host", health[0], "--health-port", str(health[1])]
        self._scratch = _scratch_folder(env) if scratch else None
        own += [] if self._scratch is None else ["--scratch", str(self._scratch)]
        own += ["--"]
        try:
            self._supervisor = subprocess.Popen(  # noqa: S603 - the caller's command, no shell
                [*own, *argv],
                env={**env, **_temporary(self._scratch, env), name: value},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_fd,
                bufsize=0,
                start_new_session=True,
            )
        except BaseException:
            self._remove_scratch()
            raise
        self._control = _pipe(self._supervisor.stdin)
        self._events = _pipe(self._supervisor.stdout)
        os.set_blocking(self._events.fileno(), False)

    @property
    def session(self) -> int:
        """The session in which the supervisor, and what does not leave it, run."""
        return self._supervisor.pid

    @property
    def supervisor_status(self) -> int | None:
        """How the supervisor ended, None while it runs."""
        return self._supervisor.poll()

    def poll(self) -> None:
        """Take note of what happened since the last call."""
        with self._guard:
            if self._events.closed:
                return
            over = self._supervisor.poll() is not None
            while chunk := _read_some(self._events.fileno()):
                self._unread += chunk
            *lines, self._unread = self._unread.split(b"\n")
            for line in lines:
                self._on_event(json.loads(line))
            self.ended = self.ended or over

    def _on_event(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "waiting":
                self.waiting_for = event["holder"]
            case "started":
                self.pid = event["pid"]
                self.started_at = time.monotonic()
            case "failed":
                self.failed = event["error"]
                self.ended = True
            case "exited":
                self.status = event["status"]
                self.ended = True
            case "shares":
                self._shared = frozenset(event["names"])
            case "gone":
                self._left = tuple(event["left"])
            case unknown:
                raise ServerError(f"the supervisor said {unknown!r}")

    def end(self, grace_s: float) -> tuple[int, ...]:
        """End the whole tree and wait for that. The second time it only says again what was left.

        Args:
            grace_s: Seconds between SIGTERM and SIGKILL.

        Returns:
            Processes that could not be ended, normally none.
        """
        with self._ending:
            if self._over is None:
                self._over = self._end(grace_s)
            return self._over

    def _end(self, grace_s: float) -> tuple[int, ...]:
        try:
            # Closed: by an earlier call that was interrupted.
            if not self._control.closed:
                with contextlib.suppress(BrokenPipeError):
                    self._control.write(f"stop {grace_s}\n".encode())
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._supervisor.wait(grace_s + MARGIN_S)
        finally:
            # Also when interrupted: end of file lets the supervisor finish without us.
            self._control.close()
        self.poll()
        left = self._left
        if left is None and self.failed is None:
            left = self._sweep()
        self._remove_scratch()
        with self._guard:
            self._events.close()
        return left or ()

    def _remove_scratch(self) -> None:
        """Remove the folder, which the supervisor does unless it was killed."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _sweep(self) -> tuple[int, ...]:
        """End the tree without its supervisor, which was killed or hangs.

        Both signs are needed: a process can leave the session, and one that renames itself, as vLLM's engine does,
        overwrites the environment that /proc shows.
        """
        session = self._supervisor.pid
        self._supervisor.kill()
        self._supervisor.wait()
        deadline = time.monotonic() + supervisor.KILL_S
        shared = self._shared | supervisor.shared_memory({*supervisor.members(session), *_marked(self._mark)})
        while (left := {*supervisor.members(session), *_marked(self._mark)}) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        supervisor.remove_shared(shared)
        return tuple(sorted(left))


def _scratch_folder(env: Mapping[str, str]) -> Path | None:
    """A new folder where the program would put temporary files; None where a socket's path in it would be too long."""
    for parent in (env.get("TMPDIR") or tempfile.gettempdir(), "/tmp"):  # noqa: S108 - a folder of its own in it
        try:
            folder = Path(tempfile.mkdtemp(prefix="llmgate-vllm-", dir=parent)).resolve()
        except OSError:
            continue
        if len(os.fsencode(folder)) + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES:
            return folder
        folder.rmdir()
    return None


def _temporary(scratch: Path | None, env: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a program puts its temporary files there; what was chosen by name stays."""
    if scratch is None:
        return {}
    found = {"TMPDIR": str(scratch), "VLLM_RPC_BASE_PATH": str(scratch)}
    with contextlib.suppress(OSError, KeyError):
        # What PyTorch has compiled lies beside temporary files, and is to be found again by the next start.
        # Reference: `default_cache_dir` in torch/_inductor/runtime/cache_dir_utils.py.
        user = re.sub(r'[\\/:*?"<>|]', "_", getpass.getuser())
        found["TORCHINDUCTOR_CACHE_DIR"] = str(scratch.parent / f"torchinductor_{user}")
    return {name: env.get(name, value) if name != "TMPDIR" else value for name, value in found.items()}


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise ServerError("the supervisor was started without pipes")
    return end


def _read_some(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""


def _marked(mark: str) -> list[int]:
    pids = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in environ.read_bytes().split(b"\0"):
                pids.append(int(environ.parts[2]))
        except OSError:
            continue
    return pids
