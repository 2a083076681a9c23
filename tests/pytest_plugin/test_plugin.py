"""Suites under pytest: cases, gates, selection, and what goes wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_server import FakeServer, Fault
from support.project import WRONG, answer_right, write_suite

# Loaded before pytester takes its snapshots: C extensions cannot be imported twice in one process.
import llmgate.pytest_plugin.items  # noqa: F401
from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from pathlib import Path


def run(pytester: pytest.Pytester, server: FakeServer, *args: str | Path) -> pytest.RunResult:
    return pytester.runpytest_inprocess(
        *args, f"--llmgate-endpoint={server.url}", "--llmgate-out=run", "-p", "no:cacheprovider", "-p", "no:randomly"
    )


def wrong_for(*words: str) -> Any:
    return lambda body: WRONG if answer_right(body) in words else answer_right(body)


def test_cases_and_gates_report_and_the_verdict_is_said(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    with FakeServer(answer=wrong_for("word-3", "word-5")) as server:
        result = run(pytester, server, suite)
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 39, "missed": 2}
    result.stdout.fnmatch_lines(
        ["*2 missed, 2 shown*", "*words::word-3 answered: I do not know.*", "*fail: icontains*"]
    )
    result.stdout.fnmatch_lines(["PASS Ship: *", "report: *report.html"])
    record = load_record(pytester.path / "run")
    assert len(record.results) == 40
    assert (pytester.path / "run" / "report.html").exists()


def test_a_suite_outside_the_root_is_run_too(pytester: pytest.Pytester) -> None:
    (pytester.path / "here").mkdir()
    (pytester.path / "there").mkdir()
    suite = write_suite(pytester.path / "there", cases=4, gate="min: 0.2")
    with FakeServer(answer=answer_right) as server:
        result = run(pytester, server, suite, f"--rootdir={pytester.path / 'here'}")
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 5}


def test_a_gate_that_fails_fails_the_session(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, gate="min: 0.9")
    with FakeServer(answer=lambda _: WRONG) as server:
        result = run(pytester, server, suite)
    assert result.ret == 1
    assert result.parseoutcomes() == {"missed": 40, "failed": 1}
    result.stdout.fnmatch_lines(["FAIL Do not ship: *", "FAILED words.yaml::gate::accuracy - FAIL: *"])


def test_inconclusive_fails_unless_it_is_allowed(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=10, gate="min: 0.8")
    with FakeServer(answer=wrong_for("word-1")) as server:
        assert run(pytester, server, suite).ret == 1
        (pytester.path / "run").rename(pytester.path / "before")
        result = run(pytester, server, suite, "--llmgate-allow-inconclusive")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["INCONCLUSIVE Not decided: *"])


def test_two_hundred_cases_run_thirty_two_at_a_time(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=200)
    with FakeServer(answer=answer_right, lockstep=(32, 200)) as server:
        result = run(pytester, server, suite, "--llmgate-timeout=60")
    assert result.ret == 0
    assert len(server.seen) == 200
    assert server.peak == 32


def test_k_asks_only_for_what_it_selects_and_decides_nothing(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    with FakeServer(answer=answer_right) as server:
        result = run(pytester, server, suite, "-k", "word-7")
    assert result.ret == 0
    assert len(server.seen) == 1
    result.stdout.fnmatch_lines(["*NO VERDICT: no gate item ran*"])
    result.stdout.no_fnmatch_line("PASS*")


def test_a_gate_asks_for_all_its_cases_whatever_is_selected(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    write_suite(pytester.path, "other")
    with FakeServer(answer=answer_right) as server:
        result = run(pytester, server, suite, "-k", "gate")
    assert result.parseoutcomes() == {"passed": 1, "deselected": 40}
    assert len(server.seen) == 40


def test_deselecting_a_bad_case_does_not_open_the_gate(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=20, gate="min: 0.95")
    deselected = [f"--deselect=words.yaml::word-{i}" for i in range(10, 20)]
    with FakeServer(answer=wrong_for(*(f"word-{i}" for i in range(10, 20)))) as server:
        result = run(pytester, server, suite, *deselected)
    assert result.ret == 1
    assert result.parseoutcomes() == {"passed": 10, "failed": 1, "deselected": 10}


def test_lf_repeats_the_gate_with_all_its_cases(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, gate="min: 0.9")
    with FakeServer(answer=lambda _: WRONG) as server:
        args = (suite, f"--llmgate-endpoint={server.url}")
        assert pytester.runpytest_inprocess(*args, "--llmgate-out=first").ret == 1
        asked = len(server.seen)
        result = pytester.runpytest_inprocess(*args, "--llmgate-out=second", "--lf")
    assert result.parseoutcomes()["failed"] == 1
    assert len(server.seen) == asked + 40


def test_x_stops_at_a_required_case(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, required=True)
    with FakeServer(answer=wrong_for("word-2")) as server:
        result = run(pytester, server, suite, "-x")
    assert result.ret == 1
    assert result.parseoutcomes() == {"passed": 2, "failed": 1}
    result.stdout.fnmatch_lines(["*a required assert failed*"])
    result.stdout.no_fnmatch_line("PASS Ship: *")


def test_a_required_case_fails_the_verdict(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, required=True)
    with FakeServer(answer=wrong_for("word-2")) as server:
        result = run(pytester, server, suite)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL Do not ship: *"])


def test_collect_only_asks_nobody(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=3)
    with FakeServer() as server:
        result = run(pytester, server, suite, "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["words.yaml::word-0", "words.yaml::word-2", "words.yaml::gate::accuracy"])
    assert not server.seen
    assert not server.connections
    assert not (pytester.path / "run").exists()


def test_other_yaml_files_are_left_alone(pytester: pytest.Pytester) -> None:
    (pytester.path / "compose.yaml").write_text("services: {web: {image: x}}\n", encoding="utf-8")
    pytester.makepyfile("def test_unrelated(): pass")
    result = pytester.runpytest_inprocess()
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.no_fnmatch_line("*llmgate*=*")


def test_a_case_without_an_answer_is_an_error_and_bars_pass(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    faulty = dict.fromkeys((4, 9), Fault.HTTP_400)
    with FakeServer(answer=answer_right, faults=faulty) as server:
        result = run(pytester, server, suite)
    assert result.ret == 1
    assert result.parseoutcomes() == {"passed": 38, "failed": 3}
    result.stdout.fnmatch_lines(["*no answer (http after 1 attempts): HTTP 400*"])
    result.stdout.fnmatch_lines(["Problem *2 of 40*", "INCONCLUSIVE*"])


def test_an_error_of_a_watched_judge_is_shown_and_keeps_no_gate_shut(pytester: pytest.Pytester) -> None:
    extra = "  - {type: llm-rubric, value: 'Says {{ word }}', metric: tone}\n"
    suite = write_suite(pytester.path, extra=extra)

    def answer(body: dict[str, Any]) -> str:
        return "no JSON at all" if "response_format" in body else answer_right(body)

    with FakeServer(answer=answer) as server:
        result = run(pytester, server, suite, f"--llmgate-judge-endpoint={server.url}")
    assert result.parseoutcomes() == {"missed": 40, "passed": 1}
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*error: llm-rubric: *", "PASS Ship: *"])


def test_a_dead_endpoint_is_said_once_and_nothing_passes(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    with FakeServer() as server:
        server.die()
        result = run(pytester, server, suite)
    assert result.ret == 1
    assert "passed" not in result.parseoutcomes()
    result.stdout.fnmatch_lines(["NO VERDICT: *cannot be reached*Start the server*"])


def test_a_mistake_in_a_suite_is_a_collection_error_with_its_line(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    suite.write_text(suite.read_text(encoding="utf-8").replace("icontains", "icontain"), encoding="utf-8")
    with FakeServer() as server:
        result = run(pytester, server, suite)
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*words.yaml:11: unknown assert type 'icontain'. Did you mean icontains?*"])
    assert not server.seen


def test_a_changed_row_is_refused_by_name(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    data = pytester.path / "words.jsonl"
    data.write_text(data.read_text(encoding="utf-8").replace('"word": "word-7"', '"word": "word-8"'), encoding="utf-8")
    with FakeServer() as server:
        result = run(pytester, server, suite)
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*'word-7'*"])


def test_without_a_model_the_way_is_shown(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    result = pytester.runpytest_inprocess(suite)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*no model is named. Give --llmgate-model DIR*--llmgate-endpoint URL*"])


def test_options_come_from_pyproject_too(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    with FakeServer(answer=answer_right, ttft_s=0.02) as server:
        pytester.makepyprojecttoml(
            f'[tool.pytest.ini_options]\n[tool.llmgate]\nendpoint = "{server.url}"\nconcurrency = 5\nout = "run"\n'
        )
        assert pytester.runpytest_inprocess(suite).ret == 0
        assert server.peak == 5
        pytester.makepyprojecttoml("[tool.pytest.ini_options]\n[tool.llmgate]\nconcurency = 5\n")
        result = pytester.runpytest_inprocess(suite)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*unknown key 'concurency' in [[]tool.llmgate]. Did you mean concurrency?*"])


def test_a_baseline_decides_by_pairs(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=120)
    with FakeServer(answer=answer_right) as server:
        assert run(pytester, server, suite).ret == 0
        (pytester.path / "run").rename(pytester.path / "champion")
        labelled = ("--llmgate-baseline=champion", "--llmgate-deployment=another")
        same = run(pytester, server, suite, *labelled)
        (pytester.path / "run").rename(pytester.path / "same")
        server.answer = wrong_for(*(f"word-{i}" for i in range(30)))
        worse = run(pytester, server, suite, *labelled)
    assert same.ret == 0
    assert worse.ret == 1
    worse.stdout.fnmatch_lines(["FAIL Do not ship: *"])


def test_the_champions_repeats_say_beforehand_what_the_gate_can_do(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=40)
    with FakeServer(answer=answer_right) as server:
        assert run(pytester, server, suite, "--llmgate-repeat=2").ret == 0
        (pytester.path / "run").rename(pytester.path / "champion")
        told = run(
            *(pytester, server, suite, "--llmgate-repeat=2", "--llmgate-baseline=champion", "--llmgate-strict-power"),
            "--llmgate-deployment=another",
        )
    assert told.ret == 0
    told.stdout.fnmatch_lines(
        ["*words::accuracy: 40 cases, tolerance 10; an unchanged model would pass 100 %*; enough*"]
    )


@pytest.mark.parametrize("change", ["fewer cases", "other prompt", "no record"])
def test_a_baseline_that_does_not_fit_is_refused(pytester: pytest.Pytester, change: str) -> None:
    suite = write_suite(pytester.path)
    with FakeServer(answer=answer_right) as server:
        assert run(pytester, server, suite).ret == 0
        (pytester.path / "run").rename(pytester.path / "champion")
        if change == "fewer cases":
            (pytester.path / "words.lock.json").unlink()
            suite = write_suite(pytester.path, cases=30)
        elif change == "other prompt":
            suite.write_text(suite.read_text(encoding="utf-8").replace("Say {{", "Repeat {{"), encoding="utf-8")
        else:
            (pytester.path / "champion" / "seal.json").unlink()
        result = run(pytester, server, suite, "--llmgate-baseline=champion")
    assert result.ret != 0
    text = result.stdout.str() + result.stderr.str()
    assert {"fewer cases": "champion", "other prompt": "digest", "no record": "unfinished"}[change] in text
    assert "\nPASS: " not in text


def test_a_suite_that_only_the_champion_ran_fails_the_session(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    write_suite(pytester.path, "other")
    with FakeServer(answer=answer_right) as server:
        assert run(pytester, server, pytester.path).ret == 0
        (pytester.path / "run").rename(pytester.path / "champion")
        result = run(pytester, server, suite, "--llmgate-baseline=champion")
    assert result.parseoutcomes() == {"passed": 41}
    assert result.ret == 1
    result.stdout.fnmatch_lines(["Problem *other: the champion's run has this suite*", "INCONCLUSIVE*"])


def test_a_folder_with_a_run_is_not_written_over(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=4, gate="min: 0.2")
    with FakeServer(answer=answer_right) as server:
        assert run(pytester, server, suite).ret == 0
        asked = len(server.seen)
        again = run(pytester, server, suite)
    assert again.ret == 4
    assert len(server.seen) == asked
    again.stderr.fnmatch_lines(["*this folder already holds a run*--resume*"])


def test_a_run_is_gone_on_with(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    with FakeServer(answer=answer_right, die_after=25) as server:
        first = run(pytester, server, suite, "--llmgate-retries=0")
    assert first.ret == 1
    first.stdout.fnmatch_lines(["Problem *of 40*", "INCONCLUSIVE*", "Next: ask them again: add --resume*"])
    lost = sum(not result.evaluated for result in load_record(pytester.path / "run").results.values())
    assert lost >= 15
    with FakeServer(answer=answer_right, port=server.port) as server:
        second = run(pytester, server, suite, "--llmgate-resume")
    assert second.ret == 0
    assert len(server.seen) == lost
    second.stdout.fnmatch_lines(["PASS Ship: *"])


def test_junit_and_repeats(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=4, gate="min: 0.1")
    with FakeServer(answer=wrong_for("word-1")) as server:
        result = run(pytester, server, suite, "--junitxml=junit.xml", "--llmgate-repeat=3")
    assert result.ret == 0
    assert len(server.seen) == 12
    assert len({json.dumps(seen.json["seed"]) for seen in server.seen}) == 3
    junit = (pytester.path / "junit.xml").read_text(encoding="utf-8")
    assert 'name="word-1"' in junit
    assert '<property name="llmgate" value="missed"' in junit


def test_model_text_cannot_drive_the_terminal(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=1, gate="min: 0.1")
    with FakeServer(answer=lambda _: "\x1b[2J\x1b]0;owned\x07 ::error::x") as server:
        result = run(pytester, server, suite)
    assert "\x1b[2J" not in result.stdout.str()
    assert "␛[2J" in result.stdout.str()
