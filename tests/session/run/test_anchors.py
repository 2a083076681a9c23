"""Anchors from end to end: frozen from one run, judged again in the next, and the judge that changed is found out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer
from support.project import WRONG, answer_right, write_suite

from llmgate.cli import main
from llmgate.record.run.loading import load_record
from llmgate.record.schema import Outcome

if TYPE_CHECKING:
    from pathlib import Path

JUDGED = "  - {type: llm-rubric, value: 'Says {{ word }}', metric: tone}\n"
WRONG_ONES = {f"word-{i}" for i in range(30)}


class Model:
    """Answers the first 30 cases wrongly; as the judge it sees that, but for ten if it is lax, or it says nothing."""

    def __init__(self) -> None:
        self.lax = False
        self.mute = False

    def __call__(self, body: dict[str, Any]) -> str:
        if "response_format" not in body:
            return WRONG if answer_right(body) in WRONG_ONES else answer_right(body)
        if self.mute:
            return "no idea"
        asked = json.dumps(body["messages"])
        good = WRONG not in asked or (self.lax and "word-1" in asked)
        return json.dumps({"reason": "so it is", "pass": good, "score": float(good)})


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.chdir(tmp_path)
    path = write_suite(tmp_path, cases=120, gate="role: watch", extra=JUDGED)
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}  tone: {{margin: 0.2, unadmitted: allow}}\n", encoding="utf-8")
    return Model()


def run(server: FakeServer, out: str, *more: object) -> Result:
    where = ("--endpoint", server.url, "--deployment", out, "--judge-endpoint", server.url)
    return llmgate("run", "words.yaml", *where, "--out", out, *more)


def freeze(*more: object) -> Result:
    return llmgate("anchors", "freeze", "first", "words.yaml", "--metric", "words/tone", "--number", 60, *more)


def test_frozen_and_judged_again(tmp_path: Path, model: Model) -> None:
    with FakeServer(answer=model) as server:
        first = run(server, "first")
        assert (tmp_path / "first" / "seal.json").exists(), first.output
        done = freeze()
        assert done.exit_code == 0, done.output
        assert "30 anchors that pass and 30 that fail" in done.output
        run(server, "steady", "--judge-anchors", "anchors.jsonl")
        same = run(server, "same", "--judge-anchors", "anchors.jsonl", "--baseline", "steady")
        assert same.exit_code == 0, same.output
        model.lax = True
        lax = run(server, "lax", "--judge-anchors", "anchors.jsonl", "--baseline", "steady")
        assert lax.exit_code == 3, lax.output
        assert "the judge drifted (candidate's run): of 60 anchors 1" in " ".join(lax.output.split())
        left_out = run(server, "out", "--baseline", "steady")
        assert "only the champion's run judged anchors" in left_out.output
        model.mute = True
        run(server, "mute", "--judge-anchors", "anchors.jsonl")
    steady = load_record(tmp_path / "steady")
    assert steady.anchors is not None
    assert len(steady.anchors.results) == 60
    assert all((one.outcome is Outcome.PASS) == one.passed for one in steady.anchors.results)
    assert all(one.judgements for one in steady.anchors.results)
    assert steady.manifest.anchors == steady.anchors.digest
    for name, wanted in (("steady", ""), ("mute", "it gave no verdict on 60 of 60 anchors")):
        (drift,) = json.loads((tmp_path / name / "decision.json").read_text(encoding="utf-8"))["drifts"]
        assert drift["drifted"] == wanted
    assert load_record(tmp_path / "first").anchors is None
    report = (tmp_path / "lax" / "report.html").read_text(encoding="utf-8")
    assert "Judges, held against their anchors" in report
    assert "drifted" in report


def test_the_sealed_verdicts_cannot_go_missing(tmp_path: Path, model: Model) -> None:
    with FakeServer(answer=model) as server:
        run(server, "first")
        freeze()
        run(server, "again", "--judge-anchors", "anchors.jsonl")
    (tmp_path / "again" / "anchors.json").unlink()
    done = llmgate("decide", "again")
    assert done.exit_code == 4
    assert "a file of the sealed record is missing" in done.output


def test_what_is_refused(tmp_path: Path, model: Model) -> None:
    with FakeServer(answer=model) as server:
        run(server, "first")
        assert freeze().exit_code == 0
        again = freeze()
        assert again.exit_code == 2
        assert "anchors are frozen" in again.output
        other = llmgate("anchors", "freeze", "first", "words.yaml", "--metric", "words/accuracy", "--out", "b.jsonl")
        assert "no judge scores 'words/accuracy'" in other.output
        (tmp_path / "anchors.jsonl").write_text("{}", encoding="utf-8")
        bad = run(server, "bad", "--judge-anchors", "anchors.jsonl")
        assert bad.exit_code == 2
        assert "anchors.jsonl:1: no 'id'" in bad.output
        assert not (tmp_path / "bad" / "manifest.json").exists()
        text = (tmp_path / "words.yaml").read_text(encoding="utf-8")
        (tmp_path / "words.yaml").write_text(text.replace("Says {{", "Shouts {{"), encoding="utf-8")
        changed = freeze("--out", "c.jsonl")
        assert changed.exit_code == 4
        assert "another version of the suite 'words'" in changed.output
