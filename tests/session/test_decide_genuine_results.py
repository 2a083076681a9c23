"""Files that other tools wrote of two systems whose difference is known: 6 answers better, 12 worse, of 300.

The genuine ones lie beside the checkout and are not part of the repository; small ones of every form are written here.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.shared_data import shared_file

from llmgate.cli import main
from llmgate.record.results.load import load_results

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GATES: dict[str, tuple[str, ...]] = {
    "promptfoo-@.json": ("pass",),
    "promptfoo-@.jsonl": ("pass",),
    "promptfoo-@.csv": ("pass",),
    "promptfoo-@.junit.xml": ("pass",),
    "deepeval-@.json": ("Exact Match", "Has"),
    "lm-eval-samples-@.jsonl": ("exact_match,digits", "exact_match,strict"),
    "lm-eval-results-@.json": ("exact_match,digits", "exact_match,strict"),
    "mlflow-eval-table-@.json": ("right/score",),
    "mlflow-genai-@.json": ("has/value", "right/value", "yesno/value"),
}
"""What gates without a word, by the name of the file."""
WATCHED = {"promptfoo-@.json": ("exact", "has", "score"), "promptfoo-@.jsonl": ("half", "q", "score")}
WATCHED["promptfoo-@.csv"] = WATCHED["promptfoo-@.jsonl"]


def decided(new: Path, old: Path, *more: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(main, ["decide", "--candidate", str(new), "--baseline", str(old), "--json", *more])
    return done.exit_code, json.loads(done.output)


@pytest.mark.parametrize("name", GATES)
def test_every_tool_and_form_gives_the_known_difference_without_a_flag(name: str) -> None:
    new, old = (shared_file(f"results/{name.replace('@', side)}") for side in ("new", "old"))
    code, answer = decided(new, old)
    # MLflow's table has the first hundred questions, of which it takes more to pass.
    n, better, worse = (100, 2, 4) if "genai" in name else (300, 6, 12)
    assert code == (3 if n == 100 else 0)
    found = {metric["metric"]: metric for metric in answer["metrics"]}
    assert {name for name, metric in found.items() if metric["role"] == "primary"} == set(GATES[name])
    assert found.keys() == {*GATES[name], *WATCHED.get(name, ())}
    for metric in found.values():
        assert metric["delta"] == pytest.approx(-0.02)
        assert (metric["evaluated"], metric["errors"], metric["better"], metric["worse"]) == (n, 0, better, worse)
    assert code == 0 or not answer["problems"]


@pytest.mark.parametrize("name", GATES)
def test_the_tool_is_told_from_the_content(name: str, tmp_path: Path) -> None:
    file = shared_file(f"results/{name.replace('@', 'new')}")
    tool = "junit" if name.endswith(".xml") else re.split(r"-(?:samples|results|eval-table|genai)?-?@", name)[0]
    assert load_results(file).format == tool
    if name == "lm-eval-results-@.json":
        return  # Its samples have the name.
    shutil.copy(file, tmp_path / "x.txt")
    assert load_results(tmp_path / "x.txt").format == tool


def test_items_that_raised_on_one_side_are_counted_and_keep_the_verdict_from_pass() -> None:
    new, old = (shared_file(f"results/promptfoo-{side}.json") for side in ("newerr", "old"))
    code, answer = decided(new, old)
    assert (code, answer["verdict"]) == (3, "INCONCLUSIVE")
    gate = next(metric for metric in answer["metrics"] if metric["metric"] == "pass")
    assert (gate["expected"], gate["evaluated"], gate["errors"]) == (300, 298, 2)
    (problem,) = answer["problems"]
    assert "2 of 300 pairs could not be evaluated" in problem["what"]
    assert len(re.findall(r"\b(?:7|11)-\w+ \(candidate: API error: 400", problem["what"])) == 2
    assert "--resume" not in json.dumps(answer)


def folder_of(tmp_path: Path, side: str, names: dict[str, str]) -> Path:
    """A folder as a tool leaves it: genuine file → its place there."""
    for name, place in names.items():
        (tmp_path / side / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared_file(f"results/{name.replace('@', side)}"), tmp_path / side / place)
    return tmp_path / side


TIME = "2026-11-28T08-24-31.123456"
FOLDERS: dict[str, tuple[str, dict[str, str]]] = {
    "lm-eval": (
        "results",
        {
            "lm-eval-results-@.json": f"served/results_{TIME}.json",
            "lm-eval-samples-@.jsonl": f"served/samples_arith_fake_{TIME}.jsonl",
        },
    ),
    "samples alone": ("samples", {"lm-eval-samples-@.jsonl": f"served/samples_arith_fake_{TIME}.jsonl"}),
    "promptfoo": (
        "results.json",
        {f"promptfoo-@.{end}": f"out/results.{end}" for end in ("json", "jsonl", "csv", "junit.xml")},
    ),
    "promptfoo without JSON": (
        "results.jsonl",
        {f"promptfoo-@.{end}": f"results.{end}" for end in ("jsonl", "csv", "junit.xml")},
    ),
    "deepeval": (".latest_run_full.json", {"deepeval-@.json": ".deepeval/.latest_run_full.json"}),
    "mlflow": ("eval_results_table.json", {"mlflow-eval-table-@.json": "1/ab12/artifacts/eval_results_table.json"}),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_that_a_tool_wrote_is_as_good_as_its_file(kind: str, tmp_path: Path) -> None:
    begins, names = FOLDERS[kind]
    new, old = (folder_of(tmp_path, side, names) for side in ("new", "old"))
    for folder in (new, old):
        (folder / "notes.txt").write_text("not results", encoding="utf-8")
        (folder / "config.json").write_text('{"providers": ["x"]}', encoding="utf-8")
    assert load_results(new).source.rpartition("/")[2].startswith(begins)
    code, answer = decided(new, old)
    assert code == 0, answer
    assert {(metric["better"], metric["worse"], metric["evaluated"]) for metric in answer["metrics"]} == {(6, 12, 300)}


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, Callable[[bytes], bytes]], Path]:
    def write(name: str, change: Callable[[bytes], bytes]) -> Path:
        source = shared_file(f"results/{name}")
        path = tmp_path / name
        path.write_bytes(change(source.read_bytes()))
        return path

    return write


@pytest.mark.parametrize("name", [name for name in GATES if name != "lm-eval-results-@.json"])
def test_a_file_that_was_cut_off_is_refused(
    name: str, changed: Callable[[str, Callable[[bytes], bytes]], Path]
) -> None:
    new = changed(name.replace("@", "new"), lambda data: data[: len(data) * 2 // 3])
    old = shared_file(f"results/{name.replace('@', 'old')}")
    done = CliRunner().invoke(main, ["decide", "--candidate", str(new), "--baseline", str(old)])
    assert done.exit_code in {2, 3, 4}, done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("name", [name for name in GATES if name != "lm-eval-results-@.json"])
def test_windows_line_ends_and_a_byte_order_mark_change_nothing(
    name: str, changed: Callable[[str, Callable[[bytes], bytes]], Path]
) -> None:
    new = changed(
        name.replace("@", "new"), lambda data: b"\xef\xbb\xbf" + data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    )
    _, answer = decided(new, shared_file(f"results/{name.replace('@', 'old')}"))
    assert all(metric["delta"] == pytest.approx(-0.02) for metric in answer["metrics"])
