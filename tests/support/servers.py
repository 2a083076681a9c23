"""Specifications of fake servers, and a view of the processes that they leave."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.generate.vllm.server import Server, ServerSpec, launch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAKE_VLLM", "OwnedServer", "command_line", "marked", "model_folder", "spec", "start_server", "wait_until"]

FAKE_VLLM = Path(__file__).parent / "fakevllm"
MARK = "FAKE_VLLM_MARK"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedServer:
    """A real server that another process owns.

    Attributes:
        owner: That process.
        pid: Of the server.
        url: Where it answers.
        flags: With which it was started.
    """

    owner: subprocess.Popen[str]
    pid: int
    url: str
    flags: tuple[str, ...]


def model_folder(parent: Path) -> Path:
    """A folder that passes the checks before a start."""
    folder = parent / "model"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}', encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    return folder


def spec(parent: Path, *, mode: str = "ok", engine: str = "ends", **changes: Any) -> ServerSpec:
    """A fake server that behaves as `mode` says, all its processes marked with the folder's path.

    Args:
        parent: Gets the model folder and the log.
        mode: See the fake server.
        engine: `stays` for an engine process that outlives its server unless it is killed.
        changes: Fields of the specification.
    """
    env = {
        "FAKE_VLLM": mode,
        "FAKE_ENGINE": engine,
        MARK: str(parent),
        "PYTHONPATH": str(FAKE_VLLM),
        **changes.pop("env", {}),
    }
    plain: dict[str, Any] = {
        "model": str(model_folder(parent)),
        "served_name": "fake",
        "python": sys.executable,
        "startup_timeout_s": 60.0,
        "log_path": parent / "server.log",
    }
    return ServerSpec(**{**plain, **changes}, env=env)


def start_server(spec: ServerSpec, *, on_progress: Callable[[str], None] = lambda _: None) -> Server:
    """Start a server and wait until it answers; nothing of it is left if it does not."""
    server = launch(spec, on_progress=on_progress)
    try:
        server.wait_ready()
    except BaseException:
        server.stop()
        raise
    return server


def marked(mark: str | Path) -> list[int]:
    """Live processes whose environment carries the mark; this process excluded."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        pid = int(environ.parts[2])
        try:
            if pid != os.getpid() and wanted in environ.read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


def command_line(pid: int) -> bytes:
    """What a process calls itself, nothing of one that is gone."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 60.0) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
