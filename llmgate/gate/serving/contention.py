"""Whether somebody else took the machine from a measurement.

Measured on 2 processors: with one busy neighbour a vLLM on the CPU fell from 200 to 57 tokens a second, and pairs of
runs varied so much that 36 to 250 of them were needed where 4 to 7 are enough on a quiet machine. So a run that was
disturbed is made again, which helps more than more runs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llmgate.record.serving.trace import MachineUse, ServingTrace

__all__ = ["OTHERS_CORES", "OTHERS_SHARE", "STEAL_SHARE", "contended", "contention_note"]

OTHERS_SHARE: Final = 0.05
"""Of the machine's processors over the time of the measurement, above which other processes have disturbed it.

The smallest margin that anybody sets for throughput is about 5 %, and what others take cannot cost a server that is
bound by its processors less than that. Below it lies what every machine does by itself, and how well the kernel's count
by ticks is known (on 2 processors about 2 % for a measurement of 1 s, 0.7 % for 10 s).
"""
OTHERS_CORES: Final = 0.5
"""The same in processors, where few are idle.

5 % of 64 processors are 3.2 of them. That is harmless where most of the machine is idle, as beside a GPU: the scheduler
finds another processor. It is not where the server computes on all processors in step, because each step then waits for
the thread that shares its own: a single neighbour that is busy half of the time is enough, on any number of processors.
Up to 10 of them the share above is the smaller limit.
"""
IDLE_SHARE: Final = 0.5
"""With so many idle each busy thread has a core, and none has to share it with its second hardware thread."""
STEAL_SHARE: Final = 0.05
"""Of the processors, which the host of a virtual machine gave to others."""
SEEN_SHARE: Final = 0.99
"""Of the measurement, which has to have been observed."""
AGAIN: Final = "measure again when it is quiet"


def contended(trace: ServingTrace) -> str | None:
    """Why other processes have disturbed a measurement, in a sentence; None if they have not, or nobody looked.

    Others are all that was busy without the client and the server. Where the server cannot be seen (it runs elsewhere)
    all but the client are others.
    """
    machine = trace.machine
    on_machine = None
    if machine is not None:
        on_machine = _unknown(machine, trace) or _stolen(machine) or _others(machine)
    return on_machine or _on_devices(trace)


def contention_note(trace: ServingTrace) -> str | None:
    """How far a measurement was checked for other processes, None if wholly."""
    if trace.machine is None:
        return "not checked whether other processes were busy: who used the machine was not noted"
    if trace.machine.server_s is None:
        return (
            "only the client's machine was checked for other processes: the server's processes cannot be seen from here"
        )
    return None


def _unknown(machine: MachineUse, trace: ServingTrace) -> str | None:
    """Figures that cannot be: from those nothing follows, least of all that nobody was busy."""
    times = (machine.busy_s, machine.client_s, machine.server_s or 0.0, machine.steal_s)
    if machine.cores < 1 or not all(math.isfinite(time_s) and time_s >= 0 for time_s in times):
        return "who used the machine is not known: the figures of its processors cannot be"
    if not (math.isfinite(machine.duration_s) and machine.duration_s > 0):
        return f"who used the machine is not known: it was observed for {machine.duration_s} s"
    if not machine.duration_s >= SEEN_SHARE * trace.duration_s:
        return (
            f"who used the machine is known for {machine.duration_s:.1f} of the {trace.duration_s:.1f} s of the "
            "measurement only"
        )
    return None


def _stolen(machine: MachineUse) -> str | None:
    share = machine.steal_s / (machine.cores * machine.duration_s)
    if share <= STEAL_SHARE:
        return None
    return f"the host of this virtual machine gave {share:.0%} of its processors to others (steal): {AGAIN}"


def _others(machine: MachineUse) -> str | None:
    whole_s = machine.cores * machine.duration_s
    others_s = machine.busy_s - machine.client_s - (machine.server_s or 0.0)
    limit_s = OTHERS_SHARE * whole_s
    if whole_s - machine.busy_s - machine.steal_s < IDLE_SHARE * whole_s:
        limit_s = min(limit_s, OTHERS_CORES * machine.duration_s)
    if others_s <= limit_s:
        return None
    names = f", most of all {', '.join(machine.busiest)}" if machine.busiest else ""
    unseen = "; the server's own work is among it if it runs here, where only its user and root can see it"
    return (
        f"other processes used {others_s / machine.duration_s:.2f} of the {machine.cores} processors "
        f"({others_s / whole_s:.0%}, limit {limit_s / whole_s:.1%}){names}: {AGAIN}"
        f"{unseen if machine.server_s is None else ''}"
    )


def _on_devices(trace: ServingTrace) -> str | None:
    for device in trace.devices:
        if device.others:
            return f"other processes were on the server's GPU {device.index} ({', '.join(device.others)}): {AGAIN}"
    return None
