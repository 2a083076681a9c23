"""Which measurements other processes have disturbed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.gate.serving.contention import OTHERS_SHARE, contended, contention_note
from llmgate.record.serving.trace import DeviceUse, MachineUse, ServingTrace

TRACE = ServingTrace(
    name="a",
    workload="w",
    workload_digest="0" * 64,
    concurrency=1,
    requests=(),
    duration_s=10.0,
    client_cpu_s=0.5,
    client_version="test",
)
GPU = DeviceUse(index=3, name="NVIDIA L4", memory_gib=1.0, memory_total_gib=24.0)


def use(*, others_s: float, **changes: Any) -> MachineUse:
    """Two processors, 10 s, the server with 12 s of them, the client with 1 s."""
    facts: dict[str, Any] = {"cores": 2, "duration_s": 10.0, "client_s": 1.0, "server_s": 12.0, **changes}
    busy_s = facts["client_s"] + (facts["server_s"] or 0.0) + others_s
    return MachineUse(**{"busy_s": busy_s, **facts})


def of(machine: MachineUse | None, *devices: DeviceUse) -> ServingTrace:
    return replace(TRACE, machine=machine, devices=devices)


def test_a_quiet_machine() -> None:
    assert contended(of(use(others_s=0.0))) is None
    assert contended(of(use(others_s=0.99))) is None
    assert contention_note(of(use(others_s=0.0))) is None
    # The count by ticks may say less than what processes say of themselves.
    assert contended(of(use(others_s=-0.5))) is None


def test_a_busy_neighbour() -> None:
    reason = contended(of(use(others_s=7.0, busiest=("cc1 (4242)", "ld (4243)"))))
    assert reason == (
        "other processes used 0.70 of the 2 processors (35%, limit 5.0%), most of all cc1 (4242), ld (4243): "
        "measure again when it is quiet"
    )
    assert contended(of(use(others_s=1.01))) is not None


def test_a_large_machine_that_computes_on_all_processors() -> None:
    """One neighbour on one of 64 processors holds up all threads that work in step."""
    full = use(cores=64, server_s=600.0, others_s=6.0)
    assert "limit 0.8%" in str(contended(of(full)))
    assert contended(of(use(cores=64, server_s=600.0, others_s=4.9))) is None


def test_a_large_machine_that_is_mostly_idle() -> None:
    """Beside a GPU a few processors are busy, and a neighbour takes another one."""
    assert contended(of(use(cores=64, server_s=100.0, others_s=6.0))) is None
    assert contended(of(use(cores=64, server_s=100.0, others_s=31.9))) is None
    assert "limit 5.0%" in str(contended(of(use(cores=64, server_s=100.0, others_s=32.1))))


def test_the_limit_of_ten_processors_is_the_same_either_way() -> None:
    for server_s in (1.0, 90.0):
        assert contended(of(use(cores=10, server_s=server_s, others_s=4.99))) is None
        assert contended(of(use(cores=10, server_s=server_s, others_s=5.01))) is not None


def test_steal() -> None:
    assert contended(of(use(others_s=0.0, steal_s=1.0))) is None
    assert contended(of(use(others_s=0.0, steal_s=1.6))) == (
        "the host of this virtual machine gave 8% of its processors to others (steal): measure again when it is quiet"
    )


def test_somebody_else_on_the_servers_gpu() -> None:
    assert contended(of(use(others_s=0.0), GPU)) is None
    busy = replace(GPU, others=("python (77)",))
    for machine in (use(others_s=0.0), None):
        assert contended(of(machine, GPU, busy)) == (
            "other processes were on the server's GPU 3 (python (77)): measure again when it is quiet"
        )


def test_nobody_looked() -> None:
    assert contended(of(None)) is None
    assert "not checked whether other processes were busy" in str(contention_note(of(None)))


def test_a_server_elsewhere() -> None:
    away = use(others_s=0.5, server_s=None)
    assert contended(of(away)) is None
    assert "only the client's machine" in str(contention_note(of(away)))
    reason = str(contended(of(use(others_s=9.0, server_s=None))))
    assert "the server's own work is among it if it runs here" in reason


@pytest.mark.parametrize(
    "changes",
    [
        {"busy_s": math.nan},
        {"client_s": math.inf, "busy_s": 1.0},
        {"client_s": -1.0},
        {"server_s": math.nan},
        {"steal_s": math.nan},
        {"cores": 0},
        {"duration_s": 0.0},
        {"duration_s": math.nan},
        {"duration_s": 9.8},
    ],
)
def test_figures_that_cannot_be_show_no_quiet_machine(changes: dict[str, Any]) -> None:
    reason = contended(of(use(others_s=0.0, **changes)))
    assert reason is not None
    assert reason.startswith("who used")


@given(
    others_s=st.floats(0, 1e4),
    more_s=st.floats(0, 1e3),
    cores=st.integers(1, 512),
    server_s=st.one_of(st.none(), st.floats(0, 1e4)),
)
def test_more_work_of_others_never_makes_it_quiet(
    others_s: float, more_s: float, cores: int, server_s: float | None
) -> None:
    less, more = (use(others_s=s, cores=cores, server_s=server_s) for s in (others_s, others_s + more_s))
    if contended(of(less)) is not None:
        assert contended(of(more)) is not None
    if others_s > OTHERS_SHARE * cores * 10.0 * 1.001 + 1e-3:
        assert contended(of(less)) is not None
