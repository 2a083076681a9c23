"""Spreading requests over places: everybody gets one answer, whatever becomes of a place."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from llmgate.errors import CannotRunError, EndpointError, ServerError
from llmgate.generate.client import Endpoint, RetryPolicy
from llmgate.record.schema import Failure, FailureKind, Generation
from llmgate.session.ray.chat import LostError, SpreadChat
from llmgate.session.ray.cluster import RayNode
from llmgate.session.ray.hosts import gpus_each, seats_of
from llmgate.session.ray.task import BatchReply, QuestionBatch

HERE = Endpoint(url="http://a/v1", model="m", api_key="sk-0123456789abcdef")
RETRY = RetryPolicy(attempts=1)


def said(body: Any) -> Generation:
    return Generation(text=f"to {body['n']}", latency_s=0.1)


def answered(batch: QuestionBatch) -> BatchReply:
    answers = tuple(said(question.body) for question in batch.questions)
    return BatchReply(answers=answers, reasons=((),) * len(answers))


@dataclass
class FakePlace:
    """Carries batches out in a thread, as Ray's futures come from threads."""

    carry: Callable[[QuestionBatch], BatchReply] = answered
    endpoint: Endpoint = HERE
    batches: list[QuestionBatch] = field(default_factory=list)
    wait_s: float = 0.001

    def send(self, batch: QuestionBatch) -> Future[BatchReply]:
        self.batches.append(batch)
        future: Future[BatchReply] = Future()
        future.set_running_or_notify_cancel()

        def work() -> None:
            try:
                future.set_result(self.carry(batch))
            except Exception as error:  # noqa: BLE001 - it is the future's
                future.set_exception(error)

        threading.Timer(self.wait_s, work).start()
        return future

    @property
    def asked(self) -> list[int]:
        return [question.body["n"] for batch in self.batches for question in batch.questions]


def ask(
    places: list[FakePlace],
    number: int,
    *,
    concurrency: int = 16,
    slots: int = 4,
    expected: Callable[[str], bool] | None = None,
) -> list[Any]:
    async def all_of() -> list[Any]:
        async with SpreadChat(places, concurrency=concurrency, slots=slots, retry=RETRY) as chat:
            more: dict[str, Any] = {} if expected is None else {"expected": expected}
            return await asyncio.gather(*(chat.ask({"n": n}, **more) for n in range(number)), return_exceptions=True)

    return asyncio.run(asyncio.wait_for(all_of(), 30))


def texts(answers: list[Any]) -> list[str]:
    return [answer.text for answer in answers]


def test_everybody_gets_the_answer_to_what_was_asked() -> None:
    places = [FakePlace(), FakePlace()]
    assert texts(ask(places, 100)) == [f"to {n}" for n in range(100)]
    assert sorted(n for place in places for n in place.asked) == list(range(100))
    assert all(place.asked for place in places)


def test_no_more_is_in_flight_than_was_allowed() -> None:
    guard, now, most = threading.Lock(), [0], [0]

    def carry(batch: QuestionBatch) -> BatchReply:
        return answered(batch)

    place = FakePlace(carry=carry, wait_s=0.01)
    send = place.send

    def counted(batch: QuestionBatch) -> Future[BatchReply]:
        with guard:
            now[0] += len(batch.questions)
            most[0] = max(most[0], now[0])
        future = send(batch)

        def done(_: Future[BatchReply]) -> None:
            with guard:
                now[0] -= len(batch.questions)

        future.add_done_callback(done)
        return future

    place.send = counted  # type: ignore[method-assign]
    ask([place], 200, concurrency=12, slots=5)
    assert most[0] <= 12
    assert max(len(batch.questions) for batch in place.batches) == 2


def test_a_batch_is_small_enough_for_all_to_have_one() -> None:
    place = FakePlace()
    ask([place], 9, concurrency=64, slots=8)
    assert all(len(batch.questions) <= 2 for batch in place.batches)


def test_what_a_dead_place_had_in_hand_is_asked_elsewhere() -> None:
    def die(_: QuestionBatch) -> BatchReply:
        raise LostError("the node is gone")

    dead, alive = FakePlace(carry=die), FakePlace()
    assert texts(ask([dead, alive], 40)) == [f"to {n}" for n in range(40)]
    assert sorted(alive.asked) == list(range(40))


def test_a_place_whose_server_died_is_left_and_what_it_said_last_is_not_believed() -> None:
    def gone(batch: QuestionBatch) -> BatchReply:
        return replace(answered(batch), answers=(None,) * len(batch.questions), gone="out of memory")

    dead, alive = FakePlace(carry=gone), FakePlace()
    assert texts(ask([dead, alive], 40)) == [f"to {n}" for n in range(40)]


def test_when_no_place_is_left_the_run_ends_with_the_reason() -> None:
    def die(_: QuestionBatch) -> BatchReply:
        raise LostError("the node is gone")

    answers = ask([FakePlace(carry=die), FakePlace(carry=die)], 20)
    assert all(isinstance(answer, EndpointError) for answer in answers)
    assert "the node is gone" in str(answers[0])


def test_a_task_that_fails_for_another_reason_ends_the_run() -> None:
    def fail(_: QuestionBatch) -> BatchReply:
        raise CannotRunError("a task on the cluster failed: ValueError()")

    answers = ask([FakePlace(carry=fail)], 3)
    assert all(isinstance(answer, CannotRunError) for answer in answers)


