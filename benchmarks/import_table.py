"""What becomes of the files of other tools: a table by tool, and the reasons behind it.

    python benchmarks/import_table.py DIR [--reasons 12] [--files]

DIR holds folders `promptfoo`, `lm-eval`, `openai-evals`, `deepeval` and `inspect`, as far as there are any; every file
below them that is a configuration of its tool is imported for itself, written, and loaded again as a run would.

- whole: no check is missing, and the model is asked as by the other tool.
- settings: no check is missing, but the model is asked in another way, which is named.
- checks lost: suites were made, and a check or a case of the original is missing, which is named.
- refused: nothing was made of it; the reason is named.
- watched: of those that were made, the ones with a suite that checks nothing, because the original does not.
- not loading: of those that were made, the ones with a suite that llmgate refuses to load. It should be 0.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from llmgate.errors import LlmgateError
from llmgate.session.commands.import_suites import import_suites
from llmgate.session.run.plan import plan_file
from llmgate.suite.importers.files import read_source
from llmgate.suite.importers.result import NoteSort

TOOLS = ("promptfoo", "lm-eval", "openai-evals", "deepeval", "inspect")
SUFFIXES: Mapping[str, frozenset[str]] = {
    "promptfoo": frozenset({".yaml", ".yml", ".json"}),
    "lm-eval": frozenset({".yaml"}),
    "openai-evals": frozenset({".yaml"}),
    "deepeval": frozenset({".json", ".csv", ".jsonl", ".py"}),
    "inspect": frozenset({".json", ".eval"}),
}
PROMPTFOO_KEYS = frozenset({"prompts", "providers", "targets", "redteam"})
OUTCOMES = ("whole", "settings", "checks lost", "refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One file and what became of it.

    Attributes:
        path: The file, from the folder of its tool.
        outcome: One of `OUTCOMES`.
        reasons: Kinds of what was lost, of why it was refused, or of the settings that differ.
        watched: Whether a suite checks nothing.
        problem: Why a suite that was made does not load; empty if all do.
    """

    path: str
    outcome: str
    reasons: tuple[str, ...] = ()
    watched: bool = False
    problem: str = ""


def configurations(folder: Path, tool: str) -> Iterator[Path]:
    """The files below a folder that are for its tool's importer."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES[tool] and path.is_file() and (tool != "promptfoo" or is_promptfoo(path)):
            yield path


def is_promptfoo(path: Path) -> bool:
    """Whether a file is a configuration of promptfoo; one that cannot be read counts if it is called like one."""
    with suppress(LlmgateError):
        data = read_source(path).data
        return isinstance(data, Mapping) and not PROMPTFOO_KEYS.isdisjoint(data)
    return path.name.startswith("promptfooconfig")


def tried(tool: str, path: Path, folder: Path) -> Tried:
    """Import one file, and load what was made of it."""
    name = path.relative_to(folder).as_posix()
    with tempfile.TemporaryDirectory() as out:
        try:
            done = import_suites(tool, path, Path(out))
        except LlmgateError as error:
            return Tried(path=name, outcome="refused", reasons=(kind_of(f"{error.what}: {error.fix}", folder),))
        sorts = {note.sort for note in done.imported.notes}
        worst = NoteSort.CHECK if NoteSort.CHECK in sorts else NoteSort.SETTING
        problems, bare = [], False
        for suite in done.paths:
            try:
                bare |= not any(case.asserts for case in plan_file(suite).cases)
            except LlmgateError as error:
                problems.append(error.what)
        return Tried(
            path=name,
            outcome={NoteSort.CHECK: "checks lost", NoteSort.SETTING: "settings"}[worst] if worst in sorts else "whole",
            reasons=tuple(dict.fromkeys(kind_of(n.what, folder) for n in done.imported.notes if n.sort is worst)),
            watched=bare,
            problem="; ".join(dict.fromkeys(problems)),
        )


def kind_of(what: str, folder: Path) -> str:
    """A reason without what differs from file to file."""
    text = re.sub(rf"{re.escape(str(folder))}\S*", "FILE", what.replace(str(folder.resolve()), str(folder)))
    return re.sub(r"\([^()]*\)", "(…)", text)[:90]


def table(found: Mapping[str, list[Tried]]) -> list[str]:
    """The table, a line per tool."""
    lines = [f"{'tool':14}{'files':>7}" + "".join(f"{o:>13}" for o in OUTCOMES) + f"{'watched':>9}{'not loading':>13}"]
    for tool, files in found.items():
        counts = Counter(each.outcome for each in files)
        extra = (sum(each.watched for each in files), sum(bool(each.problem) for each in files))
        row = "".join(f"{counts[outcome]:13}" for outcome in OUTCOMES)
        lines.append(f"{tool:14}{len(files):7}{row}{extra[0]:9}{extra[1]:13}")
    return lines


def reasons(files: list[Tried], most: int) -> list[str]:
    """What is behind the counts of one tool, the most frequent reasons first."""
    lines = []
    for outcome in OUTCOMES[1:]:
        counts = Counter(reason for each in files if each.outcome == outcome for reason in each.reasons)
        lines += [f"  {outcome:12}{count:4} {reason}" for reason, count in counts.most_common(most)]
    problems = Counter(each.problem for each in files if each.problem)
    return [*lines, *(f"  {'not loading':12}{count:4} {problem[:90]}" for problem, count in problems.most_common(most))]


def survey(folder: Path) -> dict[str, list[Tried]]:
    """Everything below a folder, by tool."""
    folder = folder.resolve()
    return {
        tool: [tried(tool, path, folder / tool) for path in configurations(folder / tool, tool)]
        for tool in TOOLS
        if (folder / tool).is_dir()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reasons", type=int, default=12, help="reasons per outcome")
    parser.add_argument("--files", action="store_true", help="name every file")
    options = parser.parse_args()
    found = survey(options.folder)
    print("\n".join(table(found)))
    for tool, files in found.items():
        print("\n".join(["", f"{tool}:", *reasons(files, options.reasons)]))
        if options.files:
            print("\n".join(f"  {each.outcome:12} {each.path} {each.problem}" for each in files))


if __name__ == "__main__":
    main()
