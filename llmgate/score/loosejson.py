"""JSON objects in a judge's reply: with prose around them, and as loose as models write them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from llmgate.errors import JudgeError

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json

__all__ = ["find_objects"]

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

    An object may have single quotes, bare keys, bare words, comments and trailing commas. The last of equal keys wins.
    A brace that begins no object is passed over; one that does begin an object must end it, or else a verdict that is
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
        found, position = _object_at(reply, position, strict=strict)
        if found is not None:
            objects.append(found)
        position = reply.find("{", position)
    raise JudgeError(f"the judge's reply has more than {_MAX_ATTEMPTS} braces")


def _object_at(reply: str, start: int, *, strict: bool) -> tuple[dict[str, Json] | None, int]:
    try:
        value, end = json.JSONDecoder().raw_decode(reply, start)
    except RecursionError as error:
        raise JudgeError("the judge's reply is nested too deeply") from error
    except ValueError:
        pass
    else:
        return value, end
    reader = _Reader(reply, start)
    try:
        found = reader.mapping()
    except ValueError as error:
        if reader.at_end:
            raise JudgeError("the judge's reply is cut off", fix="Raise the judge's max_tokens") from error
        if reader.began:
            raise JudgeError(f"the judge's reply holds an object that cannot be read: {error}") from error
        return None, start + 1
    if strict:
        raise JudgeError("the judge's reply holds an object that is not JSON")
    return found, reader.position


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
