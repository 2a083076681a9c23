"""What promptfoo asks in each case, as a prompt of ours that asks the same, to the byte.

Every case is filled in as promptfoo would. Where a template of ours says the same in all cases, the suite has the
template; otherwise it has what is asked in a column, as a text or as a conversation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from llmgate.errors import DatasetError, SuiteError, TemplateError
from llmgate.record.growth import CELL
from llmgate.suite.asserts import Json
from llmgate.suite.form.document import Reader, compose
from llmgate.suite.importers.files import strict
from llmgate.suite.importers.promptfoo.prompts import strict_json
from llmgate.suite.prompt.conversation import picture_part, read_messages, text_part
from llmgate.suite.template.nunjucks import Template
from llmgate.suite.template.promptfoo import in_prompt, unless_partial

if TYPE_CHECKING:
    from llmgate.suite.importers.promptfoo.prompts import PromptfooPrompt
    from llmgate.suite.importers.promptfoo.tests import PromptfooTest
    from llmgate.suite.importers.result import Notebook

__all__ = ["Framed", "entries_of", "framed"]

Case = tuple["PromptfooTest", dict[str, Any]]
Conversation = list[dict[str, Any]]
_ROLES: Final = {"developer": "system"}
_PLAIN_ROLES: Final = frozenset({"system", "user", "assistant"})
_PICTURE: Final = re.compile(r"https?://|data:image/")
_CHAT: Final = ("[", "{", "- role:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Framed:
    """The prompt of a suite.

    Attributes:
        messages: Entries of `prompt:`.
        asked: For each case what to put into `column`, None if it has none; nothing where no case needs one.
        kept: For each case whether it can be asked.
        column: The column for it.
    """

    messages: tuple[Mapping[str, Any], ...]
    kept: tuple[bool, ...]
    column: str = ""
    asked: tuple[Json, ...] = ()


def framed(
    prompt: PromptfooPrompt, cases: Sequence[Case], records: Sequence[Mapping[str, Json]], notes: Notebook
) -> Framed:
    """The prompt that asks what promptfoo asks.

    Args:
        prompt: The prompt.
        cases: Tests with their variables, as asserts see them.
        records: The rows of the cases as far as they are known: variables and facts.
        notes: Cases that cannot be asked, with the reason.
    """
    filler = Filler()
    wanted: list[Conversation | None] = []
    for test, row in cases:
        try:
            wanted.append(filler.asked(prompt, test.options, row))
        except (TemplateError, ValueError) as error:
            why = error.what if isinstance(error, TemplateError) else str(error)
            notes.lost(
                f"a case of the prompt {prompt.label[:60]!r} is left out, as it cannot be asked: {why}", test.where
            )
            wanted.append(None)
    columns = dict.fromkeys([*(key for record in records for key in record), *sorted(prompt.names)])
    notes.growth.spend(CELL * (len(records) * len(columns) - sum(map(len, records))), prompt.where)
    rows = [{key: record.get(key) for key in columns} for record in records]
    entries = candidate(prompt, [test.options for test, _ in cases])
    if entries is not None and all(
        conversation is None or filler.says(entries, row, conversation)
        for row, conversation in zip(rows, wanted, strict=True)
    ):
        return Framed(messages=tuple(entries), kept=tuple(conversation is not None for conversation in wanted))
    column = next(name for name in ("prompt", "asked", *(f"asked_{i}" for i in range(1000))) if name not in columns)
    notes.growth.value(wanted, prompt.where)
    texts = [text_of(conversation) for conversation in wanted if conversation is not None]
    messages: dict[str, Any] = {"role": "user", "content": f"{{{{ {column} }}}}"}
    if None in texts:
        messages = {"messages": column}
        for i, (test, _) in enumerate(cases):
            last = (wanted[i] or [{}])[-1].get("role")
            if last not in {None, "user", "tool"}:
                wanted[i] = None
                notes.lost(
                    f"a case of the prompt {prompt.label[:60]!r} is left out: the {last} has the last word", test.where
                )
    said: list[Any] = [conversation if None in texts else text_of(conversation) for conversation in wanted]
    kept = tuple(conversation is not None for conversation in wanted)
    return Framed(messages=(messages,), kept=kept, column=column, asked=tuple(map(strict, said)))


def text_of(conversation: Conversation | None) -> str | None:
    """What is said, if it is one text of the user."""
    match conversation:
        case [{"role": "user", "content": str(text), **rest}] if not rest:
            return text
        case _:
            return None


class Filler:
    """Fills in prompts; compiles each template once for all cases."""

    def __init__(self) -> None:
        self._templates: dict[str, Template] = {}

    def render(self, text: str, values: Mapping[str, Any]) -> str:
        """A template with its variables.

        Raises:
            TemplateError: If it cannot be rendered.
        """
        if text not in self._templates:
            self._templates[text] = Template.compile(text)
        return self._templates[text].render(values)

    def asked(self, prompt: PromptfooPrompt, options: Mapping[str, Any], row: Mapping[str, Any]) -> Conversation:
        """What promptfoo asks in one case.

        Raises:
            TemplateError: If a template cannot be rendered.
            ValueError: If the prompt comes to JSON that is no conversation.
        """
        values = {**row, "env": prompt.env}
        text = affixed(prompt, options)
        data = prompt.data
        if text != prompt.text:
            try:
                data = strict_json(text)
            except (ValueError, RecursionError):
                data = None
        if isinstance(data, list | dict):
            return conversation_of(self.filled(data, values))
        said = self.render(unless_partial(text), in_prompt(values))
        chat = spoken(said)
        return [{"role": "user", "content": said}] if chat is None else conversation_of(chat)

    def filled(self, data: Any, values: Mapping[str, Any]) -> Any:
        """Data whose texts are filled in; keys stay as they are."""
        if isinstance(data, str):
            return self.render(data, values)
        if isinstance(data, list):
            return [self.filled(item, values) for item in data]
        return {key: self.filled(item, values) for key, item in data.items()} if isinstance(data, dict) else data

    def says(self, entries: Sequence[Mapping[str, Any]], row: Mapping[str, Any], wanted: Conversation) -> bool:
        """Whether entries of `prompt:`, filled in with a row, are the messages that are wanted."""
        try:
            return [{"role": one["role"], "content": self.content(one["content"], row)} for one in entries] == wanted
        except TemplateError:
            return False

    def content(self, written: Any, row: Mapping[str, Any]) -> Any:
        """The content of an entry for a row."""
        if isinstance(written, str):
            return self.render(written, row)
        return [
            picture_part(self.render(part["image"], row), part.get("detail"))
            if "image" in part
            else text_part(self.render(part["text"], row))
            for part in written
        ]


def affixed(prompt: PromptfooPrompt, options: Mapping[str, Any]) -> str:
    """The text of a prompt between what a test puts before and behind it."""
    return f"{options.get('prefix') or ''}{prompt.text}{options.get('suffix') or ''}"


def spoken(text: str) -> Any:
    """The data of a text that a provider of chat models takes for a conversation, None for all other texts."""
    start = text.strip()
    if not start.startswith(_CHAT):
        return None
    try:
        if start.startswith("- role:"):
            node = compose(text)
            # It counts what anchors expand to.
            return None if node is None else Reader(Path("prompt")).read(node, ())
        data = strict_json(text)
    except SuiteError as error:
        raise ValueError(error.what) from error
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    roles = [message.get("role") for message in data if isinstance(message, Mapping)] if isinstance(data, list) else []
    return data if roles and all(roles) and len(roles) == len(data) else None


def conversation_of(data: Any) -> Conversation:
    """Messages as they are sent.

    Raises:
        ValueError: If they are none.
    """
    if isinstance(data, Mapping):
        data = data.get("messages")
    if not isinstance(data, list) or not all(isinstance(message, Mapping) for message in data):
        raise ValueError("it is no list of messages")
    try:
        return read_messages([sent(message) for message in data], where="", picture=picture)
    except DatasetError as error:
        raise ValueError(error.what) from error


def sent(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message with the roles and parts of a chat completion request."""
    content = message.get("content")
    if isinstance(content, list):
        content = [part_of(part) for part in content]
    role = message.get("role")
    return {**message, "role": _ROLES.get(str(role), role), **({"content": content} if "content" in message else {})}


