"""One row per way past the gate. The rows are tests, and the page that tells of them is written from them too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from support.bypass.scene import Answer, Scene

if TYPE_CHECKING:
    Add = Callable[[Callable[[Scene], Answer]], Callable[[Scene], Answer]]

__all__ = ["PLAIN", "WALLED", "Area", "Expected", "Row"]

PLAIN: Final = "plain"
"""Two workers, no users, no workspaces."""
WALLED: Final = "walled"
"""Basic authentication and workspaces; whoever tries something is an administrator."""


class Expected(StrEnum):
    """What comes of an attempt; there is no word for `unknown`."""

    REFUSED = "refused"
    FUTILE = "without effect"
    LIMIT = "documented limit"
    WORKS = "works"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attempt.

    Attributes:
        name: Of the test.
        area: What it belongs to.
        tried: What is tried, for readers.
        route: How.
        expected: What comes of it.
        words: What stands in the refusal.
        by: Who refuses.
        limit: Of a limit: the heading on the page that tells why, and what catches it.
        setup: On which set-up.
        run: Tries it.
    """

    name: str
    area: str
    tried: str
    route: str
    expected: Expected
    words: tuple[str, ...] = ()
    by: str = "llmgate"
    limit: str = ""
    setup: str = PLAIN
    run: Callable[[Scene], Answer] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Rows that belong together."""

    title: str
    rows: list[Row] = field(default_factory=list)

    def refused(self, name: str, tried: str, route: str, *words: str, by: str = "llmgate", setup: str = PLAIN) -> Add:
        """An attempt that is refused with these words, and changes nothing."""
        return self.add(name, tried, route, Expected.REFUSED, words=words, by=by, setup=setup)

    def futile(self, name: str, tried: str, route: str, *, setup: str = PLAIN) -> Add:
        """An attempt that is answered as if it had succeeded, and changes nothing that counts; the row looks itself."""
        return self.add(name, tried, route, Expected.FUTILE, setup=setup)

    def limit(self, name: str, tried: str, route: str, heading: str, *, setup: str = PLAIN) -> Add:
        """What succeeds, and is told under a heading of the page."""
        return self.add(name, tried, route, Expected.LIMIT, limit=heading, setup=setup)

    def works(self, name: str, tried: str, route: str, *, setup: str = PLAIN) -> Add:
        """What the gate must not stand in the way of."""
        return self.add(name, tried, route, Expected.WORKS, setup=setup)

    def add(self, name: str, tried: str, route: str, expected: Expected, **more: Any) -> Add:
        """A decorator for the function that tries it."""

        def decorate(run: Callable[[Scene], Answer]) -> Callable[[Scene], Answer]:
            row = Row(name=name, area=self.title, tried=tried, route=route, expected=expected, run=run, **more)
            self.rows.append(row)
            return run

        return decorate
