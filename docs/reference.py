"""Writes what the docs take from the definitions of assert types: tables of the cookbook, and the schemas.

make docs
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.score.assertion.definition import Need
from llmgate.score.builtin import KINDS as TYPES
from llmgate.score.builtin import SECTIONS
from llmgate.session.commands.json_schemas import KINDS, schema_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.score.assertion.definition import Kind

__all__ = ["reference_files"]

COOKBOOK: Final = Path("docs", "cookbook")
SCHEMAS: Final = Path("docs", "schema")
TABLE: Final = re.compile(r"(?<=<!-- types: )(?P<name>[^>]+) -->\n.*?(?=<!-- /types -->)", re.DOTALL)
"""A table with its name, between comments that say where it begins and ends."""
READ: Final = {"query": "question", "context": "passages"}
"""What an assert about retrieval reads, by the setting that gives it another place."""


def reference_files(root: Path) -> dict[Path, str]:
    """The files as they should be.

    Args:
        root: Of a checkout; pages are read there, and their tables are replaced.
    """
    pages = {
        page: TABLE.sub(lambda found: f"{found['name']} -->\n{_table(found['name'])}", page.read_text("utf-8"))
        for page in sorted((root / COOKBOOK).glob("*.md"))
    }
    folder = root / SCHEMAS
    return pages | {folder / f"{kind}.schema.json": schema_text(kind, folder) for kind in KINDS}


def _table(name: str) -> str:
    if name == "metrics":
        return _markdown(["question", "type", "needs", "asks"], _metrics(_kinds("retrieval")))
    if name == "judges":
        rows = ([kind.use, kind.score or "0 or 1", kind.threshold] for kind in _kinds("judged"))
        return _markdown(["type", "ask it when", "score", "passes from"], _merged(_kinds("judged"), rows))
    kinds = _kinds(name)
    # In a table of scores everything is graded.
    scores = name in {"likeness", "retrieval"}
    head = ["type", "score" if scores else "passes if", "value", "threshold", "settings"]
    return _markdown(head, _merged(kinds, map(_described, kinds)))


def _kinds(section: str) -> list[Kind]:
    return [TYPES[name] for name in SECTIONS[section]]


def _described(kind: Kind) -> list[str]:
    graded = f" (graded: {kind.score})" if kind.score else ""
    settings = "; ".join(f"`{key}`: {meaning}" for key, meaning in kind.settings.items())
    return [f"{kind.passes}{graded}", kind.value, kind.threshold, settings]


def _merged(kinds: Iterable[Kind], rows: Iterable[list[str]]) -> list[list[str]]:
    """A row for each type, or for several of which the same is to be said."""
    types: dict[tuple[str, ...], list[Kind]] = defaultdict(list)
    for kind, row in zip(kinds, rows, strict=True):
        types[tuple(row)].append(kind)
    return [[_names(alike), *row] for row, alike in types.items()]


def _names(kinds: Sequence[Kind]) -> str:
    return ", ".join(f"`{kind.id}`" for kind in kinds) + (" M" if kinds[0].extra == "metrics" else "")


def _metrics(kinds: Iterable[Kind]) -> list[list[str]]:
    by_question: dict[str, list[Kind]] = defaultdict(list)
    for kind in kinds:
        by_question[kind.use].append(kind)
    rows = []
    for question, alike in by_question.items():
        settings = {key for kind in alike for key in kind.settings}
        needs = [what for key, what in READ.items() if key in settings] + [kind.value for kind in alike if kind.value]
        asks = [need.value for need in (Need.JUDGE, Need.EMBEDDINGS) if need in alike[0].asks]
        rows.append([question, _names(alike), ", ".join(dict.fromkeys(needs)), ", ".join(asks) or "nobody"])
    return rows


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in (head, *rows))
    first, *others = (line.replace("|  |", "| |") for line in lines)
    return "\n".join([first, "|---" * len(head) + "|", *others, ""])


if __name__ == "__main__":
    for path, text in reference_files(Path(__file__).parents[1]).items():
        path.write_text(text, encoding="utf-8")
