"""Comma lists in a single text, `a, "b, c"`, as promptfoo writes them."""

from __future__ import annotations

import re

from llmgate.suite.jsvalues import WHITESPACE, trim

__all__ = ["split_list"]

_SPACE = f"[{re.escape(WHITESPACE)}]*"
_QUOTED = re.compile(_SPACE + r'"((?:[^"\\]|\\.|"")*+)(")?', re.DOTALL)
_AFTER_QUOTED = re.compile(_SPACE + r"(,|\Z)")
_PLAIN = re.compile(r"([^,]*)(,|\Z)")
_ESCAPED = re.compile(r'\\(["\\])|""')


def split_list(text: str) -> list[str]:
    r"""Splits at commas.

    Fields are trimmed and empty ones dropped. A field that starts with a double quote goes to the closing one, commas
    and white space included; a quote inside it is written `\"` or `""`.

    Raises:
        ValueError: If a quote is not closed, something follows a closing quote, or a quoted field is empty.
    """
    fields: list[str] = []
    position = 0
    while position < len(text):
        quoted = _QUOTED.match(text, position)
        if quoted:
            if not quoted[2]:
                raise ValueError("a quote is not closed")
            field = _ESCAPED.sub(lambda escape: escape[1] or '"', quoted[1])
            if not field:
                raise ValueError("a quoted field is empty")
            after = _AFTER_QUOTED.match(text, quoted.end())
            if not after:
                raise ValueError("there is text after a closing quote")
            position = after.end()
        else:
            plain = _PLAIN.match(text, position)
            assert plain is not None  # noqa: S101 - the pattern matches everywhere
            field, position = trim(plain[1]), plain.end()
        if field:
            fields.append(field)
    return fields
