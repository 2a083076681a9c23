"""What a run's folder says in GitHub Actions: only a decision that agrees with the exit code counts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.records import make_decision, make_problem

from llmgate.cli import main
from llmgate.errors import UsageError
from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Verdict
from llmgate.record.policy import OnInconclusive
from llmgate.record.run.files import SEAL
from llmgate.record.schema import Seal
from llmgate.report.formats.github import SUMMARY_BYTES
from llmgate.session.decide.github import LOG_NAME, announce, job_summary, read_result

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.gate.decision.types import Decision

REPORT = "## ✅ the report\n"


def decided(folder: Path, decision: Decision, *, version: str | None = None) -> Path:
    """A folder as `publish` leaves it; of the record, there is the seal."""
    folder.mkdir(exist_ok=True)
    SEAL.write(folder, Seal(sealed_at="", journal_digest=decision.candidate_digest, results=1))
    (folder / "decision.json").write_text(decision_to_json(decision), encoding="utf-8")
    (folder / "published.json").write_text(json.dumps({"version": version}), encoding="utf-8")
    (folder / "summary.md").write_text(REPORT, encoding="utf-8")
    (folder / "report.html").write_text("<html>", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("verdict", "code", "level"),
    [(Verdict.PASS, 0, "notice"), (Verdict.FAIL, 1, "error"), (Verdict.INCONCLUSIVE, 3, "error")],
)
def test_the_three_verdicts(tmp_path: Path, verdict: Verdict, code: int, level: str) -> None:
    decision = make_decision(verdict)
    result = read_result(decided(tmp_path / "run", decision, version="models:/bot/7"), exit_code=code)
    assert result.outputs == {
        "verdict": str(verdict),
        "sentence": decision.sentence,
        "exit-code": str(code),
        "record": str(tmp_path / "run"),
        "report": str(tmp_path / "run" / "report.html"),
        "summary": str(tmp_path / "run" / "summary.md"),
        "version": "models:/bot/7",
    }
    escaped = decision.sentence.replace("%", "%25")
    assert result.annotation == f"::{level} title=llmgate%3A {verdict}::{escaped}\n"
    assert job_summary(result, max_bytes=SUMMARY_BYTES) == REPORT


def test_an_allowed_inconclusive_is_a_warning(tmp_path: Path) -> None:
    decision = make_decision(Verdict.INCONCLUSIVE, on_inconclusive=OnInconclusive.ALLOW)
    result = read_result(decided(tmp_path, decision), exit_code=0)
    assert (result.verdict, result.exit_code) == ("INCONCLUSIVE", 0)
    assert result.annotation.startswith("::warning ")


def test_problems_keep_their_verdict(tmp_path: Path) -> None:
    decision = make_decision(Verdict.INCONCLUSIVE, problems=(make_problem(),))
    assert read_result(decided(tmp_path, decision), exit_code=3).verdict == "INCONCLUSIVE"


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 137])
def test_without_a_decision_there_is_an_error(tmp_path: Path, code: int) -> None:
    result = read_result(tmp_path / "never made", exit_code=code)
    assert result.verdict == "ERROR"
    assert result.exit_code == (code if code in {2, 4} else 4)
    assert result.sentence == f"llmgate ended with exit code {code}"
    assert result.outputs["report"] == result.outputs["summary"] == result.outputs["version"] == ""
    assert result.annotation.startswith("::error title=llmgate%3A ERROR::")
    assert job_summary(result, max_bytes=SUMMARY_BYTES).startswith("## ⚠️ ERROR: the gate could not run\n")


@pytest.mark.parametrize(
    ("verdict", "code"), [(Verdict.PASS, 4), (Verdict.PASS, 1), (Verdict.FAIL, 0), (Verdict.FAIL, 4)]
)
def test_a_decision_that_contradicts_the_exit_code_does_not_count(tmp_path: Path, verdict: Verdict, code: int) -> None:
    folder = decided(tmp_path, make_decision(verdict), version="models:/bot/7")
    (folder / LOG_NAME).write_text("llmgate: http://mlflow: cannot be reached. Start it\n", encoding="utf-8")
    result = read_result(folder, exit_code=code)
    assert (result.verdict, result.exit_code, result.version) == ("ERROR", 4, "")
    assert result.sentence == "http://mlflow: cannot be reached. Start it"
    summary = job_summary(result, max_bytes=SUMMARY_BYTES)
    assert "does not count" in summary
    assert summary.endswith(REPORT)


@pytest.mark.parametrize("seal", [None, "another run's"])
def test_a_decision_on_another_record_is_an_error(tmp_path: Path, seal: str | None) -> None:
    decided(tmp_path, make_decision(candidate_digest="this run's"))
    assert read_result(tmp_path, exit_code=0).verdict == "PASS"
    (tmp_path / "seal.json").unlink()
    if seal:
        SEAL.write(tmp_path, Seal(sealed_at="", journal_digest=seal, results=1))
    result = read_result(tmp_path, exit_code=0)
    assert (result.verdict, result.exit_code, result.has_decision) == ("ERROR", 4, False)
    assert result.sentence == "decision.json is not of the run that lies here"


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"null", b"[]", b"\xff", b'{"verdict": "PASS"}', b'{"major": 1, "verdict": "PASS"}', b"[" * 100_000],
)
def test_a_damaged_decision_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "decision.json").write_bytes(content)
    result = read_result(tmp_path, exit_code=0)
    assert (result.verdict, result.exit_code) == ("ERROR", 4)
    assert result.sentence.startswith("decision.json")


def test_a_decision_of_another_format_is_an_error(tmp_path: Path) -> None:
    values = json.loads(decision_to_json(make_decision()))
    (tmp_path / "decision.json").write_text(json.dumps({**values, "major": 99}), encoding="utf-8")
    assert read_result(tmp_path, exit_code=0).verdict == "ERROR"


@pytest.mark.parametrize("content", ["", "[]", "{}", "7", '{"version": null}', "\x00"])
def test_no_version_is_empty(tmp_path: Path, content: str) -> None:
    decided(tmp_path, make_decision())
    (tmp_path / "published.json").write_text(content, encoding="utf-8")
    assert read_result(tmp_path, exit_code=0).version == ""


def test_the_last_error_of_the_log_is_the_sentence(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).write_text(
        "[00:00] loading\nllmgate: first\nTraceback\nllmgate: suites/a.yaml:3: unknown\n  key 'x'. Did you mean y?\n",
        encoding="utf-8",
    )
    assert read_result(tmp_path, exit_code=2).sentence == "suites/a.yaml:3: unknown key 'x'. Did you mean y?"


def test_text_in_the_log_stays_text(tmp_path: Path) -> None:
    hostile = "llmgate: a\x1b[2J\u202e ::error::x\n```\n# PASS\n</details>\n````\n" + "y" * 100_000
    (tmp_path / LOG_NAME).write_text(hostile, encoding="utf-8")
    result = read_result(tmp_path, exit_code=4)
    assert "\n" not in result.sentence
    assert "\x1b" not in result.sentence
    assert len(result.sentence) < 400
    assert result.annotation.count("\n") == 1
    (tmp_path / LOG_NAME).write_text(hostile[:200], encoding="utf-8")
    summary = job_summary(result, max_bytes=SUMMARY_BYTES)
    assert "`````text\n" in summary, "a fence that is longer than any in the text"
    assert "\x1b" not in summary
    assert "\u202e" not in summary


def test_the_tail_of_a_long_log_is_shown(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).write_text("".join(f"line {i}\n" for i in range(1000)), encoding="utf-8")
    summary = job_summary(read_result(tmp_path, exit_code=4), max_bytes=SUMMARY_BYTES)
    assert "line 999\n" in summary
    assert "line 960\n" in summary
    assert "line 959\n" not in summary


def test_a_summary_that_does_not_fit_is_left_out_as_a_whole(tmp_path: Path) -> None:
    decided(tmp_path, make_decision())
    result = read_result(tmp_path, exit_code=0)
    (tmp_path / "summary.md").write_text("é" * 3000, encoding="utf-8")
    assert job_summary(result, max_bytes=6000) == "é" * 3000
    short = job_summary(result, max_bytes=5999)
    assert short.startswith("## PASS\n")
    assert "does not fit" in short
    assert job_summary(result, max_bytes=10) == ""
    error = replace(result, verdict="ERROR")
    assert "does not fit" in job_summary(error, max_bytes=5999)


def test_a_missing_summary_is_said(tmp_path: Path) -> None:
    decided(tmp_path, make_decision())
    (tmp_path / "summary.md").unlink()
    summary = job_summary(read_result(tmp_path, exit_code=0), max_bytes=SUMMARY_BYTES)
    assert summary.startswith("## PASS\n")
    assert "is missing" in summary


def test_what_the_summary_holds_already_stays_and_counts(tmp_path: Path) -> None:
    folder = decided(tmp_path / "run", make_decision())
    environ = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    earlier = "x" * (SUMMARY_BYTES - 500)
    (tmp_path / "GITHUB_STEP_SUMMARY").write_text(earlier, encoding="utf-8")
    (folder / "summary.md").write_text("y" * 499, encoding="utf-8")
    announce(folder, exit_code=0, environ=environ)
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text(encoding="utf-8") == earlier + "y" * 499
    announce(folder, exit_code=0, environ=environ)
    assert (tmp_path / "GITHUB_STEP_SUMMARY").stat().st_size <= SUMMARY_BYTES


@pytest.mark.parametrize("missing", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"])
def test_outside_of_github_it_is_refused(tmp_path: Path, missing: str) -> None:
    environ = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    with pytest.raises(UsageError, match=f"{missing} is not set"):
        announce(tmp_path, exit_code=0, environ={**environ, missing: ""})
    with pytest.raises(UsageError, match="cannot write"):
        announce(tmp_path, exit_code=0, environ={**environ, missing: str(tmp_path / "no" / "such")})


def test_the_command_prints_the_annotation_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = decided(tmp_path / "run", make_decision(Verdict.FAIL))
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(name, str(tmp_path / name))
    done = CliRunner().invoke(main, ["github-summary", str(folder), "--exit-code", "1"])
    assert done.exit_code == 0
    assert done.output.startswith("::error title=llmgate%3A FAIL::FAIL: ")
    assert done.output.count("\n") == 1
    outputs = (tmp_path / "GITHUB_OUTPUT").read_text(encoding="utf-8")
    assert "verdict<<llmgate-" in outputs
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text(encoding="utf-8") == REPORT
