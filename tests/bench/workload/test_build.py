"""Workloads as they are asked for: equal for both arms, different from request to request, as long as wanted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.byte_pairs import byte_level

from llmgate.bench.workload import build
from llmgate.bench.workload.build import build_workload, check_workload, load_of
from llmgate.bench.workload.words import WORDS, Words, open_words
from llmgate.errors import DatasetError, UsageError
from llmgate.record.schema import Message
from llmgate.record.serving.plan import OWN_PROMPTS, ServingSpec, TokenLengths, WorkloadSpec
from llmgate.record.serving.trace import Arrivals

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.bench.workload.workload import Workload

TEN = TokenLengths(kind="constant", first=10)
SPREAD = TokenLengths(kind="uniform", first=3, second=30)
RANDOM = WorkloadSpec(kind="random", input=SPREAD)
PREFIX = WorkloadSpec(kind="shared-prefix", input=TEN, groups=3, prefix=40)
DIGESTS = {"random": "61e339628ed60187", "shared-prefix": "ea8279cff1eb0369", "multi-turn": "1ce3e26d42ea9c43"}
TURNS = WorkloadSpec(kind="multi-turn", input=TEN, turns=3, together=2, output=TokenLengths(kind="constant", first=5))


def built(spec: WorkloadSpec, requests: int = 20, **changes: Any) -> Workload:
    arguments: dict[str, Any] = {"name": "w", "model": "m", "max_tokens": 64, "requests": requests} | changes
    return build_workload(spec, (), **arguments)


def bodies(spec: WorkloadSpec, requests: int = 20, **changes: Any) -> list[dict[str, Any]]:
    return [json.loads(body) for body in built(spec, requests, **changes).bodies]


def texts(spec: WorkloadSpec, requests: int = 20) -> list[str]:
    return [str(body["messages"][-1]["content"]) for body in bodies(spec, requests)]


def test_what_cannot_be_built_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no prompts to send"):
        built(OWN_PROMPTS)
    with pytest.raises(UsageError, match="does not say how long prompts are"):
        built(WorkloadSpec(kind="random"))
    with pytest.raises(UsageError, match="may not set stream"):
        built(RANDOM, sampling={"stream": False})
    monkeypatch.setattr(build, "MOST_TOKENS", 199)
    with pytest.raises(UsageError, match="more than 199 words together"):
        built(WorkloadSpec(kind="random", input=TEN))


def test_the_suites_own_prompts_are_taken_as_they_are() -> None:
    own = build_workload(
        OWN_PROMPTS, [[Message(role="user", content="hi")]], name="w", model="m", max_tokens=8, requests=20
    )
    assert [json.loads(body)["messages"] for body in own.bodies] == [[{"role": "user", "content": "hi"}]]


@pytest.mark.parametrize("spec", [RANDOM, PREFIX, TURNS], ids=lambda spec: spec.kind)
def test_bodies_come_from_the_seed_and_from_nothing_else(spec: WorkloadSpec) -> None:
    first = built(spec)
    assert len(first.bodies) == 20
    assert built(spec, model="champion", name="other").digest == first.digest
    assert built(replace(spec, seed=1)).digest != first.digest
    assert len(set(first.bodies)) == 20, "equal requests could be answered by a cache"
    assert built(spec, ignore_eos=True).description.endswith("output tokens, streamed")


def test_digests_stay_the_same_from_version_to_version() -> None:
    # Records are compared by them. Whoever changes what is drawn raises the version of the client.
    digests = {spec.kind: built(spec).digest[:16] for spec in (RANDOM, PREFIX, TURNS)}
    assert digests == DIGESTS


def test_random_prompts_have_the_lengths_that_are_asked_for() -> None:
    lengths = [len(text.split()) for text in texts(RANDOM, 400)]
    assert (min(lengths), max(lengths)) == (3, 30)
    assert texts(RANDOM, 30) == texts(RANDOM, 400)[:30], "more requests leave the first ones as they are"
    answers = {
        body["max_tokens"] for body in bodies(replace(RANDOM, output=TokenLengths(kind="choice", choices=(8, 16))))
    }
    assert answers == {8, 16}
    assert {body["max_tokens"] for body in bodies(RANDOM)} == {64}
    assert built(RANDOM).description == "20 random prompts of 3..30 words, at most 64 output tokens, streamed"
    exact = built(replace(RANDOM, output=SPREAD), ignore_eos=True).description
    assert "exactly " in exact
    assert " to " in exact


@settings(max_examples=25)
@given(groups=st.integers(1, 8), prefix=st.integers(1, 60), requests=st.integers(1, 60), seed=st.integers(0, 99))
def test_groups_begin_alike_and_end_differently(groups: int, prefix: int, requests: int, seed: int) -> None:
    found = texts(replace(PREFIX, groups=groups, prefix=prefix, seed=seed), requests)
    assert {len(text.split()) for text in found} == {prefix + 10}
    begins = Counter(" ".join(text.split()[:prefix]) for text in found)
    assert len(begins) <= groups
    if prefix >= 8:
        assert len(begins) == min(groups, requests)
        assert max(begins.values()) - min(begins.values()) <= 1
    assert len(set(found)) == requests


def test_groups_are_mixed() -> None:
    begins = [text.split()[:40] for text in texts(PREFIX, 30)]
    assert begins[:3] != begins[3:6] or begins[3:6] != begins[6:9]


def test_conversations_grow_and_go_on_together() -> None:
    found = [body["messages"] for body in bodies(replace(TURNS, prefix=4), 12)]
    assert [len(messages) for messages in found] == [2, 2, 4, 4, 6, 6] * 2
    for earlier, later in ((0, 2), (2, 4), (1, 3), (3, 5), (6, 8)):
        assert found[later][: len(found[earlier])] == found[earlier]
        assert found[later][len(found[earlier])]["role"] == "assistant"
        assert len(found[later][len(found[earlier])]["content"].split()) == 5
    assert len({messages[0]["content"] for messages in found}) == 1
    assert found[0][0]["role"] == "system"
    assert len({messages[-1]["content"] for messages in found}) == 12
    assert [body["messages"] for body in bodies(replace(TURNS, prefix=4), 7)] == found[:7]


@pytest.fixture
def trace(tmp_path: Path) -> WorkloadSpec:
    rows = [
        {"timestamp": 100, "input_length": 25, "output_length": 7, "hash_ids": [1, 2, 3]},
        {"timestamp": 600, "input_length": 32, "output_length": 9, "hash_ids": [1, 2, 4]},
        {"timestamp": 600, "input_length": 8, "output_length": 1, "hash_ids": [9]},
        {"timestamp": 900, "input_length": 12, "output_length": 2},
    ]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return WorkloadSpec(kind="trace", path=path, block=10)


def test_a_trace_has_its_lengths_and_its_common_beginnings(trace: WorkloadSpec) -> None:
    found = [text.split() for text in texts(trace, 4)]
    assert [len(words) for words in found] == [25, 32, 8, 12]
    assert found[0][:20] == found[1][:20]
    assert found[0][20:] != found[1][20:25]
    assert found[0][0] != found[2][0]
    assert [body["max_tokens"] for body in bodies(trace, 4)] == [7, 9, 1, 2]
    assert built(trace, 4).description.startswith("4 requests of the trace t.jsonl, lengths in words, at most 1 to 9")


def test_a_trace_has_exactly_its_tokens_by_a_tokenizer(trace: WorkloadSpec, tmp_path: Path) -> None:
    path = byte_level(tmp_path / "tokenizer.json", WORDS)
    words = open_words(path, within=None, where="workload")
    assert [words.count(text) for text in texts(replace(trace, tokenizer=path), 4)] == [25, 32, 8, 12]


def test_long_prompts_of_many_blocks_take_no_time_that_grows_with_their_square(
    trace: WorkloadSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def tokens_in(text: str) -> int:
        counted.append(len(text))
        return len(text.split())

    monkeypatch.setattr(build, "open_words", lambda *_, **__: Words(tokens_in=tokens_in))
    row = {"timestamp": 0, "input_length": 5000, "output_length": 7, "hash_ids": list(range(500))}
    (tmp_path / "t.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert len(texts(trace, 1)[0].split()) == 5000
    assert len(counted) == 2


def test_files_are_read_before_anything_starts(trace: WorkloadSpec, tmp_path: Path) -> None:
    check_workload(ServingSpec(requests=4, workload=trace))
    with pytest.raises(DatasetError, match="the trace has 4 requests with an answer, and 5 are to be sent"):
        check_workload(ServingSpec(requests=5, workload=trace))
    with pytest.raises(UsageError, match="cannot be read"):
        check_workload(ServingSpec(workload=replace(RANDOM, tokenizer=tmp_path)))


def test_a_trace_is_replayed_at_its_times(trace: WorkloadSpec) -> None:
    spec = ServingSpec(requests=3, concurrency=0, workload=trace, arrivals=Arrivals(kind="trace", speed=2.0))
    load = load_of(spec)
    assert load.due_s == (0.0, 0.25, 0.25)
    assert (load.requests, load.concurrency, load.warmup, load.closed) == (3, 0, 4, False)
    assert load_of(replace(spec, concurrency=2, arrivals=Arrivals())).closed
    with pytest.raises(UsageError, match="the workload is none"):
        load_of(replace(spec, workload=RANDOM))


def test_open_loops_have_times() -> None:
    load = load_of(ServingSpec(requests=9, concurrency=0, arrivals=Arrivals(kind="poisson", rate=3)))
    assert len(load.due_s) == 9
    assert load.arrivals == Arrivals(kind="poisson", rate=3)
