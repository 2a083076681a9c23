"""README's commands, top to bottom, from a wheel in an empty folder, against two scripted endpoints."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.endpoint import chat, scripted_endpoint
from support.extras import wheel_python
from support.page import BLOCK, commands

ROOT = Path(__file__).parents[2]
FIRST, SECOND = "http://127.0.0.1:8000/v1", "http://127.0.0.1:8001/v1"


def answer(_: str, body: dict[str, Any]) -> dict[str, Any]:
    """Say what the question says."""
    asked = str(body["messages"][-1]["content"])
    return chat(asked.partition("?")[0])


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which llmgate is that of the wheel."""
    python = wheel_python(tmp_path_factory.mktemp("wheel"))
    found = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}", "COLUMNS": "80"}
    found.pop("PYTHONPATH", None)
    return found


@pytest.mark.e2e
@pytest.mark.extra
def test_the_demo_needs_no_checkout(tmp_path: Path, env: dict[str, str]) -> None:
    def said(*command: str) -> tuple[int, str]:
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stdout + done.stderr

    assert said("llmgate", "demo", "--help")[0] == 0
    code, suites = said("python", "-c", "from llmgate.demo.run import SUITES; print(SUITES)")
    assert code == 0, suites
    assert ROOT not in Path(suites).resolve().parents
    code, power = said("llmgate", "power", suites.strip(), "--discordance", "0.02")
    assert code == 0, power
    assert power.count("advice: enough") == 4
    # The wheel alone cannot convert the model, and says what to install.
    code, refusal = said("llmgate", "demo")
    assert code == 4, refusal
    assert "pip install 'pytest-llmgate[demo]'" in refusal


@pytest.mark.e2e
@pytest.mark.extra
def test_every_command_works_in_an_empty_folder(tmp_path: Path, env: dict[str, str]) -> None:
    ran = 0
    with scripted_endpoint(answer) as (first, _), scripted_endpoint(answer) as (second, _):
        for block in BLOCK.finditer((ROOT / "README.md").read_text(encoding="utf-8")):
            if block["title"]:
                (tmp_path / block["title"]).write_text(block["content"], encoding="utf-8")
            if block["language"] != "console":
                continue
            for command, wanted in commands(block["content"]):
                # The wheel of this very checkout is there already.
                words = command.replace(FIRST, first).replace(SECOND, second)
                words = words.replace("pip install pytest-llmgate", "llmgate --version")
                done = subprocess.run(
                    ["bash", "-c", words],
                    cwd=tmp_path,
                    env=env,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=120,
                )
                printed = done.stdout + done.stderr
                # Four rows decide nothing; pytest's word for that is 1.
                undecided = 1 if command.startswith("pytest ") else 3
                assert done.returncode == (undecided if "INCONCLUSIVE" in "".join(wanted) else 0), printed
                for line in wanted:
                    pattern = "[^\n]*".join(re.escape(part) for part in line.strip().split("…"))
                    assert re.search(pattern, printed), f"{command}: {line!r} is not in:\n{printed}"
                ran += 1
    assert ran >= 6
