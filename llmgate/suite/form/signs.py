"""What betrays a suite in text that is not, or cannot be, parsed. Light: pytest asks it of every YAML and JSON file."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MARKER", "MAX_BYTES", "NEEDED_KEYS", "SUFFIXES", "is_marked", "may_be_marked", "plain", "signs_in"]

MARKER: Final = "llmgate"
"""The top-level key by which a file calls itself a suite."""
SUFFIXES: Final = (".yaml", ".yml", ".json")
"""How the names of suite files end, in small or capital letters."""
MAX_BYTES: Final = 1_000_000
"""Of a suite file."""
NEEDED_KEYS: Final = frozenset({"assert", "prompt", "dataset"})
"""A suite cannot do without two of them, and hardly any other file has two at its top level."""

NOT_PLAIN: Final = re.compile(r"[\W_]+")
CODE_ESCAPE: Final = re.compile(r"\\[xuU]")
ESCAPE: Final = re.compile(r"\\.", re.DOTALL)
COMMENT: Final = re.compile(r"^[ \t\ufeff]*#.*$", re.MULTILINE)
KEY: Final = re.compile(r"""(?:(?<=[\s{\[,?"'\ufeff])|^)(?=([^\W_][\w .-]{0,30})(?:["']\s*:|\s*:(?:\s|$)))""")
"""A word that a YAML or JSON reader could take for a key, wherever it stands; bounded, as it is tried at each word."""


def plain(text: str) -> str:
    """Letters and digits alone, small and without width: what is left of a key however it is spelled."""
    return NOT_PLAIN.sub("", unicodedata.normalize("NFKC", text).casefold())


def is_marked(key: str) -> bool:
    """Whether a key is the marker in any spelling."""
    return plain(key) == MARKER


def may_be_marked(data: bytes, words: Iterable[str] = (MARKER,)) -> bool:
    """Whether a file could have one of these keys in any spelling; False only if no reader could find one there."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return True
    if "\0" in text or CODE_ESCAPE.search(text):
        return True
    letters = plain(ESCAPE.sub("", text))
    return any(word in letters for word in words)


def signs_in(data: bytes) -> frozenset[str]:
    """The marker and the needed keys that seem to stand in bytes that cannot be parsed, whatever their encoding."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    # Without its zero bytes and its mark UTF-16 and UTF-32 are ASCII again, as far as keys go.
    text = COMMENT.sub("", text.replace("\0", "").removeprefix("\xff\xfe").removeprefix("\xfe\xff"))
    keys = {plain(found[1]) for found in KEY.finditer(text)}
    return frozenset(keys & {MARKER, *NEEDED_KEYS})
