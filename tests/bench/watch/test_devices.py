"""GPUs, by the real `pynvml` with another library behind it. None of this has run on a GPU."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_proc import FakeProc

from llmgate.bench.watch.devices import HIDDEN, DeviceWatch, found_devices, visible
from llmgate.bench.watch.sampler import Devices
from llmgate.record.serving.trace import DeviceUse, ServingTrace

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30
TRACE = ServingTrace(
    name="a",
    workload="w",
    workload_digest="0" * 64,
    concurrency=1,
    requests=(),
    duration_s=1.0,
    client_cpu_s=0.0,
    client_version="test",
)
ME = os.getpid()


class FakeGpus:
    """Two GPUs behind pynvml's functions; each answer is a value, or the number of an error."""

    def __init__(self, nvml: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nvml = nvml
        self.clock_s = 100.0
        self.says: dict[tuple[str, int], Any] = {}
        for index in (0, 1):
            self.device(index)
        self.broken: int | None = None
        monkeypatch.setattr(nvml, "nvmlInit", self.init)
        monkeypatch.setattr(nvml, "nvmlDeviceGetCount", lambda: 2)
        monkeypatch.setattr(nvml, "nvmlDeviceGetHandleByIndex", lambda index: f"handle {index}")
        for function in {name for name, _ in self.says}:
            assert hasattr(nvml, function)
            monkeypatch.setattr(nvml, function, self.asked(function))

    def device(self, index: int) -> None:
        self.set("Name", index, "NVIDIA H100 80GB HBM3")
        self.set("UUID", index, f"GPU-{index}a1b2c3d")
        self.memory(index, 1.0)
        self.set("PowerUsage", index, 70_000)
        self.set("TotalEnergyConsumption", index, 5_000_000)
        self.use(index, 0)
        self.run(index)

    def set(self, what: str, index: int, value: object) -> None:
        self.says[f"nvmlDeviceGet{what}", index] = value

    def memory(self, index: int, used_gib: float) -> None:
        memory = self.nvml.c_nvmlMemory_t(total=80 * GIB, free=int((80 - used_gib) * GIB), used=int(used_gib * GIB))
        self.set("MemoryInfo", index, memory)

    def use(self, index: int, percent: int) -> None:
        self.set("UtilizationRates", index, self.nvml.c_nvmlUtilization_t(gpu=percent, memory=3))

    def run(self, index: int, *pids: int) -> None:
        processes = [
            self.nvml.nvmlStructToFriendlyObject(self.nvml.c_nvmlProcessInfo_v3_t(pid=pid, usedGpuMemory=GIB))
            for pid in pids
        ]
        self.set("ComputeRunningProcesses", index, processes)

    def fail(self, what: str, index: int, error: int) -> None:
        self.set(what, index, self.nvml.NVMLError(error))

    def init(self) -> None:
        if self.broken is not None:
            raise self.nvml.NVMLError(self.broken)

    def asked(self, function: str) -> Any:
        def answer(handle: str) -> Any:
            value = self.says[function, int(handle.split()[1])]
            if isinstance(value, self.nvml.NVMLError):
                raise value
            return value

        return answer

    def devices(self) -> Devices:
        return Devices(self.nvml, clock=lambda: self.clock_s)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> FakeGpus:
    return FakeGpus(pytest.importorskip("pynvml"), monkeypatch)


def found(seen: dict[str, Any], **changes: Any) -> tuple[tuple[DeviceUse, ...], str]:
    facts: dict[str, Any] = {"server": {ME}, "all_seen": True, "uses_gpu": True, "visible_devices": None, **changes}
    result = found_devices(seen, **facts)
    return result.devices, result.note


def test_two_looks(gpus: FakeGpus) -> None:
    gpus.run(1, ME)
    devices = gpus.devices()
    devices.look()
    for memory, watts, percent in ((40.0, 300, 80), (70.0, 700, 100), (60.0, 500, 60)):
        gpus.clock_s += 0.5
        gpus.memory(1, memory)
        gpus.set("PowerUsage", 1, watts * 1000)
        gpus.use(1, percent)
        devices.note()
    gpus.set("TotalEnergyConsumption", 1, 5_000_000 + 750_500)
    (use,), note = found(devices.told())
    assert note == ""
    assert use.utilisation == pytest.approx(0.8)
    assert replace(use, utilisation=None) == DeviceUse(
        index=1,
        name="NVIDIA H100 80GB HBM3",
        memory_gib=70.0,
        memory_total_gib=80.0,
        power_w=500.0,
        energy_j=750.5,
    )


def test_energy_without_a_counter_is_power_times_time(gpus: FakeGpus) -> None:
    gpus.run(0, ME)
    gpus.fail("TotalEnergyConsumption", 0, gpus.nvml.NVML_ERROR_NOT_SUPPORTED)
    devices = gpus.devices()
    devices.look()
    gpus.clock_s += 4.0
    devices.note()
    (use,), _ = found(devices.told())
    assert (use.power_w, use.energy_j) == (70.0, 280.0)


def test_power_that_is_not_told_follows_from_energy(gpus: FakeGpus) -> None:
    gpus.run(0, ME)
    gpus.fail("PowerUsage", 0, gpus.nvml.NVML_ERROR_NOT_SUPPORTED)
    devices = gpus.devices()
    devices.look()
    gpus.clock_s += 4.0
    gpus.set("TotalEnergyConsumption", 0, 5_000_000 + 400_000)
    (use,), _ = found(devices.told())
    assert (use.power_w, use.energy_j) == (100.0, 400.0)


def test_a_counter_that_began_again_counts_nothing(gpus: FakeGpus) -> None:
    gpus.run(0, ME)
    gpus.fail("PowerUsage", 0, gpus.nvml.NVML_ERROR_NOT_SUPPORTED)
    devices = gpus.devices()
    devices.look()
    gpus.set("TotalEnergyConsumption", 0, 10)
    (use,), _ = found(devices.told())
    assert (use.power_w, use.energy_j) == (None, None)


@pytest.mark.parametrize(
    "error", ["NVML_ERROR_NOT_SUPPORTED", "NVML_ERROR_NO_PERMISSION", "NVML_ERROR_GPU_IS_LOST", "NVML_ERROR_UNKNOWN"]
)
def test_each_thing_may_be_missing(gpus: FakeGpus, error: str) -> None:
    for what in ("Name", "UUID", "MemoryInfo", "PowerUsage", "TotalEnergyConsumption", "UtilizationRates"):
        gpus.fail(what, 0, getattr(gpus.nvml, error))
    gpus.run(0, ME)
    gpus.fail("ComputeRunningProcesses", 1, getattr(gpus.nvml, error))
    devices = gpus.devices()
    devices.look()
    devices.note()
    (use,), _ = found(devices.told())
    assert use == DeviceUse(index=0, name="unknown", memory_gib=0.0, memory_total_gib=0.0)


def test_a_driver_that_is_not_there(gpus: FakeGpus) -> None:
    gpus.broken = gpus.nvml.NVML_ERROR_DRIVER_NOT_LOADED
    with pytest.raises(gpus.nvml.NVMLError, match="Driver Not Loaded"):
        gpus.devices()


def test_other_processes_on_the_servers_gpu(gpus: FakeGpus) -> None:
    other = os.getppid()
    gpus.run(0, ME, other)
    gpus.run(1, other)
    devices = gpus.devices()
    devices.note()
    (use,), _ = found(devices.told())
    assert use.index == 0
    assert len(use.others) == 1
    assert use.others[0].endswith(f"({other})")


def test_a_server_without_a_gpu(gpus: FakeGpus) -> None:
    gpus.run(0, os.getppid())
    devices = gpus.devices()
    devices.note()
    assert found(devices.told()) == ((), "")
    assert found(devices.told(), all_seen=False, uses_gpu=False) == ((), "")


def test_a_container_hides_who_uses_a_gpu(gpus: FakeGpus) -> None:
    hidden = 2**22 + 1  # above the largest number of a process
    gpus.run(0, hidden)
    devices = gpus.devices()
    devices.note()
    both, note = found(devices.told(), all_seen=False)
    assert ([use.index for use in both], note) == ([0, 1], HIDDEN)
    assert both[0].others == ()
    chosen, _ = found(devices.told(), all_seen=False, visible_devices="1")
    assert [use.index for use in chosen] == [1]
    # On the machine itself nothing is hidden, unless the driver refuses to list.
    assert found(devices.told()) == ((), "")
    gpus.fail("ComputeRunningProcesses", 1, gpus.nvml.NVML_ERROR_NO_PERMISSION)
    refused = gpus.devices()
    refused.note()
    assert [use.index for use in found(refused.told())[0]] == [0, 1]


@pytest.mark.parametrize(
    ("chosen", "indices"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("-1", []),
        ("1", [1]),
        ("2, 0", [2, 0]),
        ("0,7,1", [0]),
        ("GPU-b", [1]),
        ("GPU-c1,0", [2, 0]),
        ("GPU-", []),
        ("MIG-GPU-1/2/3", [0, 1, 2]),
        ("none", []),
    ],
)
def test_visible_devices(chosen: str | None, indices: list[int]) -> None:
    devices = [{"index": index, "uuid": f"GPU-{letter}1"} for index, letter in enumerate("abc")]
    assert [device["index"] for device in visible(devices, chosen)] == indices


PYNVML = """\
class NVMLError(Exception):
    pass

class Thing:
    def __init__(self, **facts):
        self.__dict__.update(facts)

energy = [1000]

def nvmlInit(): {init}
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetName(handle): return b"NVIDIA L4"
def nvmlDeviceGetUUID(handle): return "GPU-1"
def nvmlDeviceGetMemoryInfo(handle): return Thing(used=3 * 2**30, total=24 * 2**30)
def nvmlDeviceGetPowerUsage(handle): return 72000
def nvmlDeviceGetUtilizationRates(handle): return Thing(gpu=50)
def nvmlDeviceGetComputeRunningProcesses(handle): return [Thing(pid={pid})]
def nvmlDeviceGetTotalEnergyConsumption(handle):
    energy[0] += 5000
    return energy[0]
"""


def watched(watch: DeviceWatch) -> ServingTrace:
    async def measure() -> ServingTrace:
        await watch.start()
        await watch.stop()
        return watch.told(TRACE)

    return asyncio.run(measure())


def library(folder: Path, monkeypatch: pytest.MonkeyPatch, *, init: str = "pass") -> None:
    (folder / "pynvml.py").write_text(textwrap.dedent(PYNVML.format(init=init, pid=ME)), encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)


def test_through_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library(tmp_path, monkeypatch)
    watch = DeviceWatch(ME)
    trace = watched(watch)
    assert watch.note == ""
    assert trace.devices == (
        DeviceUse(
            index=0,
            name="NVIDIA L4",
            memory_gib=3.0,
            memory_total_gib=24.0,
            power_w=72.0,
            energy_j=5.0,
            utilisation=0.5,
        ),
    )
    assert "pynvml" not in sys.modules


def test_no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library(tmp_path, monkeypatch, init="raise NVMLError('NVML Shared Library Not ServerDevices')")
    watch = DeviceWatch(ME)
    assert watched(watch) == TRACE
    assert watch.note == "GPUs were not looked at: NVMLError: NVML Shared Library Not ServerDevices"


def test_the_real_library_without_a_driver() -> None:
    pynvml = pytest.importorskip("pynvml")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        pass
    else:
        pytest.skip("this machine has an NVIDIA driver")
    watch = DeviceWatch(ME)
    assert watched(watch) == TRACE
    assert watch.note.startswith("GPUs were not looked at: NVMLError")


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    watch = DeviceWatch(ME)
    assert watched(watch) == TRACE
    assert "the extra `gpu` (nvidia-ml-py) is not installed" in watch.note


def test_a_server_elsewhere() -> None:
    watch = DeviceWatch(None)
    assert watched(watch) == TRACE
    assert "does not run here" in watch.note


def test_what_a_server_has_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container: the process of the GPU has a number that is not ours, but the server has the GPU open."""
    (tmp_path / "library").mkdir()
    library(tmp_path / "library", monkeypatch)
    proc = FakeProc(tmp_path / "proc")
    proc.process(50, parent=1, environ=("A=b", "CUDA_VISIBLE_DEVICES=0"))
    proc.process(51, parent=50, files=("/dev/null", "/dev/nvidia0"))
    watch = DeviceWatch(50, proc=proc.path)
    (use,) = watched(watch).devices
    assert (use.name, watch.note) == ("NVIDIA L4", HIDDEN)
    proc.process(50, parent=1, environ=("CUDA_VISIBLE_DEVICES=",))
    assert watched(watch) == TRACE
    proc.process(50, parent=1)
    proc.process(51, parent=50, files=("/dev/null",))
    assert watched(watch) == TRACE
