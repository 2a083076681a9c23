"""Environments of their own for Ragas and DeepEval, made once and kept."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

from uv import find_uv_bin

__all__ = ["ROOT", "extra_python"]

ROOT = Path(__file__).parents[2]


def extra_python(extra: str) -> Path:
    """The Python of an environment with this checkout and one extra.

    It is kept in the folder that LLMGATE_EXTRA_VENVS names, else in the user's cache. Ragas takes 825 MB, DeepEval
    185 MB, besides llmgate's own dependencies. The repository's constraints are not used: they are those of vLLM and
    MLflow, and the extras have their own.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmgate" / "extra-venvs"
    folder = (
        Path(os.environ.get("LLMGATE_EXTRA_VENVS") or cache)
        / f"{extra}-py{sys.version_info.major}{sys.version_info.minor}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    python, ready = folder / "bin" / "python", folder / "installed.json"
    wanted = json.dumps([str(ROOT), (ROOT / "pyproject.toml").read_text(encoding="utf-8")])
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        # Workers of one run share it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or ready.read_text(encoding="utf-8") != wanted:
            if not python.exists():
                venv.create(folder)
            # uv takes 6 s of processor time for Ragas, pip more than a minute.
            command: list[str | Path] = [
                find_uv_bin(), "pip", "install", "-q", "--python", python, "-e", f"{ROOT}[{extra}]",
            ]  # fmt: skip
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=1800)
            ready.write_text(wanted, encoding="utf-8")
    return python
