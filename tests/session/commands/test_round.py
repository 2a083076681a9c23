"""`llmgate round`: runs on disk, decided together, published, decided again, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.promotions import SUITE, make_manifest, store_decision, write_record

from llmgate.cli import main
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.types import Verdict
from llmgate.promote.evidence import read_evidence
from llmgate.promote.target import EvidenceFiles
from llmgate.record.policy import MetricPolicy, Policy
from llmgate.session.decide.noted_round import noted_place
from llmgate.session.decide.records import Baseline, decide_folders, note_baseline

if TYPE_CHECKING:
    from pathlib import Path

POLICY = Policy(metrics=(MetricPolicy(suite=SUITE, metric="accuracy", margin=0.1),))


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def run(
    folder: Path, *, right: int, shift: int = 0, name: str = "june", weights: str | None = None, policy: Policy = POLICY
) -> Path:
    manifest = make_manifest(folder.name, weights=weights or folder.name, policy=policy)
    return write_record(folder, replace(manifest, round=name), right=right, shift=shift)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    run(tmp_path / "champion", right=80, name="")
    run(tmp_path / "a", right=81)
    run(tmp_path / "b", right=50)
    run(tmp_path / "c", right=80, shift=2)
    for name in "abc":
        note_baseline(tmp_path / name, Baseline(folder=str(tmp_path / "champion")))
    return tmp_path


def decided(folder: Path) -> Any:
    return decision_from_json((folder / "decision.json").read_text(encoding="utf-8"))


def test_a_round_is_decided_and_written_down(runs: Path) -> None:
    alone = llmgate("decide", "a", "champion")
    assert alone.exit_code == 3
    assert "one of several candidates" in alone.output
    done = llmgate("round", "june", "a", "b", "c", "--champion", "champion")
    assert done.exit_code == 0, done.output
    assert "2 candidates of 3 passed, at one error rate for all; their results correlate by" in done.output
    assert [decided(runs / name).verdict for name in "abc"] == [Verdict.PASS, Verdict.FAIL, Verdict.PASS]
    report = (runs / "a" / "report.html").read_text(encoding="utf-8")
    assert "Candidate 1 of 3 in round june" in report
    assert json.loads((runs / "a" / "verdict.json").read_text(encoding="utf-8"))["predicate"]["verdict"] == "PASS"
    # Decided again, with or without the others, it is the same decision.
    before = {name: (runs / name / "decision.json").read_bytes() for name in "abc"}
    assert llmgate("round", "june", "a", "b", "c", "--champion", "champion").exit_code == 0
    assert {name: (runs / name / "decision.json").read_bytes() for name in "abc"} == before
    assert decide_folders(runs / "a", runs / "champion") == decided(runs / "a")
    assert llmgate("decide", "a", "champion").exit_code == 0
    noise = llmgate("decide", "a", "champion", "--noise", "champion")
    assert "decided with others in a round" in noise.output


def test_an_earlier_attempt_counts_in_a_round_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reserved = replace(POLICY, reserve=0.1)
    run(tmp_path / "champion", right=80, name="", policy=reserved)
    run(tmp_path / "may", right=50, name="", weights="a", policy=reserved)
    for folder, right, shift in (("a", 81, 0), ("b", 80, 2)):
        run(tmp_path / folder, right=right, shift=shift, policy=reserved)
    # Nothing tells which attempts these are.
    assert llmgate("round", "june", "a", "b", "--champion", "champion").exit_code == 3
    assert "nothing tells which attempt" in "".join(p.what for p in decided(tmp_path / "a").problems)
    for folder in ("a", "b"):
        (tmp_path / folder / "decision.json").unlink()
    for folder in ("may", "a", "b"):
        assert llmgate("decide", folder, "champion", "--attempts", "attempts").exit_code in {1, 3}
    done = llmgate("round", "june", "a", "b", "--champion", "champion")
    assert done.exit_code == 0, done.output
    again, first = decided(tmp_path / "a"), decided(tmp_path / "b")
    assert (again.attempt.number, again.verdict) == (2, Verdict.FAIL)
    assert (first.attempt.number, first.verdict) == (1, Verdict.PASS)
    assert decide_folders(tmp_path / "a", tmp_path / "champion") == again


def test_a_promotion_decides_the_winner_again_at_its_place(runs: Path) -> None:
    assert llmgate("round", "june", "a", "b", "c", "--champion", "champion").exit_code == 0
    decision = decided(runs / "a")
    stored = store_decision(runs / "evidence", decision)
    (runs / "a" / "decision.json").unlink()
    files = EvidenceFiles(
        run="1", where="run 1", subject="models:/bot/2", ended_at=datetime.now(UTC), candidate=runs / "a",
        baseline=runs / "champion", decision=stored,
    )  # fmt: skip
    evidence = read_evidence(files, redecide=decide_folders, source="s3://2", source_digest=lambda _: None)
    assert evidence.decision == evidence.claimed == decision
    assert evidence.decision.verdict is Verdict.PASS
    # Without its place it is no PASS, whatever the decision beside it claims.
    store_decision(runs / "evidence", replace(decision, round=None))
    alone = read_evidence(files, redecide=decide_folders, source="s3://2", source_digest=lambda _: None)
    assert alone.decision.verdict is Verdict.INCONCLUSIVE


def test_json_for_programs(runs: Path) -> None:
    done = llmgate("round", "june", "a", "b", "c", "--champion", "champion", "--json")
    values = json.loads(done.output)
    assert [one["decision"]["verdict"] for one in values] == ["PASS", "FAIL", "PASS"]
    assert values[0]["decision"]["round"]["of"] == 3
    assert runs.joinpath(values[2]["run"]).is_dir()


def test_exit_codes(runs: Path) -> None:
    for name in ("a", "c"):
        (runs / name).rename(runs.parent / f"{runs.name}-{name}")
    run(runs / "worse", right=40)
    assert llmgate("round", "june", "b", "worse", "--champion", "champion").exit_code == 1
    run(runs / "july-a", right=74, name="july")
    run(runs / "july-b", right=75, name="july", weights="other")
    done = llmgate("round", "july", "july-a", "july-b", "--champion", "champion")
    assert done.exit_code in {1, 3}, done.output


def test_nobody_is_left_out(runs: Path) -> None:
    done = llmgate("round", "june", "a", "c", "--champion", "champion")
    assert done.exit_code == 4, done.output
    assert "is of round june too, and is not named" in done.output
    assert noted_place(runs / "a") is None


def test_a_decided_round_is_not_made_smaller(runs: Path) -> None:
    assert llmgate("round", "june", "a", "b", "c", "--champion", "champion").exit_code == 0
    (runs / "b").rename(runs.parent / f"{runs.name}-b")
    done = llmgate("round", "june", "a", "c", "--champion", "champion")
    assert done.exit_code == 4
    assert "decided already, as candidate 1 of 3 in round june" in done.output


def test_another_champion_than_the_runs_were_made_for(runs: Path) -> None:
    run(runs / "weak", right=70, name="")
    done = llmgate("round", "june", "a", "b", "c", "--champion", "weak")
    assert done.exit_code == 4
    assert "made to be compared with" in done.output


def test_a_final_needs_new_cases_and_comes_first(runs: Path) -> None:
    one = llmgate("round", "june", "a", "b", "c", "--champion", "champion", "--final", "a")
    assert one.exit_code == 2
    run(runs / "final", right=82, weights="a")
    final = ("--final", "final", "--final-champion", "champion")
    same = llmgate("round", "june", "a", "b", "c", "--champion", "champion", *final)
    assert same.exit_code == 4
    assert "100 of the final's 100 cases are the round's" in same.output
    # A final that lies there keeps the round from being decided together, too.
    together = llmgate("round", "june", "a", "b", "c", "--champion", "champion")
    assert "is of round june too" in together.output
    (runs / "final").rename(runs / "a" / "final")
    assert llmgate("round", "june", "a", "b", "c", "--champion", "champion").exit_code == 0
    late = llmgate("round", "june", "a", "b", "c", "--champion", "champion", "--final", "a/final", *final[2:])
    assert late.exit_code == 4
    assert "a final would be a second chance" in late.output
