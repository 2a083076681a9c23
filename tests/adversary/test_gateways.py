"""Answers of somebody else: fallbacks, caches, other names, and the champion asked twice."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import Ending, llmgate
from support.gateway import LiteLLM, Routed, gateway
from support.project import answer_right, write_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

TWO = ("mock-a", "mock-b")
ADAPTERS = (
    {"id": "base", "root": "/models/base", "parent": None},
    {"id": "adapter", "root": "/models/adapter", "parent": "base"},
)
ALIASES = (
    {"id": "prod", "root": "/models/base", "parent": None},
    {"id": "base", "root": "/models/base", "parent": None},
)
RUBRIC = '  - {type: llm-rubric, value: "repeats {{ word }}", metric: tone}\n'
YES = json.dumps({"reason": "so it is", "pass": True, "score": 1.0})


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, cases=4, gate="min: 0.2")
    return tmp_path


def larger_suite(folder: Path, cases: int, gate: str) -> None:
    (folder / "words.lock.json").unlink()
    write_suite(folder, cases=cases, gate=gate)


def run(url: str, *more: str, out: str = "run", asked: str = "mock-a") -> Ending:
    where = ("--endpoint", url, "--served-name", asked, "--retries", "0")
    return llmgate("run", "words.yaml", *where, *more, out=out)


def says(**fields: Any) -> Callable[[dict[str, Any]], Routed]:
    return lambda body: Routed(text=answer_right(body), fields=fields)


def in_turn(*replies: Mapping[str, Any]) -> Callable[[dict[str, Any]], Routed]:
    """Of the answers, the first has the first one's fields, and so on."""
    turns = itertools.chain(replies, itertools.repeat(replies[-1]))
    return lambda body: Routed(text=answer_right(body), fields=next(turns))


# Row 17.


def test_every_third_answer_comes_from_the_fallback(tmp_path: Path, attempt: Callable[[Ending], None]) -> None:
    larger_suite(tmp_path, 60, "min: 0.2")
    with gateway(LiteLLM(answer_right, busy=1), listed=TWO) as url:
        ending = run(url)
    attempt(ending)
    assert "20 of 60 answers came from mock-b, not from mock-a" in ending.said
    assert "20 of 60 answers came by another route" in ending.said
    assert "x-litellm-attempted-fallbacks: 1" in ending.said
    journal = (tmp_path / "run" / "journal.jsonl").read_text(encoding="utf-8")
    assert journal.count('"answered_by":{"model":"mock-b","rerouted":"x-litellm-attempted-fallbacks: 1"}') == 20
    assert journal.count("answered_by") == 20


def test_a_rerun_out_of_the_cache(tmp_path: Path, attempt: Callable[[Ending], None]) -> None:
    larger_suite(tmp_path, 60, "margin: 0.2, min: 0.2")
    backend = LiteLLM(answer_right, caches=True)
    with gateway(backend, listed=TWO) as url:
        assert run(url, out="champion").green
        ending = run(url, "--baseline", "champion", "--deployment", "v2", out="candidate")
    assert backend.reached == 60
    attempt(ending)
    assert "60 of 60 answers came out of a cache (x-litellm-cache-key), and are no fresh evidence" in ending.said
    report = (tmp_path / "candidate" / "report.html").read_text(encoding="utf-8")
    assert "60 of 60 answers came out of a cache" in report


def test_a_serving_measurement_that_reaches_no_backend(attempt: Callable[[Ending], None]) -> None:
    backend = LiteLLM(answer_right, caches=True, alike=True)
    arguments = ("--served-name", "mock-a", "--requests", "4", "--in-flight", "1", "--max-tokens", "2")
    with gateway(backend, listed=TWO) as url:
        bench = ("bench", "words.yaml", "--endpoint", url, *arguments)
        first = llmgate(*bench)
        reached = backend.reached
        second = llmgate(*bench)
    assert "out of a cache" not in first.said
    assert backend.reached <= reached + 1, "nothing but the warm-up reached it"
    attempt(second)
    assert "INVALID: 4 of 4 answers came out of a cache (x-litellm-cache-key)" in second.said


def test_a_serving_measurement_out_of_a_silent_cache(attempt: Callable[[Ending], None]) -> None:
    arguments = ("--served-name", "mock-a", "--requests", "8", "--in-flight", "1", "--max-tokens", "2")
    with gateway(LiteLLM(answer_right, caches=True, silent=True, alike=True), listed=TWO) as url:
        ending = llmgate("bench", "words.yaml", "--endpoint", url, *arguments)
    attempt(ending)
    assert "INVALID: 4 of 8 answers came out of a cache (one reply id came twice)" in ending.said


