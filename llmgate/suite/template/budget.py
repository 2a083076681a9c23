"""The budget of one template rendering: a suite file must not be able to take all time or memory."""

from __future__ import annotations

from collections.abc import Mapping

from llmgate.errors import TemplateError
from llmgate.suite.template import javascript

__all__ = ["MAX_CHARS", "MAX_STEPS", "RenderBudget"]

MAX_STEPS = 100_000
"""Steps of one rendering. A loop iteration costs the number of nodes in its body, 64 characters cost one."""
MAX_CHARS = 4_000_000
"""Characters of one rendered text, and of any text on the way to it."""

_CHARS_PER_STEP = 64


class RenderBudget:
    """What one rendering has spent. Lives as long as that rendering."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps = 0

    def spend(self, steps: float) -> None:
        """Pays before the work is done.

        Raises:
            TemplateError: If the budget does not suffice.
        """
        if not steps <= MAX_STEPS - self.steps:
            raise TemplateError(
                f"the template needs more than {MAX_STEPS} steps",
                fix="Make loops and repeated texts smaller",
            )
        self.steps += int(steps)

    def spend_chars(self, chars: float) -> None:
        """Pays for reading or writing a text of this length.

        Raises:
            TemplateError: If the text is longer than any text may be, or the budget does not suffice.
        """
        if not chars <= MAX_CHARS:
            raise TemplateError(
                f"the template makes a text of more than {MAX_CHARS} characters",
                fix="Make loops and repeated texts smaller",
            )
        self.spend(chars / _CHARS_PER_STEP)

    def text(self, value: object) -> str:
        """`String(value)`, paid for."""
        if not isinstance(value, str):
            self.walk(value)
            value = javascript.text(value)
        self.spend_chars(len(value))
        return value

    def walk(self, value: object) -> tuple[int, int]:
        """Pays for a visit to every part: a list that holds another one twice has twice its parts.

        Returns:
            How many parts there are and how deep they are nested.
        """
        stack = [(value, 1)]
        parts = deepest = 0
        while stack:
            part, depth = stack.pop()
            parts += 1
            deepest = max(deepest, depth)
            if isinstance(part, str):
                self.spend_chars(len(part))
            elif isinstance(part, list | tuple | Mapping):
                self.spend(len(part))
                members = part.values() if isinstance(part, Mapping) else part
                stack.extend((member, depth + 1) for member in members)
        return parts, deepest
