"""Streams, read after the fact: which events bear a token, when each arrived, and what is no answer."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.bench.client.events import read_answer
from llmgate.bench.client.http import HttpExchange
from llmgate.generate.finish import FinishRule

DONE = b"data: [DONE]\n\n"
STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def event(delta: dict[str, Any] | None, *, finish: str | None = None, **extra: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"choices": choices, **extra}).encode() + b"\n\n"


def usage(prompt: Any, completion: Any) -> bytes:
    return event(None, usage={"prompt_tokens": prompt, "completion_tokens": completion})


ROLE = event({"role": "assistant", "content": ""})


def exchange(*pieces: bytes, status: int = 200, error: str | None = None, **headers: str) -> HttpExchange:
    """Piece k arrives at k seconds, k from 1."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    timed = tuple((float(k), piece) for k, piece in enumerate(pieces, start=1))
    end_s = len(pieces) + 1.0
    return HttpExchange(sent_s=0.0, end_s=end_s, status=status, headers=STREAM | named, pieces=timed, error=error)


def test_a_role_only_first_event_is_no_token() -> None:
    answer = read_answer(exchange(ROLE, event({"content": "a"}), event({"content": "b"}, finish="stop"), DONE))
    assert answer.token_events_s == (2.0, 3.0)
    assert answer.error is None


def test_a_first_event_with_role_and_text_is_a_token() -> None:
    answer = read_answer(exchange(event({"role": "assistant", "content": "a"}, finish="stop"), DONE))
    assert answer.token_events_s == (1.0,)


def test_an_event_without_text_bears_a_token_where_the_count_says_so() -> None:
    # An incomplete character, then the end token: vLLM sends an event for each.
    pieces = (ROLE, event({"content": "a"}), event({"content": ""}), event({"content": ""}, finish="stop"))
    assert read_answer(exchange(*pieces, usage(5, 3), DONE)).token_events_s == (2.0, 3.0, 4.0)
    assert read_answer(exchange(*pieces, usage(5, 2), DONE)).token_events_s == (2.0, 3.0)
    assert read_answer(exchange(*pieces, usage(5, 1), DONE)).token_events_s == (2.0,)
    assert read_answer(exchange(*pieces, DONE)).token_events_s == (2.0, 3.0, 4.0)


def test_an_event_with_text_is_never_dropped() -> None:
    pieces = (event({"content": "a"}), event({"content": "b"}, finish="stop"), usage(5, 1), DONE)
    assert read_answer(exchange(*pieces)).token_events_s == (1.0, 2.0)


@pytest.mark.parametrize("key", ["content", "reasoning", "reasoning_content"])
def test_reasoning_is_tokens_too(key: str) -> None:
    assert read_answer(exchange(ROLE, event({key: "hm"}), DONE)).token_events_s == (2.0,)


def test_tool_calls_are_tokens() -> None:
    call = event({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]})
    assert read_answer(exchange(ROLE, call, DONE)).token_events_s == (2.0,)


def test_text_completions() -> None:
    first = b'data: {"choices":[{"text":"a","finish_reason":null}]}\n\n'
    last = b'data: {"choices":[{"text":"","finish_reason":"length"}]}\n\n'
    assert read_answer(exchange(first, last)).token_events_s == (1.0, 2.0)


def test_usage_is_read_or_unknown() -> None:
    token = event({"content": "a"}, finish="stop")
    counted = read_answer(exchange(token, usage(7, 3), DONE))
    assert (counted.prompt_tokens, counted.completion_tokens) == (7, 3)
    for bad in (None, "3", 3.5, -1, True):
        odd = read_answer(exchange(token, usage(bad, bad), DONE))
        assert (odd.prompt_tokens, odd.completion_tokens) == (None, None)
    none = read_answer(exchange(token, DONE))
    assert (none.prompt_tokens, none.completion_tokens) == (None, None)


def test_an_event_arrives_when_its_last_line_does() -> None:
    whole = event({"content": "a"})
    answer = read_answer(exchange(whole[:10], whole[10:-2], whole[-2:-1], whole[-1:], event({"content": "b"}), DONE))
    assert answer.token_events_s == (3.0, 5.0)


def test_several_events_in_one_read_share_its_time() -> None:
    answer = read_answer(exchange(ROLE + event({"content": "a"}) + event({"content": "b"}), DONE))
    assert answer.token_events_s == (1.0, 1.0)


def test_comments_other_fields_crlf_and_data_over_several_lines() -> None:
    ping = b": ping\r\nevent: message\r\nid: 3\r\n\r\n"
    split = b'data: {"choices":\r\ndata: [{"delta":{"content":"a"}}]}\r\n\r\n'
    assert read_answer(exchange(ping, split, DONE)).token_events_s == (2.0,)