def test_honest_measurements_are_not_answered_by_a_cache_of_equal_requests() -> None:
    backend = LiteLLM(answer_right, caches=True)
    arguments = ("--served-name", "mock-a", "--requests", "8", "--in-flight", "1", "--max-tokens", "2")
    with gateway(backend, listed=TWO) as url:
        for measured in (1, 2):
            ending = llmgate("bench", "words.yaml", "--endpoint", url, *arguments)
            assert "out of a cache" not in ending.said
            assert backend.reached >= 8 * measured


def test_honest_serving_measurements() -> None:
    arguments = ("--served-name", "mock-a", "--requests", "8", "--in-flight", "1", "--max-tokens", "2")
    with gateway(LiteLLM(answer_right), listed=TWO) as url:
        ending = llmgate("bench", "words.yaml", "--endpoint", url, *arguments)
    assert "answers came" not in ending.said


# What gateways say besides.


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-portkey-cache-status", "HIT"),
        ("x-portkey-cache-status", "SEMANTIC HIT"),
        ("cf-aig-cache-status", "HIT"),
        ("Helicone-Cache", "HIT"),
        ("X-Cache-Status", "Hit"),
        ("X-AI-Cache-Status", "HIT-L2"),
        ("Cache-Status", 'gateway; hit; ttl=30, "edge cache"; fwd=miss'),
        ("X-Cache", "Hit from cloudfront"),
        ("X-Cache-Hit", "true"),
        ("Age", "37"),
    ],
)
def test_a_cache_says_so(header: str, value: str, attempt: Callable[[Ending], None]) -> None:
    with gateway(lambda body: Routed(text=answer_right(body), headers={header: value})) as url:
        ending = run(url)
    attempt(ending)
    assert f"4 of 4 answers came out of a cache ({header.lower()})" in ending.said


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-LiteLLM-Attempted-Fallbacks", "2"),
        ("x-portkey-last-used-option-index", "config.targets[1]"),
        ("x-portkey-last-used-option-index", "config.targets[0].targets[2]"),
        ("cf-aig-step", "1"),
        ("helicone-fallback-index", "10"),
    ],
)
def test_a_fallback_says_so(header: str, value: str, attempt: Callable[[Ending], None]) -> None:
    with gateway(lambda body: Routed(text=answer_right(body), headers={header: value})) as url:
        ending = run(url)
    attempt(ending)
    assert f"4 of 4 answers came by another route than first intended ({header.lower()}: {value})" in " ".join(
        ending.output.split()
    )


def test_two_models_behind_one_name(attempt: Callable[[Ending], None]) -> None:
    turns = itertools.cycle(TWO)
    with gateway(
        lambda body: Routed(text=answer_right(body), headers={"x-litellm-model-name": f"openai/{next(turns)}"})
    ) as url:
        ending = run(url)
    attempt(ending)
    assert "4 answers came from several models or providers behind one name: 2 from openai/mock-" in ending.said


def test_a_header_that_no_file_can_hold(attempt: Callable[[Ending], None]) -> None:
    with gateway(lambda body: Routed(text=answer_right(body), headers={"cf-aig-step": "1\xff"})) as url:
        ending = run(url)
    attempt(ending)
    assert "4 of 4 answers came by another route" in ending.said


@pytest.mark.parametrize(
    ("route", "listed", "asked", "says"),
    [
        (says(model="mock-b"), TWO, "mock-a", "4 of 4 answers came from mock-b"),
        (in_turn({}, {"model": "mock-b"}, {}), TWO, "mock-a", "1 of 4 answers came from mock-b"),
        (says(model="mock-a-mini"), TWO, "mock-a", "came from mock-a-mini"),
        (says(model="mock-a-v2"), TWO, "mock-a", "came from mock-a-v2"),
        (says(model="mock-a-0001"), TWO, "mock-a", "came from mock-a-0001"),
        (says(model="other/mock-a"), ("one/mock-a",), "one/mock-a", "came from other/mock-a"),
        (says(model=7), TWO, "mock-a", "came from 7"),
        (says(model=["mock-a"]), TWO, "mock-a", 'came from ["mock-a"]'),
        (says(model="mock-a\u0000"), TWO, "mock-a", "4 of 4 answers came from mock-a"),
        (says(model="mock\u2010a"), TWO, "mock-a", "4 of 4 answers came from mock"),
        (in_turn({"model": None}, {}), TWO, "mock-a", "1 of 4 answers does not say which model gave it"),
        (says(model="mock-a-2024-05-13"), ("mock-a-2024-08-06",), "mock-a-2024-08-06", "from mock-a-2024-05-13"),
        (says(model="mock-a"), ("mock-a-2024-08-06",), "mock-a-2024-08-06", "4 of 4 answers came from mock-a"),
        (in_turn({"model": "mock-a-2024-05-13"}, {"model": "mock-a-2024-08-06"}), TWO, "mock-a", "from 2 models"),
        (in_turn({}, {"model": "mock-a-2024-08-06"}), TWO, "mock-a", "4 answers came from 2 models"),
        (says(model="base"), ADAPTERS, "adapter", "4 of 4 answers came from base"),
        (in_turn({"provider": "One"}, {"provider": "Two"}), TWO, "mock-a", "from several models or providers"),
        (in_turn({"provider": "One"}, {}), TWO, "mock-a", "from several models or providers"),
    ],
)
def test_the_reply_names_somebody_else(
    route: Callable[[dict[str, Any]], Routed],
    listed: Sequence[str | Mapping[str, Any]],
    asked: str,
    says: str,
    attempt: Callable[[Ending], None],
) -> None:
    with gateway(route, listed=listed) as url:
        ending = run(url, asked=asked)
    attempt(ending)
    assert says in ending.said


