"""What a request of a test may ask, how often it is tried, what came of it, and where that is recorded: no I/O."""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from llmgate.generate.client import (
    GIVE_UP_PER_SLOT,
    QUOTABLE_BYTES,
    RETRIED_REPLY,
    RETRIED_STATUS,
    Endpoint,
    RetryPolicy,
)
from llmgate.generate.finish import FinishRule
from llmgate.generate.official.answers import TEXT_PATHS, read_answer, reply_of, says_why_it_ended, whole_reply
from llmgate.generate.refusals import EndpointRefusal, WhyRefused, refusal_of
from llmgate.generate.replies import BODY_EXCERPT, MAX_BODY_BYTES, http_failure
from llmgate.generate.traffic import FIRST_S, LONGEST_SAID_S, MOST_S, PATIENCE_S
from llmgate.generate.who_answered import with_headers
from llmgate.record.schema import Exchange, Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.generate.official.slots import Lease, SharedSlots
    from llmgate.record.redaction import Redactor

__all__ = ["CASE_HEADER", "Desk", "OfficialRequest", "Tried", "Watched", "is_stream"]

CASE_HEADER: Final = "x-llmgate-case"
NOT_SENT: Final = (CASE_HEADER, "authorization", "openai-organization", "openai-project")
"""Headers that are ours, or come from the environment of whoever runs the tests."""
UNREADABLE: Final = "the body of this request is no JSON object that says one thing"
FORM_MODEL: Final = re.compile(rb'name="model"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)\r\n')


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialRequest:
    """A request of a test.

    Attributes:
        token: Of the case that asks.
        path: Below the base URL.
        body: The JSON object that is sent, `{}` for any other body.
        streamed: Whether it asks for a stream of events.
        refused: Why it is not sent; empty if it is.
    """

    token: str
    path: str
    body: Mapping[str, Any]
    streamed: bool
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One attempt.

    Attributes:
        attempt: Its number, from 1; 0 if nothing was sent.
        started_s: When it was sent, in seconds since 1970.
        latency_s: From then to the last byte, in seconds.
        status: Of the response, 0 if none came.
        answer: See `Exchange`.
        reply: See `Exchange`.
        response: What the client gets, None if it gets an error.
        again: Whether another attempt may help.
        retry_after: The header, None if there is none.
        watched: Whether the response is a stream, which is recorded when it ends.
        refusal: Why the endpoint refused, where the reason is not the request itself.
    """

    attempt: int
    started_s: float
    latency_s: float = 0.0
    status: int = 0
    answer: Generation | Failure | None = None
    reply: Mapping[str, Any] | None = None
    response: Any = None
    again: bool = False
    retry_after: str | None = None
    watched: bool = False
    refusal: EndpointRefusal | None = None


class Desk:
    """What both transports share: who may ask what, what a reply means, when it is enough, and where it is recorded.

    Args:
        library: The HTTP library's module.
        endpoint: Where to ask.
        retry: The retry policy.
        slots: Requests in flight, of both transports together.
        on_exchange: Told of each request after its last attempt, in the thread that asked.
        death: Returns why the server is gone, None while it lives.
        redact: Applied to what is quoted of bodies that are no answers.
    """

    def __init__(
        self,
        library: Any,
        endpoint: Endpoint,
        *,
        retry: RetryPolicy,
        slots: SharedSlots,
        on_exchange: Callable[[str, Exchange], None],
        death: Callable[[], str | None],
        redact: Redactor,
    ) -> None:
        self.library = library
        self.endpoint = endpoint
        self.retry = retry
        self.slots = slots
        self._on_exchange = on_exchange
        self._death = death
        self._redact = redact
        self._base = library.URL(endpoint.url.rstrip("/") + "/")
        self._rule = FinishRule(further=endpoint.finish_reasons)
        self._refused = 0
        self._rated_since: float | None = None
        self._counting = threading.Lock()

    def take(self, request: Any, content: bytes) -> OfficialRequest:
        """Read a request, and make it one that may be sent: with the endpoint's key, without what is only ours."""
        headers = request.headers
        token = headers.get(CASE_HEADER, "")
        for name in NOT_SENT:
            headers.pop(name, None)
        if self.endpoint.api_key:
            headers["authorization"] = f"Bearer {self.endpoint.api_key}"
        said = reply_of(content) if content else None
        body = said or {}
        url, base = request.url, self._base
        inside = (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)
        path = url.path.removeprefix(base.path) if inside and url.path.startswith(base.path) else ""
        asked = OfficialRequest(token=token, path=path, body=body, streamed=body.get("stream") is True)
        if asked.streamed:
            headers["accept-encoding"] = "identity"  # so that the events can be read on their way
        unread = bool(content) and said is None and "json" in headers.get("content-type", "").lower()
        return replace(asked, refused=UNREADABLE if unread else self._refusal(asked, content))

    def _refusal(self, asked: OfficialRequest, content: bytes) -> str:
        """Why a request is not sent; empty if it is."""
        if not asked.token:
            return "this request names no case: ask through the client that the fixture gave, or a copy of it"
        if not asked.path or ".." in asked.path.split("/"):
            return (
                "this request goes to another place than the endpoint under test, to which alone this client may talk"
            )
        form = None if asked.body else FORM_MODEL.search(content)
        model = asked.body.get("model") if form is None else form.group(1).decode(errors="replace")
        if model is None or model in {self.endpoint.model, *self.endpoint.names}:
            return ""
        return (
            f"this test asks for the model {model!r}, the model under test is {self.endpoint.model!r}: use"
            " model=case.model"
        )

    def refuse(self, asked: OfficialRequest, request: Any) -> Any:
        """A response that says why a request was not sent, as OpenAI words errors."""
        failure = Failure(kind=FailureKind.REQUEST, message=asked.refused, attempts=0)
        self.told(asked, Tried(attempt=0, started_s=time.time(), answer=failure))
        error = {"error": {"message": asked.refused, "type": "llmgate", "code": "refused_by_llmgate", "param": None}}
        return self.library.Response(400, headers={"x-should-retry": "false"}, json=error, request=request)

    def before(self, attempt: int) -> Tried | None:
        """Why there is no use in asking; None if there is."""
        if reason := self._death():
            failure = Failure(kind=FailureKind.SERVER_DIED, message=reason, attempts=attempt - 1)
        elif self._refused >= GIVE_UP_PER_SLOT * self.slots.most:
            message = f"not asked: {self._refused} connections in a row had failed"
            failure = Failure(kind=FailureKind.CONNECTION, message=message, attempts=attempt - 1)
        else:
            return None
        return Tried(attempt=attempt - 1, started_s=time.time(), answer=failure)

    def after(self, tried: Tried, lease: Lease) -> float | None:
        """How long to wait before the next attempt, in seconds; None if this was the last."""
        connected = not isinstance(tried.answer, Failure) or tried.answer.kind is not FailureKind.CONNECTION
        rated = tried.refusal is not None and tried.refusal.why is WhyRefused.RATE
        with self._counting:
            self._refused = 0 if connected else self._refused + 1
            if connected and not rated:
                self._rated_since = None
        if tried.refusal is not None and rated and self.retry.attempts > 1:
            return self._rate_pause_s(tried.refusal.wait_s or 0.0, lease)
        lease.failed += 1
        if not tried.again or lease.failed == self.retry.attempts:
            return None
        return self.retry.pause_s(lease.failed, tried.retry_after, now_s=time.time())

    def _rate_pause_s(self, said_s: float, lease: Lease) -> float | None:
        """How long to wait for an endpoint's rate limit, None if it has let nothing pass for too long: no failure."""
        now = time.monotonic()
        with self._counting:
            self._rated_since = now if self._rated_since is None else self._rated_since
            left = self._rated_since + PATIENCE_S + said_s - now
        if left <= 0 or said_s > LONGEST_SAID_S:
            return None
        lease.rated += 1
        # Spread, so that those who were refused together do not come back together.
        spread = secrets.SystemRandom().random() * min(FIRST_S * 2.0 ** (lease.rated - 1), MOST_S)
        return min(max(said_s, spread), left)

    def ended(self, asked: OfficialRequest, tried: Tried, request: Any) -> Any:
        """Record the last attempt, unless it is a stream that has just begun, and give the client what came of it.

        Raises:
            TransportError: Of the library, if no response came; `openai` makes an error of its own of it.
        """
        if tried.watched:
            return tried.response
        answer = tried.answer
        if isinstance(answer, Failure) and answer.kind is not FailureKind.SERVER_DIED and (reason := self._death()):
            answer = Failure(kind=FailureKind.SERVER_DIED, message=reason, attempts=answer.attempts)
        self.told(asked, replace(tried, answer=answer))
        if tried.response is not None:
            if tried.status != 200:
                tried.response.headers["x-should-retry"] = "false"  # it was tried as often as it may be
            return tried.response
        failure = answer if isinstance(answer, Failure) else None
        late = failure is not None and failure.kind is FailureKind.TIMEOUT
        kind = self.library.ReadTimeout if late else self.library.ConnectError
        raise kind(failure.message if failure else "no response", request=request)

    def told(self, asked: OfficialRequest, tried: Tried) -> None:
        """Record a request after its last attempt."""
        self._on_exchange(
            asked.token,
            Exchange(
                path=asked.path,
                request=asked.body,
                status=tried.status,
                answer=tried.answer,
                reply=tried.reply,
                started_s=tried.started_s,
                latency_s=tried.latency_s,
                streamed=asked.streamed,
            ),
        )

    def read(self, asked: OfficialRequest, tried: Tried, content: bytes) -> Tried:
        """What a whole response means.

        Args:
            asked: The request.
            tried: The attempt, with its response.
            content: The response's body, decoded.
        """
        response, attempt = tried.response, tried.attempt
        status = response.status_code
        answer = None
        if status == 200:
            answer = read_answer(asked.path, content, tried.latency_s, attempt, finish=self._rule)
        if isinstance(answer, Generation):
            # It is known to be sound, and need not be read as carefully again.
            reply = json.loads(content.decode("utf-8-sig"))
            return replace(tried, status=status, reply=reply, answer=self._signed(asked, answer, response.headers))
        tried = replace(tried, status=status, reply=reply_of(content) if content else None)
        if asked.path not in TEXT_PATHS and 200 <= status < 300:
            return tried
        if status != 200:
            retry_after = response.headers.get("retry-after")
            quotable = self._quotable(content)
            refusal = refusal_of(status, response.headers, quotable, now_s=time.time())
            again = status in RETRIED_STATUS and (refusal is None or refusal.why is WhyRefused.RATE)
            failure = http_failure(status, quotable, attempt)
            return replace(tried, answer=failure, again=again, retry_after=retry_after, refusal=refusal)
        if isinstance(answer, Failure):
            clean = read_answer(asked.path, self._quotable(content), tried.latency_s, attempt, finish=self._rule)
            message = clean.message if isinstance(clean, Failure) else answer.message
            again = answer.kind in RETRIED_REPLY
            return replace(tried, answer=replace(answer, message=self._redact.text(message)), again=again)
        return tried

    def read_stream(self, asked: OfficialRequest, tried: Tried, stream: bytes, broken: Failure | None) -> Tried:
        """What a stream meant, of which `broken` says why it did not come to its end."""
        whole = whole_reply(asked.path, stream)
        content = json.dumps(whole).encode() if whole is not None else self._quotable(stream)
        read = self.read(asked, tried, content)
        ended = whole is not None and says_why_it_ended(whole)
        if broken is None or ended or not isinstance(read.answer, Failure):
            return read
        # A client leaves a stream that it cannot read, too.
        garbage = read.answer.kind is FailureKind.GARBAGE and b"\n\n" in stream.replace(b"\r", b"")
        return read if garbage and broken.kind is FailureKind.INTERRUPTED else replace(read, answer=broken)

    def failed(self, tried: Tried, error: BaseException, *, late: bool) -> Tried:
        """An attempt that had no response."""
        tried = replace(tried, again=True)
        if late:
            message = f"no answer within {tried.latency_s:.0f} s"
            return replace(tried, answer=Failure(kind=FailureKind.TIMEOUT, message=message, attempts=tried.attempt))
        message = self._redact.text(f"the connection failed: {error or type(error).__name__}")[:BODY_EXCERPT]
        return replace(tried, answer=Failure(kind=FailureKind.CONNECTION, message=message, attempts=tried.attempt))

    def _signed(self, asked: OfficialRequest, answer: Generation, headers: Mapping[str, str]) -> Generation:
        if not answer.answered_by:
            return answer
        model = str(asked.body.get("model", self.endpoint.model))
        return replace(answer, answered_by=with_headers(answer.answered_by, headers, asked=model))

    def _quotable(self, content: bytes) -> bytes:
        """A body without secrets, before anything is cut from it."""
        return self._redact(content[:QUOTABLE_BYTES])


