"""promptfoo's `prompts:`: texts, chat messages, and files of them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError, TemplateError
from llmgate.suite.importers.files import CODE_FILES, beside, mapping, read_text
from llmgate.suite.template import javascript
from llmgate.suite.template.nunjucks import Template
from llmgate.suite.template.promptfoo import unless_partial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.suite.importers.files import ForeignFile
    from llmgate.suite.importers.result import Notebook

__all__ = ["HUB", "PromptfooPrompt", "is_code", "is_hub", "matching", "names_in", "read_prompts"]

_TEXT_FILES: Final = frozenset({".txt", ".md", ".j2", ".json", ".yaml", ".yml", ".jsonl", ".csv"})
_DELIMITER: Final = "---"
_REMOTE: Final = ("portkey://", "langfuse://", "helicone://", "http://", "https://", "exec:", "package:")
_LINE: Final = re.compile(r"\r?\n")
_BRACES: Final = re.compile(r"\{([^{}]*,[^{}]*)\}")
_ENV: Final = re.compile(r"env(?:\.|\[['\"])(\w+)")
_SIGNS: Final = "*?["
MAX_PATTERNS: Final = 1000
FILE: Final = "file://"
HUB: Final = "huggingface://datasets/"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptfooPrompt:
    """One prompt.

    Attributes:
        label: What tests select it by.
        id: What they may select it by as well.
        text: As promptfoo fills it in.
        data: What the text says, if it is JSON; then each of its texts is filled in by itself.
        names: Variables that it needs.
        config: Settings of the provider for this prompt.
        env: What the configuration sets in the environment.
        where: Where it stands.
    """

    label: str
    id: str = ""
    text: str
    data: Any = None
    names: frozenset[str]
    config: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, Any] = field(default_factory=dict)
    where: str

    def chosen_by(self, reference: str) -> bool:
        """Whether a test, or a provider, that names a prompt means this one."""
        for name in filter(None, (self.label, self.id)):
            if name == reference or name.startswith(f"{reference}:"):
                return True
            if reference.endswith("*") and name.startswith(reference[:-1]):
                return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What one entry of `prompts:` says besides its text."""

    label: str = ""
    id: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


def read_prompts(source: ForeignFile, notes: Notebook) -> list[PromptfooPrompt]:
    """All prompts of a config that can be carried over; notes the others.

    Raises:
        SuiteError: If a file may not be named.
    """
    written = source.data.get("prompts")
    if written is None or written == "":
        written = ["{{prompt}}"]  # what promptfoo takes where nothing is said
    if isinstance(written, Mapping):
        # An older form: file or text → label.
        entries = [({"raw": key, "label": label}, ("prompts", key)) for key, label in written.items()]
    else:
        items = written if isinstance(written, list) else [written]
        entries = [(item, ("prompts", i)) for i, item in enumerate(items) if item is not None]
    prompts = []
    for entry, location in entries:
        where = source.where(*location)
        for text, own in texts_of(entry, source, where, notes):
            prompt = read_prompt(text, own, mapping(source.data.get("env")), where, notes)
            if prompt:
                prompts.append(prompt)
    return prompts


def texts_of(entry: Any, source: ForeignFile, where: str, notes: Notebook) -> Iterator[tuple[str, _Entry]]:
    """The prompts that one entry stands for, with their labels."""
    own = _Entry()
    if isinstance(entry, Mapping):
        for key in sorted(set(entry) & {"function", "prefix", "suffix"}):
            notes.lost(f"the prompt's {key!r}", where)
        label = entry.get("label") or entry.get("display")
        own = _Entry(label=str(label or ""), id=str(entry.get("id") or ""), config=mapping(entry.get("config")))
        entry = entry.get("raw") or entry.get("id") or entry.get("file")
    if not isinstance(entry, str) or not entry.strip():
        notes.lost("a prompt that is no text", where)
        return
    if entry.startswith(_REMOTE):
        notes.lost(f"the prompt {entry[:80]}, which is kept or computed elsewhere", where)
        return
    if not entry.startswith(FILE) and not names_file(entry, source, where):
        yield entry, _Entry(label=own.label or entry, id=own.id, config=own.config)
        return
    name = entry.removeprefix(FILE)
    if is_code(name):
        notes.lost(f"the prompt {name[:80]}: code is not run", where)
        return
    try:
        paths = matching(source, name, where)
    except SuiteError as error:
        if error.where == where:
            raise  # it leads where no file may be named
        notes.lost(f"the prompt {name[:80]}, where there is no file", where)
        return
    for path in paths:
        # Files that a pattern finds have neither the label nor the settings of the entry.
        yield from texts_in(path, own if paths == [source.path.parent / name] else _Entry(), source, where, notes)


