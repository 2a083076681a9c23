"""Reading a judge's reply: which object in it is the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from llmgate.errors import JudgeError
from llmgate.score.loosejson import find_objects
from llmgate.suite import jsvalues

if TYPE_CHECKING:
    from llmgate.score.models import JudgeReply

__all__ = ["objects_with", "read_reason", "the_object"]


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


def read_reason(verdict: Mapping[str, object]) -> str:
    """What the judge says about its verdict."""
    reason = verdict.get("reason")
    return reason if isinstance(reason, str) and jsvalues.trim(reason) else "the judge gave no reason"
