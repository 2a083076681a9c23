"""The machine: processor, memory, shared memory, ports, caches."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.generate.vllm.checks import gpus_wanted, reserve_port
from llmgate.generate.vllm.machine import core_count, has_bfloat16
from llmgate.session.commands.doctor.diagnosis import Diagnosis, Health, gigabytes
from llmgate.session.reach.engine_flags import engine_flags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmgate.session.commands.doctor.diagnosis import Circumstances

__all__ = ["available_memory", "check_caches", "check_machine", "check_port"]

SHARED: Final = Path("/dev/shm")  # noqa: S108 - looked at, not written to
LEAST_SHARED: Final = 1_000_000_000
"""The queue between the processes of one engine alone takes 240 MB (vLLM 0.32: ten chunks of 24 MiB)."""
WALK_S: Final = 1.5
LITTLE_DISK: Final = 5_000_000_000
GROUPS: Final = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def check_machine(here: Circumstances) -> Iterator[Diagnosis]:
    """Processor and memory; shared memory where a model is spread over processes."""
    bf16 = "" if has_bfloat16() else ", without arithmetic on bfloat16: models are computed in float32 on it"
    yield Diagnosis(area="machine", what=f"{core_count()} cores{bf16}")
    free = available_memory()
    if free is not None:
        yield Diagnosis(area="machine", what=f"{gigabytes(free)} of memory are free")
    settings = here.server_settings()
    spread = (settings and gpus_wanted(engine_flags(settings), elsewhere=True)) or 1
    if not SHARED.is_dir():
        return
    room = shutil.disk_usage(SHARED)
    small = room.free < LEAST_SHARED
    yield Diagnosis(
        area="machine",
        what=f"{gigabytes(room.free)} of {gigabytes(room.total)} of shared memory (/dev/shm) are free",
        health=(Health.PROBLEM if spread > 1 else Health.NOTE) if small else Health.OK,
        advice="A model that is spread over processes needs more: docker run --ipc=host, or --shm-size=8g"
        if small
        else "",
    )


def available_memory() -> int | None:
    """Bytes that programs can still have: of the machine, or of the control group where that has less; None if unknown.

    Reference: proc_meminfo(5) `MemAvailable`; cgroup v2 `memory.max`, v1 `memory.limit_in_bytes`.
    """
    match = re.search(r"^MemAvailable:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    found = [int(match[1]) * 1024] if match else []
    for limit, used in GROUPS:
        most, now = _read(limit).strip(), _read(used).strip()
        if most.isdecimal() and now.isdecimal():
            found.append(max(0, int(most) - int(now)))
    return min(found, default=None)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def check_port(here: Circumstances) -> Iterator[Diagnosis]:
    """Can a server of ours listen?"""
    settings = here.server_settings()
    if settings is None:
        return
    held, port = reserve_port("127.0.0.1", settings.port)
    held.close()
    which = f"port {port} is free" if settings.port else "a free port can be had"
    yield Diagnosis(area="port", what=f"{which} on 127.0.0.1")


def check_caches(here: Circumstances) -> Iterator[Diagnosis]:
    """What is kept between runs, where, and how large it is."""
    for name, folder, purpose in _caches(here.environ):
        size, whole = _size(folder)
        if size is None:
            yield Diagnosis(area="caches", what=f"{name}: empty ({folder}); {purpose}")
            continue
        free = shutil.disk_usage(folder).free
        scarce = free < LITTLE_DISK
        yield Diagnosis(
            area="caches",
            what=f"{name}: {'' if whole else 'more than '}{gigabytes(size)} in {folder}; {purpose}",
            health=Health.WARNING if scarce else Health.OK,
            advice=f"Only {gigabytes(free)} are free there" if scarce else "",
        )


def _caches(environ: Mapping[str, str]) -> Iterator[tuple[str, Path, str]]:
    home = environ.get("HOME") or "/"
    cache = Path(environ.get("XDG_CACHE_HOME") or Path(home) / ".cache")
    hub = environ.get("HF_HUB_CACHE") or Path(environ.get("HF_HOME") or cache / "huggingface") / "hub"
    yield "vLLM", Path(environ.get("VLLM_CACHE_ROOT") or cache / "vllm"), "what it compiled; kept, a start is shorter"
    yield "hub", Path(hub), "models that were fetched from the hub"


def _size(folder: Path) -> tuple[int | None, bool]:
    """Bytes below a folder, and whether all was counted in time; None if there is nothing."""
    deadline = time.monotonic() + WALK_S
    size, files = 0, 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - hundreds of thousands of them
            except OSError:
                continue
            size, files = size + status.st_size, files + 1
        if time.monotonic() > deadline:
            return size, False
    return (size, True) if files else (None, True)
