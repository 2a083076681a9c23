"""`llmgate champion refresh` from end to end: a fake vLLM, and MLflow in a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.project import write_suite
from support.servers import FAKE_VLLM, MARK, marked, model_folder, wait_until

from llmgate.record.run.loading import load_record
from llmgate.record.weights import weights_digest

STORE = "sqlite:///mlflow.db"


def llmgate(tmp_path: Path, *args: str) -> tuple[int, str]:
    env = {
        **os.environ,
        "FAKE_VLLM": "ok",
        "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        MARK: str(tmp_path),
    }
    program = str(Path(sys.executable).with_name("llmgate"))
    done = subprocess.run(
        [program, *args], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert wait_until(lambda: not marked(tmp_path), timeout_s=30), "nothing is left"
    return done.returncode, done.stdout + done.stderr


@pytest.mark.usefixtures("own_lock")
def test_a_champion_is_asked_again_and_is_the_next_baseline(tmp_path: Path) -> None:
    write_suite(tmp_path)
    write_suite(tmp_path, "others")
    model = model_folder(tmp_path)
    logged = ("--mlflow-uri", STORE)
    code, output = llmgate(
        tmp_path, "run", "words.yaml", "--model", str(model), "--out", "first", *logged, "--mlflow-model", "bot"
    )
    assert code == 0, output
    code, output = llmgate(tmp_path, "promote", "models:/bot/1", *logged)
    assert code == 0, output
    assert "`llmgate champion refresh models:/bot SUITES...` makes the next comparisons fair" in output
    code, output = llmgate(tmp_path, "status", "models:/bot", *logged)
    assert "llmgate champion refresh models:/bot SUITES..." in " ".join(output.split())

    code, output = llmgate(tmp_path, "champion", "refresh", "models:/bot", "others.yaml", *logged)
    assert code == 2, output
    assert "has suites that are not named: words" in output
    code, output = llmgate(tmp_path, "champion", "refresh", "models:/bot", "words.yaml", "--out", "fresh", *logged)
    assert code == 0, output
    assert "in the run that earned the alias" in output
    assert "compared with from now on: --baseline models:/bot@champion" in output
    fresh = load_record(tmp_path / "fresh").manifest
    assert fresh.made_for == "baseline"
    assert fresh.model.weights_digest == weights_digest(model)
    assert fresh.server.flags == load_record(tmp_path / "first").manifest.server.flags
    code, output = llmgate(tmp_path, "status", "models:/bot", *logged)
    assert "asked again after its promotion" in output

    args = ("run", "words.yaml", "--model", str(model), "--baseline", "models:/bot@champion", "--out", "next", *logged)
    code, output = llmgate(tmp_path, *args)
    assert code in {0, 3}, output
    assert "less than a day old, and were not chosen for being good" in output
    assert load_record(tmp_path / "next-baseline" / "record").manifest.run_id == fresh.run_id

    # Other weights in its folder are not the champion.
    (model / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{ ")
    code, output = llmgate(tmp_path, "champion", "refresh", "models:/bot", "words.yaml", "--out", "other", *logged)
    assert code == 4, output
    assert "are not those of the champion's run" in output
    assert not (tmp_path / "other").exists()
