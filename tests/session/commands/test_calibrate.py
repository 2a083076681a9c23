"""`llmgate calibrate`: exit codes, files, the same figures for the same seed."""

from __future__ import annotations

import gzip
import json
import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from llmgate.cli import main
from llmgate.errors import UsageError
from llmgate.gate.calibration.clustered_rows import ClusteredRow
from llmgate.gate.calibration.results import Calibration, Cell, Truth
from llmgate.session.commands import calibrate as module
from llmgate.session.commands.calibrate import Effort, RealData, read_folder
from llmgate.session.progress import LineProgress

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, ["calibrate", *map(str, args)])


def figures(folder: Path) -> Any:
    return json.loads((folder / "calibration.json").read_text(encoding="utf-8"))


def test_a_quick_run_shows_what_it_must(tmp_path: Path) -> None:
    done = llmgate("--quick", "--seed", "7", "--out", "out")
    assert done.exit_code == 0, done.output
    assert "SHOWN: all" in done.output
    found = figures(tmp_path / "out")
    assert (found["seed"], found["quick"], found["met"]) == (7, True, True)
    assert found["command"] == "llmgate calibrate --quick --seed 7"
    assert all(one["met"] for one in found["requirements"])
    text = (tmp_path / "out" / "calibration.md").read_text(encoding="utf-8")
    assert "| llmgate | 1,000 | 10 % |" in text
    assert "llmgate calibrate --quick --seed 7" in text


def test_the_same_seed_gives_the_same_figures_and_another_gives_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Effort, "of", lambda *, quick: Effort(repetitions=40, attempts=4, quick=quick))
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        llmgate("--quick", "--seed", seed, "--out", name)
    one, same, other = (figures(tmp_path / name)["rows"] for name in "abc")
    assert one == same
    assert one != other


def test_a_requirement_that_is_not_met_is_named_and_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    effort, progress = Effort(repetitions=10, quick=True), LineProgress(lambda _: None)
    found = module.calibrate(RealData(), effort=effort, seed=0, progress=progress)

    def spoilt(data: RealData, **options: Any) -> Calibration:
        bad = Cell(truth=Truth.MARGIN, loss=0.03, runs=2_000, passed=400, failed=0)
        return replace(found, rows=(replace(found.rows[0], cells=(bad,)),), serving=(), further=())

    monkeypatch.setattr(module, "calibrate", spoilt)
    done = llmgate("--quick", "--out", "out")
    assert done.exit_code == 1
    assert "not met: a lost margin passes: 20.0 % is not at most 5 % (+ 1.95 % simulation error)" in done.output
    assert "NOT SHOWN: 1 of " in done.output
    assert figures(tmp_path / "out")["met"] is False
    assert "- not met: a lost margin passes" in (tmp_path / "out" / "calibration.md").read_text(encoding="utf-8")


def test_what_cannot_be_is_a_usage_error(tmp_path: Path) -> None:
    done = llmgate("--seed", "-1")
    assert done.exit_code == 2
    assert "--seed: the seed is -1. Give a whole number that is not negative" in done.output
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = llmgate("--quick", "--out", "file")
    assert done.exit_code == 2
    assert "file: the folder cannot be made" in done.output


def test_a_full_run_draws_what_a_release_publishes() -> None:
    assert Effort.of(quick=False) == Effort(repetitions=20_000, quick=False)


def test_progress_is_shown() -> None:
    lines: list[str] = []
    ticks = iter(range(0, 10_000, 10))
    progress = LineProgress(lines.append, clock=lambda: float(next(ticks)))
    module.calibrate(RealData(), effort=Effort(repetitions=10, quick=True), seed=0, progress=progress)
    assert "measuring" in lines[0]
    assert any(re.search(r"designs \d+ of \d+ \(", line) for line in lines)


