"""The processes of this machine, by `/proc`: who descends from whom, and what each has used.

A process is (number, time of its start): numbers are used again. What a process used is its own time and that of its
children that have ended and were waited for, so that work of short-lived processes is found at whoever started them.
Sources: proc(5), /proc/PID/stat.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.generate.vllm import supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

__all__ = ["PROC", "Process", "below", "children_of", "is_supervisor", "processes", "server_tree", "used_s"]

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
"""Units of processor time in /proc per second, 100 on Linux: times there are known to 10 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process at one moment.

    Attributes:
        pid: Its number.
        parent: Its parent's; a process whose parent ended has another one.
        group: Its process group.
        started: Ticks since the machine's start.
        own_s: Processor time of all its threads, in seconds.
        reaped_s: That of its children that it has waited for, and of theirs.
        name: Short name as the kernel keeps it, at most 15 characters.
    """

    pid: int
    parent: int
    group: int
    started: int
    own_s: float
    reaped_s: float
    name: str

    @property
    def total_s(self) -> float:
        """Its own time and that of its ended children."""
        return self.own_s + self.reaped_s


def processes(proc: Path = PROC) -> dict[int, Process]:
    """All processes that can be seen from here; those that end meanwhile are left out.

    Raises:
        OSError: If there is no `/proc`.
    """
    numbers = [int(entry.name) for entry in os.scandir(proc) if entry.name.isdecimal()]
    seen = (_process(proc, pid) for pid in numbers)
    return {process.pid: process for process in seen if process is not None}


def _process(proc: Path, pid: int) -> Process | None:
    try:
        data = (proc / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name is free text in parentheses, so the fields start after the last one.
    head, _, rest = data.rpartition(b")")
    fields = rest.split()
    if len(fields) < 20:
        return None
    return Process(
        pid=pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        started=int(fields[19]),
        own_s=(int(fields[11]) + int(fields[12])) / TICKS,
        reaped_s=(int(fields[13]) + int(fields[14])) / TICKS,
        name=head.partition(b"(")[2].decode("utf-8", "replace"),
    )


def children_of(table: Mapping[int, Process]) -> dict[int, list[int]]:
    """Parent → its children."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    return children


def below(
    table: Mapping[int, Process], roots: Iterable[int], *, barred: Callable[[int], bool] = lambda _: False
) -> set[int]:
    """The roots that exist, and all that descends from them.

    Args:
        table: All processes.
        roots: Where to begin.
        barred: Whether a process, and so whatever is below it, is left out.
    """
    children = children_of(table)
    found: set[int] = set()
    queue = [pid for pid in roots if pid in table]
    while queue:
        pid = queue.pop()
        if pid in found or barred(pid):
            continue
        found.add(pid)
        queue += children.get(pid, [])
    return found


def is_supervisor(pid: int, proc: Path = PROC) -> bool:
    """Whether a process is llmgate's supervisor of a server (`llmgate.generate.vllm.supervisor`)."""
    with suppress(OSError):
        arguments = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
        return os.fsencode(str(Path(supervisor.__file__))) in arguments[:4]
    return False


def server_tree(table: Mapping[int, Process], root: int, proc: Path = PROC) -> set[int]:
    """The processes of a server.

    They are its descendants and, where it leads a process group, that group, in which a helper stays whose parent has
    ended. Where llmgate's supervisor is its parent, they are all below the supervisor, which takes in whatever detaches
    itself. A session is not taken: in that of a terminal or of a container's first process other work may run. Nor can
    it be told whether what a cluster that was there before (Ray's) works is the server's: that is somebody else's.

    Args:
        table: All processes.
        root: The server's own number.
        proc: Where `/proc` is.

    Returns:
        Nothing if the server is not there.
    """
    if root not in table:
        return set()
    parent = table[root].parent
    if is_supervisor(parent, proc):
        return below(table, (parent,))
    group = [process.pid for process in table.values() if process.group == root]
    return below(table, (root, *group))


def used_s(
    before: Mapping[int, Process], after: Mapping[int, Process], *, then: Collection[int], now: Collection[int]
) -> float:
    """Processor time that a tree of processes used between two looks.

    A member that ended in between has gone into its parent's `reaped_s` with all that it used before the first look,
    which is therefore taken off. Where nobody waited for it, that would take off too much: never less than what those
    used that are still there.

    Args:
        before: All processes at the first look.
        after: All processes at the second.
        then: Members at the first look.
        now: Members at the second look.
    """
    stayed = {pid for pid in now if pid in before and before[pid].started == after[pid].started}
    came = [after[pid] for pid in now if pid not in stayed]
    known_s = sum(after[pid].own_s - before[pid].own_s for pid in stayed) + sum(process.own_s for process in came)
    # One that was there before but has become a member only now has a past that is not the tree's.
    total_s = sum(after[pid].total_s - before[pid].total_s for pid in stayed) + sum(p.total_s for p in came)
    ended_s = sum(before[pid].total_s for pid in then if pid not in after or after[pid].started != before[pid].started)
    return max(known_s, total_s - ended_s, 0.0)
