"""Concurrent chat completions against any OpenAI-compatible endpoint.

One client holds the concurrency limit and the retry policy. What cannot be had after all retries comes back as a
`Failure`, a fact for the record, never as an exception that would lose the other answers.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from llmgate.errors import EndpointError
from llmgate.generate.finish import FinishRule, nothing_expected
from llmgate.generate.http_client import EndpointHttp
from llmgate.generate.key_travel import OUR_KEY, KeyPlace
from llmgate.generate.pool.slots import Slots
from llmgate.generate.refusals import EndpointRefusal, WhyRefused, refusal_of, refused_words
from llmgate.generate.replies import (
    BODY_EXCERPT,
    Signature,
    Vectors,
    http_failure,
    read_completion,
    read_vectors,
)
from llmgate.generate.retry_after import date_s
from llmgate.generate.token_estimate import estimated_tokens, tokens_used
from llmgate.generate.traffic import Traffic
from llmgate.generate.who_answered import with_headers
from llmgate.record.redaction import NO_SECRETS, Redactor
from llmgate.record.schema import Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

__all__ = ["ChatClient", "ElsewhereError", "Endpoint", "RetryPolicy", "Vectors"]

RETRIED_STATUS: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
RETRIED_REPLY: Final = frozenset({FailureKind.GARBAGE, FailureKind.ERROR_REPLY})
"""Asking again for what was withheld or cut until something else comes would choose among the model's answers."""
GIVE_UP_PER_SLOT: Final = 8
ENCODER: Final = json.JSONEncoder(allow_nan=False)
QUOTABLE_BYTES: Final = 1 << 20
"""More than any excerpt needs, however many secrets are taken out of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to ask.

    Attributes:
        url: Base URL including `/v1`.
        model: The name that requests carry.
        api_key: Sent as a bearer token; never written to a record.
        names: Further names by which its replies may call the model.
        finish_reasons: Further ones, in lower case, by which it says that an answer is complete (see `FinishRule`).
        key_place: Where the key comes from, or would, for who is told that it is wrong.
    """

    url: str
    model: str
    api_key: str | None = None
    names: tuple[str, ...] = ()
    finish_reasons: frozenset[str] = frozenset()
    key_place: KeyPlace = OUR_KEY

    def __repr__(self) -> str:
        """Without the key: representations end up in tracebacks and logs."""
        return f"Endpoint(url={self.url!r}, model={self.model!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and how patiently, a request is repeated.

    Attributes:
        attempts: Total number of attempts.
        base_s: First pause; doubles each time, capped by `cap_s`. A server's Retry-After is honoured up to the cap.
        timeout_s: For one attempt, from sending to the last byte.
        connect_s: For making a connection.
    """

    attempts: int = 4
    base_s: float = 0.5
    cap_s: float = 20.0
    timeout_s: float = 600.0
    connect_s: float = 20.0

    def pause_s(self, attempt: int, retry_after: str | None, *, now_s: float = 0.0) -> float:
        """Pause before the next attempt, in seconds.

        Args:
            attempt: The number of the one that failed, from 1.
            retry_after: The header, seconds or a date. What is neither, or lies in the past, is ignored.
            now_s: The time now, in seconds since 1970, which a date is compared with.
        """
        if retry_after and retry_after.isascii() and retry_after.isdecimal():
            return min(float(retry_after), self.cap_s)
        wait_s = date_s(retry_after) - now_s if retry_after else 0.0
        if wait_s > 0:
            return min(wait_s, self.cap_s)
        return float(min(self.base_s * 2 ** min(attempt - 1, 64), self.cap_s))


T = TypeVar("T", Generation, Vectors)
Read = Callable[[bytes, float, int, Signature], T | Failure]
"""Body, latency in seconds, number of the attempt and who answered → what the body means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried(Generic[T]):
    """One attempt.

    Attributes:
        answer: What came of it.
        again: Whether another attempt may help.
        retry_after: The server's header.
        refusal: What it means, where the endpoint refused for another reason than the request itself.
        waits: Whether it is no failure, but to be repeated when the endpoint lets something pass.
    """

    answer: T | Failure
    again: bool = False
    retry_after: str | None = None
    refusal: EndpointRefusal | None = None
    waits: bool = False


