"""`llmgate champion refresh` from end to end: a fake vLLM, and MLflow in a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.project import write_suite
from support.servers import FAKE_VLLM, MARK, marked, model_folder, wait_until

from llmgate.cli import main
from llmgate.record.run.loading import load_record
from llmgate.record.weights import weights_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STORE = "sqlite:///mlflow.db"


@pytest.fixture(autouse=True)
def fake_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What this process starts as vLLM is a fake one, all of which has ended afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_VLLM", "ok")
    monkeypatch.setenv("PYTHONPATH", f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv(MARK, str(tmp_path))
    yield
    monkeypatch.delenv(MARK)
    assert wait_until(lambda: not marked(tmp_path), timeout_s=30), "nothing is left"


def llmgate(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, args)
    return done.exit_code, done.output


@pytest.mark.usefixtures("own_lock")
def test_a_champion_is_asked_again_and_is_the_next_baseline(tmp_path: Path) -> None:
    write_suite(tmp_path)
    write_suite(tmp_path, "others")
    model = model_folder(tmp_path)
    logged = ("--mlflow-uri", STORE)
    code, output = llmgate(
        "run", "words.yaml", "--model", str(model), "--out", "first", *logged, "--mlflow-model", "bot"
    )
    assert code == 0, output
    code, output = llmgate("promote", "models:/bot/1", *logged)
    assert code == 0, output
    assert "`llmgate champion refresh models:/bot SUITES...` makes the next comparisons fair" in output
    code, output = llmgate("status", "models:/bot", *logged)
    assert "llmgate champion refresh models:/bot SUITES..." in " ".join(output.split())

    code, output = llmgate("champion", "refresh", "models:/bot", "others.yaml", *logged)
    assert code == 2, output
    assert "has suites that are not named: words" in output
    code, output = llmgate("champion", "refresh", "models:/bot", "words.yaml", "--out", "fresh", *logged)
    assert code == 0, output
    assert "in the run that earned the alias" in output
    assert "compared with from now on: --baseline models:/bot@champion" in output
    fresh = load_record(tmp_path / "fresh").manifest
    assert fresh.made_for == "baseline"
    assert fresh.model.weights_digest == weights_digest(model)
    assert fresh.server.flags == load_record(tmp_path / "first").manifest.server.flags
    code, output = llmgate("status", "models:/bot", *logged)
    assert "asked again after its promotion" in output

    args = ("run", "words.yaml", "--model", str(model), "--baseline", "models:/bot@champion", "--out", "next", *logged)
    code, output = llmgate(*args)
    assert code in {0, 3}, output
    assert "less than a day old, and were not chosen for being good" in output
    assert load_record(tmp_path / "next-baseline" / "record").manifest.run_id == fresh.run_id

    # Other weights in its folder are not the champion.
    (model / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{ ")
    code, output = llmgate("champion", "refresh", "models:/bot", "words.yaml", "--out", "other", *logged)
    assert code == 4, output
    assert "are not those of the champion's run" in output
    assert not (tmp_path / "other").exists()