def part_of(part: Any) -> Any:
    """A part of a message, pictures of other providers included."""
    match part:
        case {"type": "image", "source": {"type": "base64", "media_type": str(kind), "data": str(data)}}:
            return picture_part(f"data:{kind};base64,{data}")
        case {"type": "image", "source": {"type": "url", "url": str(url)}}:
            return picture_part(url)
        case str():
            return text_part(part)
        case _:
            return part


def picture(url: str) -> str:
    """An address of a picture; a file that it might name here is none of promptfoo's.

    Raises:
        DatasetError: If it is no address.
    """
    if not _PICTURE.match(url):
        raise DatasetError(f"{url[:60]!r} is no address of a picture")
    return url


def candidate(prompt: PromptfooPrompt, options: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Entries of `prompt:` that may say the same in all cases, None if there are none."""
    text = affixed(prompt, options[0])
    if any(affixed(prompt, other) != text for other in options):
        return None
    return entries_of(prompt) if text == prompt.text else [{"role": "user", "content": unless_partial(text)}]


def entries_of(prompt: PromptfooPrompt) -> list[dict[str, Any]] | None:
    """A prompt as entries of `prompt:`, whose texts are templates; None if they cannot say it."""
    if prompt.data is None:
        return [{"role": "user", "content": unless_partial(prompt.text)}]
    data = prompt.data.get("messages") if isinstance(prompt.data, Mapping) else prompt.data
    entries = [entry_of(message) for message in data] if isinstance(data, list) else [None]
    return None if None in entries else [entry for entry in entries if entry is not None]


def entry_of(message: Any) -> dict[str, Any] | None:
    """A message as an entry of `prompt:`."""
    match sent(message) if isinstance(message, Mapping) else None:
        case {"role": str(role), "content": str(content), **rest} if not rest and role in _PLAIN_ROLES:
            return {"role": role, "content": content}
        case {"role": str(role), "content": [*written], **rest} if not rest and role in _PLAIN_ROLES:
            parts = [entry_part(part) for part in written]
            return None if None in parts or not parts else {"role": role, "content": parts}
        case _:
            return None


def entry_part(part: Any) -> dict[str, Any] | None:
    """A part of a message as a part of an entry."""
    match part:
        case {"type": "text", "text": str(text), **rest} if not rest:
            return {"text": text}
        case {"type": "image_url", "image_url": {"url": str(url), **more}, **rest} if not rest:
            detail = more.pop("detail", None)
            if not more and detail in {None, "auto", "low", "high"}:
                return {"image": url, **({"detail": detail} if detail else {})}
    return None
