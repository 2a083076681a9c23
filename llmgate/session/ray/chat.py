"""A `Chat` whose requests are made elsewhere: batches go to places, answers come back to who asked.

Requests line up here, so that whoever asks sees no difference: each gets its own answer once, whatever became of the
batch that it went in. Nothing here knows Ray: a place takes a batch and returns a future.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from llmgate.errors import EndpointError
from llmgate.generate.finish import NOT_COMPLETE, nothing_expected
from llmgate.record.schema import Failure, FailureKind, Generation
from llmgate.session.ray.task import BatchReply, NodeQuestion, QuestionBatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from llmgate.generate.client import Endpoint, RetryPolicy, Vectors

__all__ = ["LostError", "SpreadChat", "SpreadPlace"]

MOST: Final = 32
"""Questions of a batch at most: what a node that dies has in hand is asked again."""
GIVE_UP_PER_SLOT: Final = 8
REST_S: Final = 10.0
"""So long a place is left alone that could not be reached, while there are others."""


class LostError(Exception):
    """A batch that nobody carried out, although it was sent again: the place is gone."""


class SpreadPlace(Protocol):
    """Somewhere requests can be made from."""

    @property
    def endpoint(self) -> Endpoint:
        """Who is asked there."""
        ...

    def send(self, batch: QuestionBatch) -> Future[BatchReply]:
        """Carry out a batch; the future raises LostError if the place is gone."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class WantedAnswer:
    """A request in the line, and who waits for it.

    Attributes:
        question: The request.
        expected: Whether its answer may end for a reason.
        answer: Who waits.
        tried: Places that could not be reached for it.
    """

    question: NodeQuestion
    expected: Callable[[str], bool]
    answer: asyncio.Future[Generation | Failure]
    tried: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class UsedPlace:
    """A place as it is used.

    Attributes:
        place: The place.
        busy: Batches that it has in hand.
        rests_until: When it may be used again, in seconds of the loop's clock.
        gone: Whether it is for good.
    """

    place: SpreadPlace
    number: int
    busy: int = 0
    rests_until: float = 0.0
    gone: bool = False


@dataclass(slots=True, kw_only=True)
class RequestLine:
    """Requests that wait."""

    waiting: deque[WantedAnswer] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, wanted: WantedAnswer) -> None:
        """Line up."""
        self.waiting.append(wanted)
        self.filled.set()

    def put_first(self, wanted: Sequence[WantedAnswer]) -> None:
        """Come back to the front."""
        self.waiting.extendleft(reversed(wanted))
        if self.waiting:
            self.filled.set()

    def take(self, most: int) -> list[WantedAnswer]:
        """The first ones that somebody still waits for."""
        taken: list[WantedAnswer] = []
        while self.waiting and len(taken) < most:
            wanted = self.waiting.popleft()
            if not wanted.answer.done():
                taken.append(wanted)
        if not self.waiting:
            self.filled.clear()
        return taken


