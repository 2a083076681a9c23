"""Who used the processors of this machine during a measurement: the client, the server, or somebody else.

Read before and after only, so that it costs the measurement nothing. `/proc/stat` counts by the timer's ticks: at 250
a second on 2 processors, a measurement of 1 s is known to about 2 % of the machine and one of 10 s to 0.7 %. Work in
bursts shorter than a tick may be missed there, so that the sum over all processes, which is exact, is taken where it is
more; that sum alone would miss what other containers do, and children that nobody waits for.

In a container `/proc/stat` is the host's, while the processes that can be seen are the container's. What other
containers of the host do is then somebody else's work, and rightly so, because it takes time from the server too. The
processors are the host's as well, whatever the container may use of them (`cpu.max`): a limit is no reservation.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmgate.bench.watch.processes import PROC, TICKS, Process, below, is_supervisor, processes, server_tree, used_s
from llmgate.record.serving.trace import MachineUse

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.serving.trace import ServingTrace

__all__ = ["Look", "MachineWatch", "look", "use_between"]

BUSIEST = 3
NOTABLE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The machine at one moment.

    Attributes:
        at_s: When, on the monotonic clock.
        cores: Processors that are online.
        busy_s: All that was worked since the start of the machine, in seconds of processor time.
        steal_s: What the host of a virtual machine took since then.
        table: All processes.
        server: Those of the server.
        client: This process and its children; servers that llmgate owns excepted, whichever they are.
    """

    at_s: float
    cores: int
    busy_s: float
    steal_s: float
    table: Mapping[int, Process]
    server: frozenset[int]
    client: frozenset[int]


class MachineWatch:
    """Notes who used the machine, as `MachineUse`.

    Args:
        server_pid: The server's own process; None if it does not run here or was not found.
        proc: Where `/proc` is.

    Attributes:
        note: Why nothing was seen, "" if something was.
    """

    def __init__(self, server_pid: int | None, *, proc: Path = PROC) -> None:
        self.note = ""
        self._server_pid = server_pid
        self._proc = proc
        self._before: Look | None = None
        self._after: Look | None = None

    async def start(self) -> None:
        """Take the first look."""
        self._before, self._after = self._look(first=True), None

    async def stop(self) -> None:
        """Take the second look."""
        if self._before is not None:
            self._after = self._look(first=False)

    def told(self, trace: ServingTrace) -> ServingTrace:
        """The trace with the use of the machine; as it was if nothing was seen."""
        if self._before is None or self._after is None:
            return trace
        return replace(trace, machine=use_between(self._before, self._after))

    def _look(self, *, first: bool) -> Look | None:
        try:
            return look(self._server_pid, proc=self._proc, counters_last=first)
        except (OSError, ValueError, IndexError) as error:
            self.note = f"who used this machine cannot be seen: {error}"
            return None


def look(server_pid: int | None, *, proc: Path = PROC, counters_last: bool) -> Look:
    """Look at the machine.

    Args:
        server_pid: The server's own process.
        proc: Where `/proc` is.
        counters_last: Whether the machine's counters are read after the processes, so that the looking itself lies
            outside of what two looks enclose.

    Raises:
        OSError: If there is no `/proc`.
        ValueError, IndexError: If it is not Linux's.
    """
    counters = None if counters_last else _counters(proc)
    table = processes(proc)
    server = frozenset() if server_pid is None else frozenset(server_tree(table, server_pid, proc))
    me = os.getpid()
    client = below(table, (me,), barred=lambda pid: pid in server or (pid != me and is_supervisor(pid, proc)))
    at_s, busy_s, steal_s, cores = counters or _counters(proc)
    return Look(
        at_s=at_s,
        cores=cores,
        busy_s=busy_s,
        steal_s=steal_s,
        table=table,
        server=server,
        client=frozenset(client),
    )


def use_between(before: Look, after: Look) -> MachineUse:
    """What happened between two looks.

    A process that belonged to the server at the first look belongs to it at the second one too, whoever is its parent
    by then. The server's use is not known if nothing of it could be seen at one of them.
    """
    server = after.server | _orphans(before, before.server, after)
    client = (after.client | _orphans(before, before.client, after)) - server
    server_s = None
    if before.server and server:
        server_s = used_s(before.table, after.table, then=before.server, now=server)
    client_s = used_s(before.table, after.table, then=before.client | _waited_for(before, after), now=client)
    others_s = used_s(
        before.table,
        after.table,
        then=before.table.keys() - before.server - before.client,
        now=after.table.keys() - server - client,
    )
    return MachineUse(
        cores=max(before.cores, after.cores),
        duration_s=after.at_s - before.at_s,
        busy_s=max(after.busy_s - before.busy_s, client_s + (server_s or 0.0) + others_s),
        client_s=client_s,
        server_s=server_s,
        steal_s=max(0.0, after.steal_s - before.steal_s),
        busiest=_busiest(before.table, after.table, known=server | client),
    )


def _orphans(before: Look, members: frozenset[int], after: Look) -> frozenset[int]:
    """Members of a tree that are still there but no longer in it, as a parent has ended, and what is below them."""
    trees = after.client | after.server
    left = [
        pid for pid in members - trees if pid in after.table and after.table[pid].started == before.table[pid].started
    ]
    return frozenset(below(after.table, left, barred=trees.__contains__))


def _waited_for(before: Look, after: Look) -> set[int]:
    """Servers that the client owned and that are gone: all that they ever used has gone into the client's time."""
    owned = below(before.table, before.client) - before.client
    roots = [pid for pid in owned if before.table[pid].parent in before.client and pid not in after.table]
    return below(before.table, roots)


def _busiest(before: Mapping[int, Process], after: Mapping[int, Process], *, known: frozenset[int]) -> tuple[str, ...]:
    """Who else used most, as `name (pid)`; what began and ended in between is found at whoever waited for it."""
    used = []
    for pid, process in after.items():
        if pid in known:
            continue
        earlier = before.get(pid)
        past_s = earlier.total_s if earlier is not None and earlier.started == process.started else 0.0
        used.append((process.total_s - past_s, pid))
    top = sorted(used, reverse=True)[:BUSIEST]
    return tuple(f"{after[pid].name} ({pid})" for used_by, pid in top if used_by > NOTABLE_S)


def _counters(proc: Path) -> tuple[float, float, float, int]:
    """Now on the monotonic clock, seconds worked and stolen since the machine's start, and its processors (proc(5)).

    Time of guests is part of `user` and `nice` already. `idle` and `iowait` are no work.
    """
    data = (proc / "stat").read_bytes()
    at_s = time.monotonic()
    lines = [line.split() for line in data.splitlines() if line.startswith(b"cpu")]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in lines[0][1:9])
    return at_s, (user + nice + system + irq + softirq) / TICKS, steal / TICKS, len(lines) - 1
