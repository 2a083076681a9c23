"""What one evaluation may cost: steps, lengths of texts, and processor time of patterns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError

if TYPE_CHECKING:
    import regex

__all__ = ["MAX_CHARS", "MAX_STEPS", "PATTERN_SECONDS", "Spending", "ThrownError", "unknown"]

MAX_STEPS: Final = 300_000
"""Parts of the tree that are evaluated, items that are visited; 64 characters of a text cost one."""
MAX_CHARS: Final = 2_000_000
"""Characters of any text, the answer included."""
PATTERN_SECONDS: Final = 2.0
"""Processor time of all patterns of one evaluation."""
_CHARS_PER_STEP: Final = 64


class ThrownError(Exception):
    """What the code itself would throw, and may catch: a text that is no JSON, a member of nothing.

    Attributes:
        value: The value of the language that is thrown.
        kind: The name of the error's class.
    """

    def __init__(self, message: str, kind: str = "TypeError", value: object = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.value: object = {"name": kind, "message": message} if value is None else value


def unknown(what: str) -> CannotRunError:
    """The error of a part of the language that is not evaluated here."""
    return CannotRunError(f"the code uses {what}, which is not evaluated here", fix="Write the check with other types")


class Spending:
    """Lives as long as one evaluation."""

    __slots__ = ("_seconds", "_steps")

    def __init__(self) -> None:
        self._steps = 0
        self._seconds = PATTERN_SECONDS

    def steps(self, count: float = 1) -> None:
        """Pays before the work is done.

        Raises:
            CannotRunError: If the budget does not suffice.
        """
        if not count <= MAX_STEPS - self._steps:
            raise CannotRunError(f"the code needs more than {MAX_STEPS:,} steps", fix="Make loops and texts smaller")
        self._steps += int(count)

    def chars(self, count: float) -> None:
        """Pays for a text that is read or made.

        Raises:
            CannotRunError: If it is too long, or the budget does not suffice.
        """
        if not count <= MAX_CHARS:
            raise CannotRunError(f"the code reads or makes a text of more than {MAX_CHARS:,} characters")
        self.steps(count / _CHARS_PER_STEP)

    def _paid(self, match: Any) -> Any:
        self.steps()
        return match

    def search(self, pattern: regex.Pattern[str], method: str, *arguments: Any, **options: Any) -> Any:
        """A pattern's method, within the time that is left.

        Raises:
            CannotRunError: If it takes longer, or too much memory.
        """
        self.steps(10)
        started = time.thread_time()
        try:
            found = getattr(pattern, method)(*arguments, timeout=max(self._seconds, 0.001), **options)
            return [self._paid(match) for match in found] if method == "finditer" else found
        except TimeoutError as error:
            raise CannotRunError(
                f"the pattern {pattern.pattern[:60]!r} ran into its limit of {PATTERN_SECONDS:g} s",
                fix="Avoid nested repetitions such as (a+)+",
            ) from error
        except (RecursionError, MemoryError) as error:
            raise CannotRunError(f"the pattern {pattern.pattern[:60]!r} needs too much memory") from error
        finally:
            self._seconds -= time.thread_time() - started
