"""`llmgate calibrate`: exit codes, files, the same figures for the same seed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from llmgate.cli import main
from llmgate.gate.calibration import Calibration, Cell, Truth
from llmgate.session import calibrate as module
from llmgate.session.calibrate import Effort
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


def test_the_same_seed_gives_the_same_figures_and_another_gives_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        llmgate("--quick", "--seed", seed, "--out", name)
    one, same, other = (figures(tmp_path / name)["rows"] for name in "abc")
    assert one == same
    assert one != other


def test_a_requirement_that_is_not_met_is_named_and_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = module.calibrate

    def spoilt(**options: Any) -> Calibration:
        found = measured(**options)
        bad = Cell(truth=Truth.MARGIN, loss=0.03, runs=2_000, passed=400, failed=0)
        return replace(found, rows=(replace(found.rows[0], cells=(bad,)), *found.rows[1:]))

    monkeypatch.setattr(module, "calibrate", spoilt)
    done = llmgate("--quick", "--out", "out")
    assert done.exit_code == 1
    assert "not met: a lost margin passes: 20.0 % is not at most 5 % (+ 1.46 % simulation error)" in done.output
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
    module.calibrate(effort=Effort(repetitions=10, quick=True), seed=0, progress=progress)
    assert "measuring" in lines[0]
    assert any("designs 3 / " in line for line in lines)
