"""Suites that stop early, from end to end against a fake endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer, Fault
from support.project import WRONG, answer_right, let_stop, write_suite

from llmgate.cli import main
from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

N = 200


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(answer=answer_right) as one:
        yield one


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def run(server: FakeServer, out: str, *args: object) -> Result:
    where = ("--endpoint", server.url, "--deployment", out)
    return llmgate("run", "words.yaml", *where, "--out", out, "--concurrency", "4", *args)


def champion(server: FakeServer, folder: Path, stopping: str = "looks: 5") -> None:
    let_stop(write_suite(folder, cases=N, gate="margin: 0.15"), stopping)
    done = run(server, "champion")
    assert "all cases are asked, because there is neither a baseline nor a threshold" in done.output
    server.seen.clear()


def often_wrong(body: dict[str, Any]) -> str:
    right = answer_right(body)
    return WRONG if int(right.removeprefix("word-")) % 2 else right


def test_an_unchanged_model_passes_early(tmp_path: Path, server: FakeServer) -> None:
    champion(server, tmp_path)
    done = run(server, "candidate", "--baseline", "champion")
    assert done.exit_code == 0, done.output
    record = load_record(tmp_path / "candidate")
    assert len(record.results) == 80
    assert record.seal is not None
    (stop,) = record.seal.stops
    assert stop.look == 2
    assert len(server.seen) <= 80 + 4
    saved = 120 - stop.discarded
    said = f"words stopped at interim look 2 of 5: 80 of 200 cases asked, {saved} generations saved."
    assert said in " ".join(done.output.split())
    again = llmgate("decide", "candidate", "champion", "--json")
    assert again.output == (tmp_path / "candidate" / "decision.json").read_text(encoding="utf-8")
    (look,) = json.loads(again.output)["looks"]
    assert (look["look"], look["saved"], look["reason"]) == (2, saved, "every gating metric passes")
    summary = (tmp_path / "candidate" / "summary.md").read_text(encoding="utf-8")
    assert "<summary>Looks</summary>" in summary
    assert said in summary
    assert "not evaluated" not in summary
    assert "120 cases not asked" in (tmp_path / "candidate" / "report.html").read_text(encoding="utf-8")


def test_a_model_that_is_clearly_worse_fails_early(tmp_path: Path, server: FakeServer) -> None:
    champion(server, tmp_path)
    server.answer = often_wrong
    done = run(server, "candidate", "--baseline", "champion")
    assert done.exit_code == 1, done.output
    record = load_record(tmp_path / "candidate")
    assert len(record.results) < N
    assert "accuracy fails" in done.output


def test_all_cases_are_asked_where_that_is_wanted(tmp_path: Path, server: FakeServer) -> None:
    champion(server, tmp_path)
    done = run(server, "candidate", "--baseline", "champion", "--no-stopping")
    assert done.exit_code == 0
    record = load_record(tmp_path / "candidate")
    assert len(record.results) == N
    assert record.manifest.looks == ()
    assert json.loads((tmp_path / "candidate" / "decision.json").read_text(encoding="utf-8"))["looks"] == []


def test_errors_keep_the_run_going_and_bar_a_pass(tmp_path: Path, server: FakeServer) -> None:
    champion(server, tmp_path)
    server.faults = lambda _, body: Fault.HTTP_400 if answer_right(body)[-1] == "7" else None
    done = run(server, "candidate", "--baseline", "champion")
    assert done.exit_code == 3, done.output
    assert len(load_record(tmp_path / "candidate").results) == N


def test_results_removed_from_a_sealed_run_are_noticed(tmp_path: Path, server: FakeServer) -> None:
    champion(server, tmp_path)
    run(server, "candidate", "--baseline", "champion", "--no-stopping")
    journal = tmp_path / "candidate" / "journal.jsonl"
    journal.write_text("".join(journal.read_text(encoding="utf-8").splitlines(keepends=True)[:80]), encoding="utf-8")
    done = llmgate("decide", "candidate", "champion")
    assert done.exit_code == 4
    assert "changed after the run was sealed" in done.output


def test_a_stopped_run_that_is_gone_on_with_stops_again(tmp_path: Path, server: FakeServer) -> None:
    champion(server, tmp_path)
    run(server, "candidate", "--baseline", "champion")
    before = load_record(tmp_path / "candidate")
    server.seen.clear()
    done = run(server, "candidate", "--baseline", "champion", "--resume")
    assert done.exit_code == 0, done.output
    assert server.seen == []
    after = load_record(tmp_path / "candidate")
    assert after.results == before.results
    assert after.seal is not None
    assert [stop.look for stop in after.seal.stops] == [2]


def test_another_plan_of_looks_is_another_run(tmp_path: Path, server: FakeServer) -> None:
    champion(server, tmp_path)
    run(server, "candidate", "--baseline", "champion")
    done = run(server, "candidate", "--baseline", "champion", "--resume", "--no-stopping")
    assert done.exit_code == 4
    assert "the run cannot be resumed: looks was" in done.output


def test_a_base_that_decides_leaves_its_reserve_alone(tmp_path: Path, server: FakeServer) -> None:
    champion(server, tmp_path, "extend: {cases: 80}")
    assert run(server, "candidate", "--baseline", "champion").exit_code == 0
    assert len(load_record(tmp_path / "candidate").results) == 120


def test_a_base_that_does_not_decide_is_extended(tmp_path: Path, server: FakeServer) -> None:
    champion(server, tmp_path, "extend: {cases: 80}")
    server.answer = lambda body: WRONG if answer_right(body)[-1] == "3" else answer_right(body)
    done = run(server, "candidate", "--baseline", "champion")
    assert len(load_record(tmp_path / "candidate").results) == N
    assert "words was extended from 120 to 200 cases, as planned." in done.output


def test_a_baseline_that_cannot_be_compared_with_stops_nothing(tmp_path: Path, server: FakeServer) -> None:
    champion(server, tmp_path)
    text = (tmp_path / "words.yaml").read_text(encoding="utf-8")
    (tmp_path / "words.yaml").write_text(text.replace("max_tokens: 16", "max_tokens: 17"), encoding="utf-8")
    done = run(server, "candidate", "--baseline", "champion")
    assert done.exit_code == 4
    assert "all cases are asked, because the baseline cannot be compared with" in done.output
    assert len(load_record(tmp_path / "candidate").results) == N


def test_a_champion_that_was_not_asked_everything_is_named(tmp_path: Path, server: FakeServer) -> None:
    champion(server, tmp_path)
    assert run(server, "first", "--baseline", "champion").exit_code == 0
    done = run(server, "second", "--baseline", "first", "--no-stopping")
    assert done.exit_code == 3
    summary = (tmp_path / "second" / "summary.md").read_text(encoding="utf-8")
    assert "The champion's run of words stopped early; run it with --no-stopping." in summary


def test_thresholds_stop_a_run_without_a_champion(tmp_path: Path, server: FakeServer) -> None:
    let_stop(write_suite(tmp_path, cases=N, gate="min: 0.8"))
    assert run(server, "alone").exit_code == 0
    assert len(load_record(tmp_path / "alone").results) < N
