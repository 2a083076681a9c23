"""`llmgate webhook` with options that do not fit, before anything listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from llmgate.cli import main

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "9c1f0a7be2d84435b6f1c0de7a35e9d1"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "no secret is named"),
        (["--host", "0.0.0.0"], "no secret is named"),
        (["--secret-env", "NOT_SET"], "NOT_SET is not set"),
        (["--secret-env", "HOOK", "--run", "gate {verison}"], "Did you mean version?"),
        (["--secret-env", "HOOK", "--run", "no-such-program {version_uri}"], "there is no program"),
        (["--secret-env", "HOOK", "--run", "sh {version_uri}", "--", "sh", "{version_uri}"], "given twice"),
        (["--secret-env", "HOOK", "--pass-env", "HOOK", "--", "sh", "{version_uri}"], "holds the webhook's secret"),
        (["--secret-env", "HOOK", "--pass-env", "NOT_SET", "--", "sh", "{version_uri}"], "NOT_SET is not set"),
        (["--secret-env", "HOOK", "--alarm-url-env", "NOT_SET"], "NOT_SET is not set"),
        (["--secret-env", "HOOK", "--alarm-url-env", "HOOK"], "no http or https URL"),
        (["--secret-env", "HOOK", "--run", f"sh {{version_uri}} {SECRET}"], "a secret stands on the command line"),
        (["--secret-env", "HOOK", "--", "sh", "{version_uri}", f"--token={SECRET}"], "a secret stands"),
        (["--secret-env", "HOOK", "--mlflow-uri", "http://me:pass@host"], "a password stands"),
        (["--check"], "no model is named"),
        (["--check", "--model", "bot", "--", "sh"], "starts no runs"),
        (["--check", "--model", "bot", "--once"], "starts no runs"),
        (["--check", "--model", "bot"], "no MLflow server is named"),
        (["--secret-env", "HOOK"], "no MLflow server is named"),
        (["--secret-env", "HOOK", "--jobs", "0"], "0 is not in the range"),
    ],
)
def test_it_does_not_start(args: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOK", SECRET)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = CliRunner().invoke(main, ["webhook", *args])
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.output.split())
    assert SECRET not in done.output
    assert not list(tmp_path.iterdir())
