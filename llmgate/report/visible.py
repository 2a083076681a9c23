"""Foreign text made fit to be looked at: nothing hidden, nothing endless.

Answers, prompts, reasons and names come from models, datasets and servers. Here they lose what could deceive a
reader in any format (control and bidirectional characters, lone surrogates, megabytes); each format then escapes
what is special in its own syntax.
"""

from __future__ import annotations

import unicodedata
from urllib.parse import urlsplit

from llmgate.report.pieces import Piece, Text

__all__ = ["as_text", "full_name", "one_line", "short_flags", "short_path", "visible"]

ZERO_WIDTH_JOINER = "\u200d"
# Letters, marks and symbols by category, yet drawn as nothing.
BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
SECRET_FLAGS = ("key", "token", "secret", "password")


def visible(text: str) -> str:
    """The same text with every character shown that would otherwise act unseen.

    C0 controls become their pictures (ESC is ␛), all other control, format, bidirectional, unassigned and private
    characters and lone surrogates become `⟦U+202E⟧`. Line feeds and tabs stay; so does the joiner inside an emoji.

    Args:
        text: Anything that a JSON string can hold.

    Returns:
        Text that can be encoded as UTF-8. At most nine times as long.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_harmless(text, index, char) else _picture(ord(char)) for index, char in enumerate(text))


def _is_harmless(text: str, index: int, char: str) -> bool:
    if char in "\n\t":
        return True
    if char == ZERO_WIDTH_JOINER:
        return _joins_emoji(text, index)
    return unicodedata.category(char) not in HIDDEN_CATEGORIES and char not in BLANK_LETTERS


def _joins_emoji(text: str, index: int) -> bool:
    before = text[index - 1] if index else ""
    after = text[index + 1 : index + 2]
    return (
        bool(before and after)
        and (unicodedata.category(before) in {"So", "Sk"} or before == "\ufe0f")
        and unicodedata.category(after) == "So"
    )


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"⟦U+{code:04X}⟧"


def one_line(text: str, limit: int = 300) -> str:
    """A text for a table cell or a log line: visible, on one line, cut after `limit` characters with a note."""
    kept = text.strip()
    note = f" … ({len(kept) - limit:,} further characters)" if len(kept) > limit else ""
    return visible(" ".join(kept[:limit].split())) + note


def full_name(suite: str, name: str, limit: int = 240) -> str:
    """`suite::metric` or `suite::case` on one line."""
    return one_line(f"{suite}::{name}", limit)


def as_text(text: str, limit: int = 3000) -> Text:
    """A text for a block: visible, whitespace kept, with its middle left out and counted where it is too long.

    Args:
        text: The whole text.
        limit: Most characters to show; three quarters from the start, the rest from the end, because the end of
            an answer is where its conclusion stands.
    """
    if not text:
        return ()
    if len(text) <= limit:
        return (Piece(text=visible(text)),)
    head = limit * 3 // 4
    tail = limit - head
    return (
        Piece(text=visible(text[:head])),
        Piece(text=f"{len(text) - limit:,} characters are not shown here", kind="note"),
        Piece(text=visible(text[-tail:])),
    )


def short_path(path: str, *, parts: int = 2) -> str:
    """A path or URL that says which thing it is, without the folders of one machine and without credentials.

    Absolute paths keep their last `parts` components; URLs lose user, password, query and fragment; relative
    paths stay.
    """
    if "://" in path:
        return one_line(_plain_url(path))
    pieces = [piece for piece in path.split("/") if piece]
    if path.startswith(("/", "~")) and pieces:
        return one_line("…/" + "/".join(pieces[-parts:]))
    return one_line(path)


def _plain_url(url: str) -> str:
    try:
        split = urlsplit(url)
    except ValueError:
        return url.split("?", maxsplit=1)[0].rsplit("@", maxsplit=1)[-1]
    return f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}"


def short_flags(flags: tuple[str, ...]) -> str:
    """Server flags on one line, with paths shortened and the values of credentials left out."""
    shown = []
    hide_next = False
    for flag in flags:
        name, equals, value = flag.partition("=")
        secret = name.startswith("-") and name.lower().replace("_", "-").split("-")[-1] in SECRET_FLAGS
        if hide_next and not flag.startswith("-"):
            shown.append("***")
        elif equals:
            shown.append(f"{name}={'***' if secret else short_path(value)}")
        else:
            shown.append(short_path(flag))
        hide_next = secret and not equals
    return one_line(" ".join(shown), 2000)
