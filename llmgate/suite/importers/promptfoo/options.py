"""What a promptfoo configuration says beside prompts and tests: each part is read, or named.

Which options there are, and which promptfoo reads from a file, is in its `types/index` and `commands/eval`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llmgate.suite.importers.files import listing, mapping

if TYPE_CHECKING:
    from llmgate.suite.importers.files import ForeignFile
    from llmgate.suite.importers.result import Notebook

__all__ = ["Options", "read_options"]

_READ: Final = frozenset({"prompts", "providers", "targets", "tests", "scenarios", "defaultTest", "description"})
_SILENT: Final = frozenset(
    {
        *(
            "$schema",
            "outputPath",
            "sharing",
            "tags",
            "writeLatestResults",
            "metadata",
            "assertionTemplates",
            "tracing",
        ),
        *("evaluateOptions", "commandLineOptions", "derivedMetrics"),
    }
)
"""What says nothing about a case or its checks, or is read below."""
_LOST: Final = {
    "redteam": "`redteam`: its attacks are written by promptfoo; import the file that `promptfoo redteam generate` "
    "writes",
    "assertScoringFunction": "`assertScoringFunction`: code is not run",
}
_SETTINGS: Final = {
    "extensions": "`extensions`: code is not run before and after tests",
    "env": "`env`: environment variables are not read",
    "nunjucksFilters": "`nunjucksFilters`: code is not run; what uses such a filter is named by itself",
}
_RUN: Final = {
    "maxConcurrency": "`maxConcurrency: {}`: write `--concurrency {}` when the suite is run",
    "delay": "`delay: {}` (ms between requests): write `--concurrency 1 --rpm N` when the suite is run",
}
_FILTERS: Final = ("filterRange", "filterSample")
_MOST_REPEATS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What holds for all tests.

    Attributes:
        repeat: How often each case is asked.
        grader: The judge that the command line would name, None if it names none.
        tests: The file that stands in the place of `tests:`, None if there is none.
    """

    repeat: int = 1
    grader: Any = None
    tests: str | None = None


def read_options(source: ForeignFile, notes: Notebook) -> Options:
    """Read `evaluateOptions` and `commandLineOptions`; note what else there is."""
    note_keys(source, notes)
    evaluate, line = mapping(source.data.get("evaluateOptions")), mapping(source.data.get("commandLineOptions"))
    both = {**evaluate, **line}
    for key, words in _RUN.items():
        if isinstance(both.get(key), int | float) and both[key]:
            place = "commandLineOptions" if key in line else "evaluateOptions"
            notes.remark(words.format(both[key], both[key]), source.where(place, key))
    for key in _FILTERS:
        if both.get(key) is not None:
            notes.remark(f"`{key}` takes some of the tests; all are carried over", source.where("commandLineOptions"))
    written = both.get("repeat")
    repeat = written if isinstance(written, int) and not isinstance(written, bool) else 1
    if repeat > _MOST_REPEATS:
        notes.setting(
            f"`repeat: {repeat}`: a case is asked {_MOST_REPEATS:,} times at most", source.where("evaluateOptions")
        )
    tests = line.get("vars")
    return Options(
        repeat=max(1, min(repeat, _MOST_REPEATS)),
        grader=line.get("grader"),
        tests=tests if isinstance(tests, str) and tests else None,
    )


def note_keys(source: ForeignFile, notes: Notebook) -> None:
    """Note keys that are not read."""
    for key, value in source.data.items():
        where = source.where(key)
        if key == "redteam" and generated(source.data.get("tests")):
            continue
        if key in _LOST:
            notes.lost(_LOST[key], where)
        elif key in _SETTINGS and value:
            notes.setting(_SETTINGS[key], where)
        elif key not in _READ | _SILENT | set(_SETTINGS):
            notes.remark(f"`{key}` is no key of promptfoo's, which passes over it too", where)
    for i, derived in enumerate(listing(source.data.get("derivedMetrics"))):
        name, value = mapping(derived).get("name"), " ".join(str(mapping(derived).get("value")).split())
        notes.lost(
            f"the derived metric {name!r} = {value[:80]}: metrics are not combined", source.where("derivedMetrics", i)
        )


def generated(tests: Any) -> bool:
    """Whether tests are the attacks that `promptfoo redteam generate` wrote."""
    return any("pluginId" in mapping(mapping(test).get("metadata")) for test in listing(tests))
