"""The error tree: every message says what is wrong, where, and how to fix it.

Plain text only; doors add colour. `exit_code` is what the command line returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "EXIT_CANNOT_RUN",
    "EXIT_FAIL",
    "EXIT_INCONCLUSIVE",
    "EXIT_PASS",
    "EXIT_USAGE",
    "AttestationError",
    "BenchError",
    "CannotRunError",
    "DatasetError",
    "EndpointError",
    "JudgeError",
    "LlmgateError",
    "NotComparableError",
    "PolicyError",
    "PromotionRefusedError",
    "RecordError",
    "ServerError",
    "SuiteError",
    "TemplateError",
    "UndefinedError",
    "UsageError",
    "did_you_mean",
    "nearest",
]

EXIT_PASS = 0
EXIT_FAIL = 1
EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3
EXIT_CANNOT_RUN = 4


class LlmgateError(Exception):
    """Base of all errors that llmgate raises on purpose.

    Args:
        what: What is wrong, one sentence without a final full stop.
        where: The file and line, URL, field or process that it is about.
        fix: What the reader can do about it, one sentence.
    """

    exit_code: ClassVar[int] = EXIT_CANNOT_RUN

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        """`where: what. fix`, leaving out what is not known."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}. {self.fix}" if self.fix else head


class UsageError(LlmgateError):
    """The caller asked for something that does not exist or contradicts itself."""

    exit_code = EXIT_USAGE


class SuiteError(UsageError):
    """A suite file that cannot be used: unknown key, misspelt assert, bad value."""


class TemplateError(SuiteError):
    """A template that does not parse, is not allowed, or grows beyond its bounds."""


class DatasetError(UsageError):
    """A dataset that is unreadable, lacks a column, or differs from its lock."""


class PolicyError(UsageError):
    """A policy that names unknown metrics or holds impossible values."""


class CannotRunError(LlmgateError):
    """The run could not be carried out, so there is nothing to decide on."""


class ServerError(CannotRunError):
    """The inference server did not start, or died."""


class EndpointError(CannotRunError):
    """An endpoint is unreachable or does not speak the OpenAI API."""


class JudgeError(CannotRunError):
    """A judge gave no verdict that can be read."""


class BenchError(CannotRunError):
    """A serving measurement could not be taken."""


class RecordError(CannotRunError):
    """A run record is missing, incomplete, corrupt or of an unknown major version."""


class NotComparableError(CannotRunError):
    """Two records may not be compared; the message names the field that differs."""


class UndefinedError(CannotRunError):
    """A statistic that does not exist for this input, such as a mean of nothing."""


class AttestationError(LlmgateError):
    """A signed verdict that does not verify, is about something else, or does not allow what is asked."""

    exit_code = EXIT_FAIL


class PromotionRefusedError(LlmgateError):
    """The registry must not be changed; the message is the one-sentence reason."""

    exit_code = EXIT_FAIL


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Word the nearest valid name, or the valid names if none is near.

    Returns:
        `Did you mean icontains?` or `Valid names: a, b, c`.
    """
    known = sorted(candidates)
    near = nearest(name, known)
    return f"Valid names: {', '.join(known)}" if near is None else f"Did you mean {near}?"


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The valid name that was probably meant, None if none is near."""
    import difflib

    # Case is a frequent slip, but difflib counts it as if the letter were another one.
    folded = {candidate.casefold(): candidate for candidate in sorted(candidates, reverse=True)}
    near = difflib.get_close_matches(name[:100].casefold(), folded, n=1)
    return folded[near[0]] if near else None
