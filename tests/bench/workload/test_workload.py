"""Workloads: what is refused, what is sent, what the digest means."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.bench.workload.workload import Workload, chat_workload, digest_bodies
from llmgate.errors import UsageError
from llmgate.record.schema import Message


def prompts(*texts: str) -> list[list[Message]]:
    return [[Message(role="system", content="Be brief."), Message(role="user", content=text)] for text in texts]


def build(*texts: str, **changes: Any) -> Workload:
    arguments: dict[str, Any] = {"name": "faq", "model": "m", "max_tokens": 8} | changes
    return chat_workload(prompts(*texts), **arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"sampling": {"stream": False}}, "may not set stream"),
        ({"sampling": {"n": 2, "max_completion_tokens": 3}}, "may not set max_completion_tokens, n"),
        ({"sampling": {"temperature": math.nan}}, "cannot be written as JSON"),
        ({"sampling": {"stop": object()}}, "cannot be written as JSON"),
    ],
)
def test_arguments_that_cannot_be_sent(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build("hi", **changes)


def test_a_workload_needs_requests() -> None:
    with pytest.raises(UsageError, match="at least one message"):
        build()
    with pytest.raises(UsageError, match="at least one message"):
        chat_workload([[]], name="faq", model="m", max_tokens=8)
    with pytest.raises(UsageError, match="without requests"):
        Workload(name="faq", description="", bodies=(), digest=digest_bodies(()))


def test_a_workload_with_another_digest_is_refused() -> None:
    with pytest.raises(UsageError, match="digest"):
        Workload(name="faq", description="", bodies=(b"{}",), digest="0" * 64)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_bodies_must_be_json_objects(body: bytes) -> None:
    with pytest.raises(UsageError, match="request 1: the body is not"):
        digest_bodies([b"{}", body])


def test_the_request_is_streamed_with_usage() -> None:
    body = json.loads(build("hi", ignore_eos=True, sampling={"top_p": 0.9}).bodies[0])
    assert body == {
        "model": "m",
        "max_tokens": 8,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "top_p": 0.9,
        "ignore_eos": True,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
    }
    assert "ignore_eos" not in json.loads(build("hi").bodies[0]), "other servers refuse fields they do not know"


def test_the_digest_is_blind_to_the_model_and_to_nothing_else() -> None:
    same = build("a", "b").digest
    assert build("a", "b", model="other").digest == same
    assert build("a", "b", name="other").digest == same
    different = {
        build("b", "a").digest,
        build("a").digest,
        build("a", "b", max_tokens=9).digest,
        build("a", "b", ignore_eos=True).digest,
        build("a", "b", sampling={"temperature": 0.1}).digest,
        build("a", "b ").digest,
    }
    assert len(different) == 6
    assert same not in different


def test_the_digest_is_blind_to_white_space_and_order_of_fields() -> None:
    assert digest_bodies([b'{"a": 1,"b":2}']) == digest_bodies([b'{"b":2, "a":1, "model":"x"}'])
    assert digest_bodies([b"{}", b"{}"]) != digest_bodies([b"{}"])


def test_requests_begin_again() -> None:
    workload = build("a", "b", "c")
    a, b, c = workload.bodies
    assert workload.take(2) == (a, b)
    assert workload.take(5) == (a, b, c, a, b)


def test_warm_up_has_the_same_words_and_no_common_prefix() -> None:
    workload = build("one two three", "four five")
    warm = [json.loads(body) for body in workload.warm_up(3)]
    assert [w["messages"][1]["content"] for w in warm] == ["three two one", "five four", "three two one"]
    assert warm[0]["messages"][0]["content"] == "brief. Be"
    assert warm[0]["stream_options"] == {"include_usage": True}


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=5), st.integers(min_value=1, max_value=12))
def test_any_text_survives(texts: list[str], count: int) -> None:
    workload = build(*texts)
    sent = [json.loads(body)["messages"][1]["content"] for body in workload.take(count)]
    assert sent == [texts[i % len(texts)] for i in range(count)]
    assert len(workload.warm_up(count)) == count
