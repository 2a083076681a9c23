"""The names that a small JavaScript program declares, and how its statements leave each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["JsScope", "Jumped", "NothingThere", "Returned"]


class Returned(Exception):  # noqa: N818 - control flow, no error
    """A function returns."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


class Jumped(Exception):  # noqa: N818 - control flow, no error
    """A loop ends, or goes on with its next item."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word


class NothingThere(Exception):  # noqa: N818 - control flow, no error
    """A `?.` found nothing, so the whole chain is undefined."""


class JsScope:
    """The names of a block, and the block around it."""

    __slots__ = ("constants", "names", "outer")

    def __init__(self, outer: JsScope | None, names: Mapping[str, object] | None = None) -> None:
        self.outer = outer
        self.names: dict[str, object] = dict(names or {})
        self.constants: set[str] = set()

    def holder(self, name: str) -> JsScope | None:
        """The innermost scope that has a name."""
        scope: JsScope | None = self
        while scope is not None and name not in scope.names:
            scope = scope.outer
        return scope
