"""The command line from end to end against a fake endpoint: exit codes, messages, files."""

from __future__ import annotations

import errno
import json
import os
import re
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer, Fault, every
from support.project import WRONG, answer_right, write_suite

from llmgate.cli import COMMANDS, SECTIONS, main
from llmgate.record.run.loading import load_record
from llmgate.record.schema import CaseKey, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JUDGED = "  - {type: llm-rubric, value: 'Says {{ word }}', metric: tone}\n"


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def wrong_for(count: int) -> Callable[[dict[str, Any]], str]:
    wrong = {f"word-{i}" for i in range(count)}
    return lambda body: WRONG if answer_right(body) in wrong else answer_right(body)


def judge(verdict: str) -> Callable[[dict[str, Any]], str]:
    """Answers as the model under test, or as the judge when a JSON schema is asked for."""
    return lambda body: verdict if "response_format" in body else answer_right(body)


def test_a_run_decides_and_leaves_its_files(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with FakeServer(answer=wrong_for(3)) as server:
        done = llmgate("run", tmp_path, "--endpoint", server.url, "--out", "run")
    assert done.exit_code == 0, done.output
    assert "PASS Ship: " in done.output
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {
        "manifest.json",
        "cases.jsonl",
        "journal.jsonl",
        "seal.json",
        "report.html",
        "decision.json",
        "verdict.json",
        "summary.md",
    } <= names
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["_type"] == "https://in-toto.io/Statement/v1"


def test_two_runs_are_compared_and_decided_on_again(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=120)
    with FakeServer(answer=answer_right) as server:
        assert llmgate("run", tmp_path, "--endpoint", server.url, "--out", "champion").exit_code == 0
        server.answer = wrong_for(30)
        where = ("--endpoint", server.url, "--deployment", "worse")
        worse = llmgate("run", "words.yaml", *where, "--out", "worse", "--baseline", "champion")
    assert worse.exit_code == 1, worse.output
    again = llmgate("decide", "worse", "champion")
    assert again.exit_code == 1
    assert again.output.splitlines()[-1] in worse.output
    first, second = (llmgate("decide", "worse", "champion", "--json").output for _ in range(2))
    assert first == second == (tmp_path / "worse" / "decision.json").read_text(encoding="utf-8")
    policy = tmp_path / "policy.yaml"
    policy.write_text("llmgate-policy: 1\nmetrics:\n  words/accuracy: {margin: 0.45}\n", encoding="utf-8")
    assert llmgate("decide", "worse", "champion", "--policy", policy).exit_code == 0
    policy.write_text("llmgate-policy: 1\nmetrics:\n  words/acuracy: {margin: 0.45}\n", encoding="utf-8")
    misspelt = llmgate("decide", "worse", "champion", "--policy", policy)
    assert misspelt.exit_code == 2
    assert "policy.yaml:3: there is no metric 'words/acuracy'. Did you mean words/accuracy?" in misspelt.output


def flat(text: str) -> str:
    """An output as if the terminal had no width."""
    return " ".join(text.split())


def test_a_second_run_of_the_champion_says_how_often_it_would_pass(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=120)
    with FakeServer(answer=answer_right) as server:
        for name in ("champion", "again", "worse"):
            server.answer = wrong_for({"champion": 0, "again": 2, "worse": 30}[name])
            done = llmgate("run", tmp_path, "--endpoint", server.url, "--out", name)
            assert (tmp_path / name / "seal.json").exists(), done.output
    alone, known = (llmgate("decide", "worse", "champion", *more) for more in ((), ("--noise", "again")))
    assert alone.exit_code == known.exit_code == 1
    assert "of the time (pessimistic after a real loss); a true" in flat(alone.output)
    assert "gate more than 99 % of the time (from a noise run of the champion); a true" in flat(known.output)
    assert llmgate("decide", "worse", "--noise", "again").exit_code == 2
    tables = llmgate("decide", "--candidate", "a", "--baseline", "b", "--noise", "again")
    assert (tables.exit_code, "--noise is a run" in tables.output) == (2, True)


def test_the_report_is_written_again(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with FakeServer(answer=answer_right) as server:
        assert llmgate("run", tmp_path, "--endpoint", server.url, "--out", "run").exit_code == 0
    (tmp_path / "run" / "report.html").unlink()
    assert llmgate("report", "run").output.strip() == "run/report.html"
    assert (tmp_path / "run" / "report.html").exists()


def test_score_tables(tmp_path: Path) -> None:
    for name, wrong in (("a", 1), ("b", 0)):
        rows = [{"item_id": str(i), "score": int(i >= wrong)} for i in range(400)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    args = ("decide", "--candidate", "a.jsonl", "--baseline", "b.jsonl", "--margin", "0.03", "--json")
    done = llmgate(*args)
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["verdict"] == "PASS"
    (tmp_path / "a.jsonl").write_text('{"item_id": "1", "score": NaN}\n', encoding="utf-8")
    broken = llmgate(*args)
    assert broken.exit_code == 4
    assert "a.jsonl:1" in broken.output


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["run"], "no suite was named"),
        (["run", "absent"], "absent: there is no such file or folder"),
        (["run", "empty"], "empty: there is no suite here"),
        (["run", "words.yaml"], "no model is named. Give --model DIR"),
        (["run", "words.yaml", "--model", "m", "--endpoint", "http://x"], "both --model and --endpoint"),
        (["run", "words.yaml", "--endpoint", "http://x", "--concurrency", "many"], "--concurrency is 'many'"),
        (["run", "words.yaml", "--endpoint", "http://x", "--concurrency", "0"], "Give at least 1"),
        (["run", "words.yaml", "--endpoint", "http://x", "--resume"], "--resume needs to know which run"),
        (["run", "words.yaml", "--endpoint", "http://x", "--baseline", "models:/bot/7"], "names no alias"),
        (["decide"], "no run is named"),
        (["decide", "a", "--margin", "0.1"], "--margin is for score tables"),
        (["decide", "--candidate", "a.jsonl"], "score tables come in pairs"),
        (["bench", "words.yaml"], "no model is named"),
        (["lock", "absent.jsonl"], "absent.jsonl"),
    ],
)
def test_usage_errors_say_how_to_go_on(tmp_path: Path, args: list[str], says: str) -> None:
    (tmp_path / "empty").mkdir()
    write_suite(tmp_path)
    done = llmgate(*args)
    assert done.exit_code == 2, done.output
    assert says in done.output


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["run", "words.yaml", "--endpoint", "http://127.0.0.1:9", "--out", "run"], "cannot be reached"),
        (["run", "words.yaml", "--endpoint", "nonsense", "--out", "run"], "not an http(s) URL"),
        (["run", "words.yaml", "--endpoint", "http://127.0.0.1:9", "--baseline", "absent"], "there is no run here"),
        (["decide", "absent"], "there is no run here"),
    ],
)
def test_what_could_not_run_exits_with_four(tmp_path: Path, args: list[str], says: str) -> None:
    write_suite(tmp_path)
    done = llmgate(*args)
    assert done.exit_code == 4, done.output
    assert says in done.output
    assert "Traceback" not in done.output


