"""promptfoo configurations: one suite per prompt, one case per test and combination of variables.

Asserts that all tests share stand in the suite; where tests differ, each row brings its own in a column.
Format: https://www.promptfoo.dev/docs/configuration/reference/
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError, TemplateError
from llmgate.record.growth import Growth
from llmgate.suite.importers.files import ForeignFile, read_source
from llmgate.suite.importers.promptfoo.checks import checks_of, note_judges
from llmgate.suite.importers.promptfoo.framing import framed
from llmgate.suite.importers.promptfoo.hub import hub_suites, hub_tests
from llmgate.suite.importers.promptfoo.options import read_options
from llmgate.suite.importers.promptfoo.prompts import PromptfooPrompt, names_in, read_prompts
from llmgate.suite.importers.promptfoo.sampling import ProviderRequest, read_providers, sampling_of
from llmgate.suite.importers.promptfoo.tests import PromptfooTest, default_only, read_tests
from llmgate.suite.importers.promptfoo.vars import check_cases, expanded, lists_in
from llmgate.suite.importers.result import Imported, ImportedSuite, Notebook
from llmgate.suite.importers.table import slug, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from llmgate.suite.asserts import Json, Vocabulary

__all__ = ["import_promptfoo"]

_NAMES: Final = ("promptfooconfig.yaml", "promptfooconfig.yml", "promptfooconfig.json")
Case = tuple[PromptfooTest, dict[str, Any]]
"""A test with one combination of its variables."""
MAX_REFERENCES: Final = 20
MAX_NODES: Final = 500_000


def import_promptfoo(path: Path, vocabulary: Vocabulary, allowed: Sequence[str] = ()) -> Imported:
    """Read a promptfoo configuration.

    Args:
        path: The file, or the folder with a `promptfooconfig.yaml`.
        vocabulary: The assert types that exist.
        allowed: Folders outside its project whose files it may name.

    Raises:
        SuiteError: If a file cannot be read, or no prompt or no test can be carried over.
    """
    source = config_at(path, allowed)
    notes = Notebook(vocabulary, Growth(source.path.stat().st_size, str(source.path), error=SuiteError))
    options = read_options(source, notes)
    if options.tests:
        source = replace(source, data={**source.data, "tests": options.tests})
    asked = read_providers(source, notes)
    prompts = read_prompts(source, notes)
    tests = read_tests(source, notes)
    elsewhere = hub_tests(source, notes)
    if not prompts or not (tests or elsewhere):
        missing = "prompt" if not prompts else "test"
        raise SuiteError(f"no {missing} can be carried over", where=str(source.path), fix=notes.why("There is none"))
    description = str(source.data.get("description") or "")
    base = ImportedSuite(
        name=slug(description or source.path.resolve().parent.name),
        description=description,
        prompt=(),
        rows=(),
        sampling=asked.sampling,
        repeat=options.repeat,
        prices=asked.prices,
    )
    many = 0
    for prompt in prompts:
        many += sum(combined(test) for test in tests if selects(test, prompt))
        check_cases(many, prompt.where)
    note_unasked(tests, prompts, notes)
    suites = list(suites_of(tests, prompts, base, asked, notes))
    if elsewhere:
        default = default_only(source, notes)
        checks = partial(hub_checks, default, asked)
        suites += hub_suites(
            elsewhere, prompts, base, default=(default.vars, default.options), checks=checks, notes=notes
        )
    note_judges(tests, suites, options.grader, notes)
    if asked.prices is None and any("cost" in suite.types for suite in suites):
        notes.remark(
            "add `prices:` to the suite before it is run, because `cost` asserts need them", asked.where or None
        )
    suites = [replace(suite, notes=(*notes.notes, *suite.notes)) for suite in suites]
    every = dict.fromkeys([*notes.notes, *(note for suite in suites for note in suite.notes)])
    if not suites:
        raise SuiteError("no test can be carried over", where=str(source.path), fix=notes.why("No prompt is for any"))
    return Imported(suites=tuple(suites), notes=tuple(every))


def suites_of(
    tests: Sequence[PromptfooTest],
    prompts: Sequence[PromptfooPrompt],
    base: ImportedSuite,
    asked: ProviderRequest,
    notes: Notebook,
) -> Iterator[ImportedSuite]:
    """A suite per prompt, with the cases of its tests."""
    for number, prompt in enumerate(prompts, start=1) if tests else ():
        own = notes.another()
        chosen = independent([test for test in tests if selects(test, prompt)], prompt, own)
        cases = [(test, row) for test in chosen for row in combinations(test, own)]
        name = base.name if len(prompts) == 1 else f"{base.name[:50]}-{number}-{slug(prompt.label, limit=30)}"
        sampling = {**base.sampling, **sampling_of(prompt.config, prompt.where, own)}
        suite = built(replace(base, name=name, sampling=sampling), prompt, cases, asked, own) if cases else None
        if suite is not None:
            yield replace(suite, notes=own.notes)
            continue
        notes.take(own)
        if not cases:
            notes.lost(f"the prompt {prompt.label[:60]!r}: no test is for it", prompt.where)


def hub_checks(
    default: PromptfooTest, asked: ProviderRequest, row: Mapping[str, Json], notes: Notebook
) -> Sequence[Mapping[str, Json]]:
    """The asserts of rows that are not here, tried on texts."""
    names = frozenset().union(*(assert_names(written) for written, _ in default.asserts))
    return checks_of(default, {**dict.fromkeys(sorted(names), "text"), **row}, asked, notes)


def note_unasked(tests: Sequence[PromptfooTest], prompts: Sequence[PromptfooPrompt], notes: Notebook) -> None:
    """Note the tests that no prompt is for."""
    for test in tests:
        if not any(selects(test, prompt) for prompt in prompts):
            notes.lost(f"the test is for prompts that are not here: {', '.join(test.prompts or ())[:80]}", test.where)


def keeps(test: PromptfooTest) -> bool:
    """Whether lists of variables stay lists."""
    return bool(test.options.get("disableVarExpansion"))


def combined(test: PromptfooTest) -> int:
    """How many cases a test makes."""
    return math.prod(map(len, lists_in(test.vars, keep=keeps(test)).values()))


def combinations(test: PromptfooTest, notes: Notebook) -> Iterator[dict[str, Any]]:
    """The cases of one test, each paid for."""
    for row in expanded(test.vars, test.where, notes, keep=keeps(test)):
        notes.growth.value((row, test.metadata), test.where)
        notes.growth.spend(sum(notes.weight(written) for written, _ in test.asserts), test.where)
        yield row


def config_at(path: Path, allowed: Sequence[str]) -> ForeignFile:
    """The configuration at a path, references resolved."""
    if path.is_dir():
        path = next((path / name for name in _NAMES if (path / name).exists()), path / _NAMES[0])
    source = read_source(path, allowed=allowed, web=True)
    if not isinstance(source.data, Mapping):
        raise SuiteError("this is no promptfoo configuration", where=str(path), fix="Name a promptfooconfig.yaml")
    return replace(source, data=resolved(source.data, source.data, 0, [MAX_NODES]))


def resolved(value: Any, root: Any, followed: int, budget: list[int]) -> Any:
    """Data in which `{$ref: '#/a/b'}` is replaced by what stands there.

    Raises:
        SuiteError: If references multiply beyond the budget.
    """
    budget[0] -= 1
    if budget[0] < 0:
        raise SuiteError("references make the configuration too large", fix="Write the parts out")
    if isinstance(value, list):
        return [resolved(item, root, followed, budget) for item in value]
    if not isinstance(value, Mapping):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/") and followed < MAX_REFERENCES:
        target = root
        for part in reference[2:].split("/"):
            target = target.get(part) if isinstance(target, Mapping) else None
        return resolved(target, root, followed + 1, budget)
    return {key: resolved(item, root, followed, budget) for key, item in value.items()}


def selects(test: PromptfooTest, prompt: PromptfooPrompt) -> bool:
    """Whether a test is for a prompt."""
    return test.prompts is None or any(map(prompt.chosen_by, test.prompts))


def independent(tests: list[PromptfooTest], prompt: PromptfooPrompt, notes: Notebook) -> list[PromptfooTest]:
    """The tests that need no answer of another one; notes those that do."""
    stored = {str(test.options["storeOutputAs"]) for test in tests if test.options.get("storeOutputAs")}
    kept = []
    for test in tests if stored else ():
        names = prompt.names.union(*map(template_names, test.vars.values())) - set(test.vars)
        if names & stored:
            name = sorted(names & stored)[0]
            notes.lost(f"a test that needs the answer of another one (`storeOutputAs: {name}`)", test.where)
        else:
            kept.append(test)
    return kept if stored else tests


def template_names(value: Any) -> frozenset[str]:
    """Variables that a text names as a template; none for other values, and for what is no template."""
    try:
        return names_in(value) if isinstance(value, str) else frozenset()
    except TemplateError:
        return frozenset()


def built(
    base: ImportedSuite, prompt: PromptfooPrompt, cases: list[Case], asked: ProviderRequest, notes: Notebook
) -> ImportedSuite | None:
    """A suite with the messages of a prompt, and with the rows, asserts and thresholds of its cases.

    None if none of them can be asked, which is noted.
    """
    records = [record(test, row) for test, row in cases]
    frame = framed(prompt, cases, records, notes)
    messages = with_system(asked.system, frame.messages, notes, prompt.where)
    if frame.column:
        records = [{**columns, frame.column: said} for columns, said in zip(records, frame.asked, strict=True)]
    cases, records = list(compress(cases, frame.kept)), list(compress(records, frame.kept))
    if not cases:
        notes.lost(f"the prompt {prompt.label[:60]!r}: no case of it can be asked", prompt.where)
        return None
    needed = prompt.names | {name for test, _ in cases for written, _ in test.asserts for name in assert_names(written)}
    for name in sorted(needed - {key for columns in records for key in columns}):
        notes.remark(f"no test sets the variable {name!r}, so it renders to nothing", prompt.where)
    names = [test.description for test, _ in cases]
    rows, case = table(records, names, growth=notes.growth, also=sorted(needed), prefix="test")
    asserts = [checks_of(test, row, asked, notes) for (test, _), row in zip(cases, rows, strict=True)]
    for (test, _), own in zip(cases, asserts, strict=True):
        if not own:
            unchecked(test, notes)
    thresholds = [threshold_of(test, notes) for test, _ in cases]
    shared = all(own == asserts[0] for own in asserts)
    if not shared:
        case["asserts"] = add_column("asserts", rows, [list(own) for own in asserts])
    alike = all(threshold == thresholds[0] for threshold in thresholds)
    if not alike:
        case["threshold"] = add_column("threshold", rows, thresholds)
    return replace(
        base,
        prompt=messages,
        rows=rows,
        asserts=tuple(asserts[0]) if shared else (),
        case=case,
        threshold=thresholds[0] if alike else None,
    )


def unchecked(test: PromptfooTest, notes: Notebook) -> None:
    """Note that nothing checks a test: because it has no assert, or because none of them could be carried over."""
    if any(isinstance(written, Mapping) for written, _ in test.asserts):
        notes.remark(
            "no assert of the test is left: its answer is recorded and compared, and gates nothing", test.where
        )
    else:
        notes.remark("the test has no assert: its answer is recorded and compared, and gates nothing", test.where)


def with_system(
    system: str, messages: tuple[Mapping[str, Any], ...], notes: Notebook, where: str
) -> tuple[Mapping[str, Any], ...]:
    """Messages with the system message that the provider puts first."""
    if not system:
        return messages
    own = messages[0].get("content")
    if messages[0].get("role") == "system" and isinstance(own, str):
        notes.setting("the provider's system message and the prompt's own are one", where)
        return ({"role": "system", "content": f"{system}\n\n{own}"}, *messages[1:])
    return ({"role": "system", "content": system}, *messages)


def add_column(name: str, rows: Sequence[dict[str, Json]], values: Sequence[Json]) -> str:
    """Give rows a further column, and return its name, which none had before."""
    while name in rows[0]:
        name = f"llmgate_{name}"
    for row, value in zip(rows, values, strict=True):
        row[name] = value
    return name


def threshold_of(test: PromptfooTest, notes: Notebook) -> float | None:
    """The test's threshold, if it is one that a test can fail."""
    threshold = test.threshold
    if threshold is None:
        return None
    if isinstance(threshold, int | float) and not isinstance(threshold, bool) and threshold > 0:
        return threshold
    notes.lost(f"the threshold {threshold!r}, which no test can fail; every assert has to pass instead", test.where)
    return None


def record(test: PromptfooTest, row: dict[str, Any]) -> dict[str, Json]:
    """The columns of one case: variables first, then facts that no variable hides."""
    return {**row, **{key: value for key, value in test.metadata.items() if key not in row}}


def assert_names(written: Any) -> frozenset[str]:
    """Variables that the templates of an assert name; none if they do not parse, which is noted later."""
    if not isinstance(written, Mapping):
        return frozenset()
    inner = written.get("assert")
    if isinstance(inner, list):
        return frozenset().union(*map(assert_names, inner))
    value = written.get("value")
    return frozenset().union(*map(template_names, value if isinstance(value, list) else [value]))
