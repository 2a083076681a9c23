"""`llmgate show`: cases of records that are on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from support.adversary import Ending, llmgate
from support.hostile import HOSTILE
from support.records import make_case, make_check, make_failed_result, make_manifest, make_policy, make_result

from llmgate.record.policy import MetricPolicy
from llmgate.record.run.files import cases_digest
from llmgate.record.run.rundir import RunDir
from llmgate.session.decide.records import Baseline, note_baseline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.schema import CaseResult, PlannedCase

POLICY = make_policy([MetricPolicy(suite="support", metric=name, margin=0.05) for name in ("json", "tone")])
CASES = [make_case(f"refund-{i:03}") for i in range(30)]


def write(
    folder: str, results: Sequence[CaseResult], cases: Sequence[PlannedCase] = CASES, *, sealed: bool = True
) -> Path:
    manifest = make_manifest(run_id=folder, policy=POLICY, cases_digest=cases_digest(tuple(cases)))
    with RunDir.create(Path(folder), manifest, tuple(cases)) as run:
        for result in results:
            run.append(result)
        if sealed:
            run.seal(sealed_at="2026-11-23T03:14:15+00:00")
    return Path(folder)


def answer(case: str, json_score: float, tone: float, text: str = "") -> CaseResult:
    checks = [
        make_check(json_score, type="is-json", metric="json", reason="no brace" if json_score < 1 else "valid"),
        make_check(tone, metric="tone", reason="too curt" if tone < 1 else "polite"),
    ]
    return make_result(case, text=text or f"the answer to {case}", checks=checks)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def runs(project: Path) -> Path:
    """Twenty cases lost their JSON, three of these their tone as well."""
    write("champion", [answer(case.case, 1.0, 1.0) for case in CASES])
    after = [answer(case.case, float(i >= 20), float(i >= 3)) for i, case in enumerate(CASES)]
    note_baseline(write("candidate", after), Baseline(folder="champion"))
    return project


def shown(*arguments: str) -> Ending:
    return llmgate("show", *arguments)


def test_one_case_is_shown_whole_beside_the_champions_answer(runs: Path) -> None:
    del runs
    done = shown("candidate", "refund-001")
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "── support::refund-001",
        "user",
        "│ Question of refund-001?",
        "expected",
        "│ contains: refund-001",
        "champion: passed",
        "│ the answer to refund-001",
        "│ ✓ is-json (json 100 %): valid",
        "│ ✓ icontains (tone 100 %): polite",
        "candidate: failed",
        "│ the answer to refund-001",
        "│ ✕ is-json (json 0 %): no brace",
        "│ ✕ icontains (tone 0 %): too curt",
    ]
    assert shown("candidate", "support::refund-001").output == done.output


def test_without_a_baseline_the_candidates_answer_stands_alone(runs: Path) -> None:
    del runs
    Path("candidate/baseline.json").unlink()
    assert "champion" not in shown("candidate", "refund-001").output
    assert "champion: passed" in shown("candidate", "refund-001", "--baseline", "champion").output


def test_what_got_worse_on_a_metric(runs: Path) -> None:
    del runs
    done = shown("candidate", "--worse", "tone")
    lines = done.output.splitlines()
    assert lines[0] == "3 cases got worse on tone"
    assert [line for line in lines if line.startswith("── ")] == [f"── support::refund-00{i}" for i in range(3)]
    assert lines.count("│ tone 100 % → 0 %") == 3
    assert shown("candidate", "--worse", "support::tone").output.splitlines()[3:] == lines[3:]


def test_the_worst_cases_are_of_all_metrics(runs: Path) -> None:
    del runs
    lines = shown("candidate", "--most", "4").output.splitlines()
    assert lines[0] == "20 cases got worse; the first 4"
    assert [line for line in lines if "→" in line and "also" not in line] == [
        "│ json 100 % → 0 %", "│ tone 100 % → 0 %", "│ json 100 % → 0 %", "│ json 100 % → 0 %",
    ]  # fmt: skip


def test_cases_below_par(runs: Path) -> None:
    del runs
    lines = shown("candidate", "--missed", "--most", "2").output.splitlines()
    assert lines[0] == "20 cases below par; the first 2"
    assert "│ json new: the champion passed it" in lines
    assert shown("champion", "--missed").output == "0 cases below par\n"
    assert shown("champion").output == "0 cases below par\n"


def test_json(runs: Path) -> None:
    del runs
    content = json.loads(shown("candidate", "refund-001", "--json").output)
    (case,) = content["cases"]
    assert (content["total"], case["suite"], case["case"]) == (1, "support", "refund-001")
    assert case["prompt"] == [{"role": "user", "text": "Question of refund-001?"}]
    assert case["pairs"][0]["candidate"]["text"] == "the answer to refund-001"
    assert case["pairs"][0]["candidate"]["checks"][0]["reason"] == "no brace"


def test_an_unfinished_run_is_shown(project: Path) -> None:
    del project
    write("part", [make_failed_result("refund-000")], sealed=False)
    output = shown("part", "refund-000").output
    assert "candidate: not evaluated" in output
    assert "│ timeout: no answer within 60 s (after 3 attempts)" in output
    assert "planned, but the record holds no result" in shown("part", "refund-001").output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["candidate", "refund-0001"], 2, "Did you mean support::refund-001 or"),
        (["candidate", "suport::refund-001"], 2, "Did you mean support::refund-001 or"),
        (["candidate", "x" * 100_000], 2, "The run has 30 cases, for example support::refund-000"),
        (["candidate", ""], 2, "there is no case ''"),
        (["candidate", "--worse", "tune"], 2, "Did you mean tone?"),
        (["candidate", "--worse", "support::json2"], 2, "Did you mean support::json?"),
        (["candidate", "--worse", "tone", "--missed"], 2, "Give one of CASE, --worse and --missed"),
        (["candidate", "refund-001", "--missed"], 2, "Give one of CASE, --worse and --missed"),
        (["champion", "--worse", "tone"], 2, "this run has none. Name the champion's run with --baseline"),
        (["nowhere"], 4, "there is no run here"),
        (["candidate", "--baseline", "nowhere"], 4, "nowhere: there is no run here"),
        (["candidate", "--most", "0"], 2, "0 is not in the range"),
    ],
)
def test_what_cannot_be_shown_is_said_with_the_nearest_names(
    runs: Path, arguments: list[str], exit_code: int, words: str
) -> None:
    del runs
    done = shown(*arguments)
    assert done.exit_code == exit_code
    assert words in done.output
    assert len(done.output) < 1000


def test_a_name_in_two_suites_has_to_be_told_apart(project: Path) -> None:
    del project
    cases = [make_case("a", suite=suite) for suite in ("support", "sales")]
    write("both", [make_result("a", suite=case.suite) for case in cases], cases)
    done = shown("both", "a")
    assert (
        done.exit_code,
        "Write sales::a or support::a" in done.output or "Write support::a or sales::a" in done.output,
    ) == (2, True)
    assert "── sales::a" in shown("both", "sales::a").output


def test_a_baseline_that_is_gone_is_said_and_the_case_shown(runs: Path) -> None:
    del runs
    Path("champion").rename("elsewhere")
    output = shown("candidate", "refund-001").output
    assert output.startswith("! The baseline of this run cannot be read (there is no run here). Name it with")
    assert "candidate: failed" in output
    done = shown("candidate", "--worse", "tone")
    assert done.exit_code == 2
    assert "The baseline of this run cannot be read" in done.output


def test_repeats_are_shown_each(project: Path) -> None:
    del project
    write("many", [make_result("a", repeat=k, text=f"take {k}") for k in range(5)], [make_case("a", repeats=5)])
    output = shown("many", "a").output
    assert [f"candidate, repeat {k + 1}: passed" in output for k in range(5)] == [True] * 5


@pytest.mark.parametrize(
    "text", [*HOSTILE.values(), "漢字" * 90, "x" * 5000, "\t" * 30, "🧑‍🔬" * 80], ids=range(len(HOSTILE) + 4)
)
def test_hostile_text_is_quoted_and_fits(project: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """No line of others begins like one of llmgate's or a runner's command, none is too wide, and nothing acts."""
    del project
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate does not get into a record
    cases = [make_case("a", prompt=text, expected=text)]
    write("run", [make_result("a", text=text, checks=[make_check(0.0, metric="json", reason=text)])], cases)
    for columns in (20, 79, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        done = shown("run", "a")
        assert done.exit_code == 0
        for line in done.output.splitlines():
            assert cell_len(line) <= columns, line
            assert line.startswith(("── ", "│", "user", "expected", "candidate: failed")), line
        assert not [char for char in done.output if char != "\n" and (ord(char) < 32 or 0x7F <= ord(char) < 0xA0)]
        assert not set(done.output) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
