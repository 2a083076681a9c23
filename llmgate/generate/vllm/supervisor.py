"""Owns one server's process tree, so that nothing of it outlives the process that asked for it.

A program of its own, run by file path under `python -I`: it imports the standard library only, so that it starts at
once, stays small and cannot fail for a reason that lies in the package or the user's folder.

The parent holds the write end of this program's stdin. `stop SECONDS` on it asks for an orderly end; end of file
means that the parent is gone, by whatever signal. Events go to stdout, one JSON object per line: `waiting` (another
server on this machine is starting), `started`, `shares` (what its processes have in shared memory), `failed`, `exited`
and, last, `gone`.

What it leaves in memory and on disk goes too: its folder for temporary files, and what its processes had mapped in
/dev/shm when they were killed.

Three things make the ownership complete. It lives in a session of its own, so Ctrl-C in the terminal reaches the
parent only. It is a child subreaper, so descendants that detach themselves come back to it instead of to init
(prctl(2), PR_SET_CHILD_SUBREAPER). And its child asks for SIGTERM at its own death (PR_SET_PDEATHSIG): SIGTERM and
not SIGKILL, because an API server that is killed outright leaves the engine process behind, holding the GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Supervisor", "descendants", "main", "members", "remove_shared", "shared_memory"]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
TICK_S = 0.2
"""How often the lock, the health of a starting server and the parent are looked at."""
SETTLE_S = 3.0
"""After the server itself has ended, its helpers get this long, to unlink shared memory for example."""
KILL_S = 15.0
"""How long killed processes may take to disappear before they are reported as left."""
TRACKER_S = 3.0
"""How long Python's resource tracker may take to unlink what its killed processes shared."""
SHARED = re.compile(rb"(/dev/shm/[^/\n]+?)(?: \(deleted\))?$", re.MULTILINE)
"""A file in shared memory, in /proc/PID/maps (proc(5))."""
CANNOT_EXECUTE = 127
OOM_SCORE = 500
"""If memory runs out the kernel ends the server, which can be explained, before it ends the test session."""


def _stat(pid: int) -> tuple[str, int, int] | None:
    """State, parent and session of a process, or None if there is none.

    The command name in /proc/PID/stat is free text in parentheses, so the fields start after the last one.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return fields[0].decode(), int(fields[1]), int(fields[3])


def _processes() -> dict[int, tuple[str, int, int]]:
    stats = ((int(name), _stat(int(name))) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208
    return {pid: stat for pid, stat in stats if stat is not None}


def descendants(root: int) -> list[int]:
    """All live or zombie processes below `root`, parents before their children, without `root` itself."""
    children: dict[int, list[int]] = {}
    for pid, (_, parent, _) in _processes().items():
        children.setdefault(parent, []).append(pid)
    pids: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(0), [])
        pids += below
        queue += below
    return pids


def members(session: int) -> list[int]:
    """The live processes of a session; zombies hold nothing and are left out."""
    return [pid for pid, (state, _, sid) in _processes().items() if sid == session and state not in {"Z", "X"}]


def is_tracker(pid: int) -> bool:
    """Whether it is Python's resource tracker, which unlinks what killed processes shared once all of them are gone."""
    try:
        return b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def shared_memory(pids: Iterable[int]) -> set[str]:
    """The files in /dev/shm that processes have mapped."""
    found: set[str] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            found |= {os.fsdecode(name) for name in SHARED.findall(Path(f"/proc/{pid}/maps").read_bytes())}
    return found


def remove_shared(names: Iterable[str]) -> None:
    """Unlink files in /dev/shm that are ours and that nobody uses any more."""
    names = set(names)
    used = shared_memory(_processes()) if names else set()
    for name in names - used:
        with contextlib.suppress(OSError):
            if os.lstat(name).st_uid == os.getuid():
                Path(name).unlink()


