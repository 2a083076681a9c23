"""The official client asks as suites do, only where it may, and all that it asks is recorded."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import openai
import pytest
from support.endpoint import chat
from support.fake_server import FakeServer, Fault
from support.stub import Asked, Reply, Stub

from llmgate.errors import UsageError
from llmgate.generate.client import ChatClient, Endpoint, RetryPolicy
from llmgate.generate.official.clients import OfficialClients
from llmgate.record.redaction import NO_SECRETS, Redactor
from llmgate.record.schema import Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from llmgate.record.schema import Exchange

FAST = RetryPolicy(attempts=3, base_s=0.01)
PATIENT = RetryPolicy(attempts=3, base_s=0.01, timeout_s=30.0, connect_s=10.0)
KEY = "sk-abcdef0123456789-secret"
HELLO: Any = [{"role": "user", "content": "hello there"}]


class Book(list["tuple[str, Exchange]"]):
    """What was recorded."""

    def note(self, token: str, exchange: Exchange) -> None:
        self.append((token, exchange))

    @property
    def one(self) -> Exchange:
        assert len(self) == 1, self
        return self[0][1]


@asynccontextmanager
async def clients(
    url: str,
    book: Book,
    *,
    concurrency: int = 4,
    retry: RetryPolicy = PATIENT,
    api_key: str | None = None,
    names: tuple[str, ...] = (),
    death: Callable[[], str | None] = lambda: None,
    redact: Redactor = NO_SECRETS,
) -> AsyncIterator[OfficialClients]:
    endpoint = Endpoint(url=f"{url}/v1", model="fake-model", api_key=api_key, names=names)
    made = OfficialClients(
        endpoint, concurrency=concurrency, on_exchange=book.note, retry=retry, death=death, redact=redact
    )
    try:
        yield made
    finally:
        await made.aclose()


async def say(llm: openai.AsyncOpenAI, **more: Any) -> Any:
    return await llm.chat.completions.create(**{"model": "fake-model", "messages": HELLO, **more})


# ---------------------------------------------------------------------- what is refused


def test_another_model_is_not_asked() -> None:
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book, names=("alias",)) as made:
            with pytest.raises(openai.BadRequestError, match=r"asks for the model 'gpt-4o', the model under test is"):
                await say(made.for_case("a"), model="gpt-4o")
            with pytest.raises(openai.BadRequestError, match="use model=case.model"):
                await made.for_case("a").embeddings.create(model="text-embedding-3", input="x")
            with pytest.raises(openai.BadRequestError, match="'whisper-1'"):
                await made.for_case("a").audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF"))
            with pytest.raises(openai.BadRequestError, match="no JSON object that says one thing"):
                await made.for_case("a").post(
                    "/chat/completions",
                    cast_to=object,
                    content=b'{"model": "other", "model": "fake-model"}',
                    options={"headers": {"content-type": "application/json"}},
                )
            assert not server.seen
            assert (await say(made.for_case("a"), model="alias")).choices[0].message.content == "hello there"

    with FakeServer() as server:
        asyncio.run(run(server))
    refused = [exchange for _, exchange in book[:4]]
    assert all(isinstance(e.answer, Failure) and e.answer.kind is FailureKind.REQUEST for e in refused)
    assert [e.status for e in refused] == [0] * 4
    assert isinstance(book[4][1].answer, Generation)


def test_no_other_place_is_asked() -> None:
    book = Book()

    async def run(server: FakeServer, other: FakeServer) -> None:
        async with clients(server.url, book, api_key=KEY) as made:
            llm = made.for_case("a")
            with pytest.raises(openai.BadRequestError, match="another place than the endpoint under test"):
                await say(llm.with_options(base_url=f"{other.url}/v1"))
            with pytest.raises(openai.BadRequestError, match="another place"):
                await llm.post(f"{other.url}/v1/chat/completions", cast_to=object, body={"model": "fake-model"})
            with pytest.raises(openai.BadRequestError, match="another place"):
                await llm.get(f"{server.url}/metrics", cast_to=object)
            with pytest.raises(openai.BadRequestError, match="another place"):
                await llm.get("/../../metrics", cast_to=object)

    with FakeServer() as server, FakeServer() as other:
        asyncio.run(run(server, other))
        assert not server.seen
        assert not other.seen
    assert len(book) == 4


def test_a_redirect_is_not_followed() -> None:
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book, api_key=KEY) as made:
            with pytest.raises(openai.APIStatusError):
                await say(made.for_case("a"))

    with FakeServer() as other:
        faults = {1: Fault.REDIRECT}
        with FakeServer(faults=faults, redirect_to=f"{other.url}/v1/chat/completions", api_key=KEY) as server:
            asyncio.run(run(server))
        assert not other.seen
    assert isinstance(book.one.answer, Failure)
    assert "redirects are not followed" in book.one.answer.message


def test_a_request_of_no_case_is_refused() -> None:
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book) as made:
            with pytest.raises(openai.BadRequestError, match="names no case"):
                await say(made.for_case("a").with_options(set_default_headers={}))
        assert not server.seen

    with FakeServer() as server:
        asyncio.run(run(server))
    assert book[0][0] == ""


def test_proxies_keys_and_organisations_of_the_environment_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book) as made:
            await say(made.for_case("a"))
            await say(made.for_case("a").with_options(api_key="sk-of-the-test"))
            await asyncio.to_thread(
                lambda: made.for_case_sync("b").chat.completions.create(model="fake-model", messages=HELLO)
            )

    with FakeServer() as server:
        asyncio.run(run(server))
        for seen in server.seen:
            sent = {name.lower() for name in seen.headers}
            assert not sent & {"authorization", "openai-organization", "x-llmgate-case"}
    assert [token for token, _ in book] == ["a", "a", "b"]


def test_the_endpoints_key_is_sent_and_never_recorded() -> None:
    book = Book()

    class Chatty(Stub):
        def answer(self, asked: Asked) -> Reply:
            assert asked.headers["authorization"] == f"Bearer {KEY}"
            return Reply(status=401, json={"error": {"message": f"{KEY} is no key of mine"}})

    async def run(url: str) -> None:
        async with clients(url, book, api_key=KEY, redact=Redactor((KEY,))) as made:
            llm = made.for_case("a")
            assert KEY not in repr(vars(llm))
            with pytest.raises(openai.AuthenticationError):
                await say(llm)

    with Chatty() as server:
        asyncio.run(run(server.url))
    assert isinstance(book.one.answer, Failure)
    assert KEY not in book.one.answer.message
    assert "[redacted]" in book.one.answer.message


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UsageError, match=r"pytest-llmgate\[openai\]"):
        asyncio.run(clients("http://127.0.0.1:1", Book()).__aenter__())


# ---------------------------------------------------------------------- what goes wrong


def both(server: FakeServer, retry: RetryPolicy) -> tuple[Generation | Failure, Book, Exception | None]:
    """What a suite's client gets, and what the official client records and raises."""
    book = Book()
    raised: list[Exception] = []

    async def run() -> Generation | Failure:
        endpoint = Endpoint(url=f"{server.url}/v1", model="fake-model")
        async with ChatClient(endpoint, concurrency=1, retry=retry) as client:
            theirs = await client.ask({"messages": HELLO})
        async with clients(server.url, book, concurrency=1, retry=retry) as made:
            try:
                await say(made.for_case("a"))
            except Exception as error:  # noqa: BLE001 - whichever it is
                raised.append(error)
        return theirs

    return asyncio.run(run()), book, raised[0] if raised else None


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.RATE_LIMITED])
def test_every_fault_is_tried_again_and_recorded_as_in_a_suite(fault: Fault) -> None:
    with FakeServer(faults=lambda _number, _body: fault) as server:
        theirs, book, raised = both(server, replace(FAST, timeout_s=0.5) if fault is Fault.SILENT else FAST)
        asked = len(server.seen)
    ours = book.one.answer
    assert isinstance(theirs, Failure)
    assert isinstance(ours, Failure)
    assert (ours.kind, ours.attempts) == (theirs.kind, theirs.attempts)
    assert asked == theirs.attempts + ours.attempts
    if fault not in {Fault.CUT, Fault.GARBAGE}:  # these two, each library words in its own way
        assert ours.message == theirs.message
    expected = {
        Fault.HTTP_400: openai.BadRequestError,
        Fault.HTTP_500: openai.InternalServerError,
        Fault.REDIRECT: openai.APIStatusError,
        Fault.SILENT: openai.APITimeoutError,
        Fault.CUT: openai.APIConnectionError,
        Fault.GARBAGE: openai.APIConnectionError,
    }
    if fault in expected:
        assert isinstance(raised, expected[fault])