def write_results(folder: Path, name: str = "quiz", *, items: int = 320, clusters: int | None = None) -> Path:
    """Three systems that are right on 6 to 7 of 10 items."""
    folder.mkdir(exist_ok=True)
    rng = random.Random(name)
    rows = []
    for item in range(items):
        hard = rng.random() < 0.35
        for system, slips in (("old", 0.1), ("new", 0.1), ("small", 0.17)):
            score = int(hard == (rng.random() < slips))
            cluster = None if clusters is None else f"topic-{item % clusters}"
            rows.append({"item_id": f"q{item}", "system": system, "score": score, "cluster": cluster, "output": "…"})
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_a_folder_of_real_results_is_measured_too(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "paired")
    (folder / "questions.jsonl").write_text('{"item_id": "q1", "question": "?"}\n', encoding="utf-8")
    (folder / "README.md").write_text("about", encoding="utf-8")
    done = llmgate(folder, "--quick", "--out", "out")
    assert done.exit_code == 0, done.output
    assert "The gate on real results" in done.output
    assert "quiz, right or wrong" in done.output
    assert "left out: questions.jsonl: its rows name no system" in done.output
    found = figures(tmp_path / "out")
    rows = [row for row in found["rows"] if row["source"] == "quiz" and row["rule"] == "llmgate"]
    assert {(row["pairs"], row["comparisons"]) for row in rows if len(row["cells"]) == 4} == {(100, 3), (300, 3)}
    assert [one["name"] for one in found["data"]] == ["quiz"]
    assert "sha256 of quiz" in (tmp_path / "out" / "calibration.md").read_text(encoding="utf-8")


def test_clusters_are_drawn_whole_and_the_processes_do_not_matter(tmp_path: Path) -> None:
    data = read_folder(write_results(tmp_path / "paired", items=200, clusters=40))
    effort = Effort(repetitions=40, graded=40, clustered=30, quick=True)
    progress = LineProgress(lambda _: None)
    one = module.calibrate(data, effort=effort, seed=2, progress=progress)
    two = module.calibrate(data, effort=effort, seed=2, progress=progress, jobs=2)
    assert one == two
    assert [row.scores for row in one.rows if row.clustered] == ["right or wrong, whole clusters"] * 2
    assert [row.design for row in one.further if isinstance(row, ClusteredRow) and row.comparisons] == [
        "quiz, real losses"
    ]


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (lambda _: None, 2, "paired: there is no such folder. Name a folder with paired results"),
        (lambda folder: folder.mkdir(), 2, "paired: no file with paired results. Write NAME.jsonl with rows"),
        (
            lambda folder: (write_results(folder) / "quiz.jsonl").write_text('{"item_id": "q", "system": "a"}\n'),
            4,
            "quiz.jsonl:1: no 'score'",
        ),
        (
            lambda folder: (write_results(folder) / "more.jsonl").write_text("{\n"),
            4,
            "more.jsonl:1: not JSON",
        ),
        (
            lambda folder: (write_results(folder) / "quiz.jsonl.gz").write_bytes(b"plain"),
            4,
            "quiz.jsonl.gz: cannot be unpacked",
        ),
    ],
)
def test_a_broken_folder_is_named_and_nothing_is_written(tmp_path: Path, make: Any, code: int, message: str) -> None:
    make(tmp_path / "paired")
    done = llmgate("paired", "--quick", "--out", "out")
    assert done.exit_code == code, done.output
    assert message in done.output
    assert not (tmp_path / "out").exists()


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "paired")
    (folder / "quiz.jsonl.gz").write_bytes(gzip.compress((folder / "quiz.jsonl").read_bytes()))
    with pytest.raises(UsageError, match="two files are called quiz"):
        read_folder(folder)


def test_a_set_of_which_nothing_can_be_compared_is_named(tmp_path: Path) -> None:
    data = read_folder(write_results(tmp_path / "paired", items=50))
    found = module.calibrate(
        data, effort=Effort(repetitions=10, quick=True), seed=0, progress=LineProgress(lambda _: None)
    )
    assert "quiz: it has no two systems that can be compared" in found.notes
    assert {row.source for row in found.rows} == {"simulated"}


def test_no_process_is_a_usage_error() -> None:
    done = llmgate("--quick", "--jobs", "0")
    assert done.exit_code == 2
    assert "--jobs: 0 processes measure nothing. Give 1 or more" in done.output
