"""Names that look alike: registries keep `Champion` and `champion` apart, deployments and readers may not."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
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

PAIRS: Final = (("rn", "m"), ("vv", "w"))
"""Two letters that look like one."""
RELATED: Final = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "DESERET", "OSAGE"})
"""Scripts with letters that look like Latin ones, by the first word of a letter's name."""


def skeleton(text: str, *, keep: str = "") -> str:
    """What is left of a name when case, accents, spacing, punctuation and look-alike letters are gone.

    Args:
        text: A name.
        keep: Punctuation that stays.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", text).casefold())
    plain = unicodedata.normalize("NFKD", plain.translate(CONFUSABLE)).translate(CONFUSABLE)
    return "".join(c for c in plain if c.isalnum() or c in keep)


@lru_cache(maxsize=1024)
def matches(pattern: str, name: str) -> bool:
    """Whether a name, or one that it looks like, fits a pattern.

    A letter of a script that is related to Latin, and of which nothing is known, may look like any letter of a pattern
    in ASCII. Pairs that look like one letter are tried as both: in `r*` the `r` of `rn` counts.
    """
    wanted, folded = skeleton(pattern, keep="*?"), skeleton(name)
    unknown = "".join({c for c in folded if not c.isascii() and unicodedata.name(c, "").split(" ")[0] in RELATED})
    strange = unknown if pattern.isascii() else ""
    return fits(wanted, folded, strange) or fits(joined(wanted), joined(folded), strange)


def fits(wanted: str, folded: str, strange: str) -> bool:
    """Whether a folded name fits a folded pattern, in which strange letters of the name fit every letter."""
    parts = {"*": ".*", "?": "."}
    expression = "".join(parts.get(c) or f"[{re.escape(c + strange)}]" for c in wanted)
    return re.fullmatch(expression, folded, re.DOTALL) is not None


def joined(folded: str) -> str:
    """With one letter for each pair that looks like it."""
    for pair, letter in PAIRS:
        folded = folded.replace(pair, letter)
    return folded


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