def test_a_rate_limit_is_waited_out_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book) as made:
            await say(made.for_case("a"))
            monkeypatch.setattr("llmgate.generate.official.desk.PATIENCE_S", 0.3)
            server.faults = lambda *_: Fault.RATE_LIMITED
            with pytest.raises(openai.RateLimitError):
                await say(made.for_case("a"))

    monkeypatch.setattr("llmgate.generate.official.desk.secrets.SystemRandom.random", lambda _: 0.05)
    # More often than a request may fail.
    with FakeServer(faults=dict.fromkeys(range(1, 6), Fault.RATE_LIMITED)) as server:
        asyncio.run(run(server))
    (_, waited), (_, gave_up) = book
    assert isinstance(waited.answer, Generation)
    assert waited.answer.attempts == 6
    assert isinstance(gave_up.answer, Failure)
    assert gave_up.status == 429


def test_what_comes_right_in_the_end_is_one_exchange_with_its_attempts() -> None:
    faults = {1: Fault.HTTP_500, 2: Fault.CUT, 4: Fault.RATE_LIMITED, 5: Fault.NOT_JSON}
    with FakeServer(faults=faults) as server:
        theirs, book, raised = both(server, PATIENT)
        assert len(server.seen) == 6
    assert isinstance(theirs, Generation)
    assert isinstance(book.one.answer, Generation)
    assert theirs.attempts == book.one.answer.attempts == 3
    assert raised is None


