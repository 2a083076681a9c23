"""A progress that remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Told"]


@dataclass
class Told:
    """Keeps the lines, and can end the work.

    Attributes:
        lines: What was told, in order.
        ends_after: Looks whether to go on, after which the work is interrupted; -1 for never.
        checks: How many of them there were.
    """

    lines: list[str] = field(default_factory=list)
    ends_after: int = -1
    checks: int = 0

    def stage(self, text: str) -> None:
        self.lines.append(text)

    def count(self, what: str, done: int, total: int) -> None:
        """Not looked at."""

    def check(self) -> None:
        self.checks += 1
        if 0 <= self.ends_after < self.checks:
            raise KeyboardInterrupt