class ElsewhereError(Exception):
    """An attempt failed that another server of the same model may answer.

    Args:
        failure: Why there is no answer.
        waits: Whether it was only refused for the rate, which is no failure.
    """

    def __init__(self, failure: Failure, *, waits: bool) -> None:
        super().__init__(failure.message)
        self.failure, self.waits = failure, waits


class ChatClient:
    """Asks one endpoint. Use as an async context manager.

    Args:
        endpoint: Where to ask.
        concurrency: Requests in flight at most.
        retry: The retry policy.
        death: Returns why the server that is being asked is gone, or None while it lives. A dead server makes
            every further answer a `SERVER_DIED` failure at once instead of a slow series of refused connections.
        redact: Applied to what is quoted of bodies that are no answers.
        traffic: When requests may go; clients of one endpoint may share it.
        slots: The bound on requests in flight, where others share it or change it; default: one of `concurrency`.
        elsewhere: Whether another server could answer instead of this one: then what may be tried again is raised as
            an `ElsewhereError`, and neither waited for nor repeated.

    Attributes:
        stopped: Why nothing is asked any more: no valid key, a quota that is used up, a rate limit that lets nothing
            pass. `ask` and `embed` raise it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        concurrency: int,
        retry: RetryPolicy | None = None,
        death: Callable[[], str | None] = lambda: None,
        redact: Redactor = NO_SECRETS,
        traffic: Traffic | None = None,
        slots: Slots | None = None,
        elsewhere: Callable[[], bool] = lambda: False,
    ) -> None:
        self.endpoint = endpoint
        self.traffic = traffic or Traffic()
        self.stopped: EndpointError | None = None
        self.retry = retry or RetryPolicy()
        self._death = death
        self._redact = redact
        self._slots = slots or Slots(concurrency)
        self._elsewhere = elsewhere
        self._concurrency = concurrency
        self._refused = 0
        self._answered = 0
        self._http: EndpointHttp | None = None

    async def __aenter__(self) -> Self:
        """Be ready to connect.

        Raises:
            EndpointError: If the key cannot stand in a header.
        """
        self._http = EndpointHttp(
            self.endpoint.url,
            headers={"Authorization": f"Bearer {self.endpoint.api_key}"} if self.endpoint.api_key else {},
            timeout_s=self.retry.timeout_s,
            connect_s=self.retry.connect_s,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        if self._http:
            await self._http.close()

    async def ask(
        self,
        body: Mapping[str, Any],
        *,
        expected: Callable[[str], bool] = nothing_expected,
        which: str = "",  # noqa: ARG002 - see `Chat.ask`
    ) -> Generation | Failure:
        """Send one chat completion request.

        Args:
            body: The request without `model`.
            expected: Whether an answer may end for this reason although it does not mean completion.
            which: As for `Chat.ask`; the model is asked in any case.

        Returns:
            The answer, or why there is none after all retries.

        Raises:
            EndpointError: If asking on is of no use: `stopped`.
        """
        data = ENCODER.encode({"model": self.endpoint.model, **body}).encode()
        rule = FinishRule(further=self.endpoint.finish_reasons, expected=expected)
        async with self._slots:
            tokens = estimated_tokens(body) if self.traffic.counts_tokens else 0
            return await self._ask("chat/completions", data, partial(read_completion, finish=rule), tokens=tokens)

    async def embed(self, texts: Sequence[str]) -> Vectors | Failure:
        """Send one embeddings request.

        Args:
            texts: What to embed.

        Returns:
            A vector for each text, in order, or why there is none after all retries.

        Raises:
            EndpointError: As for `ask`.
        """
        body = {"model": self.endpoint.model, "input": list(texts), "encoding_format": "float"}
        async with self._slots:
            data, read = json.dumps(body).encode(), partial(read_vectors, texts=len(texts))
            return await self._ask("embeddings", data, read, tokens=sum(map(len, texts)) // 4)

    @property
    def gave_up(self) -> bool:
        """Whether so many connections failed in a row that asking on would only cost time."""
        return self._refused >= GIVE_UP_PER_SLOT * self._concurrency

    async def _ask(self, path: str, data: bytes, read: Read[T], *, tokens: int) -> T | Failure:
        failure = Failure(kind=FailureKind.REQUEST, message="no attempt was made", attempts=0)
        tries = failed = 0
        while failed < self.retry.attempts:
            if reason := self._death():
                return Failure(kind=FailureKind.SERVER_DIED, message=reason, attempts=tries)
            if self.gave_up:
                message = f"not asked: {self._refused} connections in a row had failed"
                return Failure(kind=FailureKind.CONNECTION, message=message, attempts=tries)
            tries += 1
            tried = await self._in_turn(path, data, tries, read, tokens)
            answer = tried.answer
            if not isinstance(answer, Failure):
                return answer
            failure = answer
            if (tried.waits or tried.again) and self._elsewhere():
                raise ElsewhereError(failure, waits=tried.waits)
            if tried.waits:
                continue
            failed += 1
            if not tried.again or failed == self.retry.attempts:
                break
            await asyncio.sleep(self.retry.pause_s(failed, tried.retry_after, now_s=time.time()))
        if reason := self._death():
            return Failure(kind=FailureKind.SERVER_DIED, message=reason, attempts=failure.attempts)
        return failure

    async def _in_turn(self, path: str, data: bytes, attempt: int, read: Read[T], tokens: int) -> _Tried[T]:
        """One attempt, when the endpoint may be asked; what stops the whole client is raised."""
        epoch = await self.traffic.enter(tokens)
        passed: bool | None = None
        used: int | None = None
        try:
            if self.stopped:
                raise self.stopped
            tried = await self._attempt(path, data, attempt, read)
            connected = not isinstance(tried.answer, Failure) or tried.answer.kind is not FailureKind.CONNECTION
            self._refused = 0 if connected else self._refused + 1
            if tried.refusal is None:
                passed = connected or None
                used = tokens_used(tried.answer) if self.traffic.counts_tokens else None
                self._answered += not isinstance(tried.answer, Failure)
                return tried
            if tried.refusal.why is not WhyRefused.RATE:
                self._stop(tried.refusal)
                return replace(tried, again=False)
            used = 0
            if self.retry.attempts == 1:
                return tried
            if not self.traffic.refused(epoch, tried.refusal.wait_s):
                self._stop(tried.refusal)
            return replace(tried, waits=True)
        finally:
            self.traffic.settle(tokens, used)
            self.traffic.leave(epoch, passed=passed)

    def _stop(self, refusal: EndpointRefusal) -> None:
        """Ask nothing more, if that is what a refusal means.

        Raises:
            EndpointError: With what to mend.
        """
        if refusal.certain or not self._answered:
            what, fix = refused_words(refusal, self.endpoint.key_place, sent=bool(self.endpoint.api_key))
            self.stopped = EndpointError(what, where=self.endpoint.url, fix=fix)
            raise self.stopped

    async def _attempt(self, path: str, data: bytes, attempt: int, read: Read[T]) -> _Tried[T]:
        if self._http is None:
            raise EndpointError("the client is used outside its context", where=self.endpoint.url)
        started = time.perf_counter()
        try:
            response = await self._http.post(path, data)
        except TimeoutError:
            waited = time.perf_counter() - started
            message = f"no answer within {waited:.0f} s"
            return _Tried(answer=Failure(kind=FailureKind.TIMEOUT, message=message, attempts=attempt), again=True)
        except OSError as error:
            message = self._redact.text(f"the connection failed: {error or type(error).__name__}")[:BODY_EXCERPT]
            return _Tried(answer=Failure(kind=FailureKind.CONNECTION, message=message, attempts=attempt), again=True)
        content, latency_s = response.body, response.end_s - started
        if response.status == 200:
            by = partial(with_headers, headers=response.headers, asked=self.endpoint.model)
            answer = read(content, latency_s, attempt, by)
            if not isinstance(answer, Failure):
                return _Tried(answer=answer)
            explained = self._explained(answer, read(self._quotable(content), latency_s, attempt, by))
            return _Tried(answer=explained, again=answer.kind in RETRIED_REPLY)
        quotable = self._quotable(content)
        return _Tried(
            answer=http_failure(response.status, quotable, attempt),
            again=response.status in RETRIED_STATUS,
            retry_after=response.headers.get("Retry-After"),
            refusal=refusal_of(response.status, response.headers, quotable, now_s=time.time()),
        )

    def _quotable(self, content: bytes) -> bytes:
        """A body without secrets, before anything is cut from it: of half a secret nobody knows that it is one."""
        return self._redact(content[:QUOTABLE_BYTES])

    def _explained(self, failure: Failure, clean: Generation | Vectors | Failure) -> Failure:
        """A failure in the words of the body without secrets."""
        message = clean.message if isinstance(clean, Failure) else failure.message
        return replace(failure, message=self._redact.text(message))
