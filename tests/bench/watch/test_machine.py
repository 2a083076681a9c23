"""Who used the machine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.fake_proc import FakeProc
from support.servers import wait_until

from llmgate.bench.watch.machine import MachineWatch, look, use_between
from llmgate.generate.vllm import supervisor
from llmgate.record.serving.trace import MachineUse, ServingTrace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BURNT_S = 0.6
ME = os.getpid()
BURN = f"""\
import pathlib, sys, time
while time.process_time() < {BURNT_S}:
    pass
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""
BURN_BELOW = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', *sys.argv[1:]]).returncode)"
BURN_AND_END = BURN.replace("time.sleep(60)\n", "")
DETACH = """\
import subprocess, sys
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
print(subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], **quiet, start_new_session=True).pid)
"""
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


def watched(server_pid: int | None, meanwhile: Callable[[], None]) -> MachineUse:
    """What a watch tells of something that happens."""
    watch = MachineWatch(server_pid)

    async def measure() -> ServingTrace:
        await watch.start()
        meanwhile()
        await watch.stop()
        return watch.told(TRACE)

    use = asyncio.run(measure()).machine
    assert use is not None
    assert watch.note == ""
    return use


def others_s(use: MachineUse) -> float:
    return use.busy_s - use.client_s - (use.server_s or 0.0)


def test_work_of_the_client_and_its_children(tmp_path: Path) -> None:
    def work() -> None:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
        # It has ended before the second look, and so has its child: both are found in the times of who waited.
        subprocess.run([sys.executable, "-c", BURN_BELOW, BURN_AND_END, str(tmp_path / "done")], check=True)

    use = watched(None, work)
    assert use.server_s is None
    assert use.cores == os.cpu_count()
    assert use.duration_s >= 0.5 * BURNT_S
    assert BURNT_S + 0.3 - 0.05 <= use.client_s <= BURNT_S + 0.3 + 1.0


def test_work_of_the_server_and_what_it_started(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BURN_BELOW, BURN, str(tmp_path / "done")]
    with subprocess.Popen(command, process_group=0) as server:
        try:
            use = watched(server.pid, lambda: assert_soon((tmp_path / "done").exists))
            assert use.server_s is not None
            # Some of it may have been done before the first look.
            assert 0.7 * BURNT_S <= use.server_s <= BURNT_S + 0.5
            assert use.client_s <= 0.5  # of waiting
        finally:
            os.killpg(server.pid, 9)


def test_work_of_others(tmp_path: Path) -> None:
    def work() -> None:
        command = [sys.executable, "-c", DETACH, BURN, str(tmp_path / "done")]
        other = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        try:
            assert_soon((tmp_path / "done").exists)
        finally:
            os.kill(other, 9)

    use = watched(None, work)
    # The kernel's count by ticks is a sample: 150 of them here.
    assert others_s(use) >= 0.7 * BURNT_S
    assert use.client_s <= 0.5
    assert len(use.busiest) <= 3


def assert_soon(condition: Callable[[], bool]) -> None:
    assert wait_until(condition)


def test_a_server_that_is_gone_is_not_known(tmp_path: Path) -> None:
    server = subprocess.Popen([sys.executable, "-c", BURN, str(tmp_path / "done")])

    def work() -> None:
        server.kill()
        server.wait()

    assert_soon((tmp_path / "done").exists)
    use = watched(server.pid, work)
    assert use.server_s is None
    # What it used before was waited for by this process just now, and is nobody's of this measurement.
    assert use.client_s < 0.5 * BURNT_S


