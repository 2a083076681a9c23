"""An answer, or why there is none; and who gave it, where it is not plainly the model that was asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import not_
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "OUR_CACHE",
    "AnsweredBy",
    "Exchange",
    "Failure",
    "FailureKind",
    "Generation",
    "MaybeAnsweredBy",
    "MaybeSaid",
    "Names",
    "OnlyIfTrue",
    "Said",
    "TokenLogprob",
    "answers_for",
]

Said = Annotated[str, Field(exclude_if=not_)]
"""Left out of files where it is empty."""
OnlyIfTrue = Annotated[bool, Field(exclude_if=not_)]
"""Left out of files where it is false."""
MaybeSaid = Annotated[str | None, Field(exclude_if=lambda value: value is None)]
"""Left out of files where it is None."""
Names = Annotated[tuple[str, ...], Field(exclude_if=not_)]
"""Left out of files where there is none."""

OUR_CACHE: Final = "llmgate --cache"
"""What says that an answer came out of our own cache; gateways say it by a header, whose name has no space."""
REVISION: Final = "@main"
DATE: Final = re.compile(r"-(?:20\d\d-?[01]\d-?[0-3]\d|(?:0[1-9]|1[0-2])[0-3]\d|2[0-9](?:0[1-9]|1[0-2]))")
"""As providers date what an alias stands for: -2024-08-06, -20241022, -0613 (month and day), -2407 (year and month)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredBy:
    """What is known of who answered.

    Attributes:
        model: The model that the reply names; None if it is the one asked for, "" if it names none.
        provider: Who ran the model, as OpenRouter's replies say, or which model stands behind the name, as LiteLLM's
            headers do.
        cached: What says that the answer came out of a cache, "" if nothing does.
        rerouted: What says that a gateway sent the request elsewhere than first intended, "" if nothing does.
    """

    model: MaybeSaid = None
    provider: Said = ""
    cached: Said = ""
    rerouted: Said = ""


MaybeAnsweredBy = Annotated[AnsweredBy | None, Field(exclude_if=lambda value: value is None)]


def answers_for(replied: str, asked: str, names: Collection[str] = ()) -> bool:
    """Whether a model that names itself like this is the one that was asked for.

    It is by the same name; by another name of the same model; by the name without or with the provider's prefix, as
    gateways have it (`openai/gpt-4o`); with `@main`, the revision of a model for which none was named (`transformers
    serve`); and as a dated snapshot of it, as providers answer for an alias. Not by a name that the endpoint merely
    lists too: what gateways fall back to is listed as well.

    Args:
        replied: The name in the reply.
        asked: The name in the request.
        names: Further names of that model.
    """
    return any(_answers_for(replied.casefold(), name.casefold()) for name in (asked, *names))


def _answers_for(replied: str, asked: str) -> bool:
    if "@" not in asked:
        replied = replied.removesuffix(REVISION)
    if "/" not in replied or "/" not in asked:
        replied, asked = (name.rpartition("/")[2] for name in (replied, asked))
    alias = asked.removesuffix("-latest")
    dated = replied.replace("@", "-").removeprefix(alias)
    return replied == asked or (dated != replied.replace("@", "-") and DATE.fullmatch(dated) is not None)


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