def names_file(text: str, source: ForeignFile, where: str) -> bool:
    """Whether a prompt without `file://` names a file."""
    if "\n" in text or "{{" in text or len(text) > 300:
        return False
    if is_code(text) and " " not in text:
        return True
    if not any(text.endswith(suffix) for suffix in _TEXT_FILES):
        return False
    return any(path.exists() for path in matching(source, text, where, strict=False))


def is_code(name: str) -> bool:
    """Whether a file name, with or without the name of a function behind it, is that of code."""
    return Path(name.lower()).suffix.partition(":")[0] in CODE_FILES


def is_hub(name: str) -> bool:
    """Whether this names tests on the hub."""
    return name.startswith(HUB)


def matching(
    source: ForeignFile, name: str, where: str, *, strict: bool = True, base: Path | None = None
) -> list[Path]:
    """The files that a name or pattern of a file stands for.

    Args:
        source: What names them.
        name: As written.
        where: Where.
        strict: Whether a pattern has to find something.
        base: The folder in which the name starts, if it is not that of `source`.

    Raises:
        SuiteError: If there is none, or one that it may not name.
    """
    folder = base or source.path.parent
    if not any(sign in name for sign in _SIGNS) and not _BRACES.search(name):
        return [source.named(name, where, base=folder)]
    paths: dict[Path, None] = {}
    for pattern in unbraced(name, where):
        parts = Path(pattern).parts
        fixed = list(takewhile(lambda part: not any(sign in part for sign in _SIGNS), parts))
        # A pattern is not followed to where none of its files may be named.
        start = source.named(Path(*fixed), where, base=folder)
        rest = parts[len(fixed) :]
        if ".." in rest:
            raise SuiteError(
                f"the pattern {name[:80]!r} leads upwards", where=where, fix="Write `..` before the first `*`"
            )
        found = sorted(start.glob("/".join(rest))) if rest else [start] if start.exists() else []
        hidden = any(part.startswith(".") for part in rest)
        for path in found:
            below = path.relative_to(start).parts
            if path.is_file() and (hidden or not any(part.startswith(".") for part in below)):
                source.named(path.absolute(), where)
                paths[path] = None
    if strict and not paths:
        raise SuiteError("no file matches", where=str(folder / name), fix="Check the pattern")
    return list(paths)


