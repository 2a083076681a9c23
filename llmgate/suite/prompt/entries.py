"""The entries of `prompt:` are read: messages, conversations from a column, prompts kept elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from llmgate.errors import SuiteError
from llmgate.record.reach import Reach, contained
from llmgate.record.schema import ChatRole
from llmgate.suite.prompt.file import KeptPrompt, read_prompt_file
from llmgate.suite.prompt.mlflow import SCHEME, read_registered_prompt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmgate.suite.form.prompt import ContentPart, EntryPart

__all__ = [
    "Conversation",
    "Prompt",
    "PromptMessage",
    "PromptPiece",
    "column_path",
    "read_prompt",
]

COLUMN: Final = re.compile(r"\{\{\s*([^\s{}]+)\s*\}\}|([^\s{}]+)")


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


def read_prompt(parts: list[EntryPart], folder: Path, reach: Reach, where: Callable[..., str]) -> Prompt:
    """Read every entry, and the prompts that they name.

    Args:
        parts: As written.
        folder: The folder of the suite.
        reach: Where the files lie that it may name.
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
            prompt = _kept(part, folder, reach, place)
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


def _kept(part: EntryPart, folder: Path, reach: Reach, where: str) -> KeptPrompt:
    if part.uri is not None:
        if not part.uri.startswith(SCHEME):
            raise SuiteError(f"{part.uri!r} is no prompt", where=where, fix="Write prompts:/NAME/VERSION")
        prompt = read_registered_prompt(part.uri, where=where)
    else:
        path = folder / str(part.file)
        contained(path, reach, where=where)
        prompt = read_prompt_file(path, reach)
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
    return PromptMessage(role=role, pieces=tuple(_piece(piece, where) for piece in part.content or ()), where=where)


def _piece(part: ContentPart, where: str) -> PromptPiece:
    if (part.text is None) == (part.image is None) or (part.detail is not None and part.image is None):
        raise SuiteError(
            "a part of the content is either text or image", where=where, fix="Write {text: …} or {image: …}"
        )
    if part.image is not None:
        return PromptPiece(kind="image", text=part.image, detail=part.detail)
    return PromptPiece(kind="text", text=part.text or "")