def test_arithmetic(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    proc.process(ME, parent=1, own=100, reaped=10, name="pytest")
    proc.process(50, parent=ME, own=1000, name="server")
    proc.process(51, parent=50, own=5000, name="engine")
    proc.process(60, parent=1, own=77, name="compiler")
    proc.process(61, parent=1, own=7, name="idler")
    proc.stat(1000, 200, 300, 9000, 400, 10, 20, 30, 500, 100)
    before = look(50, proc=tmp_path, counters_last=True)
    proc.process(ME, parent=1, own=130, reaped=15, name="pytest")
    proc.process(51, parent=50, own=5200, name="engine")
    proc.process(60, parent=1, own=97, reaped=50, name="compiler")
    proc.process(62, parent=ME, own=5, name="sampler")
    # Guests' time is in user and nice already; waiting for disks is idleness.
    proc.stat(1250, 210, 340, 9200, 900, 12, 28, 35, 700, 200)
    use = use_between(before, look(50, proc=tmp_path, counters_last=False))
    assert use.cores == 2
    assert use.busy_s == pytest.approx(2.5 + 0.1 + 0.4 + 0.02 + 0.08)
    assert use.steal_s == pytest.approx(0.05)
    assert use.client_s == pytest.approx(0.3 + 0.05 + 0.05)
    assert use.server_s == pytest.approx(2.0)
    assert use.busiest == ("compiler (60)",)


def test_bursts_that_the_ticks_missed(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    proc.process(ME, parent=1)
    proc.process(50, parent=1, name="server")
    proc.process(60, parent=1, name="neighbour")
    proc.stat(*[0] * 10)
    before = look(50, proc=tmp_path, counters_last=True)
    proc.process(ME, parent=1, own=10)
    proc.process(50, parent=1, own=500)
    proc.process(60, parent=1, own=40, reaped=20)
    proc.stat(450, *[0] * 9)
    use = use_between(before, look(50, proc=tmp_path, counters_last=False))
    assert use.busy_s == pytest.approx(0.1 + 5.0 + 0.6)
    assert others_s(use) == pytest.approx(0.6)


def test_another_server_that_the_client_owns_is_somebody_else(tmp_path: Path) -> None:
    """The other arm's server: what it does now is taken from this one."""
    proc = FakeProc(tmp_path)
    ours = ("python", "-I", str(supervisor.__file__))
    proc.process(ME, parent=1)
    for base in (50, 70):
        proc.process(base, parent=ME, name="supervisor", cmdline=ours)
        proc.process(base + 1, parent=base, name="server")
        proc.process(base + 2, parent=base + 1, name="engine")
    proc.stat(*[0] * 10)
    before = look(51, proc=tmp_path, counters_last=True)
    proc.process(52, parent=51, own=300, name="engine")
    proc.process(72, parent=71, own=200, name="engine")
    proc.stat(500, *[0] * 9)
    use = use_between(before, look(51, proc=tmp_path, counters_last=False))
    assert (use.server_s, use.client_s) == (3.0, 0.0)
    assert use.busiest == ("engine (72)",)


def test_a_server_that_the_client_waited_for_does_not_bring_its_past(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    proc.process(ME, parent=1)
    proc.process(70, parent=ME, cmdline=("python", "-I", str(supervisor.__file__)))
    proc.process(71, parent=70, own=90000)
    proc.stat(*[0] * 10)
    before = look(None, proc=tmp_path, counters_last=True)
    proc.gone(70)
    proc.gone(71)
    proc.process(ME, parent=1, reaped=90020)
    assert use_between(before, look(None, proc=tmp_path, counters_last=False)).client_s == pytest.approx(0.2)


def test_a_helper_whose_parent_ended_stays_the_servers(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    proc.process(ME, parent=1)
    proc.process(50, parent=1, name="server")
    proc.process(51, parent=50, name="worker", own=10)
    proc.process(52, parent=51, name="helper")
    proc.stat(*[0] * 10)
    before = look(50, proc=tmp_path, counters_last=True)
    proc.gone(51)
    proc.process(50, parent=1, name="server", reaped=30)
    proc.process(52, parent=1, name="helper", own=100)
    proc.process(53, parent=52, name="helper", own=50)
    use = use_between(before, look(50, proc=tmp_path, counters_last=False))
    assert use.server_s == pytest.approx(0.2 + 1.0 + 0.5)
    assert use.busiest == ()


def test_where_nothing_can_be_seen(tmp_path: Path) -> None:
    async def measure(watch: MachineWatch) -> ServingTrace:
        await watch.start()
        await watch.stop()
        return watch.told(TRACE)

    nowhere = MachineWatch(None, proc=tmp_path / "nothing")
    assert asyncio.run(measure(nowhere)) == TRACE
    assert "cannot be seen" in nowhere.note
    (tmp_path / "stat").write_text("cpu 1\n", encoding="ascii")
    strange = MachineWatch(None, proc=tmp_path)
    assert asyncio.run(measure(strange)).machine is None
    assert "cannot be seen" in strange.note
