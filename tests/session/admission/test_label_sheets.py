"""`llmgate labels sample`, filled in, and `llmgate decide --labels`: from end to end on records on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer
from support.project import WRONG, answer_right, write_suite

from llmgate.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A champion and a candidate that answers every twentieth case wrongly."""
    folder = tmp_path_factory.mktemp("runs")
    write_suite(folder, cases=120)
    with FakeServer(answer=answer_right) as server:
        for name, wrong in (("champion", 0), ("candidate", 6)):
            server.answer = wrong_for(wrong)
            CliRunner().invoke(main, ["run", str(folder), "--endpoint", server.url, "--out", str(folder / name)])
    return folder


def wrong_for(count: int) -> Callable[[dict[str, Any]], str]:
    wrong = {f"word-{i}" for i in range(count)}
    return lambda body: WRONG if answer_right(body) in wrong else answer_right(body)


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def sample(runs: Path, out: Path, *args: object) -> Result:
    both = (runs / "candidate", runs / "champion")
    return llmgate("labels", "sample", *both, "--metric", "words/accuracy", "--out", out, *args)


def fill(path: Path, say: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
    head, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["human"] = say(row)
    path.write_text("".join(json.dumps(line) + "\n" for line in (head, *rows)), encoding="utf-8")
    return rows


def test_drawn_filled_in_and_decided(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    done = sample(runs, out, "--cases", 80)
    assert done.exit_code == 0, done.output
    assert "80 of 120 cases drawn" in done.output
    rows = fill(out, lambda row: row["answer"] != WRONG)
    # What both say alike is labelled once, and nothing says who said it.
    wrong = [row for row in rows if row["answer"] == WRONG]
    assert len(rows) == 80 + len(wrong)
    assert {key for row in rows for key in row} == {"case", "prompt", "expected", "answer", "digest", "human"}
    assert "sampl" not in out.read_text(encoding="utf-8")
    decided = llmgate("decide", runs / "candidate", runs / "champion", "--labels", out, "--json")
    metric = json.loads(decided.output)["metrics"][0]
    assert (metric["labels"], metric["evaluated"]) == (80, 120)
    assert metric["method"].startswith("PPI++")
    assert len(metric["labels_digest"]) == 64
    assert llmgate("report", runs / "candidate", runs / "champion", "--labels", out).exit_code == 0
    report = (runs / "candidate" / "report.html").read_text(encoding="utf-8")
    assert "corrected by 80 human labels" in report
    verdict = json.loads((runs / "candidate" / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["predicate"]["metrics"][0]["labels_digest"] == metric["labels_digest"]


def test_more_of_the_cases_on_which_the_sides_differ(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    done = sample(runs, out, "--cases", 80, "--stratify")
    assert done.exit_code == 0, done.output
    assert "80 of 120 cases drawn" in done.output
    rows = fill(out, lambda row: row["answer"] != WRONG)
    # All six that the candidate got wrong are there.
    assert sum(row["answer"] == WRONG for row in rows) == 6
    head = json.loads(out.read_text(encoding="utf-8").splitlines()[0])
    assert head["strata"] == {"worse": [6, 6], "alike": [114, 74]}
    decided = llmgate("decide", runs / "candidate", runs / "champion", "--labels", out, "--json")
    metric = json.loads(decided.output)["metrics"][0]
    assert metric["labels"] == 80
    assert metric["method"] == "stratified labels, score bounds"
    assert metric["delta"] == pytest.approx(-6 / 120)
    assert any("drawn by whether the judge finds the sides different" in note for note in metric["notes"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"worse": [6, 6], "alike": [114, 55]}, "and by the scores they would be"),
        ({"worse": [30, 6], "alike": [90, 54]}, "and by the scores they would be"),
        ({"worse": [6, 6]}, "and by the scores they would be"),
        ({}, "strata is {}"),
        ({"worse": [6, 7]}, "strata is"),
        ({"worse": [6, True]}, "strata is"),
        ([1], "strata is"),
        (None, "to the cases that were drawn have no label"),
    ],
)
def test_strata_that_were_edited_are_refused(runs: Path, tmp_path: Path, change: object, words: str) -> None:
    out = tmp_path / "labels.jsonl"
    # By this seed a simple draw of so many would not have all of the cases that differ.
    sample(runs, out, "--cases", 60, "--stratify", "--seed", 3)
    fill(out, lambda _: True)
    first, *rest = out.read_text(encoding="utf-8").splitlines(keepends=True)
    head = json.loads(first)
    if change is None:
        del head["strata"]
    else:
        head["strata"] = change
    out.write_text(json.dumps(head) + "\n" + "".join(rest), encoding="utf-8")
    done = llmgate("decide", runs / "candidate", runs / "champion", "--labels", out)
    assert done.exit_code == 4, done.output
    assert words in done.output


def test_one_side_has_no_strata(runs: Path, tmp_path: Path) -> None:
    done = llmgate(
        "labels",
        "sample",
        runs / "candidate",
        "--metric",
        "words/accuracy",
        "--stratify",
        "--out",
        tmp_path / "l.jsonl",
    )
    assert done.exit_code == 2
    assert "there is one side only" in done.output


def test_not_filled_in_it_decides_nothing(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    sample(runs, out)
    done = llmgate("decide", runs / "candidate", runs / "champion", "--labels", out)
    assert done.exit_code == 4
    assert "labels.jsonl:2: nobody labelled this answer" in done.output


def test_labels_are_taken_over(runs: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    sample(runs, first, "--cases", 60)
    fill(first, lambda _: 1)
    done = sample(runs, second, "--cases", 80, "--reuse", first)
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in second.read_text(encoding="utf-8").splitlines()[1:]]
    assert len({row["case"] for row in rows if row["human"] == 1}) == 60
    assert len({row["case"] for row in rows if row["human"] is None}) == 20


def test_the_drawing_follows_from_the_seed(runs: Path, tmp_path: Path) -> None:
    drawn = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        sample(runs, tmp_path / name, "--cases", 60, "--seed", seed)
        drawn.append((tmp_path / name).read_text(encoding="utf-8"))
    assert drawn[0] == drawn[1]
    assert drawn[0].splitlines()[1:] != drawn[2].splitlines()[1:]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--cases", 20), "20 cases are too few to correct a judge. Draw 50 at least"),
        (("--metric", "words/acuracy"), "there is no metric 'words/acuracy'. Did you mean words/accuracy?"),
        (("--reuse", "nowhere.jsonl"), "cannot be read"),
    ],
)
def test_what_cannot_be_drawn(runs: Path, tmp_path: Path, args: tuple[object, ...], message: str) -> None:
    done = sample(runs, tmp_path / "labels.jsonl", *args)
    assert done.exit_code in {2, 4}
    assert message in done.output
    assert not (tmp_path / "labels.jsonl").exists()


def test_a_file_that_is_there_is_never_written_over(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    sample(runs, out)
    before = out.read_bytes()
    done = sample(runs, out)
    assert done.exit_code == 2
    assert "exists already" in done.output
    assert out.read_bytes() == before


def test_labels_of_another_metric_are_not_taken_over(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    sample(runs, out)
    out.write_text(out.read_text(encoding="utf-8").replace('"metric": "accuracy"', '"metric": "tone"'), "utf-8")
    done = sample(runs, tmp_path / "b.jsonl", "--reuse", out)
    assert done.exit_code == 4
    assert "these labels are about words/tone, not words/accuracy" in done.output


def test_a_judged_metric_gates_by_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_suite(
        tmp_path,
        cases=100,
        gate="role: watch",
        extra="  - {type: llm-rubric, value: 'Says {{ word }}', metric: tone}\n",
    )
    text = (tmp_path / "words.yaml").read_text(encoding="utf-8")
    (tmp_path / "words.yaml").write_text(f"{text}  tone: {{margin: 0.2, unadmitted: labels}}\n", encoding="utf-8")

    def both(body: dict[str, Any]) -> str:
        return '{"reason": "yes", "pass": true, "score": 1}' if "response_format" in body else answer_right(body)

    with FakeServer(answer=both) as server:
        for name in ("one", "two"):
            more = ("--baseline", "one") if name == "two" else ()
            place = ("--endpoint", server.url, "--deployment", name, "--judge-endpoint", server.url)
            done = llmgate("run", "words.yaml", *place, "--out", name, *more)
    assert done.exit_code == 3, done.output
    assert "judge score, not human quality" in done.output
    sampled = llmgate("labels", "sample", "two", "one", "--metric", "words/tone", "--cases", 80)
    assert sampled.exit_code == 0, sampled.output
    fill(tmp_path / "labels.jsonl", lambda _: True)
    done = llmgate("decide", "two", "one", "--labels", "labels.jsonl")
    assert done.exit_code == 0, done.output
    assert "words::tone is corrected by 80 human labels." in done.output


def test_score_tables_take_no_labels(tmp_path: Path) -> None:
    done = llmgate("decide", "--candidate", "a", "--baseline", "b", "--labels", "c")
    assert done.exit_code == 2
    assert "--labels is for runs" in done.output