def unreachable(batch: QuestionBatch) -> BatchReply:
    lost = Failure(kind=FailureKind.CONNECTION, message="refused")
    return BatchReply(answers=(lost,) * len(batch.questions), reasons=((),) * len(batch.questions))


def test_an_endpoint_that_cannot_be_reached_is_rested_while_another_answers() -> None:
    down, up = FakePlace(carry=unreachable), FakePlace()
    assert texts(ask([down, up], 100)) == [f"to {n}" for n in range(100)]
    assert len(down.batches) < len(up.batches)


def test_a_failure_is_an_answer_where_nobody_else_can_be_asked() -> None:
    answers = ask([FakePlace(carry=unreachable)], 5)
    assert {answer.kind for answer in answers} == {FailureKind.CONNECTION}


def test_after_many_refusals_nothing_more_is_asked() -> None:
    place = FakePlace(carry=unreachable)
    answers = ask([place], 400, concurrency=4, slots=2)
    assert all(isinstance(answer, Failure) for answer in answers)

    async def late() -> Any:
        async with SpreadChat([place], concurrency=1, slots=1, retry=RETRY) as chat:
            for n in range(8):
                await chat.ask({"n": n})
            assert chat.gave_up
            before = len(place.batches)
            answer = await chat.ask({"n": 9})
            assert len(place.batches) == before
            return answer

    assert "not asked: 8 connections" in asyncio.run(late()).message


def test_an_endpoint_that_refuses_the_key_stops_the_run() -> None:
    def refuse(batch: QuestionBatch) -> BatchReply:
        count = len(batch.questions)
        return BatchReply(
            answers=(None,) * count, reasons=((),) * count, stopped=("no valid key", "http://a", "Set it")
        )

    place = FakePlace(carry=refuse)
    answers = ask([place], 50, concurrency=2, slots=1)
    assert all(isinstance(answer, EndpointError) for answer in answers)
    assert str(answers[0]) == "http://a: no valid key. Set it"
    assert len(place.batches) == 1


def test_a_reason_that_a_case_expects_is_told_to_who_asks() -> None:
    """What is known to mean no completion beforehand; what nobody knew, when it came."""

    def carry(batch: QuestionBatch) -> BatchReply:
        answers: list[Generation | Failure] = []
        for question in batch.questions:
            known = "moderated" in question.expected
            lost = Failure(kind=FailureKind.INCOMPLETE, message="moderated")
            answers.append(said(question.body) if known else lost)
        return BatchReply(answers=tuple(answers), reasons=(("moderated",),) * len(answers))

    place = FakePlace(carry=carry)
    expecting = ask([place], 2, expected=lambda reason: reason in {"moderated", "content_filter"})
    assert texts(expecting) == ["to 0", "to 1"]
    assert all("content_filter" in question.expected for batch in place.batches for question in batch.questions)
    assert [answer.kind for answer in ask([FakePlace(carry=carry)], 1)] == [FailureKind.INCOMPLETE]


def test_who_stopped_waiting_is_not_asked_for() -> None:
    async def work(place: FakePlace) -> str:
        async with SpreadChat([place], concurrency=1, slots=1, retry=RETRY) as chat:
            first, second, third = (asyncio.create_task(chat.ask({"n": n})) for n in range(3))
            await asyncio.sleep(0)
            second.cancel()
            await asyncio.gather(first, third)
            return await third  # type: ignore[return-value]

    place = FakePlace(wait_s=0.02)
    asyncio.run(work(place))
    assert place.asked == [0, 2]


def test_a_batch_and_its_reply_travel_and_the_key_is_not_shown() -> None:
    place = FakePlace()
    ask([place], 1)
    (batch,) = place.batches
    there: QuestionBatch = pickle.loads(pickle.dumps(batch))
    assert there == batch
    assert there.endpoint.api_key == HERE.api_key
    assert pickle.loads(pickle.dumps(answered(batch))) == answered(batch)
    assert "0123456789" not in repr(batch)


# Servers on nodes.


def node(gpus: float, name: str = "n") -> RayNode:
    return RayNode(id=name, address=name, cpus=8.0, gpus=gpus)


@pytest.mark.parametrize(
    ("flags", "gpus"),
    [
        ((), 1),
        (("--tensor-parallel-size", "4"), 4),
        (("--tensor_parallel_size=2", "--pipeline-parallel-size", "3"), 6),
        (("-tp", "2", "-dp=2", "--max-model-len", "9"), 4),
        (("-tp", "2", "--tensor-parallel-size", "4"), 4),
    ],
)
def test_the_gpus_of_a_server_are_those_of_its_flags(flags: tuple[str, ...], gpus: int) -> None:
    assert gpus_each(flags) == gpus


def test_a_size_that_is_no_number_is_refused() -> None:
    with pytest.raises(CannotRunError, match="--tensor-parallel-size is 'two'"):
        gpus_each(("--tensor-parallel-size", "two"))
    with pytest.raises(CannotRunError, match="is ''"):
        gpus_each(("--tensor-parallel-size",))


def test_servers_go_where_they_fit() -> None:
    assert seats_of([node(0), node(0, "m")], 1) == [(node(0), 0), (node(0, "m"), 0)]
    assert [each.id for each, _ in seats_of([node(8), node(3, "m"), node(0, "c")], 2)] == ["n"] * 4 + ["m"]
    with pytest.raises(ServerError, match="a server takes 8 GPUs, and no node has more than 4"):
        seats_of([node(4), node(4, "m")], 8)
