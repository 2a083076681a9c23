"""Judges are asked while answers are still to come, and neither waits for a place of the other's."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import llmgate
from support.endpoint import chat
from support.fake_server import FakeServer
from support.project import answer_right, write_suite
from support.stub import Asked, Reply, Stub

from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.adversary import Ending

RUBRIC = '  - {{type: llm-rubric, value: "repeats the word", metric: tone{judges}}}\n'
LONG_S = 60.0
"""Nothing waits so long; who would wait for ever fails here."""


class Model(Stub):
    """A model, or a judge, each of whose replies may wait for something."""

    def __init__(self, waits: Callable[[int], object] = lambda _: None, *, judges: bool = False) -> None:
        super().__init__()
        self.waits, self.judges = waits, judges
        self.asked, self.in_flight, self.peak = 0, 0, 0
        self.changed = threading.Condition()

    def respond(self, asked: Asked) -> Reply:
        if asked.method == "GET":
            return Reply(json={"data": [{"id": "m"}]}) if asked.path == "/v1/models" else Reply(status=404)
        with self.changed:
            self.asked += 1
            number, self.in_flight = self.asked, self.in_flight + 1
            self.peak = max(self.peak, self.in_flight)
            self.changed.notify_all()
        self.waits(number)
        with self.changed:
            self.in_flight -= 1
        body = asked.json
        said = json.dumps({"reason": "so", "pass": True, "score": 1}) if self.judges else answer_right(body)
        return Reply(json={**chat(said), "model": body["model"]})

    def until(self, asked: int) -> None:
        """Wait until so many requests came."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.asked >= asked, LONG_S), f"{self.asked} of {asked} came"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def suite(folder: Path, *, cases: int, judges: str = "") -> None:
    path = write_suite(folder, cases=cases, gate="min: 0.5}\n  tone: {role: watch")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("assert:\n", "assert:\n" + RUBRIC.format(judges=judges)), encoding="utf-8")


def run(model: Any, judge: Any, *more: str) -> Ending:
    return llmgate("run", "words.yaml", "--endpoint", model.url, "--judge-endpoint", judge.url, *more)


def test_a_judge_that_never_answers_until_all_are_asked_holds_no_place_of_theirs(tmp_path: Path) -> None:
    suite(tmp_path, cases=20)
    model = Model()
    with model, Model(lambda _: model.until(20), judges=True) as judge:
        ending = run(model, judge, "--concurrency", "2")
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
    assert model.asked == 20
    assert model.peak <= 2


def test_judges_are_asked_while_answers_are_still_to_come(tmp_path: Path) -> None:
    suite(tmp_path, cases=20)
    judge = Model(judges=True)
    # The last answers come only when the judge was asked about the first ones.
    with judge, Model(lambda number: judge.until(5) if number > 10 else None) as model:
        ending = run(model, judge, "--concurrency", "2")
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output


def test_judges_have_a_bound_of_their_own(tmp_path: Path) -> None:
    suite(tmp_path, cases=20)
    gate = threading.Event()
    judge = Model(lambda number: gate.set() if number >= 3 else gate.wait(0.5), judges=True)
    with judge, Model() as model:
        ending = run(model, judge, "--concurrency", "8", "--judge-concurrency", "3")
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
    assert judge.peak == 3


def test_without_one_it_is_that_of_the_model(tmp_path: Path) -> None:
    suite(tmp_path, cases=20)
    gate = threading.Event()
    judge = Model(lambda number: gate.set() if number >= 4 else gate.wait(0.5), judges=True)
    with judge, Model() as model:
        run(model, judge, "--concurrency", "4")
    assert judge.peak == 4


def test_several_judges_at_one_endpoint_share_its_bound(tmp_path: Path) -> None:
    suite(tmp_path, cases=20, judges=", judges: [one, two]")
    gate = threading.Event()
    judge = Model(lambda number: gate.set() if number >= 3 else gate.wait(0.5), judges=True)
    with judge, Model() as model:
        ending = llmgate(
            "run", "words.yaml", "--endpoint", model.url, "--judges", f"one={judge.url} two={judge.url}",
            "--concurrency", "8", "--judge-concurrency", "3",
        )  # fmt: skip
    assert ending.exit_code == 0, ending.output
    assert judge.peak == 3


def test_several_servers_of_a_judge_share_its_bound_and_its_work(tmp_path: Path) -> None:
    suite(tmp_path, cases=20)
    gate = threading.Event()
    lock, seen, peak = threading.Lock(), [0], [0]

    def waits(_: int) -> None:
        with lock:
            seen[0] += 1
            peak[0] = max(peak[0], seen[0])
            if seen[0] >= 3:
                gate.set()
        gate.wait(0.5)
        with lock:
            seen[0] -= 1

    with Model() as model, Model(waits, judges=True) as first, Model(waits, judges=True) as second:
        bound = ("--concurrency", "8", "--judge-concurrency", "3")
        ending = run(model, first, "--judge-replicas", second.url, *bound)
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
    assert first.asked + second.asked >= 20
    assert min(first.asked, second.asked) >= 5
    assert peak[0] == 3


def test_a_server_of_a_judge_that_dies_is_left_alone_and_nothing_is_lost(tmp_path: Path) -> None:
    suite(tmp_path, cases=20)
    judging = json.dumps({"reason": "so", "pass": True, "score": 1})
    with (
        Model() as model,
        FakeServer(answer=lambda _: judging, model="m") as first,
        FakeServer(answer=lambda _: judging, model="m", die_after=3) as second,
    ):
        ending = run(model, first, "--judge-replicas", second.url, "--concurrency", "4", "--out", "run")
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
    assert f"judge: {second.url}/v1 is taken out" in ending.output
    record = load_record(tmp_path / "run")
    assert len(record.results) == 20
    assert all(result.passed and result.judged for result in record.results.values())


def test_another_judge_is_no_replica(tmp_path: Path) -> None:
    suite(tmp_path, cases=3)
    with Model() as model, Model(judges=True) as first, FakeServer(model="other") as second:
        ending = run(model, first, "--judge-replicas", second.url)
    assert ending.exit_code == 4
    assert f"{second.url}/v1: the endpoint does not serve 'm'" in ending.output
    assert (model.asked, first.asked) == (0, 0)


def test_a_deadline_holds_for_judges_as_well(tmp_path: Path) -> None:
    suite(tmp_path, cases=3)
    never = threading.Event()
    with FakeServer(answer=answer_right) as model, Model(lambda _: never.wait(3), judges=True) as judge:
        ending = run(model, judge, "--deadline", "0.5", "--timeout", "60")
        never.set()
    assert ending.verdict != "PASS"
    assert "the judge gave no reply: no answer within the deadline of 0.5 s" in (
        tmp_path / "run" / "journal.jsonl"
    ).read_text(encoding="utf-8")
