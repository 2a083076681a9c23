"""`llmgate decide` on files of results: what gates, what is refused, and what keeps a verdict from PASS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from llmgate.cli import main
from llmgate.gate.decision.reread import decision_from_json

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, ["decide", *(str(arg) for arg in args)])


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def sides(tmp_path: Path, *, cases: int = 400, lost: int = 0, **more: Any) -> tuple[str, str, str, str]:
    """A candidate that loses the first few of many right answers."""
    for name, wrong in (("a", lost), ("b", 0)):
        rows = [{"item_id": f"c{i}", "score": int(i >= wrong), **more} for i in range(cases)]
        write(tmp_path / f"{name}.jsonl", rows)
    return ("--candidate", "a.jsonl", "--baseline", "b.jsonl")


def test_the_figures_of_a_single_metric_lie_on_top(tmp_path: Path) -> None:
    done = llmgate(*sides(tmp_path, lost=8), "--margin", 0.05, "--json")
    answer = json.loads(done.output)
    assert done.exit_code == 0, done.output
    assert {key: answer[key] for key in ("verdict", "n", "better", "worse", "errors", "expected", "margin")} == {
        "verdict": "PASS",
        "n": 400,
        "better": 0,
        "worse": 8,
        "errors": 0,
        "expected": 400,
        "margin": 0.05,
    }
    assert answer["delta"] == pytest.approx(-0.02)
    assert answer["discordance"] == pytest.approx(0.02)
    assert -0.05 < answer["lower"] < -0.02 < answer["upper"] < 0
    assert answer["method"] == "Tango score interval for paired proportions"
    # What a program reads back is the decision itself.
    assert decision_from_json(done.output).metrics[0].delta == answer["delta"]


def test_an_item_that_one_side_lacks_keeps_the_verdict_from_pass(tmp_path: Path) -> None:
    args = sides(tmp_path, lost=1)
    assert llmgate(*args, "--margin", 0.05).exit_code == 0
    for name in ("a", "b"):
        args = sides(tmp_path, lost=1)
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
        done = llmgate(*args, "--margin", 0.05)
        assert done.exit_code == 3
        assert "1 of 400 pairs could not be evaluated: c0" in done.output


def test_inconclusive_exits_with_three_unless_it_is_allowed(tmp_path: Path) -> None:
    args = (*sides(tmp_path, lost=2, cases=60), "--margin", 0.03)
    assert llmgate(*args).exit_code == 3
    assert llmgate(*args, "--allow-inconclusive").exit_code == 0


def test_several_metrics_gate_together_and_one_can_be_named(tmp_path: Path) -> None:
    args = sides(tmp_path, f1=0.5, good=1)
    write(tmp_path / "a.jsonl", [{"item_id": f"c{i}", "score": 1, "f1": 0.1 * (i % 3), "good": 1} for i in range(400)])
    columns = ("--score", "score", "--score", "f1")
    both = llmgate(*args, *columns, "--json")
    assert both.exit_code == 1
    answer = json.loads(both.output)
    assert [(m["metric"], m["role"], m["verdict"]) for m in answer["metrics"]] == [
        ("score", "primary", "PASS"),
        ("f1", "primary", "FAIL"),
    ]
    assert "delta" not in answer
    one = llmgate(*args, *columns, "--metric", "score", "--json")
    assert one.exit_code == 0
    assert json.loads(one.output)["metric"] == "score"
    assert [m["role"] for m in json.loads(one.output)["metrics"]] == ["primary", "watch"]
    assert "there is no metric 'scor'. Did you mean score?" in llmgate(*args, *columns, "--metric", "scor").output


def test_a_policy_file_says_which_metrics_gate(tmp_path: Path) -> None:
    args = (*sides(tmp_path, lost=40, f1=0.5), "--score", "score", "--score", "f1", "--policy", "p.yaml")
    policy = tmp_path / "p.yaml"
    policy.write_text("llmgate-policy: 1\nmetrics:\n  scores/f1: {margin: 0.02}\n", encoding="utf-8")
    watched = llmgate(*args, "--json")
    assert watched.exit_code == 0, watched.output
    assert [m["role"] for m in json.loads(watched.output)["metrics"]] == ["watch", "primary"]
    policy.write_text(
        "llmgate-policy: 1\nmetrics:\n  scores/score: {margin: 0.02}\n  scores/f1: {}\n", encoding="utf-8"
    )
    assert llmgate(*args).exit_code == 1
    policy.write_text("llmgate-policy: 1\nmetrics:\n  scores/f2: {margin: 0.02}\n", encoding="utf-8")
    unknown = llmgate(*args)
    assert (unknown.exit_code, "p.yaml:3: there is no metric 'scores/f2'" in unknown.output) == (2, True)
    policy.write_text("llmgate-policy: 1\nslices: {scores: [topic]}\nmetrics: {scores/f1: {}}\n", encoding="utf-8")
    assert llmgate(*args).exit_code == 2
    serving = "serving: {scores/p95_ttft_ms: {margin: 0.1}}"
    policy.write_text(f"llmgate-policy: 1\n{serving}\nmetrics: {{scores/f1: {{}}}}\n", encoding="utf-8")
    asked = llmgate(*args)
    assert (asked.exit_code, "`serving:` asks for what runs measure" in asked.output) == (2, True)


def test_a_slice_of_a_policy_needs_its_column(tmp_path: Path) -> None:
    args = (*sides(tmp_path, lost=1, topic="x"), "--id", "item_id", "--policy", "p.yaml")
    text = "llmgate-policy: 1\nslices: {scores: {fields: [topic], min-cases: 5}}\nmetrics: {scores/score: {}}\n"
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    lacking = llmgate(*args)
    assert (lacking.exit_code, "no column is read for the slice 'topic'. Add --slice topic" in lacking.output) == (
        2,
        True,
    )
    assert llmgate(*args, "--slice", "topic").exit_code == 0


def test_a_loss_in_a_slice_fails(tmp_path: Path) -> None:
    for name, wrong in (("a", 40), ("b", 0)):
        rows = [{"item_id": f"c{i}", "score": int(i >= wrong), "topic": f"t{i // 100}"} for i in range(2000)]
        write(tmp_path / f"{name}.jsonl", rows)
    args = ("--candidate", "a.jsonl", "--baseline", "b.jsonl", "--margin", 0.05)
    assert llmgate(*args, "--id", "item_id").exit_code == 0
    done = llmgate(*args, "--slice", "topic", "--json")
    assert done.exit_code == 1
    assert [one["value"] for one in json.loads(done.output)["slices"] if one["failed"]] == ["t0"]


def test_one_file_may_hold_both_systems(tmp_path: Path) -> None:
    rows = [{"item_id": f"c{i}", "score": 1, "system": s} for s in ("new", "old") for i in range(300)]
    write(tmp_path / "both.jsonl", rows)
    files = ("--candidate", "both.jsonl", "--baseline", "both.jsonl")
    both = llmgate(*files, "--candidate-only", "system=new", "--baseline-only", "system=old")
    assert both.exit_code == 0, both.output
    assert "--candidate-only COLUMN=VALUE" in llmgate(*files, "--candidate-only", "new").output
    assert "occurred already on line 1" in llmgate(*files, "--id", "item_id").output


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["run", "--score", "f1"], "--score is for score tables"),
        (["run", "--slice", "f1"], "--slice is for score tables"),
        (["run", "--candidate-only", "a=b"], "--candidate-only is for score tables"),
        (["run", "--alpha", "0.1"], "--alpha is for score tables"),
        (
            ["--candidate", "a", "--baseline", "b", "--policy", "p", "--margin", "0.1"],
            "--margin stands beside --policy",
        ),
        (["--candidate", "a", "--baseline", "b", "--policy", "p", "--metric", "m"], "--metric stands beside --policy"),
        (["--candidate", "a.jsonl", "--baseline", "b.jsonl", "--margin", "1.5"], "margin is 1.5, but must lie"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path: Path, args: list[str], says: str) -> None:
    sides(tmp_path)
    done = llmgate(*args)
    assert done.exit_code == 2, done.output
    assert says in done.output


FOREIGN_TO_TABLES = (
    "--resume", "--out", "--as-baseline", "--judge-admission", "--labels", "llmgate run", "llmgate show",
    "llmgate promote", "llmgate judge", "Run the suite", "Run the champion", "Ask them again", "report.html",
    "the report", "server", "endpoint", "sealed", "journal", "labels sample",
)  # fmt: skip
"""What advice about two tables must never name: there is no run, no model and no judge that llmgate could ask."""


def deepeval(path: Path, *, lost: int = 0, errors: int = 0, metric: str = "Tone") -> None:
    cases = [
        {
            "name": f"c{i}",
            "input": f"q{i}",
            "metricsData": [
                {"name": metric, "score": float(i >= lost), "evaluationModel": "m"}
                | ({"score": None, "error": "it broke"} if i < errors else {})
            ],
        }
        for i in range(300)
    ]
    path.write_text(json.dumps({"testCases": cases, "run": path.stem}), encoding="utf-8")


def test_no_advice_on_tables_names_what_only_runs_have(tmp_path: Path) -> None:
    plain = (*sides(tmp_path, lost=2), "--margin", 0.05)
    said = [llmgate(*plain), llmgate(*sides(tmp_path, lost=90)), llmgate(*sides(tmp_path, lost=1, cases=20))]
    # Missing rows, errors in many metrics, a metric that one side lacks.
    rows = [{"item_id": f"c{i}", **{f"m{j}": None if i < 9 else 1 for j in range(9)}} for i in range(40)]
    write(tmp_path / "a.jsonl", rows)
    write(tmp_path / "b.jsonl", [{**row, "extra": 1} for row in rows[1:]])
    names = [word for j in range(9) for word in ("--score", f"m{j}")]
    both = ("--candidate", "a.jsonl", "--baseline", "b.jsonl")
    said.append(llmgate(*both, *names))
    said.append(llmgate(*both, *names, "--json"))
    # Too few labels, in too few clusters.
    for labelled, groups in ((3, 300), (200, 2)):
        for name, wrong in (("a", 4), ("b", 0)):
            write(
                tmp_path / f"{name}.jsonl",
                [
                    {
                        "item_id": f"c{i}",
                        "score": int(i >= wrong),
                        "human": int(i >= wrong) if i < labelled else None,
                        "cluster": f"k{i % groups}",
                    }
                    for i in range(300)
                ],
            )
        said.append(llmgate(*both))
    # A judge's scores, with each word of a policy about judges; and a metric of one side only.
    deepeval(tmp_path / "a.json", lost=3, errors=2)
    deepeval(tmp_path / "b.json")
    judged = ("--candidate", "a.json", "--baseline", "b.json")
    said.append(llmgate(*judged))
    for word in ("labels", "allow"):
        (tmp_path / "p.yaml").write_text(
            f"llmgate-policy: 1\nmetrics:\n  scores/Tone: {{unadmitted: {word}}}\n", encoding="utf-8"
        )
        said.append(llmgate(*judged, "--policy", "p.yaml"))
    deepeval(tmp_path / "b.json", metric="Taste")
    said.append(llmgate(*judged))
    assert {done.exit_code for done in said} == {0, 1, 3}, [
        done.output for done in said if done.exit_code not in {0, 1, 3}
    ]
    for done in said:
        # Lines are broken where the terminal ends.
        text = " ".join(done.output.split())
        assert not [words for words in FOREIGN_TO_TABLES if words in text], text


def test_a_judges_scores_say_what_can_be_done_about_them(tmp_path: Path) -> None:
    deepeval(tmp_path / "a.json")
    deepeval(tmp_path / "b.json")
    (tmp_path / "b.json").write_text((tmp_path / "b.json").read_text(encoding="utf-8") + "\n\n{}"[:2], encoding="utf-8")
    judged = ("--candidate", "a.json", "--baseline", "b.json")
    done = llmgate(*judged)
    text = " ".join(done.output.split())
    assert done.exit_code == 3
    assert "`unadmitted: allow` or `role: watch` in a policy file: --policy" in text
    (tmp_path / "p.yaml").write_text(
        "llmgate-policy: 1\nmetrics:\n  scores/Tone: {unadmitted: allow}\n", encoding="utf-8"
    )
    assert llmgate(*judged, "--policy", "p.yaml").exit_code == 0


def test_a_metric_that_one_side_lacks_is_asked_for(tmp_path: Path) -> None:
    deepeval(tmp_path / "a.json", metric="Taste")
    deepeval(tmp_path / "b.json")
    done = llmgate("--candidate", "a.json", "--baseline", "b.json")
    text = " ".join(done.output.split())
    assert done.exit_code == 3
    assert "the candidate has no scores on this metric. Evaluate both with the same metrics" in text
    assert "the champion has no scores on this metric. Evaluate both with the same metrics" in text


def test_runs_and_results_are_not_taken_for_each_other(tmp_path: Path) -> None:
    sides(tmp_path)
    done = llmgate("a.jsonl", "b.jsonl")
    assert done.exit_code == 4
    assert "a.jsonl: there is no run here" in done.output
    assert "results of other tools go to --candidate and --baseline" in " ".join(done.output.split())
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text("{}", encoding="utf-8")
    done = llmgate("--candidate", "run", "--baseline", "b.jsonl")
    assert done.exit_code == 2
    assert "run: is a run of llmgate" in done.output
    assert "llmgate decide CANDIDATE BASELINE" in " ".join(done.output.split())


def test_the_same_results_under_two_names_are_refused(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        deepeval(tmp_path / name / "test_run_1.json")
        (tmp_path / name / "test_run_1.json").write_text(
            (tmp_path / "new" / "test_run_1.json").read_text(encoding="utf-8"), encoding="utf-8"
        )
    done = llmgate("--candidate", "new", "--baseline", "old")
    assert done.exit_code != 0
    assert "compared with itself" in " ".join(done.output.split())
