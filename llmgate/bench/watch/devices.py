"""What the GPUs of a server did during a measurement, by NVML (`nvidia-ml-py`, the extra `gpu`).

NVML is asked by a program of its own, so that the client neither loads the driver's library nor waits for it. Where
the library or the driver is missing nothing is noted, and why is kept. Several servers on one GPU, MIG included, cannot
be told apart by memory and power: these are the device's.
"""

from __future__ import annotations

import importlib.util
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.bench.watch.processes import PROC, processes, server_tree
from llmgate.bench.watch.sampling import SamplerRun
from llmgate.record.serving.trace import DeviceUse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from llmgate.record.serving.trace import ServingTrace

__all__ = ["DeviceWatch", "ServerDevices", "found_devices", "visible"]

PERIOD_S: Final = 0.5
GIB: Final = 2**30
ALL_PROCESSES: Final = "pid:[4026531836]"
"""The first namespace of processes, of which all others are parts: PROC_PID_INIT_INO in the kernel's proc_ns.h."""
NODES: Final = "/dev/nvidia"
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
HIDDEN: Final = "which GPUs the server uses cannot be seen from this container; all that are visible to it are noted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDevices:
    """The devices of a server, and what a reader should know about that."""

    devices: tuple[DeviceUse, ...] = ()
    note: str = ""


class DeviceWatch:
    """Notes the GPUs of a server, as `DeviceUse`.

    Args:
        server_pid: The server's own process; None if it does not run here: then no GPU of this machine is its.
        period_s: Between two looks during the measurement.
        proc: Where `/proc` is.

    Attributes:
        note: Why nothing was noted, or how far to trust it; "" if there is nothing to say.
    """

    def __init__(self, server_pid: int | None, *, period_s: float = PERIOD_S, proc: Path = PROC) -> None:
        self.note = ""
        self._server_pid = server_pid
        self._period_s = period_s
        self._proc = proc
        self._sampling: SamplerRun | None = None
        self._members: set[int] = set()
        self._found = ServerDevices()

    async def start(self) -> None:
        """Start to look."""
        self._sampling, self._members, self._found = None, self._tree(), ServerDevices()
        if self._server_pid is None:
            self.note = "the server does not run here, so its GPUs cannot be seen"
            return
        module = importlib.util.find_spec("pynvml")
        if module is None or module.origin is None:
            self.note = "GPUs were not looked at: the extra `gpu` (nvidia-ml-py) is not installed"
            return
        self._sampling = SamplerRun(
            {"what": "devices", "path": str(Path(module.origin).parent), "period_s": self._period_s}
        )
        await self._sampling.start()
        self.note = self._sampling.note and f"GPUs were not looked at: {self._sampling.note}"

    async def stop(self) -> None:
        """End the looking."""
        if self._sampling is None:
            return
        seen = await self._sampling.stop()
        if seen is None or self._server_pid is None:
            self.note = self.note or f"GPUs were not looked at: {self._sampling.note}"
            return
        self._members |= self._tree()
        self._found = found_devices(
            seen,
            server=self._members,
            all_seen=_link(self._proc / "self" / "ns" / "pid") == ALL_PROCESSES,
            uses_gpu=any(_opens_gpu(self._proc, pid) for pid in self._members),
            visible_devices=_variable(self._proc, self._server_pid, VISIBLE),
        )
        self.note = self._found.note

    def told(self, trace: ServingTrace) -> ServingTrace:
        """The trace with the server's GPUs."""
        return replace(trace, devices=self._found.devices) if self._found.devices else trace

    def _tree(self) -> set[int]:
        with suppress(OSError):
            if self._server_pid is not None:
                return server_tree(processes(self._proc), self._server_pid, self._proc)
        return set()


def found_devices(
    seen: Mapping[str, Any],
    *,
    server: Collection[int],
    all_seen: bool,
    uses_gpu: bool,
    visible_devices: str | None,
) -> ServerDevices:
    """Choose the server's devices.

    They are those on which a process of the server runs. A container may not show the processes of its GPUs, or show
    them by numbers of the host. Then, if the server has a GPU open, all devices that are visible to it are its devices.

    Args:
        seen: What the sampler told.
        server: Processes of the server.
        all_seen: Whether this process sees all processes of the machine.
        uses_gpu: Whether one of the server's processes has a GPU open.
        visible_devices: `CUDA_VISIBLE_DEVICES` of the server, None if it has none.
    """
    devices: Sequence[Mapping[str, Any]] = seen["devices"]
    mine = [device for device in devices if any(int(pid) in server for pid in device["processes"])]
    note = ""
    if not mine and uses_gpu and not (all_seen and all(device["listed"] for device in devices)):
        mine, note = visible(devices, visible_devices), HIDDEN
    return ServerDevices(devices=tuple(_use(device, server, seen["elapsed_s"]) for device in mine), note=note)


def visible(devices: Sequence[Mapping[str, Any]], chosen: str | None) -> list[Mapping[str, Any]]:
    """The devices that `CUDA_VISIBLE_DEVICES` leaves, all if it says nothing that can be understood.

    Numbers are taken as NVML's, which are CUDA's if `CUDA_DEVICE_ORDER=PCI_BUS_ID` or all devices are alike; other
    names are beginnings of UUIDs. As in CUDA, the first that does not exist hides what comes after it.
    """
    if chosen is None:
        return [*devices]
    if chosen.startswith("MIG-"):
        return [*devices]
    found: list[Mapping[str, Any]] = []
    for name in (part.strip() for part in chosen.split(",")):
        match = [
            device
            for device in devices
            if (name.isdecimal() and device["index"] == int(name)) or (name.startswith("GPU-") and _named(device, name))
        ]
        if len(match) != 1:
            break
        found += match
    return found


def _named(device: Mapping[str, Any], name: str) -> bool:
    return str(device["uuid"]).startswith(name)


def _use(device: Mapping[str, Any], server: Collection[int], elapsed_s: float) -> DeviceUse:
    energy_j, power_w = device["counted_j"], device["power_w"]
    if energy_j is None and power_w is not None:
        energy_j = power_w * elapsed_s
    if power_w is None and energy_j is not None and elapsed_s > 0:
        power_w = energy_j / elapsed_s
    # A process without a name is not of this container: whether it is the server's by another number is not known.
    others = [(name, int(pid)) for pid, name in device["processes"].items() if name and int(pid) not in server]
    return DeviceUse(
        index=device["index"],
        name=device["name"],
        memory_gib=(device["memory"] or 0) / GIB,
        memory_total_gib=(device["memory_total"] or 0) / GIB,
        power_w=power_w,
        energy_j=energy_j,
        utilisation=device["utilisation"],
        others=tuple(f"{name} ({pid})" for name, pid in sorted(others)),
    )


def _link(path: Path) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - `pid:[1]` is no path
    except OSError:
        return ""


def _opens_gpu(proc: Path, pid: int) -> bool:
    try:
        with os.scandir(proc / str(pid) / "fd") as files:
            return any(_link(Path(file.path)).startswith(NODES) for file in files)
    except OSError:
        return False


def _variable(proc: Path, pid: int, name: str) -> str | None:
    """A variable of the environment with which a process was started."""
    with suppress(OSError):
        for line in (proc / str(pid) / "environ").read_bytes().split(b"\0"):
            key, equals, value = line.decode("utf-8", "replace").partition("=")
            if equals and key == name:
                return value
    return None