def test_a_model_folder_without_weights_is_refused_before_anything_starts(tmp_path: Path) -> None:
    write_suite(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    done = llmgate("run", "words.yaml", "--model", "model", "--out", "run")
    assert done.exit_code == 4
    assert "weights" in done.output or "safetensors" in done.output


def test_an_endpoint_that_answers_garbage_never_passes(tmp_path: Path) -> None:
    write_suite(tmp_path, gate="min: 0.01")
    with FakeServer(answer=answer_right, faults=every(3, Fault.NOT_JSON)) as server:
        done = llmgate("run", "words.yaml", "--endpoint", server.url, "--out", "run", "--retries", "0")
    assert done.exit_code == 3
    assert "13 of 40" in done.output
    assert "INCONCLUSIVE" in done.output


def test_a_judge_is_asked_and_its_scores_are_watched(tmp_path: Path) -> None:
    write_suite(tmp_path, extra=JUDGED)
    with FakeServer(answer=judge('{"reason": "fine", "pass": true, "score": 0.8}')) as server:
        args = ("run", "words.yaml", "--endpoint", server.url, "--out", "run")
        unnamed = llmgate(*args)
        assert unnamed.exit_code == 2
        assert "no judge is named" in unnamed.output
        assert not (tmp_path / "run").exists()
        done = llmgate(*args, "--judge-endpoint", server.url)
    assert done.exit_code == 0, done.output
    assert re.search(r"^watched +words::tone ", done.output, re.MULTILINE)
    record = load_record(tmp_path / "run")
    assert record.manifest.judge is not None
    checks = record.results[CaseKey(suite="words", case="word-0")].checks
    assert [(check.metric, check.score) for check in checks] == [("accuracy", 1.0), ("tone", 0.8)]


def test_a_judge_that_answers_no_json_is_an_error_per_case(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=20, extra=JUDGED)
    with FakeServer(answer=judge("It is fine, I think.")) as server:
        done = llmgate("run", "words.yaml", "--endpoint", server.url, "--judge-endpoint", server.url, "--out", "run")
    record = load_record(tmp_path / "run")
    outcomes = {
        check.outcome for result in record.results.values() for check in result.checks if check.metric == "tone"
    }
    assert outcomes == {Outcome.ERROR}
    assert not re.search(r"^PASS +words::tone", done.output, re.MULTILINE)
    assert "PASS         words::tone" not in done.output


def test_a_judge_cannot_gate(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, extra=JUDGED)
    text = suite.read_text(encoding="utf-8") + "  tone: {role: guardrail, margin: 0.1}\n"
    suite.write_text(text, encoding="utf-8")
    done = llmgate("run", "words.yaml", "--endpoint", "http://127.0.0.1:9", "--judge-endpoint", "http://127.0.0.1:9")
    assert done.exit_code == 2
    assert "the judge behind 'tone' was never admitted, so it cannot gate" in done.output


def test_serving_is_measured_where_a_suite_asks_for_it(tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    suite.write_text(
        suite.read_text(encoding="utf-8") + "serving: {concurrency: 2, requests: 12, max_tokens: 8}\n", encoding="utf-8"
    )
    with FakeServer(answer=answer_right, ttft_s=0.02, itl_s=0.005) as server:
        args = ("run", "words.yaml", "--endpoint", server.url)
        assert llmgate(*args, "--out", "run").exit_code == 0
        assert llmgate(*args, "--out", "quick", "--no-bench").exit_code == 0
    (trace,) = load_record(tmp_path / "run").serving
    assert len(trace.requests) == 12
    assert all(len(request.token_events_s) == 8 for request in trace.requests)
    assert not load_record(tmp_path / "quick").serving


def test_bench_prints_the_keys_of_vllm(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with FakeServer(answer=answer_right, ttft_s=0.02, itl_s=0.005) as server:
        done = llmgate(
            "bench",
            "words.yaml",
            "--endpoint",
            server.url,
            "--in-flight",
            "2",
            "--requests",
            "16",
            "--max-tokens",
            "8",
            "--json",
            "--html",
            "page.html",
        )
    facts = json.loads(done.stdout)
    assert facts["completed"] == 16
    assert "Output tokens per second" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert facts["median_ttft_ms"] >= 20
    assert {"request_throughput", "output_throughput", "p99_tpot_ms", "p99_itl_ms", "invalid"} <= facts.keys()
    assert done.exit_code == (4 if facts["invalid"] else 0)


def test_a_full_disk_ends_the_run_and_resuming_finishes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_suite(tmp_path)
    real, written = os.write, []

    def full_after_ten(fd: int, data: bytes) -> int:
        if data.startswith(b'{"crc32"'):
            written.append(data)
            if len(written) > 10:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    with FakeServer(answer=answer_right) as server:
        monkeypatch.setattr(os, "write", full_after_ten)
        done = llmgate("run", "words.yaml", "--endpoint", server.url, "--out", "run")
        assert done.exit_code == 4
        assert "No space left on device" in done.output
        assert "--resume" in done.output
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        asked = len(server.seen)
        again = llmgate("run", "words.yaml", "--endpoint", server.url, "--out", "run", "--resume")
    assert again.exit_code == 0, again.output
    assert len(server.seen) - asked == 30


def test_a_bug_does_not_look_like_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("llmgate.session.run.plan.find_suites", broken)
    done = llmgate("run", tmp_path, "--endpoint", "http://127.0.0.1:9")
    assert done.exit_code == 4
    assert "ZeroDivisionError: surprise" in done.output


def test_the_key_reaches_the_endpoint_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_suite(tmp_path, cases=3, gate="min: 0.01")
    monkeypatch.setenv("LLMGATE_API_KEY", "sk-very-secret-value")
    with FakeServer(answer=lambda _: "word-0 sk-very-secret-value", api_key="sk-very-secret-value") as server:
        llmgate("run", "words.yaml", "--endpoint", server.url, "--out", "run")
    assert all(b"sk-very-secret" not in path.read_bytes() for path in (tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    "command",
    [[], ["run"], ["decide"], ["bench"], ["report"], ["promote"], ["lock"], ["demo"], ["dataset"], ["import"]],
)
def test_help_teaches(command: list[str]) -> None:
    done = llmgate(*command, "--help")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 8


def commands_below(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    below = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return [path, *(deep for name, one in below.items() if one for deep in commands_below(one, (*path, name)))]


@pytest.mark.parametrize("path", commands_below(main), ids=" ".join)
def test_examples_in_help_stand_on_lines_of_their_own(path: tuple[str, ...]) -> None:
    done = llmgate(*path, "--help")
    assert done.exit_code == 0
    assert "\\b" not in done.output


@pytest.mark.parametrize("path", commands_below(main), ids=" ".join)
def test_help_fits_80_columns_and_cuts_nothing_off(path: tuple[str, ...]) -> None:
    lines = llmgate(*path, "--help").output.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines if line.endswith("...") and "Usage" not in line and not line.endswith(" ...")] == []


def test_the_first_screen_of_help_has_what_everybody_needs() -> None:
    first = llmgate("--help").output.splitlines()[:24]
    assert "  First steps:" in first
    assert all(any(f"{line} ".startswith(f"    llmgate {one} ") for line in first) for one in ("init", "run"))
    shown = [line.split()[0] for line in first[first.index("What you need every day:") + 1 :] if line.strip()][:5]
    assert shown == ["import", "lock", "run", "decide", "promote"]


def test_every_command_is_listed_once_by_purpose() -> None:
    listed = [name for section in SECTIONS.values() for name in section]
    assert len(listed) == len(set(listed))
    assert set(COMMANDS) <= set(listed)


def test_a_dataset_is_locked_by_one_command(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": "a"}\n', encoding="utf-8")
    assert "lock " not in llmgate("dataset", "--help").output.split("Commands:")[1]
    assert llmgate("dataset", "lock", "rows.jsonl").exit_code == 0
    assert llmgate("lock", "rows.jsonl", "--check").exit_code == 0


def test_locking_refuses_changed_content_under_the_same_version(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=3)
    assert "3 rows" in llmgate("lock", "words.jsonl", "--check").output
    data = tmp_path / "words.jsonl"
    data.write_text(data.read_text(encoding="utf-8").replace("tools", "Tools"), encoding="utf-8")
    refused = llmgate("lock", "words.jsonl", "--check")
    assert refused.exit_code == 2
    assert "word-1" in refused.output
    assert llmgate("lock", "words.jsonl", "--version", "1.1.0").exit_code == 0
    assert llmgate("lock", "words.jsonl", "--check").exit_code == 0
