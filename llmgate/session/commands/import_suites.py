"""Suites of other tools: read, written, and what to say about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import UsageError, did_you_mean
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.deepeval import import_deepeval
from llmgate.suite.importers.inspect_logs import import_inspect
from llmgate.suite.importers.lm_eval.suites import import_lm_eval
from llmgate.suite.importers.openai_evals import import_openai_evals
from llmgate.suite.importers.promptfoo.config import import_promptfoo
from llmgate.suite.importers.report import report_lines
from llmgate.suite.importers.result import Imported
from llmgate.suite.importers.write import write_imported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmgate.suite.asserts import Vocabulary

__all__ = ["ImportedFiles", "import_suites"]

_OF_ONE_FILE: Final[Mapping[str, Callable[[Path, Vocabulary], Imported]]] = {
    "deepeval": import_deepeval,
    "inspect": import_inspect,
}
_OF_SEVERAL: Final[Mapping[str, Callable[[Path, Vocabulary, Sequence[str]], Imported]]] = {
    "lm-eval": import_lm_eval,
    "openai-evals": import_openai_evals,
    "promptfoo": import_promptfoo,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFiles:
    """What was imported, and the suite files that hold it."""

    imported: Imported
    paths: tuple[Path, ...]

    def lines(self) -> list[tuple[str, str]]:
        """What to print, with the mood of each line."""
        return report_lines(self.imported, list(self.paths), here=Path.cwd())


def import_suites(tool: str, path: Path, out: Path, *, allowed: Sequence[str] = ()) -> ImportedFiles:
    """Import the files of another tool.

    Args:
        tool: Which one.
        path: Its configuration, data set, log or folder.
        out: Where suites go.
        allowed: Folders outside its project whose files the configuration may name.

    Raises:
        UsageError: If the tool is unknown, nothing can be read, or files would be overwritten.
    """
    if tool not in {*_OF_ONE_FILE, *_OF_SEVERAL}:
        raise UsageError(f"llmgate does not import {tool!r}", fix=did_you_mean(tool, (*_OF_ONE_FILE, *_OF_SEVERAL)))
    try:
        if tool in _OF_SEVERAL:
            imported = _OF_SEVERAL[tool](path, VOCABULARY, allowed)
        else:
            imported = _OF_ONE_FILE[tool](path, VOCABULARY)
        paths = write_imported(imported, out, source=f"{path} ({tool})", here=Path.cwd())
    except RecursionError as error:
        raise UsageError("the files are nested too deeply", where=str(path), fix="Flatten them") from error
    return ImportedFiles(imported=imported, paths=tuple(paths))
