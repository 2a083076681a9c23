"""promptfoo's `prompts:`: texts, chat messages, and files of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from llmgate.errors import SuiteError, TemplateError
from llmgate.suite.form.document import PlainLoader
from llmgate.suite.importers.files import read_csv, read_jsonl, read_text
from llmgate.suite.importers.messages import chat_messages
from llmgate.suite.template.nunjucks import Template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.reach import Reach
    from llmgate.suite.importers.files import ForeignFile
    from llmgate.suite.importers.result import Notebook

__all__ = ["PromptfooPrompt", "matching", "names_in", "read_prompts"]

_CODE_FILES: Final = frozenset({".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".py", ".rb", ".sh", ".exe", ".bat"})
_TEXT_FILES: Final = frozenset({".txt", ".md", ".j2", ".json", ".yaml", ".yml", ".jsonl", ".csv"})
_DELIMITER: Final = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)
_REMOTE: Final = ("portkey://", "langfuse://", "helicone://", "http://", "https://", "exec:", "package:")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptfooPrompt:
    """One prompt.

    Attributes:
        label: What tests select it by.
        messages: With `role` and `content`, contents still templates.
        names: Variables that the messages need.
        plain: Whether it was one text, not a conversation.
        where: Where it stands.
    """

    label: str
    messages: tuple[Mapping[str, str], ...]
    names: frozenset[str]
    plain: bool
    where: str


def read_prompts(source: ForeignFile, notes: Notebook) -> list[PromptfooPrompt]:
    """All prompts of a config that can be carried over; notes the others.

    Raises:
        SuiteError: If a file cannot be read.
    """
    written = source.data.get("prompts")
    if isinstance(written, Mapping):
        # An older form: file or text → label.
        entries = [({"raw": key, "label": label}, ("prompts", key)) for key, label in written.items()]
    else:
        items = written if isinstance(written, list) else [written]
        entries = [(item, ("prompts", i)) for i, item in enumerate(items) if item is not None]
    prompts = []
    for entry, location in entries:
        where = source.where(*location)
        for text, label in texts_of(entry, source, where, notes):
            prompt = read_prompt(text, label, where, notes)
            if prompt:
                prompts.append(prompt)
    return prompts


def texts_of(entry: Any, source: ForeignFile, where: str, notes: Notebook) -> Iterator[tuple[str, str]]:
    """The prompts that one entry stands for, with their labels."""
    label = ""
    if isinstance(entry, Mapping):
        label = str(entry.get("label") or entry.get("display") or "")
        for key in sorted(set(entry) & {"config", "function", "prefix", "suffix"}):
            notes.lost(f"the prompt's {key!r}", where)
        entry = entry.get("raw") or entry.get("id") or entry.get("file")
    if not isinstance(entry, str) or not entry.strip():
        notes.lost("a prompt that is no text", where)
        return
    if entry.startswith(_REMOTE):
        notes.lost(f"the prompt {entry[:80]}, which is kept or computed elsewhere", where)
        return
    name = entry.removeprefix("file://")
    if entry.startswith("file://") or names_file(entry, source, where):
        for path in matching(source, name, where):
            for text, own in texts_in(path, source.reach, where, notes):
                yield text, label or own
    else:
        yield entry, label or entry


def names_file(text: str, source: ForeignFile, where: str) -> bool:
    """Whether a prompt without `file://` names a file."""
    if "\n" in text or "{{" in text or len(text) > 300:
        return False
    suffixes = _TEXT_FILES | _CODE_FILES
    if not any(text.partition(":")[0].endswith(suffix) for suffix in suffixes):
        return False
    return any(path.exists() for path in matching(source, text, where, strict=False))


def matching(source: ForeignFile, name: str, where: str, *, strict: bool = True) -> list[Path]:
    """The files that a name or pattern of a file stands for.

    Raises:
        SuiteError: If there is none, or one that it may not name.
    """
    parts = Path(name).parts
    fixed = list(takewhile(lambda part: not any(sign in part for sign in "*?["), parts))
    # A pattern is not followed to where none of its files may be named.
    start = source.named(Path(*fixed), where)
    if len(fixed) == len(parts):
        return [start]
    if ".." in parts[len(fixed) :]:
        raise SuiteError(f"the pattern {name[:80]!r} leads upwards", where=where, fix="Write `..` before the first `*`")
    paths = sorted(start.glob("/".join(parts[len(fixed) :])))
    if strict and not paths:
        raise SuiteError("no file matches", where=str(source.path.parent / name), fix="Check the pattern")
    return [source.named(path.absolute(), where) and path for path in paths]


def texts_in(path: Path, reach: Reach, where: str, notes: Notebook) -> Iterator[tuple[str, str]]:
    """The prompts of one file."""
    suffix = path.suffix.partition(":")[0]
    if suffix in _CODE_FILES:
        notes.lost(f"the prompt {path.name}: code is not run", where)
    elif suffix == ".csv":
        for _, row in read_csv(path, reach):
            text = row.get("prompt") or next(iter(row.values()))
            yield text, row.get("label") or text
    elif suffix == ".jsonl":
        for number, value in read_jsonl(path, reach):
            yield json.dumps(value, ensure_ascii=False), f"{path.stem} {number}"
    elif suffix == ".txt":
        pieces = [piece.strip() for piece in _DELIMITER.split(read_text(path, reach)) if piece.strip()]
        for number, piece in enumerate(pieces, start=1):
            yield piece, path.stem if len(pieces) == 1 else f"{path.stem} {number}"
    else:
        yield read_text(path, reach).strip(), path.stem


def read_prompt(text: str, label: str, where: str, notes: Notebook) -> PromptfooPrompt | None:
    """One prompt, or None if it cannot be carried over, which is noted."""
    try:
        data = chat_data(text)
        messages = [{"role": "user", "content": text}] if data is None else chat_messages(data)
        names = frozenset().union(*(names_in(message["content"]) for message in messages))
    except TemplateError as error:
        notes.lost(f"the prompt {label[:60]!r}: {error.what}", where)
        return None
    except ValueError as error:
        notes.lost(f"the prompt {label[:60]!r}: {error}", where)
        return None
    if any(name.startswith("_") for name in names):
        notes.lost(f"the prompt {label[:60]!r} uses {', '.join(sorted(names))}: earlier turns are not kept", where)
        return None
    if "env" in names:
        notes.lost(f"the prompt {label[:60]!r} uses environment variables, which are not read", where)
    return PromptfooPrompt(label=label, messages=tuple(messages), names=names, plain=data is None, where=where)


def chat_data(text: str) -> Any:
    """The data that a prompt in JSON or YAML holds, None for plain text.

    Raises:
        ValueError: If it is meant to be a list of messages, but does not parse.
    """
    start = text.lstrip()
    if re.match(r"\[\s*\{\s*\"", start) or re.match(r"\{\s*\"messages\"", start):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError("its JSON does not parse before variables are filled in") from error
    if re.match(r"-\s+(role|content):", start):
        try:
            return yaml.load(text, Loader=PlainLoader)  # noqa: S506 - a safe loader
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise ValueError("its YAML does not parse before variables are filled in") from error
    return None


def names_in(text: str) -> frozenset[str]:
    """Variables that a template needs.

    Raises:
        TemplateError: If it does not parse.
    """
    return Template.compile(text).names