@pytest.mark.parametrize(
    ("route", "listed", "asked", "more"),
    [
        (says(model="mock-a-2024-08-06"), TWO, "mock-a", ()),
        (says(model="mock-a-20241022"), ("mock-a-latest",), "mock-a-latest", ()),
        (says(model="mock-a@20241022"), TWO, "mock-a", ()),
        (says(model="mock-a-0613"), TWO, "mock-a", ()),
        (says(model="openai/mock-a-2024-08-06"), TWO, "mock-a", ()),
        (says(model="mock-a"), ("openai/mock-a",), "openai/mock-a", ()),
        (says(model=None), TWO, "mock-a", ()),
        (says(model="prod"), ALIASES, "base", ()),
        (says(model="adapter"), ADAPTERS, "adapter", ()),
        (says(model="gpt-4o-2024-08-06"), TWO, "mock-a", ("--reply-names", "gpt-4o")),
        (says(provider="One"), TWO, "mock-a", ()),
    ],
)
def test_honest_names(
    route: Callable[[dict[str, Any]], Routed],
    listed: Sequence[str | Mapping[str, Any]],
    asked: str,
    more: tuple[str, ...],
) -> None:
    with gateway(route, listed=listed) as url:
        assert run(url, *more, asked=asked).green


HONEST = {
    "x-litellm-attempted-fallbacks": "0",
    "x-litellm-model-name": "openai/mock-a",
    "x-portkey-cache-status": "MISS",
    "x-portkey-last-used-option-index": "config.targets[0]",
    "cf-aig-cache-status": "MISS",
    "cf-aig-step": "0",
    "Helicone-Cache": "MISS",
    "Cache-Status": "gateway; fwd=miss",
    "X-Cache": "MISS, MISS",
    "Age": "0",
    "fireworks-cached-prompt-tokens": "24",
    "x-prefix-cache-hit": "true",
    "Cache-Control": "no-cache",
}


def test_honest_gateways() -> None:
    with gateway(lambda body: Routed(text=answer_right(body), headers=HONEST)) as url:
        assert run(url).green


# Judges and embeddings.


@pytest.mark.parametrize(
    ("routed", "says"),
    [
        (Routed(text=YES, fields={"model": "mock-b"}), "mock-b replied, and judge was asked"),
        (Routed(text=YES, headers={"x-litellm-cache-key": "58"}), "the reply came out of a cache"),
        (Routed(text=YES, headers={"cf-aig-step": "1"}), "the gateway asked somebody else than judge (cf-aig-step: 1)"),
    ],
)
def test_another_judge(tmp_path: Path, routed: Routed, says: str, attempt: Callable[[Ending], None]) -> None:
    judged(tmp_path)
    with gateway(lambda body: Routed(text=answer_right(body))) as url, gateway(lambda _: routed, listed=JUDGE) as judge:
        ending = run(url, "--judge-endpoint", judge)
    attempt(ending)
    assert says in (tmp_path / "run" / "journal.jsonl").read_text(encoding="utf-8")


JUDGE = ("judge",)
FIRST, SECOND = ({"model": f"judge-2024-{day}"} for day in ("05-13", "08-06"))


def judged(folder: Path, gate: str = "min: 0.2") -> None:
    path = write_suite(folder, cases=4, gate=gate, extra=RUBRIC)
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}  tone: {{{gate}, unadmitted: allow}}\n", encoding="utf-8")


