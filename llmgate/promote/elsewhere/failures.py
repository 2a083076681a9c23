"""What a service's refusals mean, in the same words for all of them."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError, LlmgateError, PromotionRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["TIMEOUT_S", "AbsentError", "FailedCall", "Meaning", "calls", "meaning_of", "not_installed"]

TIMEOUT_S = 30.0
"""Longest wait for one answer of a registry."""
MAX_SAID = 300
QUERY = re.compile(r"\?[^\s'\")]+")
"""The query of a URL. Those of signed ones are as good as a password."""


class AbsentError(CannotRunError):
    """The registry has nothing under this name."""


class Meaning(Enum):
    """Why a call failed."""

    ABSENT = auto()
    UNKNOWN_CALLER = auto()
    FORBIDDEN = auto()
    CONFLICT = auto()
    THROTTLED = auto()
    UNREACHABLE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCall:
    """A failed call.

    Attributes:
        meaning: Why.
        said: The service's own words.
    """

    meaning: Meaning
    said: str


STATUS: dict[int, Meaning] = {
    HTTPStatus.NOT_FOUND: Meaning.ABSENT,
    HTTPStatus.UNAUTHORIZED: Meaning.UNKNOWN_CALLER,
    HTTPStatus.FORBIDDEN: Meaning.FORBIDDEN,
    HTTPStatus.CONFLICT: Meaning.CONFLICT,
    HTTPStatus.PRECONDITION_FAILED: Meaning.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS: Meaning.THROTTLED,
}


def meaning_of(status: int | None) -> Meaning:
    """What an HTTP status means; None stands for no answer at all."""
    if status is None:
        return Meaning.UNREACHABLE
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Meaning.UNREACHABLE
    return STATUS.get(status, Meaning.OTHER)


WORDS: dict[Meaning, tuple[str, str]] = {
    Meaning.ABSENT: ("has nothing under this name", "Check the URI, and that these credentials may see it"),
    Meaning.UNKNOWN_CALLER: ("does not know you", "Check the credentials, and that they have not expired"),
    Meaning.FORBIDDEN: ("forbids this", "Use credentials that may do it"),
    Meaning.CONFLICT: (
        "says that something else changed it at the same time",
        "Look who holds the alias now, and promote again",
    ),
    Meaning.THROTTLED: ("has had too many calls", "Wait, and run it again"),
    Meaning.UNREACHABLE: ("does not answer", "Check the network, and run it again"),
    Meaning.OTHER: ("answers with an error", "Check the URI and your rights"),
}
"""What happened, and what to do."""


@contextlib.contextmanager
def calls(
    service: str, where: str, read: Callable[[Exception], FailedCall | None], *, writing: bool = False
) -> Iterator[None]:
    """A client library's errors as ours.

    Args:
        service: The registry, as a reader knows it.
        where: What is being asked about.
        read: What an error of the library means; None for one that is not the library's.
        writing: Whether the block changes something, so that a refusal is the answer to the promotion.

    Raises:
        AbsentError: If it does not exist.
        PromotionRefusedError: If a change was forbidden or somebody else was faster.
        CannotRunError: For all else.
    """
    try:
        yield
    except LlmgateError:
        raise
    except Exception as error:
        answer = read(error) or unreadable(error)
        if answer is None:
            raise
        raise worded(service, where, answer, writing=writing) from error


def unreadable(error: Exception) -> FailedCall | None:
    """What client libraries trip over when something else than their service answers; None for all else."""
    protobuf = any(kind.__module__.startswith("google.protobuf") for kind in type(error).__mro__)
    if protobuf or isinstance(error, ValueError | LookupError | TypeError | AttributeError):
        return FailedCall(meaning=Meaning.OTHER, said=f"it cannot be read: {type(error).__name__}: {error}")
    return None


def worded(service: str, where: str, answer: FailedCall, *, writing: bool) -> LlmgateError:
    """A failed call as an error of ours."""
    what, fix = WORDS[answer.meaning]
    kind: type[LlmgateError] = CannotRunError
    if answer.meaning is Meaning.ABSENT:
        kind = AbsentError
    elif answer.meaning is Meaning.CONFLICT or (answer.meaning is Meaning.FORBIDDEN and writing):
        kind = PromotionRefusedError
    if writing and answer.meaning in {Meaning.THROTTLED, Meaning.UNREACHABLE}:
        fix = f"{fix}; look first what it has done"
    return kind(f"{service} {what} ({first_line(answer.said)})", where=where, fix=fix)


def first_line(text: str) -> str:
    """One line, bounded, without the secrets of signed URLs."""
    lines = text.strip().splitlines() or ["no reason given"]
    return QUERY.sub("?…", lines[0])[:MAX_SAID].rstrip(". ")


def not_installed(library: str, extra: str) -> CannotRunError:
    """The error for a client library that is missing."""
    return CannotRunError(f"{library} is not installed", fix=f"Install it with pip install 'pytest-llmgate[{extra}]'")
