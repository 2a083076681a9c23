"""Concurrent chat completions against any OpenAI-compatible endpoint.

One client holds the concurrency limit and the retry policy. What cannot be had after all retries comes back as a
`Failure`, a fact for the record, never as an exception that would lose the other answers.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import aiohttp

from llmgate.errors import EndpointError
from llmgate.generate.finish import FinishRule, nothing_expected
from llmgate.generate.replies import (
    BODY_EXCERPT,
    Vectors,
    http_failure,
    read_bounded,
    read_completion,
    read_vectors,
)
from llmgate.generate.who_answered import with_headers
from llmgate.record.redaction import NO_SECRETS, Redactor
from llmgate.record.schema import Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

__all__ = ["ChatClient", "Endpoint", "RetryPolicy", "Vectors"]

RETRIED_STATUS: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
RETRIED_REPLY: Final = frozenset({FailureKind.GARBAGE, FailureKind.ERROR_REPLY})
"""Asking again for what was withheld or cut until something else comes would choose among the model's answers."""
GIVE_UP_PER_SLOT: Final = 8
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
    """

    url: str
    model: str
    api_key: str | None = None
    names: tuple[str, ...] = ()
    finish_reasons: frozenset[str] = frozenset()

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


def date_s(text: str) -> float:
    """A date of HTTP in seconds since 1970, 0 if it is none."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return 0.0


T = TypeVar("T", Generation, Vectors)
Read = Callable[[bytes, float, int], T | Failure]
"""Body, latency in seconds and number of the attempt → what the body means."""


class ChatClient:
    """Asks one endpoint. Use as an async context manager.

    Args:
        endpoint: Where to ask.
        concurrency: Requests in flight at most.
        retry: The retry policy.
        death: Returns why the server that is being asked is gone, or None while it lives. A dead server makes
            every further answer a `SERVER_DIED` failure at once instead of a slow series of refused connections.
        redact: Applied to what is quoted of bodies that are no answers.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        concurrency: int,
        retry: RetryPolicy | None = None,
        death: Callable[[], str | None] = lambda: None,
        redact: Redactor = NO_SECRETS,
    ) -> None:
        self.endpoint = endpoint
        self.retry = retry or RetryPolicy()
        self._death = death
        self._redact = redact
        self._slots = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._refused = 0
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        headers = {"Content-Type": "application/json"}
        if self.endpoint.api_key:
            headers["Authorization"] = f"Bearer {self.endpoint.api_key}"
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._concurrency),
            timeout=aiohttp.ClientTimeout(total=self.retry.timeout_s, sock_connect=self.retry.connect_s),
            headers=headers,
            # No proxy and no .netrc of the environment: see `endpoint.ask`.
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection pool."""
        if self._http:
            await self._http.close()

    async def ask(
        self, body: Mapping[str, Any], *, expected: Callable[[str], bool] = nothing_expected
    ) -> Generation | Failure:
        """Send one chat completion request.

        Args:
            body: The request without `model`.
            expected: Whether an answer may end for this reason although it does not mean completion.

        Returns:
            The answer, or why there is none after all retries.
        """
        data = json.dumps({"model": self.endpoint.model, **body}, allow_nan=False).encode()
        rule = FinishRule(further=self.endpoint.finish_reasons, expected=expected)
        async with self._slots:
            return await self._ask("chat/completions", data, partial(read_completion, finish=rule))

    async def embed(self, texts: Sequence[str]) -> Vectors | Failure:
        """Send one embeddings request.

        Args:
            texts: What to embed.

        Returns:
            A vector for each text, in order, or why there is none after all retries.
        """
        body = {"model": self.endpoint.model, "input": list(texts), "encoding_format": "float"}
        async with self._slots:
            return await self._ask("embeddings", json.dumps(body).encode(), partial(read_vectors, texts=len(texts)))

    @property
    def gave_up(self) -> bool:
        """Whether so many connections failed in a row that asking on would only cost time."""
        return self._refused >= GIVE_UP_PER_SLOT * self._concurrency

    async def _ask(self, path: str, data: bytes, read: Read[T]) -> T | Failure:
        failure = Failure(kind=FailureKind.REQUEST, message="no attempt was made", attempts=0)
        for attempt in range(1, self.retry.attempts + 1):
            if reason := self._death():
                return Failure(kind=FailureKind.SERVER_DIED, message=reason, attempts=attempt - 1)
            if self.gave_up:
                message = f"not asked: {self._refused} connections in a row had failed"
                return Failure(kind=FailureKind.CONNECTION, message=message, attempts=attempt - 1)
            answer, again, retry_after = await self._attempt(path, data, attempt, read)
            connected = not isinstance(answer, Failure) or answer.kind is not FailureKind.CONNECTION
            self._refused = 0 if connected else self._refused + 1
            if not isinstance(answer, Failure):
                return answer
            failure = answer
            if not again or attempt == self.retry.attempts:
                break
            await asyncio.sleep(self.retry.pause_s(attempt, retry_after, now_s=time.time()))
        if reason := self._death():
            return Failure(kind=FailureKind.SERVER_DIED, message=reason, attempts=failure.attempts)
        return failure

    def _signed(self, answer: T | Failure, headers: Mapping[str, str]) -> T | Failure:
        """The answer with all that is known of who gave it."""
        if isinstance(answer, Failure) or not answer.answered_by:
            return answer
        by = with_headers(answer.answered_by, headers, asked=self.endpoint.model)
        return replace(answer, answered_by=by)

    async def _attempt(
        self, path: str, data: bytes, attempt: int, read: Read[T]
    ) -> tuple[T | Failure, bool, str | None]:
        """One attempt: the answer or failure, whether another attempt may help, and the server's Retry-After."""
        if self._http is None:
            raise EndpointError("the client is used outside its context", where=self.endpoint.url)
        started = time.perf_counter()
        try:
            # Redirects could lead the prompt and the key to another host.
            async with self._http.post(f"{self.endpoint.url}/{path}", data=data, allow_redirects=False) as response:
                content = await read_bounded(response.content)
                latency_s = time.perf_counter() - started
                if response.status == 200:
                    answer = self._signed(read(content, latency_s, attempt), response.headers)
                    if not isinstance(answer, Failure):
                        return answer, False, None
                    explained = self._explained(answer, read(self._quotable(content), latency_s, attempt))
                    return explained, answer.kind in RETRIED_REPLY, None
                return (
                    http_failure(response.status, self._quotable(content), attempt),
                    response.status in RETRIED_STATUS,
                    response.headers.get("Retry-After"),
                )
        except TimeoutError:
            waited = time.perf_counter() - started
            return (
                Failure(kind=FailureKind.TIMEOUT, message=f"no answer within {waited:.0f} s", attempts=attempt),
                True,
                None,
            )
        except (aiohttp.ClientError, OSError) as error:
            return (
                Failure(
                    kind=FailureKind.CONNECTION,
                    message=self._redact.text(f"the connection failed: {error or type(error).__name__}")[:BODY_EXCERPT],
                    attempts=attempt,
                ),
                True,
                None,
            )

    def _quotable(self, content: bytes) -> bytes:
        """A body without secrets, before anything is cut from it: of half a secret nobody knows that it is one."""
        return self._redact(content[:QUOTABLE_BYTES])

    def _explained(self, failure: Failure, clean: Generation | Vectors | Failure) -> Failure:
        """A failure in the words of the body without secrets."""
        message = clean.message if isinstance(clean, Failure) else failure.message
        return replace(failure, message=self._redact.text(message))
