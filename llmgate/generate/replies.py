"""What an endpoint's body means; whatever is not an answer is a failure that says so."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from llmgate.generate.finish import CALLING, CUT, FinishRule
from llmgate.generate.who_answered import said_by
from llmgate.record.answered_by import AnsweredBy
from llmgate.record.schema import Failure, FailureKind, Generation, TokenLogprob

__all__ = [
    "BODY_EXCERPT",
    "MAX_BODY_BYTES",
    "Signature",
    "Vectors",
    "http_failure",
    "read_completion",
    "read_json",
    "read_vectors",
]

Signature = Callable[[AnsweredBy], AnsweredBy | None]
"""What a reply says of who answered → all that is known of it."""
BODY_EXCERPT: Final = 300
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""An answer larger than this is garbage, and holding 32 of them must not end the process."""
MAX_CALL_DEPTH: Final = 64
"""Deeper calls could be read here, and would end the process where they are written or compared."""
FEW_BRACKETS: Final = 300
"""A document with no more of them cannot be nested too deeply for anything."""
SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
"""How a document in UTF-8 may hold a surrogate, half of a pair or a whole one."""
MAX_COUNT: Final = 2**53
"""Larger counts are not exact as floats, and no number of tokens."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings, one per text, in order, and who gave them."""

    values: tuple[tuple[float, ...], ...]
    answered_by: AnsweredBy | None = None


def http_failure(status: int, content: bytes, attempt: int) -> Failure:
    """Word an HTTP error with the beginning of what the server said."""
    excerpt = content[:BODY_EXCERPT].decode(errors="replace").strip()
    hint = " (redirects are not followed)" if 300 <= status < 400 else ""
    return Failure(kind=FailureKind.HTTP, message=f"HTTP {status}{hint}: {excerpt}", attempts=attempt)


def read_json(content: bytes) -> Any:
    """The document in a body.

    Raises:
        ValueError: If it is no JSON that says one thing and can be kept, worded as what the body is or does.
    """
    try:
        text = content.decode("utf-8-sig")
        document = DECODER.decode(text)
        if text.count("{") + text.count("[") > FEW_BRACKETS or SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("holds half of a surrogate pair, which is no text") from error
    except _UnfitError:
        raise
    except ValueError as error:
        raise ValueError("is not JSON") from error
    return document


class _UnfitError(ValueError):
    """JSON of Python that is none of the standard, or of nobody."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _UnfitError("names a key twice in one object")
    return found


def _no_number(name: str) -> NoReturn:
    raise _UnfitError(f"is not JSON, it holds {name}")


DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number)


def unusable(content: bytes, attempt: int, what: str, kind: FailureKind = FailureKind.GARBAGE) -> Failure:
    """Word what is wrong with a body, with its beginning."""
    excerpt = content[:BODY_EXCERPT].decode(errors="replace")
    return Failure(kind=kind, message=f"{what}: {excerpt!r}", attempts=attempt)


def as_said(said: AnsweredBy) -> AnsweredBy:
    """Who answered, by the reply alone."""
    return said


def read_completion(
    content: bytes,
    latency_s: float,
    attempt: int,
    by: Signature = as_said,
    *,
    finish: FinishRule | None = None,
) -> Generation | Failure:
    """Read a chat completion; whatever does not count as an answer is a failure that says why.

    Args:
        content: The body.
        latency_s: How long it took, in seconds.
        attempt: The number of the attempt.
        by: Returns all that is known of who answered, for what the reply says of it.
        finish: Which finish reasons an answer may have.
    """
    try:
        reply = read_json(content)
    except ValueError as error:
        return unusable(content, attempt, f"the answer {error}")
    fault = fault_of(reply, finish or FinishRule())
    if fault is not None:
        kind, what = fault
        return unusable(content, attempt, what, kind)
    choice = reply["choices"][0]
    message = choice["message"]
    calls = message.get("tool_calls")
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    return Generation(
        text=message.get("content") or "",
        finish_reason=choice.get("finish_reason") or None,
        prompt_tokens=count_of(usage.get("prompt_tokens")),
        completion_tokens=count_of(usage.get("completion_tokens")),
        latency_s=latency_s,
        attempts=attempt,
        tool_calls=tuple(calls) if calls else None,
        logprobs=read_logprobs(choice.get("logprobs")),
        cached_tokens=count_of(details.get("cached_tokens")) if isinstance(details, dict) else None,
        answered_by=by(said_by(reply)),
    )


def fault_of(reply: object, finish: FinishRule) -> tuple[FailureKind, str] | None:
    """Why a reply does not count as an answer, None if it does: the one place that decides it.

    It counts if it reports no error, holds one choice, with text or tool calls, and a finish reason says that it is
    complete. What was cut before its first word is no answer.
    """
    choices = reply.get("choices") if isinstance(reply, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if any(map(reports_error, (reply, choice, message))):
        return FailureKind.ERROR_REPLY, "the server reported an error"
    if not isinstance(choices, list) or not isinstance(choice, dict) or not isinstance(message, dict):
        return FailureKind.GARBAGE, "the answer holds no choices[0].message.content"
    if len(choices) > 1:
        return FailureKind.INCOMPLETE, f"the reply holds {len(choices)} answers, and one was asked for"
    reason, text, calls = choice.get("finish_reason"), message.get("content"), message.get("tool_calls")
    return finish.fault(reason) or fault_of_content(text, calls, reason, withheld=finish.withheld(reason))


def fault_of_content(
    text: object, calls: object, reason: str | None, *, withheld: bool
) -> tuple[FailureKind, str] | None:
    """Why text and tool calls are no answer that may end for this reason; a withheld one may be empty."""
    if calls is not None and not (isinstance(calls, list) and all(map(is_call, calls))):
        return FailureKind.GARBAGE, "the answer's tool_calls are no list of calls with names"
    if not isinstance(text, str):
        there = text is None and (calls or withheld)
        return None if there else (FailureKind.GARBAGE, "the answer's content is not text")
    if calls or withheld or not reason:
        return None
    if reason.lower() in CALLING:
        return FailureKind.GARBAGE, f"the answer ends with the finish reason {reason!r}, and holds no tool_calls"
    if reason.lower() in CUT and not text.strip():
        return FailureKind.INCOMPLETE, "the answer was cut before its first word; raise max_tokens"
    return None


def reports_error(part: object) -> bool:
    """Whether a part of a reply says that something went wrong."""
    return isinstance(part, dict) and (part.get("error") is not None or part.get("object") == "error")


def is_call(call: object) -> bool:
    """Whether it names what is called, a function or a tool of the caller's own kind, and can be kept."""
    if not isinstance(call, dict) or depth_beyond(call, MAX_CALL_DEPTH):
        return False
    called = call.get("function") or call.get("custom")
    return isinstance(called, dict) and isinstance(called.get("name"), str) and bool(called["name"])


