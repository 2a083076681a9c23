"""Modules of llmgate imported as without pytest, which would rewrite the asserts of every one of them.

Pytest does so for all packages that bring a plugin. Ours has next to none, and the 470 modules of a gate take 0.15 s
longer to import by that way, and seconds the first time.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["import_plainly"]

PACKAGE = "llmgate."


class _PlainFinder:
    """Finds what lies in our package before pytest does."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        return PathFinder.find_spec(name, path, target) if name.startswith(PACKAGE) else None


def import_plainly() -> Callable[[], None]:
    """From now on.

    Returns:
        Ends it.
    """
    finder = _PlainFinder()
    sys.meta_path.insert(0, finder)

    def end() -> None:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)

    return end
