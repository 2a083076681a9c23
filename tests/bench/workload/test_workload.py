"""Workloads: what is refused, what is sent, what the digest means."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.bench.workload.workload import Workload, chat_workload, digest_bodies
from llmgate.errors import UsageError
from llmgate.record.schema import Message

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    assert workload.take(5)[:3] == (a, b, c)
    assert texts_of(workload.take(5)[3:]) == [["[1] Be brief.", "a"], ["[1] Be brief.", "b"]]


def texts_of(bodies: Sequence[bytes]) -> list[list[Any]]:
    return [[message.get("content") for message in json.loads(body)["messages"]] for body in bodies]


@settings(deadline=None)
@given(
    st.lists(st.text(max_size=4), min_size=1, max_size=6), st.integers(1, 30), st.text("0123456789abcdef", min_size=1)
)
def test_no_two_requests_are_the_same_and_only_the_mark_differs(texts: list[str], count: int, salt: str) -> None:
    workload = build(*texts)
    taken = workload.take(count, salt=salt)
    assert len(set(taken)) == count
    assert len({len(system) - len("Be brief.") for system, _ in texts_of(taken)}) == 1, "all marks are equally long"
    for k, body in enumerate(taken):
        sent, plain = json.loads(body), json.loads(workload.bodies[k % len(texts)])
        system = sent["messages"][0]["content"]
        assert system.startswith(f"[{salt}.")
        sent["messages"][0]["content"] = system.partition("] ")[2]
        assert sent == plain
        assert list(sent) == list(plain)
    assert not set(taken) & set(workload.take(count, salt=f"{salt}x"))
    assert taken == workload.take(count, salt=salt)


def test_what_prompts_of_one_repetition_share_they_still_share() -> None:
    first, second, third, fourth = texts_of(build("a", "b").take(4, salt="s"))
    assert first[0] == second[0] == "[s.0] Be brief."
    assert third[0] == fourth[0] == "[s.1] Be brief."


def test_a_prompt_that_the_workload_holds_twice_is_not_sent_twice() -> None:
    assert texts_of(build("a", "a", "b").take(3)) == [
        ["Be brief.", "a"],
        ["[1] Be brief.", "a"],
        ["Be brief.", "b"],
    ]


def test_the_mark_goes_before_the_first_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    conversations: list[list[dict[str, Any]]] = [
        [{"role": "user", "content": [image, {"type": "text", "text": "what is this?"}]}],
        [{"role": "assistant", "content": None, "tool_calls": []}, {"role": "tool", "content": "42"}],
        [{"role": "user", "content": [image]}],
    ]
    taken = chat_workload(conversations, name="faq", model="m", max_tokens=8).take(3, salt="s")
    assert texts_of(taken) == [
        [[image, {"type": "text", "text": "[s.0] what is this?"}]],
        [None, "[s.0] 42"],
        [[image]],
    ]


def test_warm_up_bears_the_salt_as_well() -> None:
    workload = build("one two three")
    assert texts_of(workload.warm_up(2, salt="s")) == [
        ["brief. Be [s.0]", "three two one"],
        ["brief. Be [s.1]", "three two one"],
    ]


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