class Watched:
    """A stream's bytes on their way to the client, and what is recorded when it ends."""

    def __init__(self, desk: Desk, asked: OfficialRequest, tried: Tried, *, lease: Lease, started: float) -> None:
        self._desk = desk
        self._asked = asked
        self._tried = tried
        self._started = started
        self._kept = bytearray()
        self._ended = False
        # A test that drops a stream without closing it gives its place back, too.
        self._release = weakref.finalize(self, lease.release)
        self._release.atexit = False
        lease.streaming()

    def keep(self, part: bytes) -> None:
        """Note some bytes.

        Raises:
            TransportError: Of the library, if the stream is too long.
        """
        self._kept += part
        if len(self._kept) > MAX_BODY_BYTES:
            raise self._desk.library.ReadError(f"the answer is larger than {MAX_BODY_BYTES} bytes")

    def end(self, error: BaseException | None = None, *, closed: bool = False) -> None:
        """Record it, once."""
        if self._ended:
            return
        self._ended = True
        self._release()
        tried = replace(self._tried, latency_s=time.perf_counter() - self._started)
        broken = None
        if error is not None:
            broken = self._desk.failed(tried, error, late=isinstance(error, self._desk.library.TimeoutException)).answer
        elif closed:
            message = "the test closed the stream before its end"
            broken = Failure(kind=FailureKind.INTERRUPTED, message=message, attempts=tried.attempt)
        broken = broken if isinstance(broken, Failure) else None
        self._desk.told(self._asked, self._desk.read_stream(self._asked, tried, bytes(self._kept), broken))


def is_stream(asked: OfficialRequest, response: Any) -> bool:
    """Whether a response is a stream of events that was asked for."""
    kind = response.headers.get("content-type", "")
    return asked.streamed and response.status_code == 200 and kind.lower().startswith("text/event-stream")
