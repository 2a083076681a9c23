"""Admission records named by suites and options: what they let gate, and what is refused before a server starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.admissions import make_admission
from support.fake_server import FakeServer
from support.project import answer_right, write_suite

from llmgate.cli import main
from llmgate.gate.judges.admission import status_in
from llmgate.record.judges.admission import Instrument
from llmgate.record.judges.admission_file import save_admission
from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmgate.record.manifest import Manifest

JUDGED = "  - {type: llm-rubric, value: 'Says {{ word }}', metric: tone}\n"
NOWHERE = "http://127.0.0.1:9"


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def answer(body: dict[str, Any]) -> str:
    return '{"reason": "fine", "pass": true, "score": 1}' if "response_format" in body else answer_right(body)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, extra=JUDGED)
    gated(tmp_path, "min: 0.5")
    return tmp_path


def gated(folder: Path, gate: str, more: str = "") -> None:
    """Gate the judged metric, and add further keys to the suite."""
    path = folder / "words.yaml"
    head = path.read_text(encoding="utf-8").partition("  tone:")[0]
    path.write_text(f"{head}  tone: {{{gate}}}\n{more}", encoding="utf-8")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(answer=answer) as running:
        yield running


def run(server: FakeServer, out: str, *more: object) -> Result:
    return llmgate("run", "words.yaml", "--endpoint", server.url, "--judge-endpoint", server.url, "--out", out, *more)


def admit(manifest: Manifest, path: Path, **changes: Any) -> None:
    """A record for exactly the judge of a run."""
    (asked,) = manifest.judging
    assert manifest.judge is not None
    judge = replace(manifest.judge, prompt_digest=asked.prompt_digest, **changes)
    instrument = Instrument(
        type=asked.type, criterion=asked.criterion, assert_digest=asked.assert_digest, judges=(judge,)
    )
    save_admission(path, make_admission(instrument=instrument))


def test_from_refused_to_allowed_to_admitted(project: Path, server: FakeServer) -> None:
    refused = llmgate("run", "words.yaml", "--endpoint", NOWHERE, "--judge-endpoint", NOWHERE)
    assert refused.exit_code == 2
    assert "words.yaml:15: the judge behind 'tone' was never admitted, so it cannot gate" in refused.output

    gated(project, "min: 0.5, unadmitted: allow")
    allowed = run(server, "allowed")
    assert allowed.exit_code == 0, allowed.output
    assert "never admitted: words::tone is a judge score, not human quality." in allowed.output
    report = (project / "allowed" / "report.html").read_text(encoding="utf-8")
    assert "unadmitted judge: llm-rubric" in report

    admit(load_record(project / "allowed").manifest, project / "judge.json")
    gated(project, "min: 0.5")
    by_option = run(server, "option", "--judge-admission", "judge.json")
    assert by_option.exit_code == 0, by_option.output
    assert "Unadmitted" not in by_option.output
    record = load_record(project / "option")
    assert status_in(record.manifest, "words", "tone").admitted
    assert len(record.manifest.admissions) == 1
    assert "Judges that decide" in (project / "option" / "summary.md").read_text(encoding="utf-8")

    gated(project, "min: 0.5", "judge: {admission: judge.json}\n")
    by_suite = run(server, "suite")
    assert by_suite.exit_code == 0, by_suite.output
    again = load_record(project / "suite").manifest
    assert again.suites == record.manifest.suites  # who may gate is no part of what is asked
    assert again.admissions == record.manifest.admissions


def test_another_judge_is_refused_before_anything_is_asked(project: Path, server: FakeServer) -> None:
    gated(project, "min: 0.5, unadmitted: allow")
    assert run(server, "allowed").exit_code == 0
    admit(load_record(project / "allowed").manifest, project / "judge.json", model="another")
    gated(project, "min: 0.5")
    done = run(server, "run", "--judge-admission", "judge.json")
    assert done.exit_code == 2
    assert "another judge was admitted: 'another', now" in done.output
    assert not (project / "run" / "journal.jsonl").exists()


def test_a_record_that_cannot_be_read_ends_the_run(project: Path) -> None:
    gated(project, "min: 0.5", "judge: {admission: nothing.json}\n")
    done = llmgate("run", "words.yaml", "--endpoint", NOWHERE, "--judge-endpoint", NOWHERE)
    assert done.exit_code == 4
    assert "nothing.json: the admission record cannot be read" in done.output


def test_a_policy_file_cannot_slip_an_unadmitted_judge_in(project: Path, server: FakeServer) -> None:
    gated(project, "role: watch")
    assert run(server, "watched").exit_code == 0
    (project / "policy.yaml").write_text(
        "llmgate-policy: 1\nmetrics:\n  words/tone: {role: primary, min: 0.5}\n", encoding="utf-8"
    )
    decided = llmgate("decide", "watched", "--policy", "policy.yaml")
    assert decided.exit_code == 3
    assert "the judge behind 'tone' was never admitted" in decided.output
    started = llmgate(
        "run", "words.yaml", "--endpoint", NOWHERE, "--judge-endpoint", NOWHERE, "--policy", "policy.yaml"
    )
    assert started.exit_code == 2
    admit(load_record(project / "watched").manifest, project / "judge.json")
    admitted = llmgate("decide", "watched", "--policy", "policy.yaml", "--judge-admission", "judge.json")
    assert admitted.exit_code == 0, admitted.output
    (project / "policy.yaml").write_text(
        "llmgate-policy: 1\nmetrics:\n  words/tone: {role: primary, min: 0.5, unadmitted: allow}\n", encoding="utf-8"
    )
    assert llmgate("decide", "watched", "--policy", "policy.yaml").exit_code == 0