def test_a_test_that_wants_more_retries_gets_no_more() -> None:
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book, retry=FAST) as made:
            with pytest.raises(openai.InternalServerError):
                await say(made.for_case("a").with_options(max_retries=5))

    with FakeServer(faults=lambda *_: Fault.HTTP_500) as server:
        asyncio.run(run(server))
        assert len(server.seen) == 3
    assert book.one.status == 500


def test_a_dead_server_is_not_asked_and_a_refused_one_not_for_ever() -> None:
    book = Book()

    async def run() -> None:
        async with clients("http://127.0.0.1:1", book, death=lambda: "the server ended with 137") as made:
            with pytest.raises(openai.APIConnectionError) as caught:
                await say(made.for_case("a"))
            assert "137" in str(caught.value.__cause__)
        async with clients("http://127.0.0.1:1", book, retry=FAST, concurrency=1) as made:
            for _ in range(4):
                with pytest.raises(openai.APIConnectionError):
                    await say(made.for_case("a"))

    asyncio.run(run())
    first, *others = (exchange.answer for _, exchange in book)
    assert isinstance(first, Failure)
    assert (first.kind, first.attempts) == (FailureKind.SERVER_DIED, 0)
    assert isinstance(others[-1], Failure)
    assert others[-1].message == "not asked: 8 connections in a row had failed"


# ---------------------------------------------------------------------- what is recorded


def test_one_exchange_says_who_asked_what_and_what_came() -> None:
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book) as made:
            await say(made.for_case("suite::1#0"), temperature=0, max_tokens=1)
            await made.for_case("suite::1#0").models.list()

    with FakeServer(ttft_s=0.02) as server:
        asyncio.run(run(server))
    (token, first), (_, second) = book
    assert token == "suite::1#0"
    assert (first.path, first.status, first.streamed) == ("chat/completions", 200, False)
    assert first.request == {"model": "fake-model", "messages": HELLO, "temperature": 0, "max_tokens": 1}
    assert isinstance(first.answer, Generation)
    assert (first.answer.text, first.answer.finish_reason, first.answer.completion_tokens) == ("hello", "length", 1)
    assert first.latency_s == first.answer.latency_s >= 0.02
    assert first.reply is not None
    assert first.reply["choices"][0]["message"]["content"] == "hello"
    assert (second.path, second.answer, second.request) == ("models", None, {})


