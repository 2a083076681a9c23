"""One request that a test made of the model under test, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmgate.record.schema import Failure, Generation

__all__ = ["Exchange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request through the official client, after all of its attempts.

    Attributes:
        path: Below the base URL, such as `chat/completions`.
        request: The JSON body; `{}` where there was none, or another form. No header, so no key, is in it.
        status: Of the last attempt; 0 if no response came.
        answer: What the model answered (chat completions, completions, responses), or why there is no answer; None
            where something else was asked for and came.
        reply: The JSON object that came, of a stream what its events say together; None if none came.
        started_s: When the last attempt was sent, in seconds since 1970.
        latency_s: From then to the last byte, in seconds.
        streamed: Whether the answer came as a stream of events.
    """

    path: str
    request: Mapping[str, Any]
    status: int
    answer: Generation | Failure | None
    reply: Mapping[str, Any] | None
    started_s: float
    latency_s: float
    streamed: bool
