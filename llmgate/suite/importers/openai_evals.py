"""OpenAI evals: a registry file with its samples, for the classes that compare with an ideal answer.

Format: https://github.com/openai/evals/blob/main/docs/build-eval.md. `Match` wants the answer to
start with an ideal, `Includes` to hold one; `FuzzyMatch` looks for either text in the other after normalising.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.record.reach import contained
from llmgate.suite.asserts import Json
from llmgate.suite.importers.files import mapping, read_jsonl, read_source
from llmgate.suite.importers.messages import as_messages, common_prompt
from llmgate.suite.importers.result import Imported, ImportedSuite, Notebook
from llmgate.suite.importers.table import any_of_pattern, literal, several, slug, suite_of, texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmgate.suite.asserts import Vocabulary
    from llmgate.suite.importers.files import ForeignFile

__all__ = ["import_openai_evals"]

_KNOWN_ARGS: Final = frozenset(
    {"samples_jsonl", "modelgraded_spec", "modelgraded_spec_args", "eval_type", "ignore_case"}
)


def import_openai_evals(path: Path, vocabulary: Vocabulary, allowed: Sequence[str] = ()) -> Imported:
    """Read a registry file.

    Args:
        path: A YAML file of `registry/evals`, its samples in `registry/data` or beside it.
        vocabulary: The assert types that exist.
        allowed: Folders outside its project whose files it may name.

    Raises:
        SuiteError: If a file cannot be read, or no eval in it can be carried over.
    """
    source = read_source(path, allowed=allowed)
    if not isinstance(source.data, Mapping):
        raise SuiteError("this is no registry file", where=str(path), fix="Name a YAML file of registry/evals")
    notes = Notebook(vocabulary)
    suites: list[ImportedSuite] = []
    for name, spec in source.data.items():
        if not isinstance(spec, Mapping):
            notes.lost(f"the entry {name!r}, which is no mapping", source.where(name))
        elif "class" in spec:
            suite = eval_suite(source, name, spec, notes)
            if suite and suite.name in {other.name for other in suites}:
                suite = replace(suite, name=f"{suite.name}-{len(suites) + 1}")
            suites += [suite] if suite else []
    if not suites:
        raise SuiteError("no eval can be carried over", where=str(path), fix=notes.why("An eval has a `class`"))
    return Imported(suites=tuple(suites), notes=notes.notes)


def eval_suite(source: ForeignFile, name: str, spec: Mapping[str, Any], notes: Notebook) -> ImportedSuite | None:
    """One eval as a suite, or None if it cannot be carried over, which is noted."""
    where = source.where(name)
    kind = str(spec["class"]).rpartition(":")[2]
    args = mapping(spec.get("args"))
    scorer = _CLASSES.get(kind)
    if scorer is None:
        notes.lost(f"the eval {name}: the class {kind} is code, which is not run", where)
        return None
    own = notes.another()
    for key in sorted(set(args) - _KNOWN_ARGS):
        own.lost(f"the argument {key!r} of {name}", where)
    samples = read_samples(source, args, where, own)
    records, asserts = scorer(args, samples, own, where)
    prompt, records = common_prompt([as_messages(sample.get("input")) for sample in samples], records)
    if not samples or not asserts:
        notes.take(own)
        notes.lost(f"the eval {name}: {'no sample' if not samples else 'no check'} can be carried over", where)
        return None
    suite = suite_of(
        records,
        [(written, where) for written in asserts],
        own,
        name=slug(name, limit=90),
        prompt=prompt,
        prefix="sample",
        description=description(source.data, name),
    )
    notes.take(own)
    return suite if suite.asserts else None


def description(data: Mapping[str, Any], name: str) -> str:
    """What the registry says about the eval that has this implementation."""
    for spec in data.values():
        if isinstance(spec, Mapping) and spec.get("id") == name:
            return str(spec.get("description") or "")
    own = data[name].get("description")
    return str(own or "")


def read_samples(source: ForeignFile, args: Mapping[str, Any], where: str, notes: Notebook) -> list[Mapping[str, Any]]:
    """The samples whose input is a conversation; the others are noted."""
    name = args.get("samples_jsonl")
    if not isinstance(name, str):
        notes.lost("samples that are not in a `samples_jsonl` file", where)
        return []
    folders = [source.path.parent, source.path.parent.parent / "data"]
    path = next((folder / name for folder in folders if (folder / name).exists()), None)
    if path is None:
        raise SuiteError(f"there are no samples {name}", where=where, fix=f"Looked below {folders[0]} and {folders[1]}")
    # The registry's own layout has data beside evals, whether or not both are in a project.
    reach = replace(source.reach, folders=(*source.reach.folders, folders[1].resolve()))
    contained(path, reach, where=where)
    samples: list[Mapping[str, Any]] = []
    for line, sample in read_jsonl(path, reach):
        if not isinstance(sample, dict) or as_messages(sample.get("input")) is None:
            notes.lost("a sample whose `input` is no conversation", f"{path}:{line}")
        elif "ideal" in sample and not any(texts(sample["ideal"])):
            notes.lost("a sample whose `ideal` is empty", f"{path}:{line}")
        else:
            samples.append(sample)
    return samples


Scored = tuple[list[dict[str, Json]], list[dict[str, Json]]]
Samples = list[Mapping[str, Any]]


def ideals(samples: Samples) -> list[list[str]]:
    """The expected texts of each sample."""
    return [[text for text in texts(sample.get("ideal")) if text] for sample in samples]


def match(_: Mapping[str, Any], samples: Samples, __: Notebook, ___: str) -> Scored:
    """`Match`: the answer starts with one of the ideals."""
    wanted = ideals(samples)
    columns, value = several("ideal", wanted)
    if isinstance(value, str):
        return columns, [{"type": "starts-with", "value": value}]
    patterns: list[Json] = [any_of_pattern(alternatives, start=True) for alternatives in wanted]
    return [{**column, "ideal_pattern": pattern} for column, pattern in zip(columns, patterns, strict=True)], [
        {"type": "regex", "value": "{{ ideal_pattern }}"}
    ]


def includes(args: Mapping[str, Any], samples: Samples, _: Notebook, __: str) -> Scored:
    """`Includes`: one of the ideals stands in the answer."""
    columns, value = several("ideal", ideals(samples))
    name = ("i" if args.get("ignore_case") else "") + ("contains" if isinstance(value, str) else "contains-any")
    return columns, [{"type": name, "value": value}]


def fuzzy(_: Mapping[str, Any], samples: Samples, notes: Notebook, where: str) -> Scored:
    """`FuzzyMatch`: by the token F1 that it reports besides."""
    notes.lost("FuzzyMatch became `f1` with a threshold of 0.5; it passed where one text holds the other", where)
    columns, value = several("ideal", ideals(samples))
    return columns, [{"type": "f1", "value": value, "threshold": 0.5}]


def json_match(_: Mapping[str, Any], samples: Samples, notes: Notebook, where: str) -> Scored:
    """`JsonMatch`: the same JSON."""
    wanted = ideals(samples)
    if any(len(alternatives) > 1 for alternatives in wanted):
        notes.lost("JsonMatch with several ideals: only the first one is compared", where)
    columns, value = several("ideal", [alternatives[:1] for alternatives in wanted])
    return columns, [{"type": "json-diff", "value": value}]


def modelgraded(args: Mapping[str, Any], samples: Samples, notes: Notebook, where: str) -> Scored:
    """`ModelBasedClassify` with a published question to the judge."""
    spec = args.get("modelgraded_spec")
    nothing: list[dict[str, Json]] = [{} for _ in samples]
    if spec == "fact":
        wanted = [["\n".join(alternatives)] for alternatives in ideals(samples)]
        columns, value = several("ideal", wanted)
        return columns, [{"type": "factuality", "value": value}]
    if spec != "closedqa":
        notes.lost(f"the question to the judge {json.dumps(spec)[:80]}: only `fact` and `closedqa` are known", where)
        return nothing, []
    shared = mapping(args.get("modelgraded_spec_args")).get("criteria")
    if isinstance(shared, str):
        return nothing, [{"type": "model-graded-closedqa", "value": literal(shared)}]
    if all(isinstance(sample.get("criteria"), str) for sample in samples):
        columns, value = several("criteria", [[str(sample["criteria"])] for sample in samples])
        return columns, [{"type": "model-graded-closedqa", "value": value}]
    notes.lost("closedqa without criteria", where)
    return nothing, []


_CLASSES: Final[Mapping[str, Callable[[Mapping[str, Any], Samples, Notebook, str], Scored]]] = {
    "Match": match,
    "Includes": includes,
    "FuzzyMatch": fuzzy,
    "JsonMatch": json_match,
    "ModelBasedClassify": modelgraded,
}
"""Class name → columns and asserts. Only `fact` and `closedqa` of the published questions have a type of ours."""
