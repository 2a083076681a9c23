"""Runs over several servers, with a number in flight that adapts, with a deadline, and out of a cache."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import llmgate
from support.endpoint import chat
from support.fake_server import FakeServer, Fault, every
from support.project import WRONG, answer_right, let_stop, write_suite
from support.stub import Asked, Reply, Stub

from llmgate.generate.rate_limit import RateLimit
from llmgate.record.answered_by import OUR_CACHE
from llmgate.record.run.loading import load_record
from llmgate.record.schema import Generation, Outcome
from llmgate.session.run.asking import _share

if TYPE_CHECKING:
    from pathlib import Path

    from support.adversary import Ending

    from llmgate.record.schema import Record


UNDECIDED = 3
"""How a run of four cases ends whose answers are all right: they cannot show a half."""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(server: FakeServer | Stub | str, *more: str, out: str = "run") -> Ending:
    url = server if isinstance(server, str) else server.url
    return llmgate("run", "words.yaml", "--endpoint", url, *more, out=out)


def replicas(*servers: FakeServer | Stub) -> tuple[str, str]:
    return "--replicas", " ".join(server.url for server in servers)


class Served(Stub):
    """An endpoint that says of itself what a test wants."""

    def __init__(self, *, entry: dict[str, Any] | None = None, version: str | None = "0.32.0") -> None:
        super().__init__()
        self.entry = {"id": "fake-model", "root": "/models/m", "max_model_len": 2048} | (entry or {})
        self.version = version

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/v1/models":
            return Reply(json={"data": [self.entry]})
        if asked.path == "/version" and self.version:
            return Reply(json={"version": self.version})
        if asked.method == "GET":
            return Reply(status=200 if asked.path == "/health" else 404)
        return Reply(json={**chat(answer_right(asked.json)), "model": asked.json["model"]})


# Replicas


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"entry": {"id": "another"}}, "does not serve 'fake-model'"),
        ({"entry": {"root": "/models/n"}}, "the model's origin is /models/n there, and /models/m at the first"),
        ({"entry": {"max_model_len": 4096}}, "the longest context is 4096 there, and 2048 at the first"),
        ({"entry": {"max_model_len": None}}, "the longest context is not told there"),
        ({"version": "0.33.0"}, "its version is 0.33.0 there, and 0.32.0 at the first"),
        ({"version": None}, "the engine is openai-compatible there, and vllm at the first"),
    ],
)
def test_a_replica_that_serves_something_else_is_refused_by_name(
    tmp_path: Path, other: dict[str, Any], says: str
) -> None:
    write_suite(tmp_path, cases=4)
    with Served() as first, Served(**other) as second:
        ending = run(first, *replicas(second))
        assert ending.exit_code == 4
        assert says in ending.said
        assert second.url in ending.said
        assert not [asked for asked in (*first.requests, *second.requests) if asked.startswith("POST")]
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_a_replica_that_nobody_serves_is_refused(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=4)
    with Served() as first:
        ending = run(first, "--replicas", "http://127.0.0.1:9")
    assert ending.exit_code == 4
    assert "http://127.0.0.1:9/v1" in ending.said
    assert "cannot be reached" in ending.said


def test_all_are_asked_and_the_record_names_them(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=40)
    with FakeServer(answer=answer_right, ttft_s=0.01) as one, FakeServer(answer=answer_right, ttft_s=0.01) as two:
        ending = run(one, *replicas(two), "--concurrency", "4")
        assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
        assert len(one.seen) + len(two.seen) == 40
        assert min(len(one.seen), len(two.seen)) >= 4, "as busy as the other, but for a moment"
        assert max(one.peak, two.peak) <= 4
        for server in (one, two):
            assert f"{server.url}/v1: {len(server.seen)} answers" in ending.said
        assert load_record(tmp_path / "run").manifest.server.replicas == (f"{two.url}/v1",)


def test_without_replicas_the_record_says_nothing_of_them(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=4)
    with FakeServer(answer=answer_right) as one:
        run(one)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert not {"replicas"} & manifest["server"].keys()
    assert not {"adaptive", "cache"} & manifest.keys()
    assert "in_flight" not in json.loads((tmp_path / "run" / "seal.json").read_text(encoding="utf-8"))


def test_one_that_dies_in_mid_run_costs_nothing_but_time(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=60)
    with (
        FakeServer(answer=answer_right, ttft_s=0.02, die_after=8) as dying,
        FakeServer(answer=answer_right, ttft_s=0.02) as living,
    ):
        ending = run(living, *replicas(dying), "--concurrency", "8")
        assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
        assert f"{dying.url}/v1 is taken out" in ending.said
        assert "1 of 2 go on" in ending.said
    record = load_record(tmp_path / "run")
    assert len(record.results) == 60
    assert all(isinstance(result.answer, Generation) for result in record.results.values())


def test_all_gone_ends_the_run_and_it_can_be_gone_on_with_at_one(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=200)
    with FakeServer(answer=answer_right, die_after=10) as one, FakeServer(answer=answer_right, die_after=10) as two:
        ending = run(one, *replicas(two), "--concurrency", "1", "--retries", "1")
        assert ending.exit_code == 4
        assert "the endpoint stopped accepting connections" in ending.said
        assert "--resume" in ending.said
    with FakeServer(answer=answer_right) as again:
        resumed = run(again, "--resume")
        assert (resumed.exit_code, resumed.verdict) == (0, "PASS"), resumed.output
        assert 175 <= len(again.seen) <= 190


def test_the_key_of_the_endpoint_goes_to_its_replicas_and_to_no_host_beyond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_suite(tmp_path, cases=10)
    monkeypatch.setenv("LLMGATE_API_KEY", "sk-the-key-of-this-test")
    with (
        FakeServer(answer=answer_right, api_key="sk-the-key-of-this-test") as one,
        FakeServer(answer=answer_right, api_key="sk-the-key-of-this-test") as two,
    ):
        ending = run(one, *replicas(two))
        assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
        refused = run(one, "--replicas", "http://gpu.invalid:8000", out="other")
    assert refused.exit_code == 2
    assert "the key in LLMGATE_API_KEY would go over plain http to another host" in refused.said
    assert "sk-the-key" not in ending.output + refused.output


def test_limits_are_divided_among_replicas(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=4)
    with FakeServer(answer=answer_right) as one, FakeServer(answer=answer_right) as two:
        assert "is divided among 2 endpoints" in run(one, *replicas(two), "--rpm", "1").said
        ending = run(one, *replicas(two), "--rpm", "6000")
    assert ending.exit_code == UNDECIDED, ending.output
    assert _share(RateLimit(rpm=7, tpm=100), 2) == RateLimit(rpm=3, tpm=50)
    assert _share(RateLimit(), 3) == RateLimit()


# A number that adapts


def test_a_number_that_adapts_is_in_the_record_with_what_it_came_to(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=100)
    with FakeServer(answer=answer_right, ttft_s=0.02, slots=4) as server:
        ending = run(server, "--concurrency", "auto:24")
        assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
        assert server.peak == 4
    assert "16 to 24 in flight, as the server bears" in ending.said
    record = load_record(tmp_path / "run")
    assert (record.manifest.concurrency, record.manifest.adaptive) == (24, True)
    came = record.seal.in_flight if record.seal else None
    assert came is not None
    assert came.by in {"metrics", "answers"}
    assert 1 <= came.limit <= 24
    assert 1 <= came.most <= 24
    assert f"{came.limit} in the end, {came.most} at most" in ending.said


def test_the_latency_of_answers_is_no_assert_where_the_number_adapts(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, cases=4)
    text = suite.read_text(encoding="utf-8").replace("assert:\n", "assert:\n  - {type: latency, threshold: 60000}\n")
    suite.write_text(text, encoding="utf-8")
    with FakeServer(answer=answer_right) as server:
        ending = run(server, "--concurrency", "auto")
        assert ending.exit_code == 2
        assert "words: an assert looks at the latency of answers" in ending.said
        assert not server.seen
        assert run(server).exit_code == UNDECIDED


# Deadlines


def test_a_deadline_ends_what_would_be_tried_for_ever(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=4)
    with FakeServer(answer=answer_right, faults=every(2, Fault.HTTP_500)) as server:
        assert run(server, "--deadline", "60").exit_code == UNDECIDED
    with FakeServer(answer=answer_right, faults=every(1, Fault.HTTP_500)) as server:
        ending = run(server, "--deadline", "0.3", "--retries", "1000", out="late")
    assert ending.verdict != "PASS"
    answers = [result.answer for result in load_record(tmp_path / "late").results.values()]
    assert {getattr(answer, "kind", None) for answer in answers} == {"timeout"}
    assert all("deadline of 0.3 s" in getattr(answer, "message", "") for answer in answers)


# A cache


def from_cache(record: Record) -> Counter[bool]:
    answers = [result.answer for result in record.results.values()]
    assert all(isinstance(answer, Generation) for answer in answers)
    return Counter(
        answer.answered_by is not None and answer.answered_by.cached == OUR_CACHE
        for answer in answers
        if isinstance(answer, Generation)
    )


CACHED = ("--cache", "kept", "--deployment", "v7")


def test_an_address_alone_tells_no_models_apart(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=4)
    with FakeServer(answer=answer_right) as server:
        ending = run(server, "--cache", "kept")
        assert ending.exit_code == 2
        assert "--deployment LABEL" in ending.said
        assert not server.seen


def test_a_baseline_is_asked_afresh(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=4)
    with FakeServer(answer=answer_right) as server:
        ending = run(server, *CACHED, "--as-baseline")
        assert ending.exit_code == 2
        assert "later runs would be compared with answers out of a cache" in ending.said
        assert not server.seen


def test_a_file_cannot_switch_it_on(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=4)
    (tmp_path / "pyproject.toml").write_text('[tool.llmgate]\ncache = "kept"\n', encoding="utf-8")
    ending = run("http://127.0.0.1:9")
    assert ending.exit_code == 2
    assert "'cache' is given by hand only" in ending.said


def test_no_verdict_that_rests_on_it_is_pass_and_it_says_so(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=30)
    with FakeServer(answer=answer_right) as server:
        first = run(server, *CACHED, out="first")
        assert (first.exit_code, first.verdict) == (0, "PASS"), first.output
        assert "no answer came out of the cache, 30 were put into it" in first.said
        again = run(server, *CACHED, out="again")
        assert len(server.seen) == 30, "nothing was asked again"
    assert again.exit_code != 0
    assert again.verdict == "INCONCLUSIVE"
    assert "30 answers came out of the cache" in again.said
    assert "30 of 30 answers came out of a cache (llmgate --cache), and are no fresh evidence" in again.said
    assert "Run again without --cache" in again.said
    record = load_record(tmp_path / "again")
    assert record.manifest.cache == "kept"
    assert from_cache(record) == {True: 30}
    assert from_cache(load_record(tmp_path / "first")) == {False: 30}
    assert {result.answer.latency_s for result in record.results.values() if isinstance(result.answer, Generation)} == {
        0.0
    }
    report = (tmp_path / "again" / "report.html").read_text(encoding="utf-8")
    assert "30 of 30 answers came out of a cache" in report
    assert "30, kept in kept" in report


def test_a_bad_model_fails_out_of_the_cache_as_well(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=30)
    with FakeServer(answer=lambda _: WRONG) as server:
        assert run(server, *CACHED, out="first").verdict == "FAIL"
        assert run(server, *CACHED, out="again").verdict == "FAIL"
        assert len(server.seen) == 30


def test_another_label_is_another_model(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=10)
    with FakeServer(answer=answer_right) as server:
        run(server, *CACHED, out="champion")
        candidate = run(server, "--cache", "kept", "--deployment", "v8", out="candidate")
        assert len(server.seen) == 20
    assert candidate.verdict == "PASS"
    assert from_cache(load_record(tmp_path / "candidate")) == {False: 10}


def test_repeats_are_answers_of_their_own(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=10)
    with FakeServer(answer=answer_right) as server:
        run(server, *CACHED, "--repeat", "1", out="once")
        run(server, *CACHED, "--repeat", "3", out="thrice")
        assert len(server.seen) == 30
    assert from_cache(load_record(tmp_path / "thrice")) == {True: 10, False: 20}


def test_latency_cannot_be_evaluated_on_what_came_out_of_it(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, cases=6)
    text = suite.read_text(encoding="utf-8").replace("assert:\n", "assert:\n  - {type: latency, threshold: 60000}\n")
    suite.write_text(text, encoding="utf-8")
    with FakeServer(answer=answer_right) as server:
        assert run(server, *CACHED, out="first").verdict == "PASS"
        run(server, *CACHED, out="again")
    checks = [
        check for result in load_record(tmp_path / "again").results.values() for check in result.checks
        if check.type == "latency"
    ]  # fmt: skip
    assert len(checks) == 6
    assert {check.outcome for check in checks} == {Outcome.ERROR}


def test_a_run_out_of_it_stops_not_before_its_end(tmp_path: Path) -> None:
    let_stop(write_suite(tmp_path, cases=100, gate="min: 0.3"))
    with FakeServer(answer=answer_right) as server:
        run(server, *CACHED)
        assert len(server.seen) == 100
    assert load_record(tmp_path / "run").manifest.looks == ()


def test_two_runs_of_which_one_came_out_of_it_show_no_noise(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=30)
    with FakeServer(answer=answer_right, ttft_s=0.005) as server:
        run(server, *CACHED, out="one")
        run(server, *CACHED, out="two")
    ending = llmgate("power", "--aa", "one", "two")
    assert ending.exit_code == 4
    assert "30 answers came out of a cache, and do not show how answers change by chance" in ending.said


def test_a_champion_out_of_it_bars_the_candidate(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=30)
    with FakeServer(answer=answer_right, ttft_s=0.005) as server:
        run(server, *CACHED, out="fill")
        run(server, *CACHED, out="champion")
        ending = run(server, "--deployment", "v8", "--baseline", "champion", out="candidate")
    assert ending.verdict != "PASS"
    assert "came out of a cache" in ending.said


def test_what_a_secret_is_in_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_API_KEY", "sk-the-key-of-this-test")
    write_suite(tmp_path, cases=5)
    with FakeServer(answer=lambda body: f"{answer_right(body)} sk-the-key-of-this-test") as server:
        run(server, *CACHED)
    assert not list((tmp_path / "kept").glob("??/*"))
