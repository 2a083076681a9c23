"""GPUs and their driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.generate.vllm.gpus import find_gpus, visible_count
from llmgate.session.commands.doctor.diagnosis import Diagnosis, Health, gigabytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.session.commands.doctor.diagnosis import Circumstances

__all__ = ["check_gpu"]

FULL: Final = 0.1
"""Less than this share of a GPU's memory in use counts as free: a driver and a desktop take some."""


def check_gpu(here: Circumstances) -> Iterator[Diagnosis]:
    """Which GPUs are there, with which driver, and is their memory free?"""
    facts = find_gpus()
    if facts.problem:
        yield Diagnosis(
            area="GPU", what=facts.problem, health=Health.WARNING, advice="Mend the driver, or work with --endpoint"
        )
        return
    if not facts.gpus:
        yield Diagnosis(area="GPU", what="none is seen: there is no nvidia-smi, or it lists none")
        return
    cuda = f", CUDA up to {facts.cuda}" if facts.cuda else ""
    yield Diagnosis(area="GPU", what=f"driver {facts.driver}{cuda}")
    for number, gpu in enumerate(facts.gpus):
        taken = gpu.total > 0 and gpu.total - gpu.free > FULL * gpu.total
        yield Diagnosis(
            area="GPU",
            what=f"{number}: {gpu.name}, {gigabytes(gpu.free)} of {gigabytes(gpu.total)} are free",
            health=Health.WARNING if taken else Health.OK,
            advice="Others use it: `nvidia-smi` names them; or take less with --gpu-memory-utilization"
            if taken
            else "",
        )
    seen = visible_count(facts, here.environ)
    if seen < len(facts.gpus):
        yield Diagnosis(
            area="GPU",
            what=f"CUDA_VISIBLE_DEVICES leaves {seen} of {len(facts.gpus)} for a server",
            health=Health.NOTE if seen else Health.WARNING,
            advice="" if seen else "Unset it, or name GPUs in it",
        )
