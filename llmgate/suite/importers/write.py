"""Imported suites on disk: the suite's YAML with comments, its rows as JSONL, and the lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from llmgate.errors import DatasetError, UsageError
from llmgate.record.disk import write_atomic
from llmgate.suite.data.dataset import write_lock
from llmgate.suite.data.formats import as_jsonl
from llmgate.suite.data.lock import lock_path
from llmgate.suite.importers.report import grouped
from llmgate.suite.importers.result import NoteSort

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from llmgate.suite.importers.result import Imported, ImportedSuite

__all__ = ["suite_text", "write_imported"]

_WIDTH: Final = 110
MOST_LINES: Final = 20
"""Lines of comments for each sort of notes; the command prints them all."""
TITLES: Final = {
    NoteSort.CHECK: "Not carried over, so that this suite checks less than the original:",
    NoteSort.SETTING: "Asked in another way than by the original:",
    NoteSort.REMARK: "Worth knowing:",
}
_BREAKS: Final = "\x85\u2028\u2029\ufeff"
"""PyYAML writes these as they are, and reads them back as line breaks; only double quotes escape them."""


class Dumper(yaml.SafeDumper):
    """Block style, texts with line breaks as literal blocks, lists indented below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Indent lists too."""
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - a signature of PyYAML
        """Write equal parts out: a reader need not look for anchors."""
        return True


def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Literal blocks for texts of several lines."""
    style = "|" if "\n" in text else None
    if any(sign in text for sign in _BREAKS) or text == "\n" or text.endswith("\n\n"):
        style = '"'  # a block that keeps its empty last lines would end the document
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, represent_text)


def write_imported(imported: Imported, folder: Path, *, source: str, here: Path | None = None) -> list[Path]:
    """Write every suite with its dataset and lock below a folder.

    Args:
        imported: What to write.
        folder: Suites go here, datasets into `datasets/` below it.
        source: What was imported, for the first comment.
        here: The folder from which places in comments are named; None for places as the import found them.

    Returns:
        The suite files.

    Raises:
        UsageError: If a file is there already, or cannot be written.
        DatasetError: If the rows make no dataset.
    """
    plans = [
        (suite, folder / f"{suite.name}.yaml", folder / "datasets" / f"{suite.name}.jsonl") for suite in imported.suites
    ]
    for suite, own, dataset in plans:
        for path in (own,) if suite.dataset else (own, dataset, lock_path(dataset)):
            if path.exists():
                raise UsageError("the file is there already", where=str(path), fix="Remove it, or choose another --out")
    try:
        for suite, path, dataset in plans:
            folder.mkdir(parents=True, exist_ok=True)
            if not suite.dataset:
                dataset.parent.mkdir(exist_ok=True)
                write_atomic(dataset, as_jsonl(suite.rows), error=DatasetError, private=False)
                write_lock(dataset, id_column=str(suite.case.get("id", "id")))
            relative = dataset.relative_to(folder).as_posix()
            text = suite_text(suite, dataset=suite.dataset or relative, source=source, here=here)
            write_atomic(path, text.encode(), error=DatasetError, private=False)
    except OSError as error:
        raise UsageError(f"cannot be written ({error.strerror})", where=str(folder), fix="Check --out") from error
    return [path for _, path, _ in plans]


def suite_text(suite: ImportedSuite, *, dataset: str, source: str, here: Path | None = None) -> str:
    """The suite file.

    Args:
        suite: The suite.
        dataset: Path of its rows, relative to the file.
        source: What was imported.
        here: The folder from which places are named; None for places as the import found them.
    """
    parts = [section({"llmgate": 1}), comment([f"Imported from {source}."])]
    for sort, title in TITLES.items():
        parts.append(note_lines(title, grouped([note for note in suite.notes if note.sort is sort], here)))
    head: dict[str, Any] = {"suite": suite.name, "version": "1.0.0", "description": suite.description}
    parts.append(section({key: value for key, value in head.items() if value}))
    parts.append(section({"dataset": dataset, **({"case": dict(suite.case)} if suite.case else {})}))
    parts.append(section({"prompt": [dict(message) for message in suite.prompt]}))
    if suite.sampling:
        parts.append(section({"sampling": dict(suite.sampling)}))
    parts.append(prices(suite))
    if suite.repeat != 1:
        parts.append(section({"repeat": suite.repeat}))
    if suite.threshold is not None:
        parts.append(section({"threshold": suite.threshold}))
    # Written out where rows have their own, too: one that has none is then recorded, and not refused.
    if suite.asserts or suite.unchecked or suite.dataset:
        parts.append(section({"assert": [dict(written) for written in suite.asserts]}))
    parts.append(comment(last_words(suite)))
    return "".join(parts)


def last_words(suite: ImportedSuite) -> list[str]:
    """What a user should write next."""
    if not suite.written:
        return ["Nothing is checked yet: answers are recorded and compared, and gate nothing. Add asserts here."]
    metrics = [str(written["metric"]) for written in suite.asserts if "metric" in written]
    return [f"Say what decides: gate: {{{next(iter(metrics), 'accuracy')}: {{role: primary, margin: 0.03}}}}"]


def prices(suite: ImportedSuite) -> str:
    """`prices:` where an assert needs them; a comment to fill in where nobody said what tokens cost."""
    if "cost" not in suite.types:
        return ""
    if suite.prices:
        return section({"prices": dict(suite.prices)})
    return comment(
        [
            "`cost` asserts need the price of a million tokens, without which this suite does not load. Fill in:",
            "prices: {prompt: 0.15, completion: 0.6}",
        ]
    )


def section(data: Mapping[str, Any]) -> str:
    """Some top-level keys as YAML."""
    text: str = yaml.dump(
        dict(data), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=False
    )
    return text


def note_lines(title: str, lines: list[str]) -> str:
    """Notes as comments, the first of them; nothing if there are none."""
    if not lines:
        return ""
    more = [f"- and {len(lines) - MOST_LINES} more, which `llmgate import` printed"] if len(lines) > MOST_LINES else []
    return comment(["", title, *(f"- {line}" for line in lines[:MOST_LINES]), *more])


def comment(lines: Iterable[str]) -> str:
    """Lines that YAML does not read, whatever characters they hold."""
    # Anything that YAML takes for a line break would end the comment; what is no character at all it refuses.
    clean = [
        " ".join("".join(c if c.isprintable() else " " for c in line).split()) if line.strip() else "" for line in lines
    ]
    return "".join(f"# {line}".rstrip() + "\n" for line in clean)
