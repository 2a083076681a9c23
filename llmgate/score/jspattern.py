r"""Regular expressions as JavaScript reads them, run by the `regex` package with a time limit.

A pattern is translated, so that `\d`, `\w`, `\b`, `\s`, `$`, `.`, classes, braces and back-references mean what they
mean in JavaScript without flags (ECMA-262, Annex B.1.2), where an emoji is two characters. A pattern that uses what
only Python knows, such as `(?i)` or `a++`, is an error in JavaScript; it is taken as Python reads it, unchanged.
JavaScript forgets the groups inside a repetition before each round, and Python does not: where that could matter to a
back-reference, the pattern is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import regex

from llmgate.errors import CannotRunError, SuiteError
from llmgate.score.jssyntax import expanded_size, translate
from llmgate.suite.template.javascript import utf16_units

__all__ = ["MAX_PATTERN_CHARS", "TIME_LIMIT_S", "Pattern"]

TIME_LIMIT_S = 2.0
"""Processor time of one search."""
MAX_PATTERN_CHARS = 50_000
"""Characters of a pattern, and repetitions that it writes out: `(?:a{100}){100}` counts 10 000."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern.

    Attributes:
        source: As written.
        compiled: What is run.
        split_astral: Whether texts are searched as UTF-16 units.
    """

    source: str
    compiled: regex.Pattern[str]
    split_astral: bool

    @classmethod
    def compile(cls, source: str, *, unicode: bool = False, ignore_case: bool = False) -> Pattern:
        """Translates and compiles.

        Args:
            source: The pattern.
            unicode: Whether to read it as JavaScript does with the flag `u`, as JSON schemas want.
            ignore_case: Whether to read it as with the flag `i`.

        Raises:
            SuiteError: If it does not compile. The message does not say where; the caller knows.
        """
        if len(source) > MAX_PATTERN_CHARS or expanded_size(source) > MAX_PATTERN_CHARS:
            raise SuiteError(f"the pattern has more than {MAX_PATTERN_CHARS} characters or repetitions")
        try:
            translated = translate(source if unicode else utf16_units(source), unicode=unicode)
            flags = regex.VERSION0 | (regex.IGNORECASE if ignore_case else 0)
            compiled = regex.compile(source if translated is None else translated, flags=flags)
            return cls(source, compiled, split_astral=not unicode and translated is not None)
        except (regex.error, ValueError, OverflowError, RecursionError, MemoryError, LookupError) as error:
            raise SuiteError(f"the pattern {source[:80]!r} does not compile: {str(error)[:120]}") from error

    def found_in(self, text: str) -> bool:
        """Whether the pattern matches anywhere.

        Raises:
            CannotRunError: If the search takes longer than the limit.
        """
        return self._search(text) is not None

    def first_in(self, text: str) -> str | None:
        """What the first group that took part in the first match holds, the whole match where there is no group.

        Raises:
            CannotRunError: If the search takes longer than the limit.
        """
        match = self._search(text)
        if match is None:
            return None
        found = next((group for group in match.groups() if group is not None), match[0])
        return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if self.split_astral else found

    def _search(self, text: str) -> regex.Match[str] | None:
        if self.split_astral:
            text = utf16_units(text)
        try:
            return self.compiled.search(text, timeout=TIME_LIMIT_S, concurrent=False)
        except TimeoutError as error:
            raise CannotRunError(
                f"the pattern {self.source[:80]!r} ran into its limit of {TIME_LIMIT_S:g} s",
                fix="Avoid nested repetitions such as (a+)+",
            ) from error
        except (RecursionError, MemoryError) as error:
            raise CannotRunError(f"the pattern {self.source[:80]!r} needs too much memory") from error
