"""Messages as chat completion requests have them: those that a dataset column holds are checked before they are sent.

A message of a column is `{role, content}`; a tool's answer names its call (`tool_call_id`), and an assistant's message
may carry `tool_calls` and then no content. Content is text or a list of parts, `{text: …}` and `{image: …}` or the
request's own `{type: text, …}` and `{type: image_url, …}`. Column text is data: it is sent as it is, never rendered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Final, get_args

from llmgate.errors import DatasetError, did_you_mean
from llmgate.record.schema import ChatRole, Message
from llmgate.suite.asserts import Json

__all__ = ["Wire", "picture_part", "read_messages", "recorded", "text_part"]

Wire = dict[str, Json]
"""A message as it is sent."""
Picture = Callable[[str], str]
"""Turns what is written for a picture into what is sent."""

ROLES: Final = get_args(ChatRole)
KEYS: Final = ("content", "name", "role", "tool_call_id", "tool_calls")
INLINE: Final = "data:"
MAX_MESSAGES: Final = 10_000


def read_messages(value: Json, *, where: str, picture: Picture) -> list[Wire]:
    """Check a conversation from a column.

    Args:
        value: The column's value.
        where: The row, for messages.
        picture: Turns what is written for a picture into what is sent.

    Raises:
        DatasetError: If it is not a list of messages that a server would take, or nothing is left to answer.
    """
    if not isinstance(value, list) or not value or len(value) > MAX_MESSAGES:
        raise DatasetError(
            "a conversation is a list of messages, and this is none",
            where=where,
            fix='Write [{"role": "user", "content": "…"}, …]; in CSV lock the column as array (`--type COLUMN=array`)',
        )
    called: set[str] = set()
    messages = []
    for index, written in enumerate(value):
        place = f"{where}, message {index + 1}"
        message = _message(written, place, picture)
        if message["role"] == "tool" and message.get("tool_call_id") not in called:
            raise DatasetError(
                f"no message before it made the tool call {message.get('tool_call_id')!r}",
                where=place,
                fix="Give the assistant's message that has it in tool_calls",
            )
        called |= _calls(message, place)
        messages.append(message)
    return messages


def recorded(wire: Wire) -> Message:
    """A message for the record: readable, and without the bytes of pictures."""
    role, content = wire["role"], wire.get("content")
    if isinstance(content, str) and wire.keys() == {"role", "content"}:
        return Message(role=role, content=content)  # type: ignore[arg-type]
    kept = {**wire, "content": [_without_bytes(part) for part in content] if isinstance(content, list) else content}
    return Message(role=role, content=_worded(kept), wire=kept)  # type: ignore[arg-type]


def text_part(text: str) -> Json:
    """A part of a message that is text."""
    return {"type": "text", "text": text}


def picture_part(url: str, detail: str | None = None) -> Json:
    """A part of a message that is a picture."""
    return {"type": "image_url", "image_url": {"url": url} if detail is None else {"url": url, "detail": detail}}


def _message(written: Json, where: str, picture: Picture) -> Wire:
    if not isinstance(written, dict):
        raise DatasetError("a message is an object", where=where, fix='Write {"role": "user", "content": "…"}')
    for key in written:
        if key not in KEYS:
            raise DatasetError(f"a message has no {key!r}", where=where, fix=did_you_mean(key, KEYS))
    role = written.get("role")
    if role not in ROLES:
        raise DatasetError(f"there is no role {role!r}", where=where, fix=did_you_mean(str(role), ROLES))
    _check_keys(written, str(role), where)
    content = written.get("content")
    if isinstance(content, list) and content:
        return {**written, "content": [_part(part, where, picture) for part in content]}
    if isinstance(content, str) or (content is None and written.get("tool_calls")):
        return dict(written)
    raise DatasetError(f"the {role} message has no content", where=where, fix="Write text or a list of parts")


def _check_keys(message: Mapping[str, Json], role: str, where: str) -> None:
    if "tool_calls" in message and role != "assistant":
        raise DatasetError("only the assistant calls tools", where=where, fix="Take tool_calls out")
    if ("tool_call_id" in message) != (role == "tool"):
        raise DatasetError(
            f"a {role} message {'has no' if role == 'tool' else 'cannot have a'} tool_call_id",
            where=where,
            fix="A tool's answer, and nothing else, names the call that it answers",
        )
    if "name" in message and not (isinstance(message["name"], str) and message["name"]):
        raise DatasetError("name is not text", where=where, fix="Write a name or leave it out")


def _calls(message: Wire, where: str) -> set[str]:
    """The ids of the tool calls that a message makes."""
    calls = message.get("tool_calls", [])
    if not isinstance(calls, list) or ("tool_calls" in message and not calls):
        raise DatasetError("tool_calls is not a list of calls", where=where, fix="Leave it out where no tool is called")
    ids: set[str] = set()
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if not (
            isinstance(call, dict)
            and isinstance(call.get("id"), str)
            and call.get("type") == "function"
            and isinstance(function, dict)
            and isinstance(function.get("name"), str)
            and isinstance(function.get("arguments"), str)
        ):
            raise DatasetError(
                "a tool call is not complete",
                where=where,
                fix='Write {"id": "…", "type": "function", "function": {"name": "…", "arguments": "{…}"}}',
            )
        if call["id"] in ids:
            raise DatasetError(f"the call id {call['id']!r} is used twice", where=where, fix="Give each call its own")
        ids.add(str(call["id"]))
    return ids


def _part(part: Json, where: str, picture: Picture) -> Json:
    match part:
        case {"type": "text", "text": str(text), **rest} if not rest:
            return text_part(text)
        case {"text": str(text), **rest} if not rest:
            return text_part(text)
        case {"image": str(written), **rest} if not rest:
            return picture_part(picture(written))
        case {"type": "image_url", "image_url": {"url": str(written), **more}, **rest} if not rest:
            detail = more.pop("detail", None)
            if not more and detail in {None, "auto", "low", "high"}:
                return picture_part(picture(written), None if detail is None else str(detail))
    raise DatasetError("a part of the content is neither text nor a picture", where=where, fix='Write {"text": "…"}')


def _without_bytes(part: Json) -> Json:
    match part:
        case {"image_url": {"url": str(url), "detail": str(detail)}} if url.startswith(INLINE):
            return picture_part(_named(url), detail)
        case {"image_url": {"url": str(url)}} if url.startswith(INLINE):
            return picture_part(_named(url))
        case _:
            return part


def _named(url: str) -> str:
    return f"{url[len(INLINE) :].partition(';')[0]} sha256:{hashlib.sha256(url.encode()).hexdigest()}"


def _worded(wire: Wire) -> str:
    content = wire.get("content")
    lines = [content] if isinstance(content, str) else []
    if isinstance(content, list):
        for part in content:
            match part:
                case {"text": str(text)}:
                    lines.append(text)
                case {"image_url": {"url": str(url)}}:
                    lines.append(f"[picture {url}]")
                case _:
                    pass
    calls = wire.get("tool_calls")
    if isinstance(calls, list):
        lines += [f"[calls {json.dumps(call, ensure_ascii=False, sort_keys=True)}]" for call in calls]
    return "\n".join(lines)
