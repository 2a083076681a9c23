"""`prompt:` as it is written becomes a list of entries: messages, conversations from a column, prompts kept elsewhere.

prompt: prompts/support.md                          # a file; or prompts:/support/3 from MLflow's registry
prompt: {file: prompts/support.md, version: 1.2.0}  # refused if the file says another version
prompt: {messages: conversation}                    # a column that holds a list of messages
prompt:
  - {role: system, content: "Answer briefly."}
  - {messages: "{{ inputs.messages }}"}
  - {role: user, content: [{text: "What is this?"}, {image: "{{ picture }}"}]}
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from llmgate.errors import SuiteError
from llmgate.record.schema import ChatRole
from llmgate.suite.form.asserts import Part
from llmgate.suite.prompt.file import KeptPrompt, read_prompt_file
from llmgate.suite.prompt.mlflow import SCHEME, read_registered_prompt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "ContentPart",
    "Conversation",
    "Entries",
    "EntryPart",
    "Prompt",
    "PromptMessage",
    "PromptPiece",
    "column_path",
    "read_prompt",
]

COLUMN: Final = re.compile(r"\{\{\s*([^\s{}]+)\s*\}\}|([^\s{}]+)")


class ContentPart(Part):
    """One part of a message: text or a picture."""

    text: str | None = None
    """Text, a template of the row."""
    image: str | None = None
    """URL or file of a picture, a template of the row."""
    detail: Literal["auto", "low", "high"] | None = None
    """How closely the model looks at the picture."""


class EntryPart(Part):
    """One entry of `prompt:`: role and content, or messages, or file, or uri."""

    role: Literal["system", "user", "assistant"] | None = None
    """Who says it."""
    content: str | list[ContentPart] | None = None
    """What is said: a template of the row, or parts with texts and pictures."""
    messages: str | None = None
    """The column that holds a list of messages."""
    file: str | None = None
    """A file with the prompt, from the suite's folder."""
    uri: str | None = None
    """A prompt of MLflow's registry: prompts:/NAME/VERSION."""
    version: str | None = None
    """The version that the file must say."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    """The digest that the prompt must have, or its beginning."""


def as_entries(written: Any) -> Any:
    """A prompt that is only a name or one entry, as a list of one."""
    if isinstance(written, str):
        return [{"uri" if written.startswith("prompts:") else "file": written}]
    return [written] if isinstance(written, dict) else written


Entries = Annotated[
    list[EntryPart],
    BeforeValidator(
        as_entries, json_schema_input_type=str | EntryPart | Annotated[list[EntryPart], Field(min_length=1)]
    ),
    Field(min_length=1),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPiece:
    """One part of a message, still a template.

    Attributes:
        kind: What it becomes.
        text: Template of the text, or of where the picture lies.
        detail: How closely the model looks at a picture.
    """

    kind: Literal["text", "image"]
    text: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptMessage:
    """One message of the prompt, its content still a template; `pieces` instead of content if it has parts."""

    role: ChatRole
    content: str = ""
    pieces: tuple[PromptPiece, ...] = ()
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Messages that a column holds, by its name and the keys within its value."""

    path: tuple[str, ...]
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a suite asks, before rows are filled in.

    Attributes:
        entries: Messages and conversations, in order.
        kept: The prompts that came from files and registries.
        facts: What enters the suite's digest.
    """

    entries: tuple[PromptMessage | Conversation, ...]
    kept: tuple[KeptPrompt, ...] = ()
    facts: tuple[Any, ...]


def read_prompt(parts: list[EntryPart], folder: Path, where: Callable[..., str]) -> Prompt:
    """Read every entry, and the prompts that they name.

    Args:
        parts: As written.
        folder: The folder of the suite.
        where: Words a place, from its path below `prompt:`.

    Raises:
        SuiteError: If an entry says too much or too little, or a named prompt cannot be had.
    """
    entries: list[PromptMessage | Conversation] = []
    kept: list[KeptPrompt] = []
    facts: list[Any] = []
    for index, part in enumerate(parts):
        place = where(index)
        _check_shape(part, place)
        if part.messages is not None:
            conversation = Conversation(path=column_path(part.messages, where(index, "messages")), where=place)
            entries.append(conversation)
            facts.append({"messages": ".".join(conversation.path)})
        elif part.file is not None or part.uri is not None:
            prompt = _kept(part, folder, place)
            kept.append(prompt)
            entries += [PromptMessage(role=m.role, content=m.content, where=m.where) for m in prompt.messages]  # type: ignore[arg-type]
            facts.append({"version": prompt.version, "sha256": prompt.digest})
        else:
            entries.append(_message(part, where(index, "content")))
            facts.append(part.model_dump(include={"role", "content"}))
    return Prompt(entries=tuple(entries), kept=tuple(kept), facts=tuple(facts))


def column_path(written: str, where: str) -> tuple[str, ...]:
    """`conversation`, `{{ conversation }}` or `{{ inputs.messages }}`, as names.

    Raises:
        SuiteError: If it is anything else.
    """
    match = COLUMN.fullmatch(written.strip())
    path = tuple((match.group(1) or match.group(2)).split(".")) if match else ()
    if not path or not all(path):
        raise SuiteError(f"{written!r} names no column", where=where, fix="Write a column's name, such as conversation")
    return path


def _check_shape(part: EntryPart, where: str) -> None:
    """Refuse an entry that is several things, or nothing."""
    kinds = [name for name in ("content", "messages", "file", "uri") if getattr(part, name) is not None]
    if part.role is not None and "content" not in kinds:
        raise SuiteError("the key 'content' is missing", where=where, fix="Add `content:`")
    if len(kinds) != 1:
        raise SuiteError(
            f"an entry of the prompt has {' and '.join(kinds) or 'no content'}",
            where=where,
            fix="Write role and content, or messages, or file, or uri",
        )
    if kinds == ["content"] and part.role is None:
        raise SuiteError("the key 'role' is missing", where=where, fix="Add `role:`")
    if (part.version or part.sha256) and kinds[0] not in {"file", "uri"}:
        raise SuiteError("only prompts in files have a version", where=where, fix="Take it out")


def _kept(part: EntryPart, folder: Path, where: str) -> KeptPrompt:
    if part.uri is not None:
        if not part.uri.startswith(SCHEME):
            raise SuiteError(f"{part.uri!r} is no prompt", where=where, fix="Write prompts:/NAME/VERSION")
        prompt = read_registered_prompt(part.uri, where=where)
    else:
        prompt = read_prompt_file(folder / str(part.file))
    if part.version is not None and part.version != prompt.version:
        raise SuiteError(
            f"the suite asks for version {part.version} of {prompt.name}, which "
            + (f"is version {prompt.version}" if prompt.version else "does not say its version"),
            where=where,
            fix="Write `version:` in the front matter of the file, and the same in the suite",
        )
    if part.sha256 is not None and not prompt.digest.startswith(part.sha256):
        raise SuiteError(
            f"{prompt.name} has the digest {prompt.digest}, not {part.sha256}…",
            where=where,
            fix="Restore it, or give it a new version and write its new digest",
        )
    return prompt


def _message(part: EntryPart, where: str) -> PromptMessage:
    role = part.role or "user"
    if isinstance(part.content, str):
        return PromptMessage(role=role, content=part.content, where=where)
    return PromptMessage(role=role, pieces=tuple(_piece(one, where) for one in part.content or ()), where=where)


def _piece(part: ContentPart, where: str) -> PromptPiece:
    if (part.text is None) == (part.image is None) or (part.detail is not None and part.image is None):
        raise SuiteError(
            "a part of the content is either text or image", where=where, fix="Write {text: …} or {image: …}"
        )
    if part.image is not None:
        return PromptPiece(kind="image", text=part.image, detail=part.detail)
    return PromptPiece(kind="text", text=part.text or "")