class Supervisor:
    """Starts one command and ends everything that came from it.

    Args:
        command: Program and arguments.
        parent: Process id of whoever must outlive the command.
        grace_s: Time between SIGTERM and SIGKILL when the parent has vanished.
        lock: File that is locked while the command starts, so that one server starts at a time.
        health: Host and port at which `GET /health` answers 200 once the start is over.
        scratch: Folder that is removed at the end.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        parent: int,
        grace_s: float,
        lock: Path | None = None,
        health: tuple[str, int] | None = None,
        scratch: Path | None = None,
    ) -> None:
        self._scratch = scratch
        self._shared: set[str] = set()
        self._command = list(command)
        self._parent = parent
        self._grace_s = grace_s
        self._lock_path = lock
        self._health = health
        self._lock: int | None = None
        self._child: int | None = None
        self._status: int | None = None
        self._stop = False
        self._told_waiting = False
        self._control = b""

    def run(self) -> int:
        """Start, watch, end.

        Returns:
            The command's exit status as a shell would show it; 0 if it was never started.
        """
        wake, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for request in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(request, self._on_signal)
        os.set_blocking(0, False)
        while not self._over():
            if self._child is None and self._take_lock() and not self._start():
                self._remove_scratch()
                return CANNOT_EXECUTE
            self._reap()
            if self._status is not None:
                break
            if self._lock is not None and self._answers():
                self._drop_lock()
                self._shared |= shared_memory(descendants(os.getpid()))
                _tell("shares", names=sorted(self._shared))
            self._sleep(wake)
        self._end()
        if self._status is None:
            return 0
        return self._status if self._status >= 0 else 128 - self._status

    def _on_signal(self, *_: object) -> None:
        self._stop = True

    def _over(self) -> bool:
        # A fork of the parent may hold the pipe open after the parent's death, so end of file alone is not enough.
        return self._stop or os.getppid() != self._parent

    def _sleep(self, wake: int) -> None:
        # A closed stdin is always readable, but then `_over` ends the loop.
        ready, _, _ = select.select([0, wake], [], [], TICK_S)
        if wake in ready:
            os.read(wake, 4096)
        if 0 in ready:
            self._read_control()

    def _read_control(self) -> None:
        chunk = os.read(0, 4096)
        self._control += chunk
        *lines, self._control = self._control.split(b"\n")
        for line in lines:
            word, _, value = line.decode().partition(" ")
            if word == "stop":
                self._grace_s = float(value)
                self._stop = True
        if not chunk:
            self._stop = True

    def _take_lock(self) -> bool:
        if self._lock_path is None or self._lock is not None:
            return True
        fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 64).decode(errors="replace").strip()
            os.close(fd)
            if not self._told_waiting:
                self._told_waiting = True
                _tell("waiting", holder=holder)
            return False
        os.ftruncate(fd, 0)
        os.write(fd, f"{self._parent}\n".encode())
        self._lock = fd
        return True

    def _drop_lock(self) -> None:
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def _start(self) -> bool:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            _tell("failed", error=f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}")
            return False
        me = os.getpid()

        def before_exec() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != me:
                os._exit(CANNOT_EXECUTE)
            with contextlib.suppress(OSError):
                Path("/proc/self/oom_score_adj").write_bytes(str(OOM_SCORE).encode())

        try:
            child = subprocess.Popen(  # noqa: S603 - the caller's command, no shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=2,
                process_group=0,
                preexec_fn=before_exec,  # noqa: PLW1509 - this program has one thread
            )
        except OSError as error:
            _tell("failed", error=str(error))
            return False
        self._child = child.pid
        # The loop below reaps every child itself; Popen must not wait for one that is gone.
        child.returncode = 0
        _tell("started", pid=child.pid)
        return True

    def _answers(self) -> bool:
        if self._health is None:
            return True
        try:
            with socket.create_connection(self._health, timeout=0.5) as connection:
                connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                return b" 200" in connection.recv(64).partition(b"\r")[0]
        except OSError:
            return False

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._child:
                self._status = os.waitstatus_to_exitcode(status)
                _tell("exited", status=self._status, asked=self._over())

    def _end(self) -> None:
        me = os.getpid()
        self._shared |= shared_memory(descendants(me))
        if self._child is not None and self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child, signal.SIGTERM)
        patience = time.monotonic() + (self._grace_s if self._status is None else min(SETTLE_S, self._grace_s))
        settling = self._status is not None
        while (left := descendants(me)) and time.monotonic() < patience:
            time.sleep(0.02)
            self._reap()
            if not settling and self._status is not None:
                settling = True
                patience = min(patience, time.monotonic() + SETTLE_S)
        killed = len(left)
        left = self._kill(left)
        remove_shared(self._shared)
        self._remove_scratch()
        # Not earlier: the next server would count this one's memory as taken.
        self._drop_lock()
        _tell("gone", killed=killed, left=left)

    def _remove_scratch(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _kill(self, left: list[int]) -> list[int]:
        """Kill what is left, resource trackers last: they end by themselves when all others are gone."""
        me = os.getpid()
        self._shared |= shared_memory(left)
        trackers_until = time.monotonic() + TRACKER_S
        deadline = time.monotonic() + KILL_S
        while (left := descendants(me)) and time.monotonic() < deadline:
            others = [pid for pid in left if not is_tracker(pid)]
            for pid in others if others or time.monotonic() < trackers_until else left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
            self._reap()
        return left


def _tell(event: str, **facts: Any) -> None:
    # The parent may be dead: then nobody reads, and the work goes on.
    with contextlib.suppress(BrokenPipeError):
        os.write(1, (json.dumps({"event": event, **facts}) + "\n").encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run.

    Args:
        arguments: Options, `--`, then the server's command. Default: this process's arguments.

    Returns:
        The exit status of the server.
    """
    parser = argparse.ArgumentParser(description="Own one server's process tree.")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--grace", type=float, required=True)
    parser.add_argument("--lock", type=Path)
    parser.add_argument("--health-host")
    parser.add_argument("--health-port", type=int)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    if os.getsid(0) != os.getpid():
        os.setsid()
    health = (options.health_host, options.health_port) if options.health_port else None
    return Supervisor(
        options.command,
        parent=options.parent,
        grace_s=options.grace,
        lock=options.lock,
        health=health,
        scratch=options.scratch,
    ).run()


if __name__ == "__main__":
    sys.exit(main())
