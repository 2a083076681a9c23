"""What a judge answered: read leniently in form and strictly in content.

Text around an object, fences, single quotes and a comma too many change no meaning. What two readers could understand
differently is no verdict: a key that stands twice, a verdict inside a verdict, objects that disagree, NaN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from llmgate.errors import JudgeError
from llmgate.score.assertion.rule import shown
from llmgate.suite.data.strict_json import json_at
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.score.assertion.models import JudgeReply
    from llmgate.suite.asserts import Json

__all__ = [
    "agreed_object",
    "as_flag",
    "as_items",
    "as_text",
    "as_texts",
    "find_objects",
    "holds",
    "objects_with",
    "read_reason",
    "the_object",
]

_MAX_CHARS = 200_000
_MAX_ATTEMPTS = 1_000
_MAX_DEPTH = 50

_SPACE = re.compile(r"(?:\s|//[^\n]*|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_BARE_KEY = re.compile(r"[A-Za-z_$][\w$-]*")
_BARE_VALUE = re.compile(r"(?:(?!//|/\*|:\s)[^,}\]{\[\"'\n])+")
_STRING = re.compile(r"""(?P<quote>["'])(?P<body>(?:\\.|(?!(?P=quote))[^\\])*+)(?P<end>(?P=quote))?""", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_WORDS: dict[str, Json] = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "None": None, "Null": None, "NULL": None, "~": None,
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def find_objects(reply: str, *, strict: bool = False) -> list[dict[str, Json]]:
    """All outermost JSON objects in a text, in order.

    An object may have single quotes, bare keys, bare words, comments and trailing commas; a key stands in it once. A
    brace that begins no object is passed over; one that does begin an object must end it, or else a verdict that is
    only quoted inside, say in a comment, would be taken for the judge's own.

    Args:
        reply: The text.
        strict: Whether an object that is not strict JSON is an error.

    Raises:
        JudgeError: If an object cannot be read or is cut off, or the text is too long or too tangled.
    """
    if len(reply) > _MAX_CHARS:
        raise JudgeError(f"the judge's reply has more than {_MAX_CHARS} characters")
    objects: list[dict[str, Json]] = []
    position = reply.find("{")
    for _ in range(_MAX_ATTEMPTS):
        if position < 0:
            return objects
        value, position = _object_at(reply, position, strict=strict)
        if value is not None:
            objects.append(value)
        position = reply.find("{", position)
    raise JudgeError(f"the judge's reply has more than {_MAX_ATTEMPTS} braces")


def _object_at(reply: str, start: int, *, strict: bool) -> tuple[dict[str, Json] | None, int]:
    try:
        value, end = json_at(reply, start)
    except RecursionError as error:
        raise JudgeError("the judge's reply is nested too deeply") from error
    except ValueError:
        pass
    else:
        return (value, end) if isinstance(value, dict) else (None, end)
    reader = _Reader(reply, start)
    try:
        value = reader.mapping()
    except ValueError as error:
        if reader.at_end:
            raise JudgeError("the judge's reply is cut off", fix="Raise the judge's max_tokens") from error
        if reader.began:
            raise JudgeError(f"the judge's reply holds an object that cannot be read: {error}") from error
        return None, start + 1
    if strict:
        raise JudgeError("the judge's reply holds an object that is not JSON")
    return value, reader.position


class _Reader:
    """Reads one object. Any `ValueError` means that there is none."""

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position
        self.depth = 0
        self.began = False
        """Whether a key and its colon were read."""

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def skip(self) -> str:
        match = _SPACE.match(self.text, self.position)
        self.position = match.end() if match else self.position
        return self.text[self.position : self.position + 1]

    def take(self, character: str) -> None:
        if self.skip() != character:
            raise ValueError(f"no {character} at {self.position}")
        self.position += 1

    def mapping(self) -> dict[str, Json]:
        self.take("{")
        result: dict[str, Json] = {}
        while self.skip() != "}":
            key = self.key()
            self.take(":")
            self.began = True
            if key in result:
                raise ValueError(f"the key {key!r} stands twice")
            result[key] = self.value()
            if self.skip() != "}":
                self.take(",")
        self.position += 1
        return result

    def key(self) -> str:
        if self.skip() in {'"', "'"}:
            return self.string()
        match = _BARE_KEY.match(self.text, self.position)
        if not match:
            raise ValueError(f"no key at {self.position}")
        self.position = match.end()
        return match[0]

    def value(self) -> Json:
        character = self.skip()
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        if character == "{":
            value: Json = self.mapping()
        elif character == "[":
            value = self.items()
        elif character in {'"', "'"} and character:
            value = self.string()
        else:
            value = self.bare()
        self.depth -= 1
        return value

    def items(self) -> list[Json]:
        self.take("[")
        result: list[Json] = []
        while self.skip() != "]":
            result.append(self.value())
            if self.skip() != "]":
                self.take(",")
        self.position += 1
        return result

    def string(self) -> str:
        match = _STRING.match(self.text, self.position)
        if not match:
            raise ValueError(f"no text at {self.position}")
        self.position = match.end()
        if not match["end"]:
            self.position = len(self.text)
            raise ValueError("a text is not closed")
        return _ESCAPE.sub(_unescaped, match["body"])

    def bare(self) -> Json:
        match = _BARE_VALUE.match(self.text, self.position)
        if not match:
            raise ValueError(f"no value at {self.position}")
        self.position = match.end()
        word = match[0].strip()
        if word in _WORDS:
            return _WORDS[word]
        if _NUMBER.fullmatch(word):
            return float(word)
        if not word:
            raise ValueError(f"no value at {match.start()}")
        return word


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code, code)


def objects_with(reply: JudgeReply, *keys: str, strict: bool = False) -> list[Mapping[str, object]]:
    """The outermost objects of a reply that have any of the keys, or all objects if no key is given.

    Args:
        reply: Text, or a mapping from a judge that returns parsed data, which is taken whatever its keys.
        keys: What a verdict is known by.
        strict: Whether objects must be strict JSON.

    Raises:
        JudgeError: If the reply is neither text nor a mapping, or holds an object that cannot be read, or one that
            has a key once more.
    """
    content = reply.content
    objects: list[Mapping[str, object]]
    if isinstance(content, Mapping):
        objects = [content]
    elif isinstance(content, str):
        objects = [
            candidate
            for candidate in find_objects(content, strict=strict)
            if not keys or any(key in candidate for key in keys)
        ]
    else:
        raise JudgeError(f"the judge's reply is no verdict but a {type(content).__name__}")
    for candidate in objects:
        _refuse_second(candidate, keys)
    return objects


def _refuse_second(verdict: Mapping[str, object], keys: tuple[str, ...]) -> None:
    """Refuse an object that has one of the keys once more: in another spelling, or inside."""
    known = {_folded(key): key for key in keys}
    others: list[object] = [key for key in verdict if key not in keys]
    stack: list[object] = list(verdict.values())
    while stack:
        part = stack.pop()
        if isinstance(part, Mapping):
            others += part
            stack += part.values()
        elif isinstance(part, list):
            stack += part
    for other in others:
        if _folded(other) in known:
            raise JudgeError(f"the judge's reply holds a second {known[_folded(other)]!r}, inside or in other letters")


def _folded(key: object) -> str:
    return str(key).strip().casefold()


def the_object(reply: JudgeReply, key: str) -> Mapping[str, object]:
    """The one object of a reply that has the key, in strict JSON.

    Raises:
        JudgeError: If there is none, or more than one.
    """
    verdicts = [candidate for candidate in objects_with(reply, key, strict=True) if key in candidate]
    if len(verdicts) != 1:
        what = "no object" if not verdicts else f"{len(verdicts)} objects"
        raise JudgeError(f"the judge's reply holds {what} with {key!r}: {reply.text[:100]!r}")
    return verdicts[0]


def agreed_object(reply: JudgeReply, key: str) -> Mapping[str, object]:
    """The object in a reply that has this key.

    Raises:
        JudgeError: If there is none, or there are two that differ.
    """
    verdicts = [candidate for candidate in objects_with(reply, key) if key in candidate]
    if not verdicts:
        raise JudgeError(f"the judge's reply holds no {key!r}: {reply.text[:100]!r}")
    if any(candidate != verdicts[0] for candidate in verdicts):
        raise JudgeError("the judge's reply holds objects that disagree")
    return verdicts[0]


def holds(reply: JudgeReply, key: str) -> bool:
    """Whether a reply is, or contains, a JSON object that begins with this key, and so is not to be read as text."""
    if isinstance(reply.content, str):
        return re.search(rf"\{{\s*+[\"']?{key}[\"']?\s*+:", reply.content) is not None
    return True


def read_reason(verdict: Mapping[str, object]) -> str:
    """What the judge says about its verdict."""
    reason = verdict.get("reason")
    return reason if isinstance(reason, str) and javascript.trim(reason) else "the judge gave no reason"


def as_items(found: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    """A list of objects.

    Raises:
        JudgeError: If it is none.
    """
    items = found.get(key)
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise JudgeError(f"the judge's {key!r} is no list of objects: {shown(items)}")
    return items


def as_texts(found: Mapping[str, object], key: str) -> list[str]:
    """A list of texts that are not blank.

    Raises:
        JudgeError: If it is none.
    """
    texts = found.get(key)
    if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise JudgeError(f"the judge's {key!r} is no list of texts: {shown(texts)}")
    return texts


def as_text(found: Mapping[str, object], key: str) -> str:
    """A text that is not blank.

    Raises:
        JudgeError: If it is none.
    """
    text = found.get(key)
    if not isinstance(text, str) or not text.strip():
        raise JudgeError(f"the judge's {key!r} is no text: {shown(text)}")
    return text


def as_flag(found: Mapping[str, object], key: str) -> bool:
    """1 or 0, or true or false.

    Raises:
        JudgeError: If it is anything else.
    """
    flag = found.get(key)
    if not isinstance(flag, bool | int | float) or flag not in {0, 1}:
        raise JudgeError(f"the judge's {key!r} is neither 1 nor 0: {shown(flag)}")
    return bool(flag)
