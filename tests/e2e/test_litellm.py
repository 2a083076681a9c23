"""A LiteLLM proxy before two backends: what it answers by another model, or out of its cache, never makes a gate green."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import Ending, llmgate
from support.extras import pinned_python, running
from support.fake_server import FakeServer, Fault, every
from support.project import answer_right, write_suite

from llmgate.bench.client.load import measure_serving
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import chat_workload
from llmgate.gate.serving.summary import summarise
from llmgate.generate.client import Endpoint
from llmgate.record.run.loading import load_record
from llmgate.record.schema import Failure, FailureKind, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.extra]

KEY = "sk-the-key-of-these-tests"
# What the proxy imports, and no more: `litellm[proxy]` asks for clouds and databases too, in versions that are not on the index.
NEEDS = ("--no-deps", *(Path(__file__).parent / "litellm.txt").read_text(encoding="utf-8").split())
# The table of prices would come from the network, and be asked for three times.
ENV = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": KEY, "NO_DOCS": "True"}
CASES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The proxy and what it asks."""

    url: str
    a: FakeServer
    b: FakeServer

    @property
    def asked(self) -> int:
        """How many requests reached the backends."""
        return len(self.a.seen) + len(self.b.seen)


def config(a: str, b: str) -> dict[str, Any]:
    def deployment(name: str, backend: str, **more: Any) -> dict[str, Any]:
        model, url = {"a": ("mock-a", a), "b": ("mock-b", b)}[backend]
        litellm = {"model": f"openai/{model}", "api_base": f"{url}/v1", "api_key": "none", **more}
        return {"model_name": name, "litellm_params": litellm}

    return {
        "model_list": [
            deployment("bot", "a"),
            deployment("mock-b", "b"),
            deployment("limited", "b", rpm=4),
            deployment("per-minute", "b", rpm=CASES - 2),
            {"model_name": "no-key", "litellm_params": {"model": "openai/mock-a", "api_base": f"{a}/v1"}},
            deployment("balanced", "a"),
            deployment("balanced", "b"),
        ],
        "router_settings": {
            "fallbacks": [{"bot": ["mock-b"]}],
            "num_retries": 0,
            "disable_cooldowns": True,
            "enable_pre_call_checks": True,
        },
        "litellm_settings": {"cache": True, "cache_params": {"type": "local"}, "telemetry": False},
    }


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    python = pinned_python("litellm", *NEEDS)
    folder = tmp_path_factory.mktemp("litellm")
    with FakeServer(model="mock-a", answer=answer_right) as a, FakeServer(model="mock-b", answer=answer_right) as b:
        (folder / "config.yaml").write_text(json.dumps(config(a.url, b.url)), encoding="utf-8")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        command: list[str | Path] = [
            python.with_name("litellm"),
            "--config",
            folder / "config.yaml",
            "--host",
            "127.0.0.1",
        ]
        with running([*command, "--port", str(port)], answers=f"{url}/health/liveliness", log=folder / "log", env=ENV):
            yield Proxy(url=url, a=a, b=b)


