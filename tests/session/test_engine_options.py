"""The engine's options through both doors, as far as the record: files by their content, and what is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.project import write_suite
from support.servers import FAKE_VLLM, model_folder

from llmgate.record.run.loading import load_record

pytestmark = pytest.mark.usefixtures("own_lock")


def called(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FAKE_VLLM": "ok", "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=600)


def llmgate(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name("llmgate"))
    return called(tmp_path, program, "run", "words.yaml", "--model", str(model_folder(tmp_path)), *words)


def pytest_run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    model = f"--llmgate-model={model_folder(tmp_path)}"
    return called(tmp_path, sys.executable, "-m", "pytest", "words.yaml", model, "--llmgate-out=run", *words)


def flags(tmp_path: Path, run: str = "run") -> tuple[str, ...]:
    """The recorded flags, in pairs where they have values."""
    return load_record(tmp_path / run).manifest.server.flags


def value(found: tuple[str, ...], name: str) -> str:
    return found[found.index(name) + 1]


def test_under_pytest_options_and_keys_of_pyproject_reach_vllm(tmp_path: Path) -> None:
    write_suite(tmp_path)
    (tmp_path / "t.jinja").write_text("{{ messages }}", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.llmgate]\nchat-template = "t.jinja"\nmax-model-len = 1024\n', encoding="utf-8"
    )
    done = pytest_run(tmp_path, "--llmgate-tool-call-parser=hermes", "--llmgate-max-model-len=512")
    assert done.returncode == 0, done.stdout + done.stderr
    found = flags(tmp_path)
    assert value(found, "--chat-template") == f"sha256:{hashlib.sha256(b'{{ messages }}').hexdigest()}"
    assert value(found, "--max-model-len") == "512"
    assert found.count("--max-model-len") == 1
    assert value(found, "--tool-call-parser") == "hermes"
    assert "--enable-auto-tool-choice" in found


def test_under_pytest_a_contradiction_is_a_usage_error(tmp_path: Path) -> None:
    write_suite(tmp_path)
    done = pytest_run(tmp_path, "--llmgate-tensor-parallel-size=2", "--llmgate-server-args=-tp 4")
    assert done.returncode not in {0, 1}, done.stdout
    assert "--tensor-parallel-size 2 contradicts '-tp 4' in --server-args" in " ".join(
        (done.stdout + done.stderr).split()
    )


def test_a_run_is_gone_on_with_only_under_the_same_template(tmp_path: Path) -> None:
    write_suite(tmp_path)
    template = tmp_path / "t.jinja"
    template.write_text("{{ 1 }}", encoding="utf-8")
    done = llmgate(tmp_path, "--chat-template", "t.jinja", "--out", "run")
    assert done.returncode == 0, done.stderr
    first = flags(tmp_path)
    (tmp_path / "run" / "seal.json").unlink()
    (tmp_path / "moved.jinja").write_text("{{ 1 }}", encoding="utf-8")
    template.write_text("{{ 2 }}", encoding="utf-8")
    done = llmgate(tmp_path, "--chat-template", "t.jinja", "--out", "run", "--resume")
    assert done.returncode == 4, done.stderr
    assert "server flags" in done.stderr
    done = llmgate(tmp_path, "--chat-template", "moved.jinja", "--out", "run", "--resume")
    assert done.returncode == 0, done.stderr
    assert flags(tmp_path) == first
