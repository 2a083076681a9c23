"""The client gets every answer that can be had and records why the others cannot."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.endpoint import chat, scripted_endpoint
from support.fake_server import FakeServer, Fault, every
from support.stub import Asked, Reply, Stub

from llmgate.errors import EndpointError
from llmgate.generate.base_url import normalise_url
from llmgate.generate.client import ChatClient, Endpoint, RetryPolicy
from llmgate.generate.rate_limit import RateLimit
from llmgate.generate.traffic import Traffic
from llmgate.record.schema import Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import Callable

FAST = RetryPolicy(attempts=3, base_s=0.01)
IMPATIENT = replace(FAST, timeout_s=0.5)
"""For servers that say nothing: one that answers may take longer than that on a machine that is busy."""


def body(text: str = "hi") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0}


def ask_all(
    url: str,
    bodies: list[dict[str, Any]],
    *,
    concurrency: int = 4,
    retry: RetryPolicy = FAST,
    api_key: str | None = None,
    death: Callable[[], str | None] = lambda: None,
) -> list[Generation | Failure]:
    async def run() -> list[Generation | Failure]:
        endpoint = Endpoint(url=normalise_url(url), model="fake-model", api_key=api_key)
        async with ChatClient(endpoint, concurrency=concurrency, retry=retry, death=death) as client:
            return list(await asyncio.gather(*(client.ask(one) for one in bodies)))

    return asyncio.run(run())


def test_answers_come_back_in_order_with_usage_and_latency() -> None:
    with FakeServer(ttft_s=0.01) as server:
        answers = ask_all(server.url, [body(f"word {i}") for i in range(20)])
    assert [a.text for a in answers if isinstance(a, Generation)] == [f"word {i}" for i in range(20)]
    assert all(isinstance(a, Generation) and a.completion_tokens == 2 and a.latency_s >= 0.01 for a in answers)
    assert server.seen[0].json["model"] == "fake-model"
    assert server.seen[0].json["temperature"] == 0


def test_two_hundred_cases_keep_thirty_two_in_flight_until_the_tail() -> None:
    # A client that kept fewer in flight would get no answer.
    with FakeServer(lockstep=(32, 200)) as server:
        answers = ask_all(server.url, [body(str(i)) for i in range(200)], concurrency=32)
    assert all(isinstance(a, Generation) for a in answers)
    assert server.peak == 32


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (Fault.HTTP_500, FailureKind.HTTP, "HTTP 500"),
        (Fault.GARBAGE, FailureKind.CONNECTION, "connection failed"),
        (Fault.NOT_JSON, FailureKind.GARBAGE, "not JSON"),
        (Fault.NO_CHOICES, FailureKind.GARBAGE, "choices"),
        (Fault.CUT, FailureKind.CONNECTION, "connection failed"),
        (Fault.SILENT, FailureKind.TIMEOUT, "no answer within"),
        (Fault.REDIRECT, FailureKind.HTTP, "redirects are not followed"),
    ],
)
def test_what_never_answers_well_is_a_failure_that_says_why(fault: Fault, kind: FailureKind, says: str) -> None:
    with FakeServer(faults=every(1, fault)) as server:
        (answer,) = ask_all(server.url, [body()], retry=IMPATIENT if fault is Fault.SILENT else FAST)
    assert isinstance(answer, Failure)
    assert answer.kind is kind
    assert says in answer.message
    assert answer.attempts == (1 if fault is Fault.REDIRECT else 3)


@pytest.mark.parametrize(
    "fault", [Fault.HTTP_500, Fault.RATE_LIMITED, Fault.GARBAGE, Fault.NOT_JSON, Fault.CUT, Fault.SILENT]
)
def test_a_fault_that_passes_is_retried(fault: Fault) -> None:
    with FakeServer(faults={1: fault}) as server:
        patience = replace(FAST, timeout_s=2.0) if fault is Fault.SILENT else FAST
        (answer,) = ask_all(server.url, [body("again")], retry=patience)
    assert isinstance(answer, Generation)
    assert answer.text == "again"
    assert answer.attempts == 2


def test_a_refused_request_is_not_repeated() -> None:
    with FakeServer(faults=every(1, Fault.HTTP_400)) as server:
        (answer,) = ask_all(server.url, [body()])
    assert isinstance(answer, Failure)
    assert (answer.kind, answer.attempts, len(server.seen)) == (FailureKind.HTTP, 1, 1)


def test_a_server_that_dies_ends_the_rest_at_once_with_its_reason() -> None:
    with FakeServer(die_after=5) as server:
        answers = ask_all(
            server.url,
            [body(str(i)) for i in range(40)],
            death=lambda: None if server.alive else "the server ran out of memory",
        )
    # An answer that was under way when it died may not have arrived.
    assert 1 <= sum(isinstance(a, Generation) for a in answers) <= 5
    failures = [a for a in answers if isinstance(a, Failure)]
    assert {(f.kind, f.message) for f in failures} == {(FailureKind.SERVER_DIED, "the server ran out of memory")}


def test_nobody_listens() -> None:
    (answer,) = ask_all("http://127.0.0.1:9", [body()], retry=RetryPolicy(attempts=1))
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.CONNECTION


def test_an_endpoint_that_is_gone_is_not_asked_for_ever() -> None:
    with FakeServer(die_after=3) as server:
        answers = ask_all(server.url, [body(str(i)) for i in range(500)], concurrency=2)
    # The third answer is on its way when the fourth request kills the server, and may be lost.
    assert sum(isinstance(a, Generation) for a in answers) in {2, 3}
    assert sum("not asked" in a.message for a in answers if isinstance(a, Failure)) > 400


def test_the_key_is_sent_and_never_shown() -> None:
    with FakeServer(api_key="sk-secret-value") as server:
        (good,) = ask_all(server.url, [body()], api_key="sk-secret-value")
        with pytest.raises(EndpointError, match=r"wants a key, and none was sent \(HTTP 401.*LLMGATE_API_KEY"):
            ask_all(server.url, [body()])
        with pytest.raises(EndpointError, match=r"refuses the key in LLMGATE_API_KEY") as refused:
            ask_all(server.url, [body()], api_key="sk-another-value")
    assert isinstance(good, Generation)
    assert "sk-another" not in str(refused.value)
    assert "sk-secret" not in repr(Endpoint(url="u", model="m", api_key="sk-secret-value"))


def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmgate.generate.http_connection.MAX_BODY_BYTES", 10_000)
    with FakeServer(answer=lambda _: "x" * 50_000) as server:
        (answer,) = ask_all(server.url, [body()], retry=RetryPolicy(attempts=1))
    assert isinstance(answer, Failure)
    assert "larger than 10000 bytes" in answer.message


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x/v1", "", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(EndpointError, match="not an http"):
        normalise_url(url)


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_urls_are_normalised(url: str) -> None:
    assert normalise_url(url) == "http://h:1/v1"


@pytest.mark.parametrize(
    ("attempt", "retry_after", "pause"),
    [
        (1, None, 0.5), (2, None, 1.0), (9, None, 20.0), (5000, None, 20.0), (1, "3", 3.0), (1, "900", 20.0),
        (1, "9" * 5000, 20.0), (1, "soon", 0.5), (1, "\u00b2", 0.5), (1, "\u0663", 0.5), (1, "-3", 0.5), (1, "1e3", 0.5),
        (1, "", 0.5), (1, "\udcb2", 0.5), (1, "NaN", 0.5), (1, "inf", 0.5),
        (1, "Thu, 01 Jan 1970 00:16:47 GMT", 7.0), (1, "Thu, 01 Jan 1970 00:16:39 GMT", 0.5),
        (1, "Fri, 31 Dec 9999 23:59:59 GMT", 20.0), (1, "Thu, 01 Jan 99999 00:00:00 GMT", 0.5), (1, "Thu, 99 Foo", 0.5),
    ],
)  # fmt: skip
def test_pauses_grow_and_honour_the_server(attempt: int, retry_after: str | None, pause: float) -> None:
    assert RetryPolicy().pause_s(attempt, retry_after, now_s=1000.0) == pause


@pytest.mark.parametrize(
    ("extra", "kind", "attempts"),
    [
        ({"finish_reason": "content_filter"}, FailureKind.INCOMPLETE, 1),
        ({"finish_reason": "banana"}, FailureKind.INCOMPLETE, 1),
        ({"finish_reason": "abort"}, FailureKind.ERROR_REPLY, 3),
        ({"error": "overloaded"}, FailureKind.ERROR_REPLY, 3),
    ],
)
def test_only_what_may_pass_is_asked_for_again(extra: dict[str, Any], kind: FailureKind, attempts: int) -> None:
    with scripted_endpoint(lambda *_: chat("x", **extra)) as (url, seen):
        (answer,) = ask_all(url, [body()])
    assert isinstance(answer, Failure)
    assert (answer.kind, answer.attempts, len(seen)) == (kind, attempts, attempts)


class Refusing(Stub):
    """Answers chat completions, and what it is told to say instead to the first of them."""

    def __init__(self, *first: Reply) -> None:
        super().__init__()
        self.first = list(first)

    def answer(self, _: Asked) -> Reply:
        return self.first.pop(0) if self.first else Reply(json=chat("yes"))


NO_DB = Reply(status=400, json={"error": {"message": "No connected db.", "type": "no_db_connection", "code": "400"}})
QUOTA = Reply(status=429, json={"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})
BUSY = Reply(status=429, json={"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}})


@pytest.mark.parametrize(("refusal", "says"), [(NO_DB, "refuses the key"), (QUOTA, "quota at the endpoint is used up")])
def test_a_refused_key_and_a_used_up_quota_end_it_at_the_first_request(refusal: Reply, says: str) -> None:
    with Refusing(*[refusal] * 2000) as server, pytest.raises(EndpointError, match=says):
        ask_all(server.url, [body(str(i)) for i in range(1000)], concurrency=4, api_key="sk-a-long-enough-key")
    # Those that were in flight already.
    assert 1 <= len(server.requests) <= 4


def test_words_about_a_key_end_nothing_once_the_endpoint_has_answered() -> None:
    said = Reply(status=400, json={"error": {"message": "Invalid value: 'what is a missing API key?'"}})
    with Refusing(Reply(json=chat("yes")), said) as server:
        first, second, third = ask_all(server.url, [body("a"), body("b"), body("c")], concurrency=1)
    assert isinstance(first, Generation)
    assert isinstance(second, Failure)
    assert isinstance(third, Generation)


@pytest.mark.parametrize("attempts", [2, 5])
def test_a_rate_limit_is_waited_out_however_few_retries_there_are(attempts: int) -> None:
    said = Reply(status=429, headers={"retry-after-ms": "1"})
    with Refusing(*[said] * 6) as server:
        (answer,) = ask_all(server.url, [body()], retry=RetryPolicy(attempts=attempts, timeout_s=5))
    assert isinstance(answer, Generation)
    assert answer.attempts == 7


def test_no_retries_wait_for_no_rate_limit() -> None:
    with Refusing(BUSY) as server:
        answers = ask_all(server.url, [body(), body()], concurrency=1, retry=RetryPolicy(attempts=1))
    assert isinstance(answers[0], Failure)
    assert answers[0].message.startswith("HTTP 429")
    assert isinstance(answers[1], Generation)


def test_a_limit_that_takes_hours_ends_it() -> None:
    said = Reply(status=429, headers={"Retry-After": "7200"})
    with Refusing(said, said) as server, pytest.raises(EndpointError, match=r"asks to wait 7200 s.*--rpm"):
        ask_all(server.url, [body()] * 100, concurrency=1)
    assert len(server.requests) == 1


def test_thirty_two_in_flight_that_are_refused_do_not_ask_again_together() -> None:
    with Refusing(*[Reply(status=429, headers={"retry-after-ms": "30"})] * 40) as server:
        answers = ask_all(server.url, [body(str(i)) for i in range(64)], concurrency=32)
    assert [answer for answer in answers if not isinstance(answer, Generation)] == []
    # 40 refusals, of which 32 at first; no request was sent for nothing besides.
    assert len(server.requests) == 64 + 40


def test_requests_keep_to_a_limit() -> None:
    async def work(url: str) -> float:
        endpoint, traffic = Endpoint(url=f"{url}/v1", model="m"), Traffic(RateLimit(rpm=3000))
        async with ChatClient(endpoint, concurrency=8, traffic=traffic) as client:
            started = asyncio.get_running_loop().time()
            await asyncio.gather(*(client.ask(body()) for _ in range(10)))
            return asyncio.get_running_loop().time() - started

    with Refusing() as server:
        assert asyncio.run(work(server.url)) >= 9 / 50 - 0.01


def test_embeddings_wait_and_stop_like_answers() -> None:
    async def work(url: str) -> object:
        async with ChatClient(Endpoint(url=f"{url}/v1", model="m"), concurrency=1) as client:
            return await client.embed(["a"])

    with Refusing(NO_DB) as server, pytest.raises(EndpointError, match="wants a key"):
        asyncio.run(work(server.url))
