"""What figures were measured on, in words that tell nothing else of the machine."""

from __future__ import annotations

from pathlib import Path

__all__ = ["processor"]


def processor() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
