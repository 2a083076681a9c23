"""The stem of an English word, as the npm package natural cuts it off for promptfoo's meteor.

natural departs from Porter's algorithm in places, and so does this: a vowel before a consonant and y, endings of one
step that are tried one after another, not the longest alone. nltk's stemmer gives other stems for such words.

Reference: Porter (1980), An algorithm for suffix stripping, Program 14(3), 130–137.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["stem"]

Endings = tuple[tuple[str, str], ...]
"""An ending, and what stands in its place."""

_CONSONANTS_Y: Final = re.compile("(?<![^aeiouy])[^aeiouy]++y")
_CONSONANT_Y: Final = re.compile("[^aeiouy]y")
_VOWELS: Final = re.compile("[aeiou]+")
_VOWEL: Final = re.compile("[aeiou]")
_OTHERS: Final = re.compile("[^V]+")
_OTHER: Final = re.compile("[^V]")
_DOUBLE: Final = re.compile(r"([^aeiou])\1\Z")

_AFTER_PAST: Final[Endings] = (("at", "ate"), ("bl", "ble"), ("iz", "ize"))
_LONG: Final[Endings] = (
    ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("abli", "able"),
    ("bli", "ble"), ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"), ("ization", "ize"),
    ("ation", "ate"), ("ator", "ate"), ("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"),
    ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble"), ("logi", "log"),
)  # fmt: skip
_MIDDLE: Final[Endings] = (
    ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", ""),
)  # fmt: skip
_SHORT: Final = re.compile(
    r"(.+?)(?:al|ance|ence|er|ic|able|ible|ant|ement|ment|ent|ou|ism|ate|iti|ous|ive|ize)", re.DOTALL
)
_ION: Final = re.compile(r"(.+?[st])ion", re.DOTALL)


def stem(word: str) -> str:
    """The stem.

    Args:
        word: In lower case.

    Returns:
        What is left, with a character per UTF-16 unit. A word of one or two is its own stem.
    """
    word = javascript.utf16_units(word)
    if len(word) < 3:
        return word
    word = _without_y(_without_past(_without_plural(word)))
    word = _without_short(_replaced(_replaced(word, _LONG), _MIDDLE))
    return _without_double(_without_e(word))


def _groups(word: str) -> str:
    """C for consonants in a row, V for vowels in a row."""
    return _OTHERS.sub("C", _VOWELS.sub("V", _CONSONANTS_Y.sub("CV", word)))


def _letters(word: str) -> str:
    """C for a consonant, V for a vowel."""
    return _OTHER.sub("C", _VOWEL.sub("V", _CONSONANT_Y.sub("CV", word)))


def _measure(word: str) -> float:
    """How many vowels in a row are followed by consonants; −1 of nothing. V twice in a row makes halves."""
    if not word:
        return -1
    return len(_groups(word).removeprefix("C").removesuffix("V")) / 2


def _replaced(word: str, endings: Sequence[tuple[str, str]]) -> str:
    """Every ending of the word that leaves a measure above 0 is replaced, one after another."""
    result = word
    for ending, other in endings:
        if word.endswith(ending) and _measure(word.removesuffix(ending)) > 0:
            result = _swapped(result, ending, other)
    return result


def _swapped(word: str, ending: str, other: str) -> str:
    # Nothing is left of no word.
    return word.removesuffix(ending) + other or word if word.endswith(ending) else word


def _without_plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word[-1] == "s" != word[-2] else word


def _without_past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    ending = next((ending for ending in ("ed", "ing") if word.endswith(ending)), "")
    short = word.removesuffix(ending)
    if not ending or "V" not in _groups(short):
        return word
    longer = short
    for before, after in _AFTER_PAST:
        longer = _swapped(longer, before, after)
    if longer != short:
        return longer
    if _DOUBLE.search(short) and short[-1] not in "lsz":
        return short[:-1]
    if _measure(short) == 1 and _letters(short).endswith("CVC") and short[-1] not in "wxy":
        return f"{short}e"
    return short


def _without_y(word: str) -> str:
    return f"{word[:-1]}i" if word.endswith("y") and "V" in _groups(word)[:-1] else word


def _without_short(word: str) -> str:
    for pattern in (_SHORT, _ION):
        match = pattern.fullmatch(word)
        if match and _measure(match[1]) > 1:
            return match[1]
    return word


def _without_e(word: str) -> str:
    measure = _measure(word.removesuffix("e"))
    kept = _letters(word)[-4:][:3] == "CVC" and len(word) > 1 and word[-2] not in "wxy"
    return word.removesuffix("e") if measure > 1 or (measure == 1 and not kept) else word


def _without_double(word: str) -> str:
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word
