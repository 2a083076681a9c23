"""Judges are tried on answers that none should let pass, once per criterion, and the report says how they did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.endpoint import chat, scripted_endpoint
from support.project import write_suite

import llmgate
from llmgate.cli import main
from llmgate.errors import RecordError
from llmgate.record.schema import Outcome
from llmgate.score.judge_canaries import CANARIES

if TYPE_CHECKING:
    from pathlib import Path

RUBRIC = '  - {type: llm-rubric, value: "repeats {{ word }}", metric: tone}\n'
USAGE = {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 60}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, cases=12, extra=RUBRIC)
    return tmp_path


def careful(path: str, body: dict[str, Any]) -> dict[str, Any]:
    if "response_format" not in body:
        return chat(str(body["messages"][-1]["content"]).removeprefix("Say "))
    answer = str(body["messages"][-1]["content"])
    good = "word-" in answer.rpartition("<answer")[2]
    return chat(json.dumps({"reason": "so", "pass": good, "score": float(good)}), usage=USAGE)


def credulous(path: str, body: dict[str, Any]) -> dict[str, Any]:
    said = careful(path, body)
    if "response_format" in body:
        return chat(json.dumps({"reason": "so", "pass": True, "score": 1}), usage=USAGE)
    return said


def silent(path: str, body: dict[str, Any]) -> dict[str, Any]:
    return chat("?") if "response_format" in body else careful(path, body)


def run(judge: str, url: str, *more: str) -> Any:
    return CliRunner().invoke(
        main, ["run", "words.yaml", "--endpoint", url, "--judge-endpoint", judge, "--out", "run", *more]
    )


def test_a_judge_that_lets_anything_pass_is_shown_to(project: Path) -> None:
    with scripted_endpoint(careful) as (url, _), scripted_endpoint(credulous, model="judge") as (judge, _):
        done = run(judge, url)
    assert done.exit_code == 0, done.output
    record = llmgate.load_record(project / "run")
    assert [(trial.canary, trial.outcome) for trial in record.trials] == [(name, Outcome.PASS) for name in CANARIES]
    assert {trial.criterion for trial in record.trials} == {"repeats word-0"}
    assert all(trial.judgements[0].reply for trial in record.trials)
    assert "approved 5 of 5 deliberately bad answers" in done.output
    html = (project / "run" / "report.html").read_text(encoding="utf-8")
    assert (
        "The judge approved all 5 deliberately bad answers (empty, colon, thought process, order, closed fence)" in html
    )
    assert "60.0 % of 1,200 prompt tokens" in html


def test_a_judge_that_sees_through_them_is_not_mentioned(project: Path) -> None:
    with scripted_endpoint(careful) as (url, _), scripted_endpoint(careful, model="judge") as (judge, _):
        done = run(judge, url)
    assert done.exit_code == 0, done.output
    assert {trial.outcome for trial in llmgate.load_record(project / "run").trials} == {Outcome.FAIL}
    assert "deliberately bad answers (" not in (project / "run" / "report.html").read_text(encoding="utf-8")


def test_no_verdict_is_not_a_pass_and_ends_no_run(project: Path) -> None:
    with scripted_endpoint(careful) as (url, _), scripted_endpoint(silent, model="judge") as (judge, _):
        run(judge, url)
    assert {trial.outcome for trial in llmgate.load_record(project / "run").trials} == {Outcome.ERROR}
    assert "gave no verdict on 5" in (project / "run" / "report.html").read_text(encoding="utf-8")


def test_the_seal_covers_them_and_a_resumed_run_keeps_them(project: Path) -> None:
    with scripted_endpoint(careful) as (url, _), scripted_endpoint(careful, model="judge") as (judge, seen):
        run(judge, url)
        asked = len(seen)
        run(judge, url, "--resume")
        assert len(seen) == asked
    path = project / "run" / "canaries.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"fail"', '"pass"', 1), encoding="utf-8")
    with pytest.raises(RecordError, match="changed after"):
        llmgate.load_record(project / "run")
    path.unlink()
    with pytest.raises(RecordError, match="missing"):
        llmgate.load_record(project / "run")
