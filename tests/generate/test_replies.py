"""Replies: what is kept of them, and what is garbage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.endpoint import chat

from llmgate.generate.replies import Vectors, read_completion, read_vectors
from llmgate.record.answered_by import AnsweredBy
from llmgate.record.schema import Failure, FailureKind, Generation, TokenLogprob

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def read(reply: Any) -> Generation | Failure:
    return read_completion(json.dumps(reply).encode(), 0.5, 1)


@pytest.mark.parametrize(
    "reply",
    [
        None, [], {}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": {}}]}, {"choices": [{"message": None}]},
        chat(None), chat(3), chat(None, message={"tool_calls": []}),  # type: ignore[arg-type]
        chat("x", message={"tool_calls": "f()"}), chat("x", message={"tool_calls": [1]}),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_garbage(reply: Any) -> None:
    got = read(reply)
    assert isinstance(got, Failure)
    assert got.kind is FailureKind.GARBAGE


def test_calls_without_text_are_an_answer() -> None:
    got = read(chat(None, message={"tool_calls": [CALL]}))
    assert isinstance(got, Generation)
    assert (got.text, got.tool_calls) == ("", (CALL,))


def test_log_probabilities_and_cached_tokens_are_kept() -> None:
    entries = [
        {
            "token": "P",
            "logprob": -0.5,
            "top_logprobs": [{"token": "P", "logprob": -0.5}, {"token": "R", "logprob": -2}],
        }
    ]
    got = read(chat("P", logprobs={"content": entries}, usage={"prompt_tokens_details": {"cached_tokens": 6}}))
    assert isinstance(got, Generation)
    assert got.logprobs == (TokenLogprob(token="P", logprob=-0.5, top={"P": -0.5, "R": -2.0}),)
    assert got.cached_tokens == 6


@pytest.mark.parametrize(
    "reported",
    [None, {}, {"content": None}, {"content": []}, {"content": [{"token": "a"}]}, {"content": [{"token": "a", "logprob": "x"}]},
     {"content": [{"token": "a", "logprob": True}]}, {"content": [3]}, {"content": [{"token": "a", "logprob": -1, "top_logprobs": [3]}]}],
)  # fmt: skip
def test_log_probabilities_that_cannot_be_read_are_none_and_cost_no_answer(reported: Any) -> None:
    got = read(chat("a", logprobs=reported))
    assert isinstance(got, Generation)
    assert got.logprobs is None


def test_vectors_come_back_in_the_order_of_the_texts() -> None:
    data = [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0.5]}]
    read = read_vectors(json.dumps({"model": "embedder", "data": data}).encode(), 0.1, 1)
    assert read == Vectors(((1.0, 0.5), (0.0, 1.0)), AnsweredBy(model="embedder"))


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"[]", b"{}", b'{"data": 3}', b'{"data": [{"index": 1, "embedding": [1]}]}', b'{"data": [{"index": 0}]}',
     b'{"data": [{"index": 0, "embedding": ["a"]}]}', b'{"data": [{"index": 0, "embedding": [NaN]}]}'],
)  # fmt: skip
def test_what_holds_no_vectors_is_garbage(content: bytes) -> None:
    got = read_vectors(content, 0.1, 1)
    assert isinstance(got, Failure)
    assert got.kind is FailureKind.GARBAGE