def test_a_judge_that_is_two(tmp_path: Path, attempt: Callable[[Ending], None]) -> None:
    judged(tmp_path)
    turns = itertools.cycle((FIRST, SECOND))
    two = gateway(lambda _: Routed(text=YES, fields=next(turns)), listed=JUDGE)
    with gateway(lambda body: Routed(text=answer_right(body))) as url, two as judge:
        ending = run(url, "--judge-endpoint", judge)
    attempt(ending)
    assert "judge: replies came from 2 models" in ending.said


def test_a_judge_that_changed_in_between(tmp_path: Path, attempt: Callable[[Ending], None]) -> None:
    judged(tmp_path, "margin: 0.5, min: 0.1")
    said: list[Mapping[str, Any]] = [FIRST]
    judges = gateway(lambda _: Routed(text=YES, fields=said[0]), listed=JUDGE)
    with gateway(lambda body: Routed(text=answer_right(body))) as url, judges as judge:
        assert run(url, "--judge-endpoint", judge, out="champion").green
        said[0] = SECOND
        ending = run(url, "--judge-endpoint", judge, "--baseline", "champion", "--deployment", "v2")
    attempt(ending)
    assert "the model that replied is ['judge-2024-08-06'] for the candidate" in ending.said


def test_honest_judges(tmp_path: Path) -> None:
    judged(tmp_path)
    dated = gateway(lambda _: Routed(text=YES, fields=FIRST), listed=JUDGE)
    with gateway(lambda body: Routed(text=answer_right(body))) as url, dated as judge:
        assert run(url, "--judge-endpoint", judge).green


def test_another_embedding_model(tmp_path: Path, attempt: Callable[[Ending], None]) -> None:
    write_suite(tmp_path, cases=4, gate="min: 0.2", extra='  - {type: similar, value: "{{ word }}", threshold: 0.5}\n')

    def embedded(body: dict[str, Any]) -> Routed:
        data = [{"index": i, "embedding": [1.0, 0.0]} for i in range(len(body["input"]))]
        return Routed(raw={"model": "mock-b", "data": data})

    embeddings = gateway(embedded, listed=("embedder",))
    with gateway(lambda body: Routed(text=answer_right(body))) as url, embeddings as embed:
        attempt(run(url, "--embed-endpoint", embed))


# Row 4: the champion asked a second time.


@pytest.mark.parametrize(
    ("first", "second", "asked"),
    [
        ("http://127.0.0.1", "http://127.0.0.1", ("base", "base")),
        ("http://127.0.0.1", "http://localhost", ("base", "base")),
        ("http://LOCALHOST", "http://127.0.0.1", ("base", "base")),
        ("http://127.0.0.1", "http://127.0.0.1", ("base", "prod")),
    ],
)
def test_the_champion_asked_again(
    first: str, second: str, asked: tuple[str, str], tmp_path: Path, attempt: Callable[[Ending], None]
) -> None:
    larger_suite(tmp_path, 40, "margin: 0.2, min: 0.2")
    with gateway(lambda body: Routed(text=answer_right(body)), listed=ALIASES) as url:
        port = url.rpartition(":")[2]
        assert run(f"{first}:{port}/v1/", out="champion", asked=asked[0]).green
        ending = run(f"{second}:{port}", "--baseline", "champion", asked=asked[1])
        attempt(ending)
        assert "nothing shows that another model answered the second time" in ending.said
        assert "warning: the champion's run asked the same model at this endpoint" in ending.said
        attempt(run(url, "--baseline", "champion", "--registry-uri", "models:/bot/2", out="claimed", asked="base"))


@pytest.mark.parametrize("change", ["label", "origin", "snapshot", "behind"])
def test_honest_second_model_at_one_address(change: str, tmp_path: Path) -> None:
    larger_suite(tmp_path, 40, "margin: 0.2, min: 0.2")
    entry: dict[str, Any] = {"id": "base", "root": "/models/v1"}
    fields: dict[str, Any] = {}
    headers = {"x-litellm-model-name": "openai/one"}

    def route(body: dict[str, Any]) -> Routed:
        return Routed(text=answer_right(body), fields=dict(fields), headers=dict(headers))

    with gateway(route, listed=(entry,)) as url:
        assert run(url, out="champion", asked="base").green
        if change == "origin":
            entry["root"] = "/models/v2"
        elif change == "snapshot":
            fields["model"] = "base-2024-08-06"
        elif change == "behind":
            headers["x-litellm-model-name"] = "openai/two"
        more = ("--deployment", "v2") if change == "label" else ()
        ending = run(url, "--baseline", "champion", *more, asked="base")
    assert ending.green, ending.output
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert ("only labels say that two models answered: none and v2" in report) == (change == "label")
