"""Words as the Penn Treebank splits them, with the details that promptfoo's rouge-n (js-rouge 3.2) gives the rules.

The rules are those of Robert MacIntyre's tokenizer.sed (University of Pennsylvania, 1995): punctuation, quotes and
the endings of contractions become words of their own. js-rouge keeps commas and colons before digits, keeps the full
stop of `U.S.`, and looks at the surroundings of a double quote to tell whether it opens or closes.
"""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Final

import regex

from llmgate.suite.template.javascript import WHITESPACE

__all__ = ["treebank_words"]

_SPACES: Final = re.compile(f"[{re.escape(WHITESPACE)}\u0085]+")
_QUOTE: Final = re.compile("``|''|\"")
_ENDS_SENTENCE: Final = ".!?"
_BEFORE_OPENING: Final = regex.compile(r"[ \p{P}<]")
_BEFORE_LAST: Final = regex.compile(r"[ \p{Ps}<]")
_QUOTED: Final = regex.compile(r"[\p{L}\p{N}\p{Sc}\p{Ps}]")
_SEPARATOR: Final = regex.compile(r"[:,](?!\p{Nd})")
_ACRONYM: Final = re.compile(r"[^A-Za-z0-9_]?[A-Za-z]\.[A-Za-z]")
_CLOSERS: Final = "])}>' "
_MARK: Final = re.compile(r"[;@#$%&?!\]\[(){}<>]|--")
_APOSTROPHE: Final = re.compile("([^'])' ")
_POSSESSIVE: Final = re.compile("'([sSmMdD]) ")
_CONTRACTED: Final = re.compile("('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ")
_PAIRS: Final = tuple(
    (
        first + second,
        regex.compile(
            rf"(?<![\p{{ID_Continue}}\u200c\u200d])({first})({second}){after}(?![\p{{ID_Continue}}\u200c\u200d])"
        ),
    )
    for first, second, after in (
        ("can", "not", ""),
        ("d", "'ye", ""),
        ("gim", "me", ""),
        ("gon", "na", ""),
        ("got", "ta", ""),
        ("lem", "me", ""),
        ("more", "'n", ""),
        ("wan", "na", "(?= )"),
        ("'t", "is", ""),
        ("'t", "was", ""),
    )
)


def treebank_words(text: str) -> list[str]:
    """The words and marks of a text in lower case.

    Args:
        text: In lower case, or contractions such as `Cannot` stay whole.
    """
    text = _SPACES.sub(" ", text).strip(" ")
    if not text:
        return []
    parse = _SEPARATOR.sub(r" \g<0> ", _with_quotes(text).replace("...", " ... "))
    parse = _MARK.sub(r" \g<0> ", _with_last_stop(parse))
    parse = _APOSTROPHE.sub(r"\1 ' ", f" {parse} ")
    parse = _CONTRACTED.sub(r" \1 ", _POSSESSIVE.sub(r" '\1 ", parse))
    for word, pair in _PAIRS:
        if word in parse:
            parse = pair.sub(r" \1 \2 ", parse)
    return [word for word in parse.split(" ") if word]


def _with_quotes(text: str) -> str:
    """Double quotes become `` where they open and '' where they close."""
    quotes = list(_QUOTE.finditer(text))
    pieces: list[str] = []
    end, inside = 0, False
    for this, following in zip_longest(quotes, quotes[1:]):
        pieces.append(text[end : this.start()])
        end = this.end()
        inside = this.group() == "``" or (not inside and _opens(text, this, following))
        pieces.append(" `` " if inside else " '' ")
    return "".join((*pieces, text[end:]))


def _opens(text: str, quote: re.Match[str], following: re.Match[str] | None) -> bool:
    at, before = quote.start(), text[max(0, quote.start() - 1) : quote.start()]
    if before and before in _ENDS_SENTENCE:
        return False
    if before and not (_BEFORE_OPENING.match(before) or text[max(0, at - 2) : at] == "``"):
        return False
    if before and quote.end() == len(text) and not _BEFORE_LAST.match(before):
        return False
    if quote.group() == '"':
        return True
    closed = following is not None and following.group() == "''"
    return at > 0 and closed and _QUOTED.match(text, quote.end()) is not None


def _with_last_stop(text: str) -> str:
    """The full stop that ends the text becomes a word, unless it belongs to dots or an acronym such as U.S."""
    head = text.rstrip(_CLOSERS)
    if len(head) < 2 or head[-1] != "." or head[-2] == "." or _ACRONYM.fullmatch(head[-5:-1]):
        return text
    return f"{head[:-1]} .{text[len(head) :]} "
