"""Environments of their own for Ragas, DeepEval and other people's servers, made once and kept."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from uv import find_uv_bin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["ROOT", "extra_python", "fresh_python", "pinned_python", "running", "wheel", "wheel_python"]

ROOT = Path(__file__).parents[2]


def extra_python(extra: str, *more: str) -> Path:
    """The Python of an environment with this checkout and one extra, or several with commas between, and `more`.

    Ragas takes 825 MB, DeepEval 185 MB, besides llmgate's own dependencies. The repository's constraints are not used:
    they are those of vLLM and MLflow, and the extras have their own.
    """
    needs = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    name = extra.replace(",", "-")
    return environment(name, ["-e", f"{ROOT}[{extra}]", *more], made_of=[str(ROOT), needs, *more])


def pinned_python(name: str, *arguments: str) -> Path:
    """The Python of an environment without llmgate; `arguments` are those of `uv pip install`."""
    return environment(name, arguments, made_of=arguments)


def wheel_python(folder: Path) -> Path:
    """The Python of an environment that has the wheel of this checkout, as a user would install it."""
    return fresh_python(folder / "venv", "-c", ROOT / "constraints.txt", wheel(folder / "dist"))


def wheel(folder: Path) -> Path:
    """The wheel of this checkout, built into an empty folder."""
    build: list[str | Path] = [find_uv_bin(), "build", "-q", "--wheel", "--out-dir", folder, ROOT]
    subprocess.run(build, check=True, stdin=subprocess.DEVNULL, timeout=600)
    (built,) = folder.glob("*.whl")
    return built


def fresh_python(folder: Path, *arguments: str | Path) -> Path:
    """The Python of an environment that is made anew; `arguments` are those of `uv pip install`."""
    python = folder / "bin" / "python"
    subprocess.run([find_uv_bin(), "venv", "-q", "--python", sys.executable, folder], check=True)
    install: list[str | Path] = [find_uv_bin(), "pip", "install", "-q", "--python", python, *arguments]
    subprocess.run(install, check=True, stdin=subprocess.DEVNULL, timeout=600)
    return python


def environment(name: str, arguments: Sequence[str], *, made_of: Sequence[str]) -> Path:
    """The Python of an environment.

    It is kept in the folder that LLMGATE_EXTRA_VENVS names, else in the user's cache, and made again when `made_of`
    has changed.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmgate" / "extra-venvs"
    folder = (
        Path(os.environ.get("LLMGATE_EXTRA_VENVS") or cache)
        / f"{name}-py{sys.version_info.major}{sys.version_info.minor}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    python, ready = folder / "bin" / "python", folder / "installed.json"
    wanted = json.dumps(list(made_of))
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        # Workers of one run share it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or ready.read_text(encoding="utf-8") != wanted:
            if not python.exists():
                venv.create(folder)
            # uv takes 6 s of processor time for Ragas, pip more than a minute.
            command: list[str | Path] = [find_uv_bin(), "pip", "install", "-q", "--python", python, *arguments]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=1800)
            ready.write_text(wanted, encoding="utf-8")
    return python


@contextmanager
def running(
    command: Sequence[str | Path], *, answers: str, log: Path, env: Mapping[str, str], timeout_s: float = 300.0
) -> Iterator[None]:
    """Run a server until the block ends.

    Args:
        command: Program and arguments. Its standard input ends with this process.
        answers: URL that answers once it is ready, with any status but 503.
        log: Gets what it prints.
        env: Beside this process's own; without PYTHONDONTWRITEBYTECODE, as half of a start is compiling.
        timeout_s: Longest time until it answers.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            env={**inherited, **env},
            # So that its workers end with it.
            start_new_session=True,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + timeout_s
            while not reachable(answers):
                if process.poll() is not None or time.monotonic() > deadline:
                    said = log.read_text(encoding="utf-8", errors="replace")[-3000:]
                    raise RuntimeError(f"{command[0]} is not ready:\n{said}")
                time.sleep(0.2)
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def reachable(url: str) -> bool:
    """Whether something answers there that is not still loading its model."""
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except urllib.error.HTTPError as error:
        return error.code != HTTPStatus.SERVICE_UNAVAILABLE
    except OSError:
        return False
    return True