def test_who_answered_is_read_from_reply_and_headers() -> None:
    book = Book()

    class Gateway(Stub):
        def answer(self, _: Asked) -> Reply:
            reply = {**chat("hi"), "model": "another-model"}
            return Reply(json=reply, headers={"x-litellm-cache-key": "abc", "Content-Encoding": "identity"})

    async def run(url: str) -> None:
        async with clients(url, book) as made:
            await say(made.for_case("a"))

    with Gateway() as server:
        asyncio.run(run(server.url))
    assert isinstance(book.one.answer, Generation)
    by = book.one.answer.answered_by
    assert by is not None
    assert (by.model, by.cached) == ("another-model", "x-litellm-cache-key")


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1.0,
    "status": "completed",
    "model": "fake-model",
    "error": None,
    "incomplete_details": None,
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Paris", "annotations": []}],
        },
    ],
    "usage": {
        "input_tokens": 9,
        "output_tokens": 2,
        "total_tokens": 11,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}


def responded(**changes: Any) -> Exchange:
    book = Book()

    class Responses(Stub):
        def answer(self, asked: Asked) -> Reply:
            assert asked.path == "/v1/responses"
            return Reply(json={**RESPONSE, **changes})

    async def run(url: str) -> None:
        async with clients(url, book) as made:
            await made.for_case("a").responses.create(model="fake-model", input="capital of France?")

    with Responses() as server:
        asyncio.run(run(server.url))
    return book.one


def test_a_response_of_the_responses_api_is_an_answer() -> None:
    exchange = responded()
    assert exchange.path == "responses"
    assert exchange.answer == Generation(
        text="Paris",
        finish_reason="stop",
        prompt_tokens=9,
        completion_tokens=2,
        cached_tokens=4,
        latency_s=exchange.latency_s,
    )
    cut = responded(status="incomplete", incomplete_details={"reason": "max_output_tokens"}).answer
    assert isinstance(cut, Generation)
    assert cut.finish_reason == "length"
    call = {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"q": 1}', "id": "fc_1"}
    called = responded(output=[call]).answer
    assert isinstance(called, Generation)
    assert called.tool_calls is not None
    assert called.tool_calls[0]["function"] == {"name": "find", "arguments": '{"q": 1}'}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, FailureKind.INCOMPLETE),
        ({"status": "failed", "error": {"code": "server_error", "message": "oh"}}, FailureKind.ERROR_REPLY),
        ({"status": "in_progress"}, FailureKind.INCOMPLETE),
        ({"output": []}, FailureKind.GARBAGE),
    ],
)
def test_a_response_that_is_no_answer_is_a_failure(changes: dict[str, Any], kind: FailureKind) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RetryPolicy, "pause_s", lambda *_, **__: 0.0)
        answer = responded(**changes).answer
    assert isinstance(answer, Failure)
    assert answer.kind is kind


def test_a_legacy_completion_is_an_answer() -> None:
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book) as made:
            llm = made.for_case("a")
            await llm.completions.create(model="fake-model", prompt="one two three", max_tokens=2)
            stream = await llm.completions.create(model="fake-model", prompt="one two three", stream=True)
            assert "".join([event.choices[0].text async for event in stream if event.choices]) == "one two three"

    with FakeServer() as server:
        asyncio.run(run(server))
    texts = [(e.answer.text, e.answer.finish_reason) for _, e in book if isinstance(e.answer, Generation)]
    assert texts == [("one two", "length"), ("one two three", "stop")]


# ---------------------------------------------------------------------- streams


