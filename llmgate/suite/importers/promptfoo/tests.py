"""promptfoo's `tests:`, `scenarios:` and `defaultTest:`: from inline, CSV, YAML, JSON and JSONL tests to plain ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.suite.form.promptfoo_csv import read_row
from llmgate.suite.importers.files import beside, listing, mapping, read_csv
from llmgate.suite.importers.promptfoo.prompts import is_code, is_hub, matching
from llmgate.suite.importers.promptfoo.vars import Place, check_cases, load_vars, transformed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmgate.suite.importers.files import ForeignFile
    from llmgate.suite.importers.result import Notebook

__all__ = ["PromptfooTest", "default_only", "read_tests"]

_DATA_FILES: Final = frozenset({".csv", ".yaml", ".yml", ".json", ".jsonl"})
VISIT: Final = 1000
"""Bytes, as a test costs them, or time, as naming a file again does: files may name files."""
_ASKED_OTHERWISE: Final = {
    "provider": "a test's own `provider`: all cases are asked of the model that is named when the suite is run",
    "providers": "a test's choice of `providers`: all cases are asked of the model that is named when the suite is run",
    "providerOutput": "a test's recorded `providerOutput`: every case is asked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptfooTest:
    """One test with everything that `defaultTest` gives it.

    Attributes:
        vars: Variables; lists of texts not yet taken apart.
        asserts: Entries of `assert:` with their places.
        threshold: The test's own threshold.
        description: Words for a reader.
        metadata: Facts to slice by.
        options: `prefix`, `suffix`, `transform`, `provider` and others.
        scoring: The code that makes one verdict of its asserts, None for the usual way.
        prompts: Labels of the prompts to run; None for all.
        where: Where it stands.
    """

    vars: Mapping[str, Any]
    asserts: tuple[tuple[Any, str], ...] = ()
    threshold: Any = None
    description: str = ""
    metadata: Mapping[str, Any]
    options: Mapping[str, Any]
    prompts: tuple[str, ...] | None = None
    scoring: Any = None
    where: str


def read_tests(source: ForeignFile, notes: Notebook) -> list[PromptfooTest]:
    """All tests of a config that can be carried over, `defaultTest` and scenarios applied; notes the rest.

    Raises:
        SuiteError: If a file cannot be read.
    """
    config = source.data
    default, place = default_test(source, notes)
    tests = [
        merged([(default, place), entry], notes) for entry in entries(source, config.get("tests"), ("tests",), notes)
    ]
    for i, scenario in enumerate(listing(config.get("scenarios"))):
        where = source.where("scenarios", i)
        if not isinstance(scenario, Mapping):
            notes.lost(f"the scenario {scenario!r}"[:120], where)
            continue
        base = ("scenarios", i)
        arms = list(entries(source, scenario.get("config"), (*base, "config"), notes))
        inner = list(entries(source, scenario.get("tests"), (*base, "tests"), notes)) or [({}, Place(where))]
        check_cases(len(tests) + len(arms) * len(inner), where)
        tests += [merged([(default, place), arm, entry], notes) for arm in arms for entry in inner]
    if not config.get("tests") and not config.get("scenarios"):
        tests = [merged([(default, place)], notes)]
    return [test for test in tests if test is not None]


def default_only(source: ForeignFile, notes: Notebook) -> PromptfooTest:
    """What `defaultTest` gives a test that says nothing itself."""
    default, place = default_test(source, notes)
    test = merged([(default, place)], notes) or merged([({**default, "vars": None}, place)], notes)
    if test is None:  # without variables nothing can be missing; this tells the type checker
        raise TypeError(default)
    return test


Entry = tuple[Mapping[str, Any], Place]


def default_test(source: ForeignFile, notes: Notebook) -> Entry:
    """`defaultTest`, inline or from a file."""
    written = source.data.get("defaultTest")
    if not isinstance(written, str):
        return mapping(written), Place("", source, ("defaultTest",))
    path = source.named(written.removeprefix("file://"), source.where("defaultTest"))
    if path.suffix not in _DATA_FILES - {".csv", ".jsonl"}:
        notes.lost(f"defaultTest {written}: code is not run", source.where("defaultTest"))
        return {}, Place(str(path))
    inner = beside(path, source)
    return mapping(inner.data), Place("", inner)


def entries(source: ForeignFile, written: Any, location: tuple[str | int, ...], notes: Notebook) -> Iterator[Entry]:
    """The tests that a value of `tests:` stands for."""
    items = written if isinstance(written, list) else [written]
    for i, item in enumerate(items):
        at = (*location, i) if isinstance(written, list) else location
        where = source.where(*at)
        if isinstance(item, str) and is_hub(item) and location == ("tests",):
            continue  # a suite of its own, see `promptfoo_hub`
        if isinstance(item, str):
            yield from from_name(item, source, where, notes)
        elif isinstance(item, Mapping) and set(item) <= {"path", "config"} and "path" in item:
            notes.lost(f"the tests of {item['path']}: code is not run", where)
        elif isinstance(item, Mapping):
            yield item, Place("", source, at)
        elif item is not None:
            notes.lost(f"a test that is no mapping: {item!r}"[:120], where)


def from_name(name: str, source: ForeignFile, where: str, notes: Notebook) -> Iterator[Entry]:
    """The tests of a file."""
    if "://" in name and not name.startswith("file://"):
        notes.lost(f"the tests of {name}, which are kept elsewhere", where)
        return
    if is_code(name):
        notes.lost(f"the tests of {name}: code is not run", where)
        return
    for path in files_of(name, source, where, notes):
        notes.growth.spend(VISIT, where)
        if path.suffix not in _DATA_FILES:
            notes.lost(f"the tests of {path.name}: code and spreadsheets are not read", where)
        elif path.suffix == ".csv":
            for line, cells in notes.once(path, partial(read_csv, path, source.reach)):
                yield from_cells(cells, f"{path}:{line}", source, notes)
        else:
            inner = notes.once(path, partial(beside, path, source))
            yield from entries(inner, inner.data, (), notes)


def files_of(name: str, source: ForeignFile, where: str, notes: Notebook) -> list[Path]:
    """The files of tests that a name or pattern stands for; notes if there is none."""
    try:
        paths = matching(source, name.removeprefix("file://"), where)
    except SuiteError as error:
        if error.where == where:
            raise  # it leads where no file may be named
        paths = []
    present = [path for path in paths if path.exists()]
    if not present:
        notes.lost(f"the tests of {name}, where there is no file", where)
    return present


def from_cells(cells: Mapping[str, str], where: str, source: ForeignFile, notes: Notebook) -> Entry:
    """A line of a CSV file as a test."""
    row = read_row(cells, where=where)
    if row.provider_output is not None:
        notes.setting(_ASKED_OTHERWISE["providerOutput"], where)
    test: dict[str, Any] = {"vars": dict(row.vars), "assert": list(row.asserts), "options": dict(row.options)}
    test |= {"threshold": row.threshold, "description": row.description, "metadata": dict(row.metadata)}
    return test, Place(where, source)


def merged(parts: list[Entry], notes: Notebook) -> PromptfooTest | None:
    """Several layers of one test: later ones win, asserts add up."""
    variables: dict[str, Any] = {}
    options: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    asserts: list[tuple[Any, str]] = []
    last, place = parts[-1]
    notes.growth.spend(VISIT + 2 * sum(map(notes.weight, listing(parts[0][0].get("assert")))), place())
    for written, where in parts:
        loaded = load_vars(written.get("vars"), where, notes)
        if loaded is None:
            return None
        variables |= loaded
        said = mapping(written.get("options"))
        # An empty prefix or suffix leaves that of `defaultTest` in its place.
        options |= {key: value for key, value in said.items() if value or key not in {"prefix", "suffix"}}
        metadata |= mapping(written.get("metadata"))
        for key, what in _ASKED_OTHERWISE.items():
            if written.get(key) is not None:
                notes.setting(what, where(key))
    changed = transformed(variables, options.get("transformVars"), place(), notes)
    if changed is None:
        return None
    chosen = parts[1:] if options.get("disableDefaultAsserts") else parts
    for written, where in chosen:
        items = written.get("assert")
        if isinstance(items, list):
            asserts += [(item, where("assert", i)) for i, item in enumerate(items)]
        elif items is not None:
            notes.lost("an `assert` that is no list", where("assert"))
    scoring = next((written for written, _ in parts if written.get("assertScoringFunction") is not None), {})
    thresholds = [written["threshold"] for written, _ in parts if written.get("threshold") is not None]
    prompts = next((written["prompts"] for written, _ in reversed(parts) if written.get("prompts") is not None), None)
    return PromptfooTest(
        vars=changed,
        asserts=tuple(asserts),
        threshold=thresholds[-1] if thresholds else None,
        description=str(last.get("description") or ""),
        metadata=metadata,
        options=options,
        prompts=tuple(map(str, prompts)) if isinstance(prompts, list) else None,
        scoring=scoring.get("assertScoringFunction"),
        where=place(),
    )
