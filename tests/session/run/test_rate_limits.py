"""Runs against endpoints that refuse: for the key, the quota, the rate; and what a run then says and leaves."""

from __future__ import annotations

import json
from itertools import count
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

BUSY = Reply(status=429, json={"error": {"message": "Slow down", "code": "rate_limit_exceeded"}})
QUOTA = Reply(status=429, json={"error": {"message": "No quota", "code": "insufficient_quota"}})
NO_DB = Reply(status=400, json={"error": {"message": "No connected db.", "type": "no_db_connection", "code": "400"}})
KEY = "sk-the-key-of-these-tests"


class Hosted(Stub):
    """An endpoint whose list of models is open, and whose answers are decided by number, from 1."""

    def __init__(self, decide: Callable[[int], Reply | None], *, listed: Reply | None = None) -> None:
        super().__init__()
        self.decide, self.numbers = decide, count(1)
        self.listed = listed or Reply(json={"data": [{"id": "m"}]})

    def answer(self, asked: Asked) -> Reply:
        if asked.method == "GET":
            return self.listed if asked.path == "/v1/models" else Reply(status=404)
        refusal = self.decide(next(self.numbers))
        return refusal or Reply(json={**chat(answer_right(asked.json)), "model": asked.json["model"]})

    @property
    def asked(self) -> int:
        return sum(request.startswith("POST") for request in self.requests)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMGATE_API_KEY", KEY)


def run(url: str, *more: str, out: str = "run") -> Any:
    return llmgate("run", "words.yaml", "--endpoint", url, "--concurrency", "4", *more, out=out)


def test_a_wrong_key_ends_a_run_at_its_first_requests_and_says_how_to_go_on(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=200)
    with Hosted(lambda _: NO_DB) as server:
        ending = run(server.url)
        assert ending.exit_code == 4
        assert server.asked <= 4
        assert "refuses the key in LLMGATE_API_KEY (HTTP 400, no_db_connection: No connected db.)" in ending.said
        assert "--api-key-env" in ending.said
        assert KEY not in ending.output
        server.decide = lambda _: None
        resumed = run(server.url, "--resume")
    assert (resumed.exit_code, resumed.verdict) == (0, "PASS"), resumed.output


def test_a_quota_that_ends_in_the_middle_keeps_what_was_answered(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=40)
    with Hosted(lambda number: QUOTA if number > 20 else None) as server:
        ending = run(server.url)
        assert ending.exit_code == 4
        assert "quota at the endpoint is used up (HTTP 429, insufficient_quota: No quota)" in ending.said
        assert "--resume --out" in ending.said
        assert server.asked <= 24
        server.decide = lambda _: None
        resumed = run(server.url, "--resume")
    assert (resumed.exit_code, resumed.verdict) == (0, "PASS"), resumed.output
    assert server.asked <= 24 + 40 - 17


def test_a_rate_limit_is_waited_out_and_told(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=20)
    said = Reply(status=429, headers={"Retry-After": "1"})
    with Hosted(lambda number: said if number in {5, 6} else None) as server:
        ending = run(server.url)
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
    assert "waiting for the rate limit, " in ending.said
    assert "2 requests met the rate limit" in ending.said
    assert "--rpm N and --tpm N stay below it" in ending.said


def test_limits_of_the_users_are_kept_and_named(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=6)
    (tmp_path / "pyproject.toml").write_text("[tool.llmgate]\nrpm = 600\ntpm = 1_000_000\n", encoding="utf-8")
    with FakeServer(answer=answer_right) as server:
        ending = llmgate("run", "words.yaml", "--endpoint", server.url)
    assert ending.exit_code == 0, ending.output
    assert "at most 600 requests and 1,000,000 tokens a minute" in ending.said
    times = sorted(seen.time_s for seen in server.seen)
    assert times[-1] - times[0] >= 5 * 0.1 - 0.02


@pytest.mark.parametrize("option", ["--rpm", "--tpm", "--judge-rpm", "--judge-tpm"])
def test_limits_below_nothing_are_refused(option: str, tmp_path: Path) -> None:
    write_suite(tmp_path)
    ending = llmgate("run", "words.yaml", "--endpoint", "http://127.0.0.1:9", option, "-1")
    assert ending.exit_code == 2
    assert f"{option} is -1" in ending.said


def test_serving_is_not_measured_below_a_limit_of_the_client(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, cases=6)
    with FakeServer(answer=answer_right) as server:
        bench = llmgate("bench", "words.yaml", "--endpoint", server.url, "--rpm", "60")
        assert bench.exit_code == 2
        assert "the limit would be measured" in bench.said
        suite.write_text(suite.read_text(encoding="utf-8") + "serving: {requests: 8, concurrency: 2}\n", "utf-8")
        refused = llmgate("run", "words.yaml", "--endpoint", server.url, "--rpm", "6000")
        assert refused.exit_code == 2, refused.output
        assert "--no-bench" in refused.said
        assert server.seen == []
        skipped = llmgate("run", "words.yaml", "--endpoint", server.url, "--rpm", "6000", "--no-bench", out="other")
    assert "the limit would be measured" not in skipped.said
    assert len(server.seen) == 6


def test_a_judge_whose_quota_is_used_up_ends_the_run(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=30, extra="  - {type: llm-rubric, value: polite, metric: manners}\n")
    with Hosted(lambda _: None) as model, Hosted(lambda _: QUOTA) as judge:
        ending = run(model.url, "--judge-endpoint", judge.url)
    assert ending.exit_code == 4, ending.output
    assert "quota at the endpoint is used up" in ending.said
    assert "--resume --out" in ending.said
    assert judge.asked <= 8


def test_a_name_that_nothing_lists_is_believed_and_the_record_says_so(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=6)
    with Hosted(lambda _: None, listed=Reply(status=500, body=b"Internal Server Error")) as server:
        circle = run(server.url)
        assert circle.exit_code == 4
        assert "--served-name" in circle.said
        ending = run(server.url, "--served-name", "my-model", out="named")
    assert ending.exit_code == 0, ending.output
    assert "nothing but its own answers confirms that my-model is served: the endpoint answers HTTP 500" in ending.said
    record = load_record(tmp_path / "named")
    assert record.manifest.server.unconfirmed == "the endpoint answers HTTP 500"
    assert record.manifest.model.name == "my-model"
    page = (tmp_path / "named" / "report.html").read_text(encoding="utf-8")
    assert "nothing but its own answers: the endpoint answers HTTP 500" in page


def test_replies_that_name_another_model_are_caught_although_nothing_is_listed(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=6)

    class Other(Hosted):
        def answer(self, asked: Asked) -> Reply:
            reply = super().answer(asked)
            return Reply(json={**reply.json, "model": "another"}) if asked.method == "POST" else reply

    with Other(lambda _: None, listed=Reply(json={"data": []})) as server:
        ending = run(server.url, "--served-name", "my-model")
    assert not ending.green, ending.output
    assert "another" in ending.said


def test_a_run_goes_on_when_the_list_of_models_is_there_again(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=20)
    with Hosted(lambda number: QUOTA if number > 5 else None, listed=Reply(status=500)) as server:
        assert run(server.url, "--served-name", "m").exit_code == 4
        server.decide, server.listed = (lambda _: None), Reply(json={"data": [{"id": "m"}]})
        resumed = run(server.url, "--served-name", "m", "--resume")
    assert resumed.exit_code == 0, resumed.output
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["server"]["unconfirmed"] == "the endpoint answers HTTP 500"
