"""A finished exchange becomes token times: server-sent events, read after the fact."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.generate.finish import FinishRule
from llmgate.generate.who_answered import said_by
from llmgate.record.answered_by import AnsweredBy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmgate.bench.client.http import HttpExchange

__all__ = ["StreamedAnswer", "read_answer"]

UNNAMED = AnsweredBy(model="")
SHOWN = 200
"""Characters of a foreign text that an error message quotes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedAnswer:
    """What a streamed answer amounted to.

    Attributes:
        token_events_s: Arrival of each token-bearing event, seconds of `time.perf_counter`.
        prompt_tokens: From the server's usage.
        completion_tokens: From the server's usage.
        error: Why it is no full answer, None if it is.
        said: What the stream says of who answered.
        reply_id: The reply's own id, "" if it has none.
    """

    token_events_s: tuple[float, ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: str | None = None
    said: AnsweredBy = UNNAMED
    reply_id: str = ""


def read_answer(exchange: HttpExchange, finish: FinishRule | None = None) -> StreamedAnswer:
    """Read a chat or text completion stream.

    Every event with a choice bears a token, also one whose text is empty (an incomplete character, the end token),
    with two exceptions: a first event that only names the role; and, where there would be more events than the
    completion tokens that the server counted, events without text, the last ones first (a closing event of its own).
    An event arrived when the bytes did that end its last line.

    It is an answer under the same conditions as one that is not streamed: no error is reported, a finish reason says
    that it is complete, and it has text or tool calls.
    """
    refusal = _refusal(exchange)
    if refusal is not None:
        return StreamedAnswer(error=refusal)
    reading = _Reading(finish or FinishRule())
    error: str | None = None
    for time_s, data in _events(exchange.pieces):
        error = reading.take(time_s, data)
        if error is not None:
            break
    times = reading.token_times()
    if error is None and exchange.error is not None:
        error = exchange.error
    if error is None:
        error = reading.shortcoming()
    return StreamedAnswer(
        token_events_s=times,
        prompt_tokens=reading.prompt_tokens,
        completion_tokens=reading.completion_tokens,
        error=error,
        said=reading.said,
        reply_id=reading.reply_id,
    )


class _Reading:
    """The state between two events of a stream."""

    def __init__(self, finish: FinishRule) -> None:
        self.finish = finish
        self.reason: str | None = None
        self.events: list[tuple[float, bool]] = []
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.said = UNNAMED
        self.reply_id = ""
        self.ended = False

    def take(self, time_s: float, data: bytes) -> str | None:
        """One event's data; why it makes the answer useless, if it does."""
        if data == b"[DONE]":
            self.ended = True
            return None
        try:
            event = json.loads(data.decode())  # bytes would first be searched for their encoding
        except (ValueError, RecursionError):
            return f"an event is not JSON: {_quote(data)}"
        if not isinstance(event, dict):
            return f"an event is not a JSON object: {_quote(data)}"
        if event.get("error") is not None:
            return f"the server reported an error: {_quote(data)}"
        if isinstance(event.get("id"), str):
            self.reply_id = event["id"]
        if event.get("model") is not None:
            self.said = said_by(event)  # The last word: a gateway may fall back in the middle of a stream.
        usage = event.get("usage")
        if isinstance(usage, dict):
            self.prompt_tokens = _count(usage, "prompt_tokens")
            self.completion_tokens = _count(usage, "completion_tokens")
        choices = event.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            return self._choice(time_s, choices[0], data)
        return None

    def _choice(self, time_s: float, choice: Mapping[str, object], data: bytes) -> str | None:
        if choice.get("error") is not None:
            return f"the server reported an error: {_quote(data)}"
        delta = choice.get("delta")
        fields: Mapping[str, object] = delta if isinstance(delta, dict) else choice
        reason = choice.get("finish_reason")
        finished = reason is not None and reason != ""
        if finished:
            fault = self.finish.fault(reason)
            if fault is not None:
                return f"{fault[1]}: {_quote(data)}"
            self.ended, self.reason = True, str(reason)
        get = fields.get
        has_text = bool(
            get("content") or get("text") or get("reasoning") or get("reasoning_content") or get("tool_calls")
        )
        only_role = not self.events and not has_text and not finished and "role" in fields
        if not only_role:
            self.events.append((time_s, has_text))
        return None

    def shortcoming(self) -> str | None:
        """Why the stream, now that it is over, is no answer; None if it is one."""
        if not self.ended:
            return "the stream ended without finish_reason and without [DONE]"
        if not self.events:
            return "the answer has no token"
        if not any(has_text for _, has_text in self.events):
            return "the answer has no text"
        fault = self.finish.fault(self.reason)
        return None if fault is None else fault[1]

    def token_times(self) -> tuple[float, ...]:
        """Arrival of the events that bear a token."""
        events = self.events
        surplus = len(events) - (len(events) if self.completion_tokens is None else self.completion_tokens)
        for index in range(len(events) - 1, -1, -1):
            if surplus <= 0:
                break
            if not events[index][1]:
                events = events[:index] + events[index + 1 :]
                surplus -= 1
        return tuple(time_s for time_s, _ in events)


def _refusal(exchange: HttpExchange) -> str | None:
    """Why the response cannot be a stream of events at all."""
    if exchange.status == 0:
        return exchange.error or "no answer"
    body = b"".join(data for _, data in exchange.pieces)
    if 300 <= exchange.status < 400:
        target = exchange.headers.get("location", "somewhere")[:SHOWN]
        return f"HTTP {exchange.status}: a redirect to {target}, which is not followed"
    if exchange.status != 200:
        return f"HTTP {exchange.status}: {_quote(body)}"
    if exchange.headers.get("content-encoding", "identity") != "identity":
        return f"the answer is compressed ({exchange.headers['content-encoding'][:SHOWN]}), which was not asked for"
    kind = exchange.headers.get("content-type", "")
    if not kind.startswith("text/event-stream"):
        return f"not a stream of events but {kind[:SHOWN] or 'an unnamed type'}: {_quote(body)}"
    return None


def _events(pieces: Sequence[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """Data of each event with the time at which its last line was complete."""
    carried: list[bytes] = []
    data_lines: list[bytes] = []
    time_s = 0.0
    for arrived_s, piece in pieces:
        usual = not carried and not data_lines and piece.startswith(b"data: ") and piece.endswith(b"\n\n")
        if usual and piece.find(b"\n") == len(piece) - 2:
            yield arrived_s, piece[6:-2].removesuffix(b"\r")  # one event in one piece
            continue
        if b"\n" not in piece:
            carried.append(piece)
            continue
        *lines, last = b"".join((*carried, piece)).split(b"\n")
        carried = [last] if last else []
        for raw in lines:
            line = raw.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data_lines.append(line[5:].removeprefix(b" "))
                time_s = arrived_s
            elif not line and data_lines:
                yield time_s, b"\n".join(data_lines)
                data_lines = []


def _count(usage: Mapping[str, object], key: str) -> int | None:
    value = usage.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _quote(data: bytes) -> str:
    text = " ".join(data.decode("utf-8", "replace").split())
    return text[:SHOWN] + ("…" if len(text) > SHOWN else "") if text else "(empty)"
