"""Reading a judge's reply: which object in it is the verdict, and what its fields say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from llmgate.errors import JudgeError
from llmgate.score.loosejson import find_objects
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.score.models import JudgeReply

__all__ = [
    "agreed_object",
    "as_flag",
    "as_items",
    "as_text",
    "as_texts",
    "holds",
    "objects_with",
    "read_reason",
    "the_object",
]


def objects_with(reply: JudgeReply, *keys: str, strict: bool = False) -> list[Mapping[str, object]]:
    """The outermost objects of a reply that have any of the keys, or all objects if no key is given.

    Args:
        reply: Text, or a mapping from a judge that returns parsed data, which is taken whatever its keys.
        keys: What a verdict is known by.
        strict: Whether objects must be strict JSON.

    Raises:
        JudgeError: If the reply is neither text nor a mapping, or holds an object that cannot be read.
    """
    content = reply.content
    if isinstance(content, Mapping):
        return [content]
    if not isinstance(content, str):
        raise JudgeError(f"the judge's reply is no verdict but a {type(content).__name__}")
    return [found for found in find_objects(content, strict=strict) if not keys or any(key in found for key in keys)]


def the_object(reply: JudgeReply, key: str) -> Mapping[str, object]:
    """The one object of a reply that has the key, in strict JSON.

    Raises:
        JudgeError: If there is none, or more than one.
    """
    found = [one for one in objects_with(reply, key, strict=True) if key in one]
    if len(found) != 1:
        what = "no object" if not found else f"{len(found)} objects"
        raise JudgeError(f"the judge's reply holds {what} with {key!r}: {reply.text[:100]!r}")
    return found[0]


def agreed_object(reply: JudgeReply, key: str) -> Mapping[str, object]:
    """The object in a reply that has this key.

    Raises:
        JudgeError: If there is none, or there are two that differ.
    """
    found = [one for one in objects_with(reply, key) if key in one]
    if not found:
        raise JudgeError(f"the judge's reply holds no {key!r}: {reply.text[:100]!r}")
    if any(one != found[0] for one in found):
        raise JudgeError("the judge's reply holds objects that disagree")
    return found[0]


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
        raise JudgeError(f"the judge's {key!r} is no list of objects: {_shown(items)}")
    return items


def as_texts(found: Mapping[str, object], key: str) -> list[str]:
    """A list of texts that are not blank.

    Raises:
        JudgeError: If it is none.
    """
    texts = found.get(key)
    if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise JudgeError(f"the judge's {key!r} is no list of texts: {_shown(texts)}")
    return texts


def as_text(found: Mapping[str, object], key: str) -> str:
    """A text that is not blank.

    Raises:
        JudgeError: If it is none.
    """
    text = found.get(key)
    if not isinstance(text, str) or not text.strip():
        raise JudgeError(f"the judge's {key!r} is no text: {_shown(text)}")
    return text


def as_flag(found: Mapping[str, object], key: str) -> bool:
    """1 or 0, or true or false.

    Raises:
        JudgeError: If it is anything else.
    """
    flag = found.get(key)
    if not isinstance(flag, bool | int | float) or flag not in {0, 1}:
        raise JudgeError(f"the judge's {key!r} is neither 1 nor 0: {_shown(flag)}")
    return bool(flag)


def _shown(value: object) -> str:
    return javascript.json_text(value)[:80]
