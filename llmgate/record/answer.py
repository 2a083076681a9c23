"""What a model under test answered: the reply to a request, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from llmgate.record.answered_by import MaybeAnsweredBy

__all__ = ["Exchange", "Failure", "FailureKind", "Generation", "TokenLogprob"]


class FailureKind(StrEnum):
    """Why a generation is missing."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    HTTP = "http"
    GARBAGE = "garbage"
    ERROR_REPLY = "error-reply"
    INCOMPLETE = "incomplete"
    SERVER_DIED = "server-died"
    INTERRUPTED = "interrupted"
    REQUEST = "request"
    TEST = "test"
    """The test that asks did not run to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """One generated token with the natural logarithm of its probability.

    `top` has the most probable tokens at its place with theirs, where they were asked for.
    """

    token: str
    logprob: float
    top: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One answer of the model under test.

    Attributes:
        text: The answer, unchanged.
        finish_reason: As the server said it.
        prompt_tokens: As the server counted them, None if it did not say.
        completion_tokens: As the server counted them, None if it did not say.
        latency_s: From sending the request to its last byte, in seconds, of the attempt that succeeded.
        attempts: How many times the request was sent.
        tool_calls: The calls that the model made, as the server reported them; None if it made none.
        logprobs: The answer's tokens with their log probabilities, where they were asked for and reported.
        cached_tokens: Prompt tokens that the server had cached, None if it did not say.
        answered_by: Who answered; None if nothing says that it was not the model asked for, and in older records.
    """

    text: str
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float
    attempts: int = 1
    tool_calls: tuple[Mapping[str, Any], ...] | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    cached_tokens: int | None = None
    answered_by: MaybeAnsweredBy = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no answer, after all retries."""

    kind: FailureKind
    message: str
    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request that a test sent, and what came back.

    Attributes:
        path: Below the base URL: `chat/completions`.
        request: The body, without keys.
        status: Of HTTP; 0 if there was no response.
        answer: What was answered or why nothing was; None for requests that ask for no text, such as embeddings.
        reply: The body of the response, None if it is no JSON object.
        started_s: Seconds since 1970.
        latency_s: From sending to the last byte, in seconds, of the last attempt.
        streamed: Whether the reply came in parts.
    """

    path: str
    request: Mapping[str, Any] = field(default_factory=dict)
    status: int = 0
    answer: Generation | Failure | None = None
    reply: Mapping[str, Any] | None = None
    started_s: float = 0.0
    latency_s: float = 0.0
    streamed: bool = False
