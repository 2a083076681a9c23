"""The processes of a server, as the kernel shows them (proc(5))."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import ServerError
from llmgate.generate.vllm.checks import listener
from llmgate.generate.vllm.supervisor import descendants

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EngineTasks", "ServerTask", "is_gone", "listens", "own_engine", "server_tasks"]

ENGINE_PREFIX: Final = "VLLM::"
"""vLLM gives the processes that compute, or coordinate those, titles like `VLLM::EngineCore` and `VLLM::Worker_TP1`."""
STATES: Final = {
    "T": "was stopped by a signal (SIGSTOP)",
    "t": "was stopped by a debugger",
    "D": "was waiting in the kernel, for a disk, a network file system or a driver",
    "Z": "had ended",
}
STOPPED: Final = frozenset("Tt")
LOOK_S: Final = 0.1
"""Who asks before every request whether a server lives must not pay for it each time."""
LISTENING: Final = "0A"
"""The state of a socket in /proc/net/tcp."""
TICKS: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTask:
    """One process of a server.

    Attributes:
        pid: Its process id.
        title: What it calls itself: `VLLM::EngineCore`, or the program's name.
        state: One letter: `R` runs, `S` waits, `D` waits in the kernel, `T` is stopped, `Z` has ended.
        cpu_s: Processor time that it and its children which have ended used, in seconds.
        began: When it began, in ticks since boot: with the process id it tells a process from a later one.
    """

    pid: int
    title: str
    state: str
    cpu_s: float
    began: int

    @property
    def computes(self) -> bool:
        """Whether the server is of no use without it."""
        return self.title.startswith(ENGINE_PREFIX)

    @property
    def stopped(self) -> bool:
        """Whether somebody stopped it."""
        return self.state in STOPPED

    def __str__(self) -> str:
        """`VLLM::EngineCore (process 7)`."""
        return f"{self.title} (process {self.pid})"

    def told(self) -> str:
        """What it did, for a message."""
        return f"{self} {STATES.get(self.state, 'was waiting, and computed nothing')}"


class EngineTasks:
    """The processes without which a server is of no use. The API server may be slow to notice that one has ended.

    Args:
        tasks: As they were when the server was ready.
    """

    def __init__(self, tasks: Iterable[ServerTask] = ()) -> None:
        self._tasks = tuple(tasks)
        self._looked = 0.0

    def lost(self, *, now: bool = False) -> ServerTask | None:
        """One that has ended, None if all live or were looked at a moment ago.

        Args:
            now: Whether to look in any case.
        """
        if not now and time.monotonic() - self._looked < LOOK_S:
            return None
        self._looked = time.monotonic()
        return next((task for task in self._tasks if is_gone(task)), None)


def own_engine(pid: int, *, port: int, where: str) -> EngineTasks:
    """The engine's processes of a server that is ready, if it is that server which answers.

    Args:
        pid: Of the API server.
        port: Where something answers as if it were this server.
        where: What it is about, for messages.

    Raises:
        ServerError: If somebody else listens on its port.
    """
    tasks = server_tasks(pid)
    if tasks and listens((task.pid for task in tasks), port) is False:
        raise ServerError(
            f"somebody else's server answers on its port, {port}, and calls itself by the same model's name",
            where=where,
            fix=f"End it ({listener(port) or 'a process of another user'}), or choose another port, or none",
        )
    return EngineTasks(task for task in tasks if task.computes)


def server_tasks(pid: int) -> tuple[ServerTask, ...]:
    """A server's process and all below it, the server's own first; nothing if it is gone.

    Args:
        pid: Of the API server.
    """
    own = _task(pid, title="the API server")
    if own is None:
        return ()
    below = (_task(each) for each in descendants(pid))
    return (own, *(task for task in below if task is not None))


def is_gone(task: ServerTask) -> bool:
    """Whether a process that was seen has ended."""
    now = _task(task.pid, title=task.title)
    return now is None or now.began != task.began or now.state in {"Z", "X"}


def listens(pids: Iterable[int], port: int) -> bool | None:
    """Whether every socket that listens on a TCP port belongs to these processes.

    Args:
        pids: Processes whose open files may be looked at.
        port: The port.

    Returns:
        None if the kernel shows no such socket.
    """
    wanted = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [row.split() for row in Path(table).read_text(encoding="ascii").splitlines()[1:]]
        except OSError:
            continue
        wanted |= {f"socket:[{row[9]}]" for row in rows if row[3] == LISTENING and row[1].endswith(f":{port:04X}")}
    if not wanted:
        return None
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                wanted.discard(os.readlink(descriptor))  # noqa: PTH115 - a socket link is no path
            except OSError:
                continue
    return not wanted


def _task(pid: int, *, title: str = "") -> ServerTask | None:
    try:
        head, _, rest = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")
        fields = rest.split()
        if not title:
            written = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace").strip()
            name = head.partition(b"(")[2].decode(errors="replace")
            title = written if written.startswith(ENGINE_PREFIX) else name
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return ServerTask(
        pid=pid,
        title=title,
        state=fields[0].decode(),
        cpu_s=sum(int(each) for each in fields[11:15]) / TICKS,
        began=int(fields[19]),
    )