def test_text_with_line_separators_of_unicode_is_one_line() -> None:
    raw = json.dumps({"choices": [{"delta": {"content": "a\u2028b\u0085c"}}]}, ensure_ascii=False).encode()
    assert read_answer(exchange(b"data: " + raw + b"\n\n", DONE)).token_events_s == (1.0,)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (exchange(b"<html>gateway</html>", content_type="text/html"), "not a stream of events but text/html: <html>"),
        (exchange(b"{}", content_type=""), "an unnamed type"),
        (exchange(b'{"error":"no"}', status=500), 'HTTP 500: {"error":"no"}'),
        (exchange(status=503), r"HTTP 503: \(empty\)"),
        (exchange(status=302, location="http://elsewhere.invalid/"), "HTTP 302: a redirect to http://elsewhere.inv"),
        (exchange(status=0, error="the connection closed after 0 bytes"), "closed after 0 bytes"),
        (exchange(event({"content": "a"}), DONE, content_encoding="gzip"), r"compressed \(gzip\)"),
        (exchange(b"data: {oops\n\n", DONE), "not JSON: {oops"),
        (exchange(b"data: [1]\n\n", DONE), r"not a JSON object: \[1\]"),
        (exchange(event(None, error={"message": "CUDA out of memory"}), DONE), "reported an error: .*CUDA out of mem"),
        (exchange(ROLE, DONE), "has no token"),
        (exchange(DONE), "has no token"),
        (exchange(event({"content": "a"})), "without finish_reason and without"),
        (exchange(event({"content": "a"}), DONE), "names no finish reason"),
        (exchange(event({"content": "a"}, finish=""), DONE), "names no finish reason"),
        (exchange(event({"content": "a"}, finish="content_filter"), DONE), "withheld"),
        (exchange(event({"content": "a"}, finish="abort"), DONE), "broke the answer off"),
        (exchange(event({"content": "a"}, finish="banana"), DONE), "'banana' is not known"),
        (exchange(event({"content": "a"}, finish="\ud800"), DONE), r"'\\ud800' is not known"),
        (exchange(event({"content": "a"}, finish="stop"), event({"content": ""}, finish="error"), DONE), "broke"),
        (exchange(event({"content": "a"}, finish="stop"), DONE, event(None, error="late")), "reported an error"),
        (
            exchange(b'data: {"choices":[{"delta":{"content":"a"},"error":{"code":502}}]}\n\n', DONE),
            "reported an error",
        ),
        (exchange(b"data: " + b"[" * 100_000 + b"\n\n", DONE), "not JSON"),
        (exchange(ROLE, *[event({"content": ""})] * 9, event({"content": ""}, finish="length"), DONE), "has no text"),
        (exchange(event({"content": "a"}), error="no complete answer within 3 s"), "within 3 s"),
        (exchange(), "without finish_reason"),
    ],
)
def test_what_is_no_answer(bad: HttpExchange, message: str) -> None:
    answer = read_answer(bad)
    assert answer.error is not None
    assert re.search(message, answer.error), answer.error


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "eos_token", "STOP"])
def test_a_reason_that_means_completion_ends_an_answer(reason: str) -> None:
    assert read_answer(exchange(event({"content": "a"}, finish=reason), DONE)).error is None


def test_an_endpoint_may_end_for_further_reasons_or_for_none() -> None:
    rule = FinishRule(further=frozenset({"done", "null"}))
    assert read_answer(exchange(event({"content": "a"}, finish="done"), DONE), rule).error is None
    assert read_answer(exchange(event({"content": "a"}), DONE), rule).error is None
    assert read_answer(exchange(event({"content": "a"}, finish=""), DONE), rule).error is None
    assert read_answer(exchange(event({"content": "a"}, finish="banana"), DONE), rule).error is not None
    assert read_answer(exchange(event({"content": "a"})), rule).error is not None


def test_a_broken_stream_keeps_the_tokens_that_came() -> None:
    answer = read_answer(exchange(event({"content": "a"}), event({"content": "b"}), error="the connection closed"))
    assert answer.token_events_s == (1.0, 2.0)
    assert answer.error == "the connection closed"


def test_a_long_foreign_text_is_quoted_in_part() -> None:
    error = read_answer(exchange(b"x" * 5000, status=500)).error
    assert error is not None
    assert len(error) < 250


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_an_error(body: bytes) -> None:
    answer = read_answer(exchange(body))
    assert answer.error is not None or answer.token_events_s


@settings(deadline=None)
@given(st.lists(st.integers(min_value=1, max_value=40), max_size=30))
def test_where_the_stream_is_cut_into_reads_changes_times_only(lengths: list[int]) -> None:
    tokens = (event({"content": f"w{k}é"}, finish="stop" if k == 4 else None) for k in range(5))
    stream = ROLE + b"".join(tokens) + usage(3, 5) + DONE
    pieces, at = [], 0
    for length in lengths:
        pieces.append(stream[at : at + length])
        at += length
    pieces.append(stream[at:])
    answer = read_answer(exchange(*pieces))
    assert answer.error is None
    assert len(answer.token_events_s) == 5
    assert list(answer.token_events_s) == sorted(answer.token_events_s)
    assert answer.completion_tokens == 5
