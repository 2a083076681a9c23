"""Conversations of samples: one prompt for all of them, and what differs in columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from llmgate.suite.importers.files import mapping
from llmgate.suite.importers.table import literal

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json

__all__ = ["as_messages", "as_text", "chat_messages", "common_prompt"]

_ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def chat_messages(data: Any) -> list[dict[str, str]]:
    """Messages in OpenAI's form.

    Raises:
        ValueError: If a message has another role than system, user and assistant, or its content is no text.
    """
    if isinstance(data, Mapping):
        data = data.get("messages")
    if not isinstance(data, list) or not data:
        raise ValueError("it is no list of messages")
    messages = []
    for message in map(mapping, data):
        role, content = message.get("role"), message.get("content")
        if role not in _ROLES:
            raise ValueError(f"a message has the role {role!r}")
        if isinstance(content, list) and all(mapping(part).get("type") == "text" for part in content):
            content = "".join(str(part.get("text", "")) for part in content)
        if not isinstance(content, str):
            raise ValueError("the content of a message is no text")
        messages.append({"role": _ROLES[role], "content": content})
    return messages


def as_messages(value: Any) -> list[dict[str, str]] | None:
    """A text or a conversation as messages; None if it is neither.

    Messages of OpenAI's few-shot form, with the role `system` and a `name` of example_user or example_assistant, get
    the role that they play.
    """
    if isinstance(value, str):
        return [{"role": "user", "content": value}] if value else None
    names = {"example_user": "user", "example_assistant": "assistant"}
    if isinstance(value, list):
        value = [
            {**message, "role": names.get(str(message.get("name")), message.get("role"))}
            for message in map(mapping, value)
        ]
    try:
        return chat_messages(value)
    except ValueError:
        return None


def common_prompt(
    conversations: list[list[dict[str, str]] | None], records: list[dict[str, Json]]
) -> tuple[tuple[dict[str, str], ...], list[dict[str, Json]]]:
    """A prompt whose columns give back every conversation, and the records with these columns.

    Messages that are the same in all conversations stand in the prompt; the others in columns called after their
    role. Conversations of different shapes are told as one user message, turn by turn.
    """
    known = [conversation or [] for conversation in conversations]
    shapes = {tuple(message["role"] for message in conversation) for conversation in known}
    if len(shapes) != 1 or () in shapes:
        return ({"role": "user", "content": "{{ input }}"},), [
            {"input": as_text(conversation), **record} for conversation, record in zip(known, records, strict=True)
        ]
    prompt = []
    columns: list[dict[str, Json]] = [{} for _ in known]
    taken = {key for record in records for key in record}
    for position, messages in enumerate(zip(*known, strict=True)):
        role = messages[0]["role"]
        contents = [message["content"] for message in messages]
        if len(contents) > 1 and len(set(contents)) == 1:
            prompt.append({"role": role, "content": literal(contents[0])})
            continue
        last = position == len(known[0]) - 1 and role == "user"
        name = "input" if last else f"{role}_{position + 1}"
        while name in taken:
            name = f"{name}_message"
        taken.add(name)
        prompt.append({"role": role, "content": f"{{{{ {name} }}}}"})
        for column, content in zip(columns, contents, strict=True):
            column[name] = content
    return tuple(prompt), [{**column, **record} for column, record in zip(columns, records, strict=True)]


def as_text(conversation: list[dict[str, str]]) -> str:
    """A conversation in one text."""
    if len(conversation) == 1:
        return conversation[0]["content"]
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in conversation)
