"""The tutorial on promotion, top to bottom, from a wheel in an empty folder, with a real gated MLflow server.

The blocks of `docs/cookbook/promotion.md` are carried out in order, as those of the other pages are (`tests/docs`):
one with a title is written to that file; of a console block each `$ ` line is run by a shell, and the lines below it
have to be in what was printed, in this order; `…` stands for anything within a line. A line that ends with `&` goes on
in the background, as the server does. Python that has no title is executed by the wheel's Python, and an `output` block
below it is what it printed. The models are tiny folders; a stand-in for vLLM serves them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.extras import fresh_python, wheel
from support.page import BLOCK, commands
from support.servers import FAKE_VLLM, model_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cookbook" / "promotion.md"
PORT = "5000"
"""The server's on the page; here it gets one that is free."""
STARTUP_S = 300.0
INSTALL = "pip install 'pytest-llmgate[mlflow]'"
EXPORT = re.compile(r"export (?P<name>[A-Z_]+)=(?P<value>.+)")

pytestmark = [pytest.mark.e2e, pytest.mark.extra, pytest.mark.mlflow_server]


class Reader:
    """Somebody who follows the page: a folder, a shell's variables, and what was started and goes on."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "LLMGATE_"))}
        self.env |= {
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(FAKE_VLLM),
            "COLUMNS": "80",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        self.env.pop("PYTHONDONTWRITEBYTECODE", None)
        self.going_on: list[subprocess.Popen[bytes]] = []

    def here(self, text: str) -> str:
        """The page's text with this server's port."""
        return text.replace(f":{PORT}", f":{self.port}").replace(f"--port {PORT}", f"--port {self.port}")

    def run(self, command: str) -> str:
        """What a command prints."""
        if (export := EXPORT.fullmatch(command)) is not None:
            (self.env[export["name"]],) = shlex.split(export["value"])
            return ""
        if command == INSTALL:
            # The wheel of this checkout is there already, with this extra.
            command = "llmgate --version"
        if command.endswith("&"):
            shell = ["bash", "-c", command.removesuffix("&")]
            self.going_on.append(subprocess.Popen(shell, cwd=self.folder, env=self.env, start_new_session=True))
            self.wait_for_server()
            return ""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.stdout + done.stderr + f"\nexit status {done.returncode}\n"

    def wait_for_server(self) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + STARTUP_S
        while time.monotonic() < deadline and self.going_on[-1].poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                return
            time.sleep(0.2)
        said = "\n".join(log.read_text(encoding="utf-8") for log in self.folder.glob("*.log"))
        pytest.fail(f"the server did not start:\n{said[-4000:]}")

    def end(self) -> None:
        """End what goes on."""
        for process in self.going_on:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """An empty folder but for three models, and an environment with the wheel as `pip install` would make it."""
    python = fresh_python(tmp_path / "venv", "-c", ROOT / "constraints.txt", f"{wheel(tmp_path / 'dist')}[mlflow]")
    folder = tmp_path / "project"
    for name, wrong in (("one", 10), ("worse", 3), ("better", 0)):
        model(folder / "models" / name, wrong)
    someone = Reader(folder, python)
    try:
        yield someone
    finally:
        someone.end()


def model(folder: Path, wrong: int) -> None:
    """A model that adds, and errs in every sum that `wrong` divides."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    model_folder(folder.parent).rename(folder)
    pairs = [(a, b) for a in range(3, 15) for b in range(11, 21)]
    sums = {f"What is {a} plus {b}?": str(a + b + (1 if wrong and (a + b) % wrong == 0 else 0)) for a, b in pairs}
    (folder / "answers.json").write_text(json.dumps(sums), encoding="utf-8")


def test_the_page_is_true(reader: Reader) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    assert text.count("```") == 2 * len(blocks), "a block has no language, or does not end"
    printed, ran = "", 0
    for block in blocks:
        where = f"{PAGE.name}:{text[: block.start()].count(chr(10)) + 1}"
        content = reader.here(block["content"])
        if block["title"]:
            path = reader.folder / block["title"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        elif block["language"] == "python":
            printed = reader.run(f"python -c {shlex.quote(content)}")
            ran += 1
        elif block["language"] == "output":
            in_order(content.splitlines(), printed, where)
        elif block["language"] == "console":
            for command, wanted in commands(content):
                printed = reader.run(command)
                in_order(wanted, printed, f"{where}: {command}")
                ran += 1
    assert ran >= 15


def in_order(wanted: list[str], printed: str, where: str) -> None:
    """Every line is in what was printed, each after the one before."""
    rest = printed
    for line in wanted:
        pattern = "[^\n]*".join(re.escape(part) for part in line.strip().split("…"))
        found = re.search(pattern, rest)
        assert found, f"{where}: {line!r} is not in the rest of:\n{printed}"
        rest = rest[found.end() :]


def free_port() -> str:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
