"""What all servers on one machine share: the start lock, the kernel's memory killer, the processor."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["FEW_CORES", "core_count", "has_bfloat16", "oom_kills", "start_lock"]

FEW_CORES = 2
"""With so few, the engine is given all of them."""
VMSTAT = Path("/proc/vmstat")
OWN_GROUPS = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")
CPU_INFO = Path("/proc/cpuinfo")
BFLOAT16 = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""Names under which Linux lists arithmetic on bfloat16: x86 in `flags`, Arm in `Features`."""


def oom_kills() -> int:
    """Processes that the kernel has ended for lack of memory, 0 if it does not tell.

    Those of this control group where it has one, whatever the reason (cgroups(7): `oom_kill` in memory.events, in
    memory.oom_control of the first version); else those of the machine since it was started (proc(5), /proc/vmstat).
    """
    for path in (*_group_files(), VMSTAT):
        try:
            rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        except OSError:
            continue
        for row in rows:
            if len(row) == 2 and row[0] == "oom_kill" and row[1].isdecimal():
                return int(row[1])
    return 0


def _group_files() -> list[Path]:
    """Where this process's control group counts, in both versions."""
    try:
        rows = [line.split(":", 2) for line in OWN_GROUPS.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []
    files = []
    for row in rows:
        if len(row) != 3:
            continue
        _, controllers, path = row
        if not controllers:
            files.append(GROUPS / path.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            files.append(GROUPS / "memory" / path.lstrip("/") / "memory.oom_control")
    return files


def start_lock() -> Path:
    """One per user and machine: a home folder can be shared between machines."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmgate"
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(cache, os.W_OK):
            return cache / f"starting-{os.uname().nodename}.lock"
    except (OSError, RuntimeError):
        # A container may run under a user that has no home.
        pass
    return Path(tempfile.gettempdir()) / f"llmgate-{os.getuid()}-starting.lock"


def has_bfloat16() -> bool:
    """Whether the processor has arithmetic on bfloat16, without which every product is converted there and back.

    True if the kernel does not tell (proc(5), /proc/cpuinfo).
    """
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return True
    features = [line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))]
    return not features or not BFLOAT16.isdisjoint(features[0])


def core_count() -> int:
    """The cores that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
