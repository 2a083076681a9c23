"""How many signs of HTML a text shows, the rule of promptfoo's contains-html: two are enough.

A sign counts once however often it is there. A document type counts two, and so does the name of a common element
after `<`. A start tag, an end tag, a tag that closes itself, a character reference, a comment and an attribute count
one each.
"""

from __future__ import annotations

import re
from typing import Final

from llmgate.suite.template.javascript import WHITESPACE

__all__ = ["count_html_signs"]

_SPACE: Final = f"[{re.escape(WHITESPACE)}]"
_NAME: Final = "[a-zA-Z][a-zA-Z0-9-]*+"

_BARE_TAG = re.compile(f"<{_NAME}>")
_SPACED_START = re.compile(f"<{_NAME}{_SPACE}")
_SELF_CLOSING = re.compile(rf"<{_NAME}(?:{_SPACE}|\Z)")
_END_TAG = re.compile(f"</{_NAME}{_SPACE}*+>")
_REFERENCE = re.compile("&(?:[a-zA-Z]++|#[0-9]++|#x[0-9a-fA-F]++);")
_DOCUMENT_TYPE = re.compile(f"<!doctype{_SPACE}++html", re.IGNORECASE | re.ASCII)
_COMMENT = re.compile("<!--[^-]*+(?:-[^-]++)*+-->")
_ATTRIBUTE = re.compile(rf"""{_SPACE}[a-zA-Z-]++={_SPACE}*+["'][^"']*+["']""")
_COMMON = re.compile(
    r"<(?:html|head|body|div|span|p|a|img|h[1-6]|ul|ol|li|table|tr|td|th|form|input|button|script|style|link|meta|br|hr)\b",
    re.IGNORECASE | re.ASCII,
)


def count_html_signs(text: str) -> int:
    """Signs of HTML in a text, in linear time.

    Returns:
        0 to 9.
    """
    signs = {
        "start": _has_start_tag(text),
        "end": _found(_END_TAG, text),
        "self-closing": _has_self_closing_tag(text),
        "reference": _found(_REFERENCE, text),
        "comment": _found(_COMMENT, text),
        "attribute": _found(_ATTRIBUTE, text),
    }
    strong = _found(_DOCUMENT_TYPE, text) + _found(_COMMON, text)
    return sum(signs.values()) + 2 * strong


def _found(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.search(text) is not None


def _has_start_tag(text: str) -> bool:
    if _found(_BARE_TAG, text):
        return True
    # After the name anything may follow up to the next >; looking for it from every < takes quadratic time.
    return _SPACED_START.search(text, 0, text.rfind(">") + 1) is not None


def _has_self_closing_tag(text: str) -> bool:
    # What closes itself ends in /> and has no other > inside.
    return any(part.endswith("/") and _found(_SELF_CLOSING, part[:-1]) for part in text.split(">")[:-1])
