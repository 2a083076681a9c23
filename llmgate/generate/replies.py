"""What an endpoint's body means; whatever is not an answer is a failure that says so."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.generate.who_answered import said_by
from llmgate.record.answered_by import AnsweredBy
from llmgate.record.schema import Failure, FailureKind, Generation, TokenLogprob

if TYPE_CHECKING:
    import aiohttp

__all__ = ["BODY_EXCERPT", "Vectors", "http_failure", "read_bounded", "read_completion", "read_vectors"]

BODY_EXCERPT: Final = 300
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""An answer larger than this is garbage, and holding 32 of them must not end the process."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings, one per text, in order, and who gave them."""

    values: tuple[tuple[float, ...], ...]
    answered_by: AnsweredBy | None = None


async def read_bounded(stream: aiohttp.StreamReader) -> bytes:
    """Read a whole body, giving up beyond the limit.

    Raises:
        OSError: If the body is too large.
    """
    content = bytearray()
    while chunk := await stream.readany():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise OSError(f"the answer is larger than {MAX_BODY_BYTES} bytes")
    return bytes(content)


def http_failure(status: int, content: bytes, attempt: int) -> Failure:
    """Word an HTTP error with the beginning of what the server said."""
    excerpt = content[:BODY_EXCERPT].decode(errors="replace").strip()
    hint = " (redirects are not followed)" if 300 <= status < 400 else ""
    return Failure(kind=FailureKind.HTTP, message=f"HTTP {status}{hint}: {excerpt}", attempts=attempt)


def read_completion(content: bytes, latency_s: float, attempt: int) -> Generation | Failure:
    """Read a chat completion; whatever is not one is garbage, and said to be."""

    def garbage(what: str) -> Failure:
        excerpt = content[:BODY_EXCERPT].decode(errors="replace")
        return Failure(kind=FailureKind.GARBAGE, message=f"{what}: {excerpt!r}", attempts=attempt)

    try:
        reply = json.loads(content)
        choice = reply["choices"][0]
        message = choice["message"]
        text = message["content"]
        calls = message.get("tool_calls") or None
    except (ValueError, RecursionError):
        return garbage("the answer is not JSON")
    except (KeyError, IndexError, TypeError, AttributeError):
        return garbage("the answer holds no choices[0].message.content")
    if calls is not None and not (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
        return garbage("the answer's tool_calls are no list of calls")
    if not isinstance(text, str) and not (text is None and calls):
        return garbage("the answer's content is not text")
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    finish = choice.get("finish_reason")
    return Generation(
        text=writable(text or ""),
        finish_reason=finish if isinstance(finish, str) else None,
        prompt_tokens=count_of(usage.get("prompt_tokens")),
        completion_tokens=count_of(usage.get("completion_tokens")),
        latency_s=latency_s,
        attempts=attempt,
        tool_calls=tuple(calls) if calls else None,
        logprobs=read_logprobs(choice.get("logprobs")),
        cached_tokens=count_of(details.get("cached_tokens")) if isinstance(details, dict) else None,
        answered_by=said_by(reply),
    )


def writable(text: str) -> str:
    """The text with U+FFFD for halves of surrogate pairs, which no file can hold."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_logprobs(reported: object) -> tuple[TokenLogprob, ...] | None:
    """The answer's tokens with their log probabilities; None where the server reported none that can be read."""
    entries = reported.get("content") if isinstance(reported, dict) else None
    if not isinstance(entries, list) or not entries:
        return None
    try:
        return tuple(
            TokenLogprob(
                token=writable(str(entry["token"])),
                logprob=finite(entry["logprob"]),
                top={writable(str(top["token"])): finite(top["logprob"]) for top in entry.get("top_logprobs") or ()},
            )
            for entry in entries
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def finite(value: object) -> float:
    """A finite number.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def read_vectors(content: bytes, _: float, attempt: int) -> Vectors | Failure:
    """Read an embeddings reply; whatever is not one is garbage."""
    try:
        reply = json.loads(content)
        entries = reply["data"]
        vectors = {int(entry["index"]): tuple(map(finite, entry["embedding"])) for entry in entries}
        return Vectors(tuple(vectors[index] for index in range(len(entries))), said_by(reply))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        excerpt = content[:BODY_EXCERPT].decode(errors="replace")
        return Failure(kind=FailureKind.GARBAGE, message=f"not an embeddings reply: {excerpt!r}", attempts=attempt)


def count_of(value: object) -> int | None:
    """A token count, or None if the server did not say one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
