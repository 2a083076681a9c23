"""Names that look alike: registries keep `Champion` and `champion` apart, deployments and readers may not."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PATTERN", "look_alike", "matches", "skeleton"]

PATTERN: Final = re.compile(r"[^\[\]{}\\]+")
"""What a pattern may be: a name in which `*` stands for any text and `?` for one letter."""
CONFUSABLE: Final = str.maketrans(
    {"0": "o", "1": "i", "l": "i", "|": "i", "5": "s", "@": "a", "$": "s", "3": "e"}
    | dict(
        zip(
            # Letters of other scripts that look like Latin ones; Unicode TR39, confusables.txt, the usual suspects.
            "аеорсхуіѕһмпјԛԝԁӏɩıαοριντυκβɑɡօսոհⅼ",
            "aeopcxyishmnjqwdiiiaopivtukbagounhi",
            strict=True,
        )
    )
)


def skeleton(text: str, *, keep: str = "") -> str:
    """What is left of a name when case, accents, spacing, punctuation and look-alike letters are gone.

    Args:
        text: A name.
        keep: Punctuation that stays.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", text).casefold())
    plain = unicodedata.normalize("NFKD", plain.translate(CONFUSABLE)).translate(CONFUSABLE)
    return "".join(c for c in plain if c.isalnum() or c in keep)


def matches(pattern: str, name: str) -> bool:
    """Whether a name, or one that it looks like, fits a pattern."""
    folded = skeleton(pattern, keep="*?")
    wanted = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in folded)
    return re.fullmatch(wanted, skeleton(name), re.DOTALL) is not None


def look_alike(name: str, patterns: Iterable[str]) -> str | None:
    """The pattern that a name fits only once it is folded, None if it fits one as it is, or none at all."""
    held = list(patterns)
    if any(exactly(pattern, name) for pattern in held):
        return None
    return next((pattern for pattern in held if matches(pattern, name)), None)


def exactly(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern letter by letter."""
    wanted = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(wanted, name, re.DOTALL) is not None
