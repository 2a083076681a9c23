"""All that is observed while a server is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.bench.watch.devices import DeviceWatch
from llmgate.bench.watch.listener import find_server
from llmgate.bench.watch.machine import MachineWatch
from llmgate.bench.watch.server import ServerWatch

if TYPE_CHECKING:
    from llmgate.bench.client.load import Watch
    from llmgate.generate.client import Endpoint

__all__ = ["watches_for"]


def watches_for(endpoint: Endpoint, *, server_pid: int | None) -> tuple[Watch, ...]:
    """The watches for one measurement, in the order in which they start; they stop in the opposite one.

    The machine comes last, so that nothing of what the others do before and after falls into its account.

    Args:
        endpoint: What is measured.
        server_pid: The server's process where llmgate started it. Otherwise it is looked for on this machine.
    """
    pid = find_server(endpoint.url) if server_pid is None else server_pid
    return DeviceWatch(pid), ServerWatch(endpoint), MachineWatch(pid)