def depth_beyond(value: object, most: int) -> bool:
    """Whether lists and objects are nested deeper than that."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inside is not None and (most == 0 or any(depth_beyond(part, most - 1) for part in inside))


def read_logprobs(reported: object) -> tuple[TokenLogprob, ...] | None:
    """The answer's tokens with their log probabilities; None where the server reported none that can be read.

    Where a token's `bytes` are not those of its text, they spell it: a character of several tokens then stands in the
    last of them, and what servers write for its parts does not.
    """
    entries = reported.get("content") if isinstance(reported, dict) else None
    if not isinstance(entries, list) or not entries:
        return None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        return tuple(
            TokenLogprob(
                token=spelled(entry["token"], entry.get("bytes"), decoder),
                logprob=finite(entry["logprob"]),
                top={str(top["token"]): finite(top["logprob"]) for top in entry.get("top_logprobs") or ()},
            )
            for entry in entries
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def spelled(token: object, reported: object, decoder: codecs.IncrementalDecoder) -> str:
    """The text that a token adds.

    Raises:
        ValueError: If it has none, or its bytes are none.
    """
    if not isinstance(token, str):
        raise ValueError(f"{token!r} is not text")
    return decoder.decode(bytes(reported)) if isinstance(reported, list) else token


def finite(value: object) -> float:
    """A finite number.

    Raises:
        ValueError: If it is none, or an integer that no float can hold.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError("an integer is too large") from error
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def read_vectors(
    content: bytes,
    _: float,
    attempt: int,
    by: Signature = as_said,
    *,
    texts: int,
) -> Vectors | Failure:
    """Read an embeddings reply; whatever is not one vector for each text, all of one length, is a failure."""
    try:
        reply = read_json(content)
        entries = reply["data"]
        vectors = {entry["index"]: tuple(map(finite, entry["embedding"])) for entry in entries}
        indexes = [entry["index"] for entry in entries]
    except (ValueError, KeyError, TypeError):
        return unusable(content, attempt, "not an embeddings reply")
    if any(map(reports_error, (reply, *entries))):
        return unusable(content, attempt, "the server reported an error", FailureKind.ERROR_REPLY)
    if any(type(index) is not int for index in indexes) or sorted(indexes) != list(range(texts)):
        return unusable(content, attempt, f"the reply does not hold one vector for each of {texts} texts")
    if not all(map(any, vectors.values())) or len(set(map(len, vectors.values()))) > 1:
        return unusable(content, attempt, "the vectors are not of one length, or one has no direction")
    return Vectors(tuple(vectors[index] for index in range(texts)), by(said_by(reply)))


def count_of(value: object) -> int | None:
    """A token count, or None if the server did not say one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None
