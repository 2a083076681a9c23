"""What all servers on one machine share: the start lock, the kernel's memory killer, the processor."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["FEW_CORES", "core_count", "has_bfloat16", "oom_kills", "start_lock"]

FEW_CORES = 2
"""With so few, the engine is given all of them."""
CPU_INFO = Path("/proc/cpuinfo")
BFLOAT16 = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""Names under which Linux lists arithmetic on bfloat16: x86 in `flags`, Arm in `Features`."""


def oom_kills() -> int:
    """Processes that the kernel has ended for lack of memory since boot (proc(5), /proc/vmstat), 0 if not told."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


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
