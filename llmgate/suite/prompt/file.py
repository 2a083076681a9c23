"""A prompt in a file of its own, with a version and a digest.

Text files (`.md`, `.txt`, `.j2`, …) may start with YAML front matter between two lines `---`:

    ---
    version: 1.2.0
    description: Answers customers of the shop.
    ---
    # system
    You answer customers. Our policy: {{ policy }}

    # user
    {{ question }}

A heading of one word that is a role starts a message; a file without one is a single user message. YAML files (`.yaml`,
`.yml`, `.json`) say `version:` and `messages: [{role: …, content: …}]`. Contents are templates, and only the file is
split: nothing that a row puts in can start a message.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError, did_you_mean
from llmgate.record.disk import read_regular
from llmgate.suite.data.lock import version_key
from llmgate.suite.form.document import Document, parse_document

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.reach import Reach
    from llmgate.suite.asserts import Json

__all__ = ["KeptMessage", "KeptPrompt", "read_prompt_file", "written_role"]

MAX_BYTES: Final = 1_000_000
WRITTEN_ROLES: Final = ("system", "user", "assistant")
"""Roles of messages that people write; a tool's answers come from conversations in the dataset."""
HEADING_ROLES: Final = frozenset({*WRITTEN_ROLES, "developer", "tool"})
"""What starts a message; those that cannot be written are refused rather than taken for text."""
HEADING: Final = re.compile(r"#[ \t]+(\w+)[ \t]*")
FRONT: Final = frozenset({"version", "description"})
YAML_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMessage:
    """One message of a prompt that is kept outside the suite, its content still a template."""

    role: str
    content: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPrompt:
    """A prompt that is kept outside the suite.

    Attributes:
        name: File name or registry URI.
        version: As the file or the registry has it; empty if it says none.
        digest: SHA-256 of the file's bytes, or of the registry's template as canonical JSON.
        messages: What it says.
    """

    name: str
    version: str
    digest: str
    messages: tuple[KeptMessage, ...]


def read_prompt_file(path: Path, reach: Reach) -> KeptPrompt:
    """Read a prompt file.

    Args:
        path: The file.
        reach: Where it has to lie.

    Raises:
        SuiteError: With file, line and advice.
    """
    try:
        data = read_regular(path, at_most=MAX_BYTES + 1, within=reach)
        text = data.decode("utf-8")
    except FileNotFoundError as error:
        raise SuiteError(
            "there is no such prompt file", where=str(path), fix="Prompt paths are relative to the suite file"
        ) from error
    except (OSError, ValueError) as error:
        what = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else "is not UTF-8"
        raise SuiteError(f"the prompt file {what}", where=str(path), fix="Save it as UTF-8 text") from error
    if len(data) > MAX_BYTES:
        raise SuiteError(f"the prompt file has more than {MAX_BYTES} bytes", where=str(path), fix="Move rows out of it")
    version, messages = _from_yaml(data, path) if path.suffix.lower() in YAML_SUFFIXES else _from_text(text, path)
    return KeptPrompt(
        name=path.name, version=version, digest=hashlib.sha256(data).hexdigest(), messages=tuple(messages)
    )


def _from_yaml(data: bytes, path: Path) -> tuple[str, list[KeptMessage]]:
    document = parse_document(data, path)
    written = document.data.get("messages")
    if not isinstance(written, list) or not written:
        raise SuiteError(
            "the prompt file has no messages",
            where=document.where("messages"),
            fix="Write `messages: [{role, content}]`",
        )
    _check_keys(document, FRONT | {"messages"})
    messages = []
    for index, message in enumerate(written):
        where = document.where("messages", index)
        match message:
            case {"role": role, "content": str(content), **more} if not more:
                messages.append(KeptMessage(role=written_role(role, where), content=content, where=where))
            case _:
                fix = "Write {role: …, content: …}"
                raise SuiteError("a message is not a role and a content", where=where, fix=fix)
    return _version(document), messages


def _from_text(text: str, path: Path) -> tuple[str, list[KeptMessage]]:
    lines = text.replace("\r\n", "\n").split("\n")
    version, first = "", 0
    if lines[0].rstrip() == "---":
        end = next((i for i, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
        if end is None:
            raise SuiteError("the front matter does not end", where=f"{path}:1", fix="Close it with a line `---`")
        front = "\n".join(lines[1:end])
        if front.strip():
            document = parse_document(front.encode(), path, first_line=2)
            _check_keys(document, FRONT)
            version = _version(document)
        first = end + 1
    messages = _split(lines, first, path)
    if not messages:
        raise SuiteError("the prompt file says nothing", where=str(path), fix="Write a message")
    return version, messages


def _split(lines: list[str], first: int, path: Path) -> list[KeptMessage]:
    starts = [
        (index, match.group(1).lower())
        for index, line in enumerate(lines)
        if index >= first and (match := HEADING.fullmatch(line)) and match.group(1).lower() in HEADING_ROLES
    ]
    if not starts:
        text = "\n".join(lines[first:]).strip()
        return [KeptMessage(role="user", content=text, where=f"{path}:{first + 1}")] if text else []
    if "\n".join(lines[first : starts[0][0]]).strip():
        raise SuiteError(
            "text stands before the first role", where=f"{path}:{first + 1}", fix="Put `# system` or `# user` above it"
        )
    messages = []
    for (index, role), end in zip(starts, [*(start for start, _ in starts[1:]), len(lines)], strict=True):
        where = f"{path}:{index + 1}"
        content = "\n".join(lines[index + 1 : end]).strip()
        if not content:
            raise SuiteError(f"the {role} message is empty", where=where, fix="Write it or remove the heading")
        messages.append(KeptMessage(role=written_role(role, where), content=content, where=where))
    return messages


def written_role(role: Json, where: str) -> str:
    """A role that people write.

    Raises:
        SuiteError: If it is none.
    """
    if role not in WRITTEN_ROLES:
        raise SuiteError(f"prompts have no role {role!r}", where=where, fix=did_you_mean(str(role), WRITTEN_ROLES))
    return str(role)


def _check_keys(document: Document, known: frozenset[str]) -> None:
    for key in document.data:
        if key not in known:
            raise SuiteError(f"unknown key {key!r}", where=document.where(key), fix=did_you_mean(key, known))


def _version(document: Document) -> str:
    version = document.data.get("version", "")
    try:
        if version != "":
            version_key(str(version))
    except ValueError as error:
        raise SuiteError(str(error), where=document.where("version"), fix="Write three numbers: 1.0.0") from error
    return str(version)