def unbraced(name: str, where: str) -> list[str]:
    """A pattern without the choices that braces give.

    Raises:
        SuiteError: If they make too many.
    """
    pieces = _BRACES.split(name)
    choices = [piece.split(",") if i % 2 else [piece] for i, piece in enumerate(pieces)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MAX_PATTERNS:
        raise SuiteError(f"the pattern {name[:80]!r} stands for {count} others", where=where, fix="Write them out")
    return ["".join(chosen) for chosen in product(*choices)]


def texts_in(
    path: Path, entry: _Entry, source: ForeignFile, where: str, notes: Notebook
) -> Iterator[tuple[str, _Entry]]:
    """The prompts of one file, as promptfoo reads it."""
    if is_code(path.name):
        notes.lost(f"the prompt {path.name}: code is not run", where)
        return
    try:
        text = read_text(path, source.reach)
        if path.suffix in {".json", ".yaml", ".yml"}:
            text = as_json(text, path, source)
    except SuiteError as error:
        notes.lost(f"the prompt {path.name}: {error.what}", where)
        return
    if path.suffix not in {".csv", ".jsonl", ".txt"}:
        # A file in Markdown has no settings of its own.
        config = {} if path.suffix == ".md" else entry.config
        yield text, _Entry(label=entry.label or path.stem, id=entry.id, config=config)
        return
    if path.suffix == ".csv":
        pieces = rows_of(text)
    elif path.suffix == ".jsonl":
        pieces = [(line, "") for line in _LINE.split(text) if line]
    else:
        pieces = [(piece, "") for piece in split_text(text)]
    for number, (piece, label) in enumerate(pieces, start=1):
        first = entry.label or path.stem
        name = label or (first if len(pieces) == 1 else f"{first} {number}")
        yield piece, _Entry(label=name, id=entry.id, config={} if path.suffix == ".txt" else entry.config)


def as_json(text: str, path: Path, source: ForeignFile) -> str:
    """What promptfoo makes of a prompt file in JSON or YAML: JSON, if it can be read; else the file as it is."""
    try:
        data = strict_json(text) if path.suffix == ".json" else beside(path, source).data
    except (SuiteError, ValueError, RecursionError):
        return text
    return javascript.json_text(data)


def split_text(text: str) -> list[str]:
    """The prompts of a text file: lines of `---` part them."""
    prompts: list[list[str]] = [[]]
    for line in _LINE.split(text):
        if javascript.trim(line) == _DELIMITER:
            prompts.append([])
        else:
            prompts[-1].append(line)
    return [piece for piece in (javascript.trim("\n".join(lines)) for lines in prompts) if piece]


def rows_of(text: str) -> list[tuple[str, str]]:
    """The prompts of a CSV file with their labels. Without any comma each line is one, as it stands."""
    lines = [line for line in _LINE.split(text) if javascript.trim(line)]
    if "," in text:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), restval="", skipinitialspace=True))
        cells = [{javascript.trim(key): javascript.trim(cell) for key, cell in row.items() if key} for row in rows]
        return [(row["prompt"], row.get("label", "")) for row in cells if row.get("prompt")]
    if lines and javascript.trim(lines[0]).lower() == "prompt":
        lines = lines[1:]
    return [(line, "") for line in lines]


def read_prompt(
    text: str, entry: _Entry, env: Mapping[str, Any], where: str, notes: Notebook
) -> PromptfooPrompt | None:
    """One prompt, or None if it cannot be carried over, which is noted."""
    short = entry.label[:60]
    try:
        data: Any = strict_json(text)
    except (ValueError, RecursionError):
        data = None
    try:
        names = names_of(data) if isinstance(data, list | dict) else names_in(unless_partial(text))
    except TemplateError as error:
        notes.lost(f"the prompt {short!r}: {error.what}", where)
        return None
    if any(name.startswith("_") for name in names):
        notes.lost(f"the prompt {short!r} uses {', '.join(sorted(names))}: earlier turns are not kept", where)
        return None
    if "env" in names and not set(_ENV.findall(text)) <= set(env):
        notes.setting(
            f"the prompt {short!r} uses environment variables, which are not read: nothing stands there", where
        )
    return PromptfooPrompt(
        label=entry.label,
        id=entry.id,
        text=text,
        data=data if isinstance(data, list | dict) else None,
        names=names - {"env"},
        config=entry.config,
        env=env,
        where=where,
    )


def strict_json(text: str) -> Any:
    """JSON as JavaScript reads it.

    Raises:
        ValueError: If it is none; numbers that are no numbers are none.
    """
    return json.loads(text, parse_constant=_no_number)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def names_of(data: Any) -> frozenset[str]:
    """Variables that the texts in some data need.

    Raises:
        TemplateError: If one does not parse.
    """
    if isinstance(data, str):
        return names_in(data)
    inner = list(data.values()) if isinstance(data, Mapping) else data if isinstance(data, list) else []
    return frozenset().union(*map(names_of, inner))


def names_in(text: str) -> frozenset[str]:
    """Variables that a template needs.

    Raises:
        TemplateError: If it does not parse.
    """
    return Template.compile(text).names
