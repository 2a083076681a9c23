"""Alias names: registries keep `Champion` and `champion` apart, deployments may not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmgate.attest.names import skeleton

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CHAMPION", "alias_problem"]

CHAMPION = "champion"
"""The alias of the model in production."""

ALLOWED = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""What MLflow allows, less the letters outside ASCII, and short enough for the tag that bears an alias in its name."""
RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)
"""Names that MLflow resolves by itself, whatever alias is set."""


def alias_problem(alias: str, known: Iterable[str] = ()) -> str | None:
    """Why this alias must not be set, or None if it may.

    Args:
        alias: As the caller wrote it.
        known: The aliases that the model has today.

    Returns:
        One clause without a full stop, or None.
    """
    if alias == CHAMPION:
        return None
    folded = skeleton(alias)
    for name in (CHAMPION, *sorted(known)):
        if name != alias and skeleton(name) == folded:
            return f"{alias!r} looks like the alias {name!r} but is another one, did you mean {name!r}?"
    if not ALLOWED.fullmatch(alias):
        return f"{alias!r} is not an alias name, use ASCII letters, digits, '-' and '_'"
    if RESERVED.fullmatch(alias):
        return f"{alias!r} is reserved by the registry, use a name such as {CHAMPION!r}"
    return None
