"""A server that dies while it is asked: its connections may stay open, and nobody must wait for them."""

from __future__ import annotations

import asyncio

from support.fake_server import FakeServer, Fault

from llmgate.generate.client import Endpoint, RetryPolicy
from llmgate.session.ray.hosts import ModelHost
from llmgate.session.ray.task import NodeQuestion, QuestionBatch


class Dying:
    """A server whose engine is found dead at the second look."""

    def __init__(self, url: str, *, lives: int) -> None:
        self.url, self.left = url, lives

    def death_reason(self) -> str | None:
        self.left -= 1
        return None if self.left >= 0 else "its engine died"


def host_of(url: str, *, lives: int) -> ModelHost:
    host = ModelHost.__new__(ModelHost)
    host._server = Dying(url, lives=lives)  # type: ignore[assignment]
    return host


def batch() -> QuestionBatch:
    asked = tuple(NodeQuestion(body={"messages": [{"role": "user", "content": word}]}) for word in ("a", "b"))
    return QuestionBatch(
        endpoint=Endpoint(url="http://elsewhere/v1", model="fake-model"),
        questions=asked,
        retry=RetryPolicy(attempts=1, timeout_s=60.0),
    )


def test_a_server_that_dies_with_open_connections_gives_the_batch_back() -> None:
    with FakeServer(faults={1: Fault.SILENT, 2: Fault.SILENT}) as server:
        reply = asyncio.run(host_of(server.url, lives=1).ask(batch()))
    assert reply.gone == "its engine died"
    assert reply.answers == (None, None)
    assert reply.reasons == ((), ())


def test_a_server_that_lives_answers() -> None:
    with FakeServer() as server:
        reply = asyncio.run(host_of(server.url, lives=9).ask(batch()))
    assert not reply.gone
    assert [answer is not None and answer.text for answer in reply.answers] == ["a", "b"]  # type: ignore[union-attr]
