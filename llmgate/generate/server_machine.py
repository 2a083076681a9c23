"""What all servers on one machine share: the lock that lets one start at a time, and the kernel's memory killer."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["oom_kills", "start_lock"]


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
