"""A progress that keeps what is said, for parts that neither count nor wait."""

from __future__ import annotations

__all__ = ["Lines"]


class Lines:
    """Remembers stages; anything else is not expected."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, text: str) -> None:
        """Remember it."""
        self.said.append(text)

    def count(self, what: str, done: int, total: int) -> None:
        """Is not expected."""
        raise AssertionError((what, done, total))

    def check(self) -> None:
        """Is not expected."""
        raise AssertionError