@pytest.fixture
def proxy(started: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMGATE_API_KEY", KEY)
    for backend in (started.a, started.b):
        backend.faults = {}
        backend.seen.clear()
    return started


def run(proxy: Proxy, model: str, suite: str, *more: str | Path, out: str = "run") -> Ending:
    options = ["--endpoint", proxy.url, "--served-name", model, "--concurrency", "4", *more]
    return llmgate("run", f"{suite}.yaml", *options, out=out)


def suite(folder: Path, name: str, *, cases: int = CASES) -> None:
    """Each test has prompts of its own, so that no other one has filled the cache."""
    path = write_suite(folder, name, cases=cases, gate="min: 0.3, margin: 0.3")
    path.write_text(
        path.read_text(encoding="utf-8").replace("Say {{ word }}", f"Say {{{{ word }}}} of {name}"), "utf-8"
    )


def test_fresh_answers_of_one_model_pass_and_the_cached_ones_of_a_rerun_do_not(proxy: Proxy, tmp_path: Path) -> None:
    suite(tmp_path, "fresh")
    first = run(proxy, "bot", "fresh")
    assert (first.exit_code, first.verdict) == (0, "PASS"), first.output
    assert proxy.asked == CASES
    again = run(proxy, "bot", "fresh", out="again")
    assert proxy.asked == CASES
    assert not again.green, again.output
    assert f"{CASES} of {CASES} answers came out of a cache (x-litellm-cache-key)" in flat(again.output)
    compared = run(proxy, "bot", "fresh", "--baseline", "run", out="compared")
    assert not compared.green, compared.output
    assert "came out of a cache" in flat(compared.output)
    decided = llmgate("decide", "again", "run", out="again")
    assert not decided.green, decided.output


def test_answers_of_a_fallback_are_named(proxy: Proxy, tmp_path: Path) -> None:
    suite(tmp_path, "rerouted")
    proxy.a.faults = every(3, Fault.HTTP_500)
    ending = run(proxy, "bot", "rerouted")
    assert len(proxy.b.seen) == CASES // 3
    assert not ending.green, ending.output
    assert "x-litellm-attempted-fallbacks" in flat(ending.output)
    assert "mock-b" in flat(ending.output)


def test_a_fallback_out_of_the_cache_is_named_too(proxy: Proxy, tmp_path: Path) -> None:
    suite(tmp_path, "both")
    run(proxy, "mock-b", "both", out="fill")
    proxy.a.faults = every(1, Fault.HTTP_500)
    ending = run(proxy, "bot", "both")
    assert not ending.green, ending.output
    assert "came out of a cache" in flat(ending.output)
    assert "x-litellm-attempted-fallbacks" in flat(ending.output)


def test_repeats_have_seeds_of_their_own_so_that_no_cache_answers_them(proxy: Proxy, tmp_path: Path) -> None:
    suite(tmp_path, "repeated")
    ending = run(proxy, "bot", "repeated", "--repeat", "2")
    assert proxy.asked == 2 * CASES
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output


def test_two_models_behind_one_name_are_told_apart(proxy: Proxy, tmp_path: Path) -> None:
    # The proxy names both as they were asked for. Each request is sent to either by a coin, 24 to one of them never.
    suite(tmp_path, "balanced", cases=24)
    ending = run(proxy, "balanced", "balanced")
    assert proxy.a.seen
    assert proxy.b.seen
    assert not ending.green, ending.output
    assert "mock-a" in flat(ending.output)
    assert "mock-b" in flat(ending.output)


def test_a_limit_on_requests_ends_in_counted_failures(proxy: Proxy, tmp_path: Path) -> None:
    suite(tmp_path, "limited")
    ending = run(proxy, "limited", "limited", "--retries", "0")
    assert not ending.green, ending.output
    answers = [result.answer for result in load_record(tmp_path / "run").results.values()]
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    assert 0 < len(failures) == CASES - len(proxy.b.seen)
    assert {failure.kind for failure in failures} == {FailureKind.HTTP}
    assert all(failure.message.startswith("HTTP 429") for failure in failures)


def test_a_wrong_key_is_said_before_anything_is_asked(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite(tmp_path, "key")
    monkeypatch.setenv("LLMGATE_API_KEY", "sk-another-key-0123456789")
    ending = run(proxy, "bot", "key")
    # Without a database of keys the proxy says 400.
    assert (ending.exit_code, ending.verdict) == (4, None)
    assert "refuses the key in LLMGATE_API_KEY (HTTP 400, no_db_connection: No connected db.)" in ending.said
    assert "--api-key-env" in ending.said
    assert "sk-another-key-0123456789" not in ending.output
    assert proxy.asked == 0
    assert not (tmp_path / "run" / "cases.jsonl").exists()


@pytest.mark.parametrize("named", [(), ("--served-name", "bot")])
def test_a_missing_key_is_said_although_the_proxy_answers_500_and_nothing_else(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...]
) -> None:
    suite(tmp_path, "missing")
    monkeypatch.delenv("LLMGATE_API_KEY")
    ending = llmgate("run", "missing.yaml", "--endpoint", proxy.url, *named)
    assert ending.exit_code == 4
    assert "HTTP 500" in ending.said
    assert "wants a key" in ending.said
    assert "LLMGATE_API_KEY" in ending.said
    assert proxy.asked == 0


def test_a_gateway_without_a_key_of_its_own_ends_the_run(proxy: Proxy, tmp_path: Path) -> None:
    suite(tmp_path, "behind")
    ending = run(proxy, "no-key", "behind")
    assert ending.exit_code == 4
    assert "the gateway has no valid key for the model behind it" in ending.said
    assert proxy.asked == 0


def test_a_backend_that_is_busy_for_a_while_is_waited_for(proxy: Proxy, tmp_path: Path) -> None:
    suite(tmp_path, "busy")
    proxy.b.faults = dict.fromkeys(range(3, 9), Fault.RATE_LIMITED)
    ending = run(proxy, "mock-b", "busy", "--retries", "1")
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
    assert "6 requests met the rate limit" in ending.said


def test_a_limit_per_minute_is_waited_out(proxy: Proxy, tmp_path: Path) -> None:
    # The proxy counts by the minute of the clock, and says nothing of how long to wait.
    suite(tmp_path, "minute")
    ending = run(proxy, "per-minute", "minute", "--retries", "1")
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
    assert len(proxy.b.seen) == CASES


def test_serving_is_not_measured_on_a_cache(proxy: Proxy, tmp_path: Path) -> None:
    suite(tmp_path, "bench")
    options = ["--served-name", "bot", "--requests", str(CASES), "--in-flight", "2", "--max-tokens", "4"]
    first = llmgate("bench", "bench.yaml", "--endpoint", proxy.url, *options)
    assert "cache" not in first.output
    asked = proxy.asked
    again = llmgate("bench", "bench.yaml", "--endpoint", proxy.url, *options)
    assert "cache" not in again.output, "each measurement's prompts are its own"
    assert proxy.asked >= asked + CASES


def test_a_measurement_that_was_answered_out_of_a_cache_is_invalid(proxy: Proxy) -> None:
    prompts = [[Message(role="user", content=f"Number {number}?")] for number in range(CASES)]
    workload = chat_workload(prompts, name="same", model="bot", max_tokens=4)
    endpoint, load = Endpoint(url=proxy.url, model="bot", api_key=KEY), Load(requests=CASES, concurrency=2, warmup=0)
    first, again = (
        summarise(asyncio.run(measure_serving(workload, endpoint, load, salt="the same"))) for _ in range(2)
    )
    assert not any("cache" in reason for reason in first.invalid)
    assert any("came out of a cache (x-litellm-cache-key)" in reason for reason in again.invalid)


def flat(text: str) -> str:
    """Without line breaks."""
    return " ".join(text.split())
