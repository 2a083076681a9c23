"""Replies: what is kept of them, and what is garbage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.endpoint import chat

from llmgate.generate.finish import FinishRule
from llmgate.generate.replies import Vectors, read_completion, read_json, read_vectors
from llmgate.record.answered_by import AnsweredBy
from llmgate.record.schema import Failure, FailureKind, Generation, TokenLogprob

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def read(reply: Any, finish: FinishRule | None = None) -> Generation | Failure:
    return read_completion(json.dumps(reply).encode(), 0.5, 1, finish=finish)


def kept(reply: Any, finish: FinishRule | None = None) -> Generation:
    got = read(reply, finish)
    assert isinstance(got, Generation), got
    return got


def refused(reply: Any, finish: FinishRule | None = None) -> Failure:
    got = read(reply, finish)
    assert isinstance(got, Failure), got
    return got


@pytest.mark.parametrize(
    "reply",
    [
        None, [], {}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": {}, "finish_reason": "stop"}]}, {"choices": [{"message": None}]},
        chat(None), chat(3), chat(None, message={"tool_calls": []}),  # type: ignore[arg-type]
        chat("x", message={"tool_calls": "f()"}), chat("x", message={"tool_calls": [1]}),
        chat("x", message={"tool_calls": [{"function": {"name": ""}}]}), chat("x", finish_reason=7),
        chat("x", finish_reason="tool_calls"), chat("\ud800"), chat("x", message={"tool_calls": [{**CALL, "\ud800": 1}]}),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_garbage(reply: Any) -> None:
    got = read(reply)
    assert isinstance(got, Failure)
    assert got.kind is FailureKind.GARBAGE


def test_calls_without_text_are_an_answer() -> None:
    got = kept(chat(None, message={"tool_calls": [CALL]}))
    assert (got.text, got.tool_calls) == ("", (CALL,))


@pytest.mark.parametrize(
    "reply",
    [
        {"error": "no"}, {"error": {}, **chat("x")}, chat("x", error=0), chat("x", message={"error": "no"}),
        {"object": "error", **chat("x")}, chat("x", finish_reason="error"), chat("x", finish_reason="Abort"),
    ],
)  # fmt: skip
def test_an_error_that_is_reported_is_one(reply: Any) -> None:
    assert refused(reply).kind is FailureKind.ERROR_REPLY


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (chat("x", finish_reason=None), "names no finish reason"),
        (chat("x", finish_reason=""), "names no finish reason"),
        (chat("x", finish_reason="banana"), "'banana' is not known to mean"),
        (chat("x", finish_reason="b\u0430nana"), r"'b\u0430nana' is not known to mean"),
        (chat("x", finish_reason="content_filter"), "withheld"),
        (chat("x", finish_reason="CONTENT_FILTER"), "withheld"),
        (chat(" \n", finish_reason="length"), "before its first word"),
        (chat("", finish_reason="Max_Tokens"), "before its first word"),
        ({"choices": chat("x")["choices"] * 2}, "2 answers"),
    ],
)
def test_what_nobody_says_is_complete_is_no_answer(reply: Any, says: str) -> None:
    got = refused(reply)
    assert got.kind is FailureKind.INCOMPLETE
    assert says in got.message


def test_a_case_may_expect_an_answer_that_is_not_complete() -> None:
    rule = FinishRule(expected=lambda reason: reason == "content_filter")
    empty = kept(chat(None, finish_reason="content_filter"), rule)
    assert (empty.text, empty.finish_reason) == ("", "content_filter")
    assert kept(chat("I w", finish_reason="CONTENT_FILTER"), rule).finish_reason == "CONTENT_FILTER"
    assert refused(chat("x", finish_reason="error"), rule).kind is FailureKind.ERROR_REPLY
    assert refused({"error": "no", **chat("x", finish_reason="content_filter")}, rule).kind is FailureKind.ERROR_REPLY
    assert refused(chat(None), rule).kind is FailureKind.GARBAGE


def test_an_endpoint_may_have_further_reasons_or_none() -> None:
    rule = FinishRule(further=frozenset({"done", "null"}))
    assert kept(chat("x", finish_reason="Done"), rule).finish_reason == "Done"
    assert kept(chat("x", finish_reason=None), rule).finish_reason is None
    assert kept(chat("x", finish_reason=""), rule).finish_reason is None
    assert refused(chat(None, finish_reason="done"), rule).kind is FailureKind.GARBAGE
    assert refused(chat("x", finish_reason="finished"), rule).kind is FailureKind.INCOMPLETE


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not JSON"), (b"{", "is not JSON"), (b"\xff", "is not JSON"), ("{}".encode("utf-16"), "is not JSON"),
        (b"[NaN]", "holds NaN"), (b"[-Infinity]", "holds -Infinity"), (b"[1]" * 2, "is not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"), (b'{"a":{"b":1,"b":1}}', "names a key twice"),
        (b'["\\ud800"]', "half of a surrogate pair"), (b'{"\\udc00":1}', "half of a surrogate pair"),
        (b'["\\ude00\\ud83d"]', "half of a surrogate pair"), (b'["\xed\xa0\x80"]', "is not JSON"),
        (b"1" * 5000, "is not JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_not_read(content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_json(content)


@pytest.mark.parametrize("content", [b'["\\ud83d\\ude00"]', b'\xef\xbb\xbf["\xf0\x9f\x98\x80"]', b'["\\\\ud800"]'])
def test_what_is_valid_is_read(content: bytes) -> None:
    assert read_json(content) in (["\U0001f600"], [r"\ud800"])


@pytest.mark.parametrize(("levels", "is_kept"), [(60, True), (64, False), (900, False)])
def test_calls_that_are_nested_too_deeply_are_garbage(levels: int, is_kept: bool) -> None:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    got = read(chat(None, message={"tool_calls": [{**CALL, "extra": value}]}))
    assert isinstance(got, Generation) is is_kept


@pytest.mark.parametrize("count", [-1, 1.5, "3", True, None, 2**53 + 1, 10**400])
def test_counts_that_are_none_cost_no_answer(count: Any) -> None:
    got = kept(chat("x", usage={"prompt_tokens": count, "prompt_tokens_details": {"cached_tokens": count}}))
    assert (got.prompt_tokens, got.cached_tokens, got.completion_tokens) == (None, None, 2)


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
     {"content": [{"token": "a", "logprob": True}]}, {"content": [{"token": "a", "logprob": 10**400}]}, {"content": [{"token": 3, "logprob": -1}]},
     {"content": [{"token": "a", "logprob": -1, "bytes": [300]}]}, {"content": [{"token": "a", "logprob": -1, "bytes": ["a"]}]}, {"content": [3]}, {"content": [{"token": "a", "logprob": -1, "top_logprobs": [3]}]}],
)  # fmt: skip
def test_log_probabilities_that_cannot_be_read_are_none_and_cost_no_answer(reported: Any) -> None:
    got = read(chat("a", logprobs=reported))
    assert isinstance(got, Generation)
    assert got.logprobs is None


def test_bytes_spell_what_tokens_cannot() -> None:
    smile = "\U0001f600".encode()
    entries = [
        {"token": text, "logprob": -1, "bytes": spelt}
        for text, spelt in (("a", [97]), ("\\xf0", list(smile[:2])), ("\ufffd", list(smile[2:])), ("<end>", None))
    ]
    got = kept(chat("a\U0001f600", logprobs={"content": entries}))
    assert [token.token for token in got.logprobs or ()] == ["a", "", "\U0001f600", "<end>"]


def test_vectors_come_back_in_the_order_of_the_texts() -> None:
    data = [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0.5]}]
    read = read_vectors(json.dumps({"model": "embedder", "data": data}).encode(), 0.1, 1, texts=2)
    assert read == Vectors(((1.0, 0.5), (0.0, 1.0)), AnsweredBy(model="embedder"))


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"[]", b"{}", b'{"data": 3}', b'{"data": [{"index": 1, "embedding": [1]}]}', b'{"data": [{"index": 0}]}',
     b'{"data": [{"index": 0, "embedding": ["a"]}]}', b'{"data": [{"index": 0, "embedding": [NaN]}]}',
     b'{"data": [{"index": 0, "embedding": []}]}', b'{"data": [{"index": 0, "embedding": [0, -0.0]}]}', b'{"data": [{"index": 0, "embedding": [1e999]}]}',
     b'{"data": [{"index": false, "embedding": [1]}]}', b'{"data": [{"index": 0.0, "embedding": [1]}]}',
     b'{"data": [{"index": [], "embedding": [1]}]}', b'{"data": []}', b'{"data": [{"index": 0, "embedding": {"1": 1}}]}',
     b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}',
     b'{"data": [{"index": 0, "embedding": [1' + b"0" * 400 + b']}]}'],
)  # fmt: skip
def test_what_holds_no_vectors_is_garbage(content: bytes) -> None:
    got = read_vectors(content, 0.1, 1, texts=1)
    assert isinstance(got, Failure)
    assert got.kind is FailureKind.GARBAGE


def test_vectors_of_different_lengths_are_garbage() -> None:
    data = [{"index": 0, "embedding": [0, 1]}, {"index": 1, "embedding": [1]}]
    assert isinstance(read_vectors(json.dumps({"data": data}).encode(), 0.1, 1, texts=2), Failure)


@pytest.mark.parametrize("where", ["reply", "entry"])
def test_an_error_beside_vectors_is_one(where: str) -> None:
    reply: dict[str, Any] = {"data": [{"index": 0, "embedding": [0, 1]}]}
    (reply if where == "reply" else reply["data"][0])["error"] = "no"
    got = read_vectors(json.dumps(reply).encode(), 0.1, 1, texts=1)
    assert isinstance(got, Failure)
    assert got.kind is FailureKind.ERROR_REPLY