def test_a_stream_gives_the_bytes_as_they_came_and_the_same_answer() -> None:
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book) as made:
            llm = made.for_case("a")
            await say(llm)
            stream = await say(llm, stream=True, stream_options={"include_usage": True})
            pieces = [event.choices[0].delta.content async for event in stream if event.choices]
            assert pieces == ["hello", " there"]
            raw = await llm.chat.completions.with_raw_response.create(
                model="fake-model", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
            content = b"".join([part async for part in raw.http_response.aiter_raw()])
            assert content.startswith(b"data: {")
            assert content.endswith(b"data: [DONE]\n\n")

    with FakeServer() as server:
        asyncio.run(run(server))
    whole, stream, raw = (exchange.answer for _, exchange in book)
    assert isinstance(whole, Generation)
    for one in (stream, raw):
        assert isinstance(one, Generation)
        assert (one.text, one.finish_reason) == (whole.text, whole.finish_reason)
        assert (one.prompt_tokens, one.completion_tokens) == (whole.prompt_tokens, whole.completion_tokens)
    assert [exchange.streamed for _, exchange in book] == [False, True, True]


def events(*bodies: object) -> bytes:
    return b"".join(
        b"data: " + (body if isinstance(body, bytes) else json.dumps(body).encode()) + b"\r\n\r\n" for body in bodies
    )


def delta(finish: str | None = None, **said: Any) -> dict[str, Any]:
    base = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "fake-model"}
    return {**base, "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def streamed(stream: bytes, *, path: str = "chat/completions", reads: int = 1000) -> Exchange:
    """What is recorded of a stream, of which a test reads so many events."""
    book = Book()

    class Streams(Stub):
        def answer(self, _: Asked) -> Reply:
            return Reply(body=stream, headers={"Content-Type": "text/event-stream; charset=utf-8"})

    async def run(url: str) -> None:
        async with clients(url, book) as made:
            llm: Any = made.for_case("a")
            asked: dict[str, Any] = {"model": "fake-model", "stream": True}
            if path == "responses":
                opened = await llm.responses.create(input="x", **asked)
            else:
                opened = await llm.chat.completions.create(messages=HELLO, **asked)
            try:
                async with opened:
                    async for _ in opened:
                        reads_left.append(1)
                        if len(reads_left) >= reads:
                            break
            except (openai.APIError, ValueError):
                pass

    reads_left: list[int] = []
    with Streams() as server:
        asyncio.run(run(server.url))
    return book.one


def test_tool_calls_and_log_probabilities_come_in_pieces() -> None:
    def call(index: int, **said: Any) -> dict[str, Any]:
        return {"index": index, **said}

    logged = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    first = delta(
        role="assistant", content=None, tool_calls=[call(0, id="c0", type="function", function={"name": "f"})]
    )
    first["choices"][0]["logprobs"] = {"content": [logged]}
    stream = events(
        first,
        delta(tool_calls=[call(0, function={"arguments": '{"a"'})]),
        delta(tool_calls=[call(1, id="c1", type="function", function={"name": "g", "arguments": "{}"})]),
        delta(tool_calls=[call(0, function={"arguments": ": 1}"})]),
        delta("tool_calls"),
        b"[DONE]",
    )
    answer = streamed(stream).answer
    assert isinstance(answer, Generation)
    assert (answer.text, answer.finish_reason) == ("", "tool_calls")
    assert [call["function"] for call in answer.tool_calls or ()] == [
        {"name": "f", "arguments": '{"a": 1}'},
        {"name": "g", "arguments": "{}"},
    ]
    assert [call["id"] for call in answer.tool_calls or ()] == ["c0", "c1"]
    assert answer.logprobs is not None
    assert answer.logprobs[0].logprob == -0.5


def test_a_stream_of_responses_is_an_answer() -> None:
    stream = events(
        {"type": "response.created", "response": {**RESPONSE, "status": "in_progress"}, "sequence_number": 0},
        {"type": "response.completed", "response": RESPONSE, "sequence_number": 1},
    )
    answer = streamed(stream, path="responses").answer
    assert isinstance(answer, Generation)
    assert answer.text == "Paris"


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (events(delta(content="half")), FailureKind.INCOMPLETE),
        (events(delta(content="half"), {"error": {"message": "oh", "code": 500}}), FailureKind.ERROR_REPLY),
        (events(b"{no json", b"[DONE]"), FailureKind.GARBAGE),
        (events(b"[DONE]"), FailureKind.GARBAGE),
        (b"", FailureKind.GARBAGE),
        (events(delta("content_filter", content="x"), b"[DONE]"), FailureKind.INCOMPLETE),
        (events({**delta("stop", content="x"), "choices": "none"}), FailureKind.GARBAGE),
        (
            events(delta("stop", content="x"), {"choices": [{"index": 1, "delta": {"content": "y"}}]}),
            FailureKind.INCOMPLETE,
        ),
        (b"data: [1, 2]\n\ndata: \xff\n\n", FailureKind.GARBAGE),
    ],
)
def test_a_stream_that_is_no_answer_is_a_failure(stream: bytes, kind: FailureKind) -> None:
    answer = streamed(stream).answer
    assert isinstance(answer, Failure)
    assert answer.kind is kind


def test_a_stream_that_a_test_leaves_is_no_answer_unless_all_was_said() -> None:
    long = events(*(delta(content=f"{n} ") for n in range(5)), delta("stop"), b"[DONE]")
    whole = streamed(long).answer
    assert isinstance(whole, Generation)
    assert whole.text == "0 1 2 3 4 "
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book) as made, await say(made.for_case("a"), stream=True) as stream:
            async for _ in stream:
                break

    with FakeServer(answer=lambda _: "word " * 50, itl_s=0.02) as server:
        asyncio.run(run(server))
    assert isinstance(book.one.answer, Failure)
    assert book.one.answer.kind is FailureKind.INTERRUPTED


