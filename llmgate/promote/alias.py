"""Alias names: registries keep `Champion` and `champion` apart, deployments may not."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CHAMPION", "alias_problem"]

CHAMPION = "champion"
"""The alias of the model in production."""

ALLOWED = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""What MLflow allows, less the letters outside ASCII, and short enough for the tag that bears an alias in its name."""
RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)
"""Names that MLflow resolves by itself, whatever alias is set."""
CONFUSABLE = str.maketrans(
    {"0": "o", "1": "i", "l": "i", "|": "i", "5": "s", "@": "a", "3": "e"}
    | dict(
        zip(
            # Cyrillic and Greek letters that look like Latin ones; Unicode TR39, confusables.txt, the usual suspects.
            "аеорсхуіѕһмпαοριν",
            "aeopcxyishmnaopiv",
            strict=True,
        )
    )
)


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


def skeleton(alias: str) -> str:
    """What is left of a name when case, spacing, punctuation and look-alike letters are gone."""
    plain = unicodedata.normalize("NFKC", alias).casefold().translate(CONFUSABLE)
    return "".join(c for c in plain if c.isalnum())
