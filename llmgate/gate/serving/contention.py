"""Did something else use the machine during a measurement? Decided before anybody looks at the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llmgate.record.serving.trace import ServingTrace

__all__ = ["OTHERS_SHARE", "contended"]

OTHERS_SHARE: Final = 0.05
"""Of the machine's processors, that others may use."""


def contended(trace: ServingTrace) -> str | None:
    """Why a run has to be made again, in a sentence; None if nothing else used the machine, as far as is known."""
    machine = trace.machine
    if machine is None or machine.duration_s <= 0 or machine.cores < 1:
        return None
    whole = machine.cores * machine.duration_s
    others = (machine.busy_s - machine.client_s - (machine.server_s or 0.0)) / whole
    if machine.server_s is not None and others > OTHERS_SHARE:
        return f"other processes used {others:.0%} of the machine's processors"
    if machine.steal_s / whole > OTHERS_SHARE:
        return f"the machine's host took {machine.steal_s / whole:.0%} of its processors"
    strangers = [name for device in trace.devices for name in device.others]
    return f"another process was on the server's GPU: {strangers[0]}" if strangers else None