def test_a_stream_that_breaks_is_a_failure_and_the_libraries_own_error() -> None:
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book) as made:
            stream = await say(made.for_case("a"), stream=True)
            async for _ in stream:
                server.die()

    with (
        FakeServer(answer=lambda _: "word " * 50, itl_s=0.02) as server,
        pytest.raises(Exception, match=r"(?i)read|peer|conn|payload"),
    ):
        asyncio.run(run(server))
    assert isinstance(book.one.answer, Failure)
    assert book.one.answer.kind is FailureKind.CONNECTION


# ---------------------------------------------------------------------- at the same time


def test_all_clients_share_the_places() -> None:
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book, concurrency=8) as made:

            async def one(n: int) -> None:
                token = f"case-{n}"
                asked: Any = {"model": "fake-model", "messages": [{"role": "user", "content": token}]}
                if n % 3 == 0:
                    create: Any = made.for_case_sync(token).chat.completions.create
                    reply = await asyncio.to_thread(create, **asked)
                    text = reply.choices[0].message.content
                elif n % 3 == 1:
                    stream = await made.for_case(token).chat.completions.create(**asked, stream=True)
                    text = "".join([e.choices[0].delta.content or "" async for e in stream if e.choices])
                else:
                    text = (await made.for_case(token).chat.completions.create(**asked)).choices[0].message.content
                assert text == token

            # As many threads as there may be synchronous tests that wait.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(20))
            await asyncio.gather(*(one(n) for n in range(60)))

    # A client that kept fewer in flight would get no answer, and one that kept more would show.
    with FakeServer(lockstep=(8, 60)) as server:
        asyncio.run(run(server))
        assert server.peak == 8
    assert sorted(token for token, _ in book) == sorted(f"case-{n}" for n in range(60))
    for token, exchange in book:
        assert isinstance(exchange.answer, Generation)
        assert exchange.answer.text == token


def test_a_case_that_reads_a_stream_may_ask_on_with_one_place() -> None:
    book = Book()

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book, concurrency=1) as made:
            llm = made.for_case("a")
            async for event in await say(llm, stream=True):
                if event.choices and event.choices[0].delta.content:
                    await asyncio.wait_for(say(llm), 20)
            dropped: Any = await say(llm, stream=True)
            del dropped
            gc.collect()
            await asyncio.wait_for(say(made.for_case("b")), 20)
            # A synchronous client in an event loop must not wait for what the loop itself would have to end.
            waiting = asyncio.create_task(say(made.for_case("c")))
            await asyncio.sleep(0)
            made.for_case_sync("d").chat.completions.create(model="fake-model", messages=HELLO)
            await waiting

    with FakeServer() as server:
        asyncio.run(run(server))
    assert [token for token, _ in book].count("a") >= 3


def test_a_case_that_is_cancelled_gives_its_place_back() -> None:
    async def run(server: FakeServer) -> None:
        async with clients(server.url, Book(), concurrency=2) as made:
            tasks = [asyncio.create_task(say(made.for_case(str(n)))) for n in range(6)]
            while len(server.seen) < 2:  # noqa: ASYNC110 - it is in another thread
                await asyncio.sleep(0.005)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            server.ttft_s = 0.0
            await asyncio.wait_for(asyncio.gather(*(say(made.for_case("b")) for _ in range(6))), 20)

    with FakeServer(ttft_s=30) as server:
        asyncio.run(run(server))


def test_event_loops_of_several_threads_have_connections_of_their_own() -> None:
    book = Book()

    async def ask(made: OfficialClients, n: int) -> None:
        for _ in range(3):
            await say(made.for_case(str(n)))

    async def run(server: FakeServer) -> None:
        async with clients(server.url, book, concurrency=2) as made:
            threads = [threading.Thread(target=lambda n=n: asyncio.run(ask(made, n))) for n in range(4)]
            await ask(made, 9)
            for thread in threads:
                thread.start()
            for thread in threads:
                await asyncio.to_thread(thread.join)

    with FakeServer() as server:
        asyncio.run(run(server))
        assert server.peak <= 2
    assert len(book) == 15
