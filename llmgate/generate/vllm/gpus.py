"""The NVIDIA GPUs that this machine shows, asked by the driver's own program."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.record.environment import for_programs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Gpu", "GpuFacts", "find_gpus", "read_gpus", "visible_count"]

TIMEOUT_S: Final = 20.0
FIELDS: Final = ("name", "memory.total", "memory.free", "driver_version")
CUDA: Final = re.compile(r"CUDA Version:\s*([\d.]+)")
MIB: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU.

    Attributes:
        name: As the driver calls it.
        total: Memory in bytes.
        free: What of it is free now, in bytes.
    """

    name: str
    total: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFacts:
    """What the driver says.

    Attributes:
        gpus: In the driver's order.
        driver: Its version, "" if there is none.
        cuda: The newest CUDA that it supports, "" if it does not say.
        problem: Why nothing is known, "" where it is, or where there is no such program.
    """

    gpus: tuple[Gpu, ...] = ()
    driver: str = ""
    cuda: str = ""
    problem: str = ""


def find_gpus() -> GpuFacts:
    """Ask the driver. Never fails: why it does not answer stands in `problem`."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return GpuFacts()
    try:
        table = _said(program, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")
        head = _said(program)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stdout", None) or b""
        lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
        return GpuFacts(problem=f"nvidia-smi does not answer: {lines[0][:200] if lines else error}")
    return read_gpus(table, head)


def _said(program: str, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [program, *arguments],
        env=for_programs(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return done.stdout.decode(errors="replace")


def read_gpus(table: str, head: str) -> GpuFacts:
    """What `nvidia-smi` printed.

    Args:
        table: Of a query for `FIELDS`, memory in MiB.
        head: Without arguments, where the version of CUDA stands.
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in table.splitlines()]
    rows = [row for row in rows if len(row) == len(FIELDS)]
    gpus = tuple(Gpu(name=name, total=_bytes(total), free=_bytes(free)) for name, total, free, _ in rows)
    cuda = CUDA.search(head)
    return GpuFacts(gpus=gpus, driver=rows[0][3] if rows else "", cuda=cuda[1] if cuda else "")


def _bytes(mebibytes: str) -> int:
    # GPUs that share the machine's memory say `[N/A]`.
    return int(mebibytes) * MIB if mebibytes.isdecimal() else 0


def visible_count(facts: GpuFacts, environ: Mapping[str, str]) -> int:
    """How many GPUs a server with this environment would see."""
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return len(facts.gpus)
    # What follows an entry that is none does not count: CUDA C++ Programming Guide, "CUDA Environment Variables".
    entries = [entry.strip() for entry in named.split(",")]
    usable = next((at for at, entry in enumerate(entries) if not entry or entry.startswith("-")), len(entries))
    return usable