class SpreadChat:
    """See the module's text. Use as an async context manager.

    Args:
        places: Where requests are made from, at least one; used in turn, those with the fewest batches in hand first.
        concurrency: Requests in flight at most, all places together.
        slots: Batches in flight at most.
        retry: How patiently requests are made.

    Attributes:
        endpoint: Who is asked, for messages; the first place's.
        stopped: Why nothing is asked any more; `ask` raises it.
    """

    def __init__(self, places: Sequence[SpreadPlace], *, concurrency: int, slots: int, retry: RetryPolicy) -> None:
        self.endpoint: Endpoint = places[0].endpoint
        self.stopped: EndpointError | None = None
        self._desks = [UsedPlace(place=place, number=number) for number, place in enumerate(places)]
        self._turns = count()
        self._concurrency = concurrency
        self._slots = max(1, min(slots, concurrency))
        self._free = asyncio.Semaphore(self._slots)
        self._retry = retry
        self._line = RequestLine()
        self._pump: asyncio.Task[None] | None = None
        self._carriers: set[asyncio.Task[None]] = set()
        self._refused = 0

    async def __aenter__(self) -> Self:
        """Begin to carry."""
        self._pump = asyncio.create_task(self._carry_on())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Carry nothing more."""
        tasks = [*self._carriers, *([self._pump] if self._pump else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def gave_up(self) -> bool:
        """Whether so many connections failed in a row, at all places, that asking on would only cost time."""
        return self._refused >= GIVE_UP_PER_SLOT * self._concurrency

    async def ask(
        self,
        body: Mapping[str, Any],
        *,
        expected: Callable[[str], bool] = nothing_expected,
        which: str = "",  # noqa: ARG002 - see `Chat.ask`
    ) -> Generation | Failure:
        """One chat completion; see `Chat.ask`.

        Raises:
            EndpointError: If asking on is of no use: `stopped`.
        """
        if self.stopped:
            raise self.stopped
        if self.gave_up:
            return self._not_asked()
        question = NodeQuestion(body=body, expected=frozenset(filter(expected, NOT_COMPLETE)))
        wanted = WantedAnswer(question=question, expected=expected, answer=asyncio.get_running_loop().create_future())
        self._line.put(wanted)
        return await wanted.answer

    def _not_asked(self) -> Failure:
        message = f"not asked: {self._refused} connections in a row had failed"
        return Failure(kind=FailureKind.CONNECTION, message=message, attempts=0)

    async def embed(self, texts: Sequence[str]) -> Vectors | Failure:
        """Nobody asks the model under test for vectors."""
        del texts
        raise EndpointError("embeddings are not asked for on a cluster", where=self.endpoint.url)

    async def _carry_on(self) -> None:
        """Hand out batches as places come free."""
        while True:
            await self._line.filled.wait()
            await self._free.acquire()
            # Whoever is about to ask lines up first, so that batches are whole.
            await asyncio.sleep(0)
            taken = self._line.take(self._size())
            if not taken:
                self._free.release()
                continue
            task = asyncio.create_task(self._carry(taken))
            self._carriers.add(task)
            task.add_done_callback(self._carriers.discard)

    def _size(self) -> int:
        """Questions of the next batch: smaller ones towards the end, so that no place works alone at last."""
        share = -(-len(self._line.waiting) // self._slots)
        return max(1, min(MOST, self._concurrency // self._slots, share))

    async def _carry(self, taken: Sequence[WantedAnswer]) -> None:
        """One batch, there and back."""
        desk = None
        try:
            if self.gave_up:
                for wanted in taken:
                    wanted.answer.set_result(self._not_asked())
                return
            desk = self._desk()
            desk.busy += 1
            batch = QuestionBatch(
                endpoint=desk.place.endpoint,
                questions=tuple(wanted.question for wanted in taken),
                retry=self._retry,
            )
            reply = await asyncio.wrap_future(desk.place.send(batch))
            if reply.gone:
                raise LostError(reply.gone)
            self._hand_over(taken, reply, desk)
        except LostError as error:
            if desk is not None:
                desk.gone = True
            self._lost(taken, error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whoever waits would wait for ever
            self._end(taken, error)
        finally:
            if desk is not None:
                desk.busy -= 1
            self._free.release()

    def _desk(self) -> UsedPlace:
        """The place for the next batch.

        Raises:
            LostError: If none is left.
        """
        now = asyncio.get_running_loop().time()
        left = [desk for desk in self._desks if not desk.gone]
        if not left:
            raise LostError("no place is left to ask from")
        awake = [desk for desk in left if desk.rests_until <= now] or left
        turn = next(self._turns)
        return min(awake, key=lambda desk: (desk.busy, (desk.number - turn) % len(self._desks)))

    def _hand_over(self, taken: Sequence[WantedAnswer], reply: BatchReply, desk: UsedPlace) -> None:
        """Give everybody the answer to what was asked; what has none goes back into the line."""
        again: list[WantedAnswer] = []
        reached = False
        for wanted, answer, reasons in zip(taken, reply.answers, reply.reasons, strict=True):
            if wanted.answer.done() or answer is None:
                continue
            unreached = isinstance(answer, Failure) and answer.kind is FailureKind.CONNECTION
            self._refused = self._refused + 1 if unreached else 0
            reached = reached or not unreached
            wanted.tried += unreached
            if unreached and wanted.tried < sum(not each.gone for each in self._desks):
                again.append(wanted)
            elif isinstance(answer, Failure) and (known := frozenset(filter(wanted.expected, reasons))):
                # An assert of this case names a reason that nobody knew before it came.
                wanted.question = NodeQuestion(body=wanted.question.body, expected=wanted.question.expected | known)
                again.append(wanted)
            else:
                wanted.answer.set_result(answer)
        if not reached and reply.stopped is None:
            desk.rests_until = asyncio.get_running_loop().time() + REST_S
        self._line.put_first(again)
        if reply.stopped is not None:
            what, where, fix = reply.stopped
            self._end(taken, EndpointError(what, where=where, fix=fix))

    def _lost(self, taken: Sequence[WantedAnswer], error: LostError) -> None:
        """A place is gone: others ask what it had in hand, if there are any."""
        if all(desk.gone for desk in self._desks):
            self._end(taken, EndpointError(str(error), where="--on", fix="Look at the nodes of the cluster"))
        else:
            self._line.put_first([wanted for wanted in taken if not wanted.answer.done()])

    def _end(self, taken: Sequence[WantedAnswer], error: Exception) -> None:
        """Ask nothing more, and tell all who wait."""
        if self.stopped is None and isinstance(error, EndpointError):
            self.stopped = error
        for wanted in (*taken, *self._line.take(len(self._line.waiting))):
            if not wanted.answer.done():
                wanted.answer.set_exception(error)
