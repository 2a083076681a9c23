"""Where a response ends, what its body is, and which bytes came when."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.bench.client.response import HttpExchange, Reply, ResponseFraming

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\n\r\r\n7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"
TRAILED = CHUNKED.removesuffix(b"\r\n") + b"Server-Timing: total;dur=1\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab\r\n\r"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 9\r\n\r\n"
BODIES = {CHUNKED: b"ab\r\n\r\r\n0\r\n\r\n", TRAILED: b"ab\r\n\r\r\n0\r\n\r\n", LENGTH: b"ab\r\n\r", EMPTY: b""}


def exchange_of(*pieces: bytes) -> HttpExchange:
    """Piece k is read at k seconds, k from 1."""
    reads = tuple((len(piece), float(k), b"") for k, piece in enumerate(pieces, start=1))
    return Reply(sent_s=0.0, end_s=float(len(pieces)), error=None, data=b"".join(pieces), reads=reads).exchange(None)


def body_of(exchange: HttpExchange) -> bytes:
    return b"".join(data for _, data in exchange.pieces)


def cut(response: bytes, cuts: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in cuts:
        pieces.append(response[at : at + size])
        at += size
    return [piece for piece in (*pieces, response[at:]) if piece]


@settings(deadline=None)
@given(st.sampled_from([CHUNKED, TRAILED, LENGTH, EMPTY, EARLY + CHUNKED]), st.lists(st.integers(1, 30), max_size=60))
def test_a_response_ends_where_it_ends_however_it_is_cut(response: bytes, cuts: list[int]) -> None:
    pieces = cut(response, cuts)
    framing = ResponseFraming()
    assert [framing.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert framing.keep_alive
    exchange = exchange_of(*pieces)
    assert body_of(exchange) == next(body for key, body in BODIES.items() if response.endswith(key))
    assert exchange.status == (204 if response == EMPTY else 200)
    times = [time_s for time_s, _ in exchange.pieces]
    assert times == sorted(times)
    assert all(1 <= time_s <= len(pieces) for time_s in times)


def test_body_bytes_carry_the_time_of_their_own_read_although_parsed_later() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    exchange = exchange_of(head, b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n")
    assert exchange.pieces == ((2.0, b"a"), (3.0, b"b"))
    assert exchange.headers == {"transfer-encoding": "chunked"}
    assert exchange.unstamped == 4, "without a clock there are only the times of reading"


def test_a_header_that_comes_twice_is_joined() -> None:
    exchange = exchange_of(b"HTTP/1.1 200 OK\r\nVia: a\r\nVIA: b\r\nContent-Length: 0\r\n\r\n")
    assert exchange.headers == {"via": "a, b", "content-length": "0"}


def test_an_early_hint_is_not_the_response() -> None:
    exchange = exchange_of(EARLY, LENGTH)
    assert (exchange.status, exchange.headers) == (200, {"content-length": "5"})
    assert exchange_of(EARLY).status == 0


@pytest.mark.parametrize(
    "response",
    [
        b"\x00\xff garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc",
    ],
)
def test_what_is_not_http_is_an_error(response: bytes) -> None:
    with pytest.raises(httptools.HttpParserError):
        ResponseFraming().feed(response)
    assert exchange_of(response).error is None, "reading it afterwards does not break; the error was found before"


def test_a_connection_is_not_used_again_when_the_server_says_so() -> None:
    framing = ResponseFraming()
    assert framing.feed(LENGTH.replace(b"\r\n\r\nab", b"\r\nConnection: close\r\n\r\nab"))
    assert not framing.keep_alive


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"garbage", b"\x00"])
@pytest.mark.parametrize("response", [LENGTH, CHUNKED])
def test_bytes_after_the_response_are_not_part_of_it(response: bytes, surplus: bytes) -> None:
    framing = ResponseFraming()
    assert framing.feed(response + surplus)
    assert not framing.keep_alive
    assert body_of(exchange_of(response + surplus)) == BODIES[response]
    assert body_of(exchange_of(response, surplus)) == BODIES[response]


def test_a_response_without_a_length_ends_with_the_connection() -> None:
    framing = ResponseFraming()
    assert not framing.feed(b"HTTP/1.1 200 OK\r\n\r\nab")
    assert not framing.feed(b"cd")
    assert framing.at_eof()
    assert body_of(exchange_of(b"HTTP/1.1 200 OK\r\n\r\nab", b"cd")) == b"abcd"
    short = ResponseFraming()
    short.feed(CHUNKED[:-3])
    assert not short.at_eof()
    short = ResponseFraming()
    short.feed(LENGTH[:-1])
    assert not short.at_eof()
