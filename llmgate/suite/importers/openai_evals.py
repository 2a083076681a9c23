"""OpenAI evals: a registry file with its samples, for the classes that compare with an ideal answer.

Format: https://github.com/openai/evals/blob/main/docs/build-eval.md. `Match` wants the answer to
start with an ideal, `Includes` to hold one; `FuzzyMatch` looks for either text in the other after normalising.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.record.reach import contained
from llmgate.suite.asserts import Json
from llmgate.suite.importers.files import mapping, read_jsonl, read_source
from llmgate.suite.importers.messages import as_messages, common_prompt
from llmgate.suite.importers.promptfoo.sampling import sampling_of
from llmgate.suite.importers.result import Imported, ImportedSuite, Notebook
from llmgate.suite.importers.table import any_of_pattern, literal, several, slug, suite_of, texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmgate.record.reach import Reach
    from llmgate.suite.asserts import Vocabulary
    from llmgate.suite.importers.files import ForeignFile

__all__ = ["import_openai_evals"]

MOST_EXAMPLES: Final = 1000
"""Messages that stand before each question at most."""


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
    kind = _CLASSES.get(str(spec["class"]))
    args = mapping(spec.get("args"))
    if kind is None:
        notes.lost(f"the eval {name}: the class {spec['class']} is code, which is not run", where)
        return None
    own = notes.another()
    for key in sorted(set(map(str, args)) - kind.args - {"samples_jsonl"}):
        own.lost(f"the argument {key!r} of {name}", where)
    try:
        samples = with_examples(source, args, read_samples(source, args, kind, where, own), where)
    except SuiteError as error:
        notes.lost(f"the eval {name}: {error.what}", error.where or where)
        return None
    records, asserts = kind.scored(args, samples, own, where) if samples else ([], [])
    if not samples or not asserts:
        notes.take(own)
        notes.lost(f"the eval {name}: {'no sample' if not samples else 'no check'} can be carried over", where)
        return None
    prompt, records = common_prompt([as_messages(sample.get("input")) for sample in samples], records)
    suite = suite_of(
        records,
        [(written, where) for written in asserts],
        own,
        name=slug(name, limit=90),
        prompt=prompt,
        prefix="sample",
        description=description(source.data, name),
        sampling=sampling_for(kind, args, where, own),
    )
    notes.take(own)
    return suite if suite.asserts else None


def sampling_for(kind: EvalClass, args: Mapping[str, Any], where: str, notes: Notebook) -> Mapping[str, Json]:
    """How an eval samples. `Match` takes `max_tokens` and does not send it."""
    given = dict(kind.sampling)
    if "max_tokens" in given and isinstance(args.get("max_tokens"), int):
        given["max_tokens"] = args["max_tokens"]
    given |= mapping(args.get("sample_kwargs"))
    if args.get("eval_kwargs"):
        notes.setting("eval_kwargs: how the judge samples is said when the suite is run", where)
    return sampling_of(given, where, notes)


def with_examples(source: ForeignFile, args: Mapping[str, Any], samples: Samples, where: str) -> Samples:
    """The samples with the examples of `few_shot_jsonl` before their last message.

    Raises:
        SuiteError: If there are none, or a sample is no chat.
    """
    count = args.get("num_few_shot") or 0
    if not isinstance(count, int) or count < 1 or not samples:
        return samples
    shots: list[Any] = []
    for line, row in read_jsonl(*data_file(source, args.get("few_shot_jsonl"), where)):
        if as_messages(mapping(row).get("sample")) is None or not isinstance(mapping(row).get("sample"), list):
            raise SuiteError(f"the example of line {line} is no conversation", where=where, fix="Correct it")
        shots += mapping(row)["sample"] if len(shots) < MOST_EXAMPLES else []
        count -= 1
        if count == 0:
            break
    if any(not isinstance(sample["input"], list) for sample in samples):
        raise SuiteError("examples stand before a chat, and an `input` is a text", where=where, fix="Write messages")
    return [{**sample, "input": [*sample["input"][:-1], *shots, sample["input"][-1]]} for sample in samples]


def description(data: Mapping[str, Any], name: str) -> str:
    """What the registry says about the eval that has this implementation."""
    for spec in data.values():
        if isinstance(spec, Mapping) and spec.get("id") == name:
            return str(spec.get("description") or "")
    own = data[name].get("description")
    return str(own or "")


def data_file(source: ForeignFile, name: Any, where: str) -> tuple[Path, Reach]:
    """A file of the registry's data, and what may be named there.

    Raises:
        SuiteError: If there is none.
    """
    folders = [source.path.parent, source.path.parent.parent / "data"]
    path = next((folder / str(name) for folder in folders if name and (folder / str(name)).exists()), None)
    if path is None:
        raise SuiteError(f"there are no samples {name}", where=where, fix=f"Looked below {folders[0]} and {folders[1]}")
    # The registry's own layout has data beside evals, whether or not both are in a project.
    reach = replace(source.reach, folders=(*source.reach.folders, folders[1].resolve()))
    contained(path, reach, where=where)
    return path, reach


def read_samples(source: ForeignFile, args: Mapping[str, Any], kind: EvalClass, where: str, notes: Notebook) -> Samples:
    """The samples that can be asked and checked; the others are noted."""
    name = args.get("samples_jsonl")
    if not isinstance(name, str):
        notes.lost("samples that are not in a `samples_jsonl` file", where)
        return []
    path, reach = data_file(source, name, where)
    samples: Samples = []
    for line, sample in read_jsonl(path, reach):
        why = "no mapping" if not isinstance(sample, dict) else unfit(sample, kind)
        if why:
            notes.lost(f"a sample: {why}", f"{path}:{line}")
        elif isinstance(sample, dict):
            samples.append(sample)
    return samples


def unfit(sample: Mapping[str, Any], kind: EvalClass) -> str:
    """Why a sample cannot be carried over; empty if it can."""
    if as_messages(sample.get("input")) is None:
        return "its `input` is no conversation"
    if "ideal" not in sample:
        return "it has no `ideal`" if kind.ideal else ""
    ideal = sample["ideal"]
    items = ideal if isinstance(ideal, list) else [ideal]
    if kind.scored is json_match and len(items) > 1:
        return "JsonMatch with several ideals"
    if kind.scored is json_match and None in leaves_of(ideal):
        return "its `ideal` holds null, which JsonMatch never takes for right"
    if not all(isinstance(item, str) for item in items):
        return "its `ideal` is no text"
    # Every answer starts with the empty text and holds it.
    return "" if items and all(items) else "its `ideal` is empty"


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


def fuzzy(_: Mapping[str, Any], samples: Samples, __: Notebook, ___: str) -> Scored:
    """`FuzzyMatch`: one text holds the other, normalised; the F1 that it logs decides nothing."""
    columns, value = several("ideal", ideals(samples))
    return columns, [{"type": "fuzzy-match", "value": value}]


def json_match(_: Mapping[str, Any], samples: Samples, notes: Notebook, where: str) -> Scored:
    """`JsonMatch`: the same JSON."""
    if any(one in (True, False) for sample in samples for one in leaves_of(sample["ideal"])):
        notes.remark("JsonMatch takes true for 1 and false for 0; json-diff tells them apart", where)
    columns, value = several("ideal", [alternatives[:1] for alternatives in ideals(samples)])
    return columns, [{"type": "json-diff", "value": value}]


def leaves_of(ideal: Any) -> list[Any]:
    """What an ideal in JSON holds at the ends of its branches; what is no JSON has none."""
    try:
        waiting = [json.loads(text) for text in texts(ideal)]
    except (ValueError, RecursionError):
        return []
    found = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
        else:
            found.append(value)
    return found


def modelgraded(args: Mapping[str, Any], samples: Samples, notes: Notebook, where: str) -> Scored:
    """`ModelBasedClassify` with a published question to the judge."""
    spec = args.get("modelgraded_spec")
    nothing: list[dict[str, Json]] = [{} for _ in samples]
    if args.get("metaeval"):
        notes.lost("metaeval tries the judge on answers with labels; no model is asked for an answer", where)
        return nothing, []
    if args.get("multicomp_n", 1) != 1:
        notes.lost(f"multicomp_n {args['multicomp_n']}: several answers are compared in one question", where)
        return nothing, []
    if spec == "fact":
        wanted = [["\n".join(alternatives)] for alternatives in ideals(samples)]
        columns, value = several("ideal", wanted)
        notes.remark("the classes of `fact` have no scores in evals; `factuality` fails a disagreement", where)
        return columns, [{"type": "factuality", "value": value}]
    if spec == "closedqa":
        return closed_qa(args, samples, notes, where)
    notes.lost(f"the question to the judge {json.dumps(spec)[:80]}: only `fact` and `closedqa` are known", where)
    return nothing, []


def closed_qa(args: Mapping[str, Any], samples: Samples, notes: Notebook, where: str) -> Scored:
    """A criterion for all samples, or one each."""
    nothing: list[dict[str, Json]] = [{} for _ in samples]
    shared = mapping(args.get("modelgraded_spec_args")).get("criteria")
    named = list(shared.values()) if isinstance(shared, Mapping) else [shared]
    said = [one for one in named if isinstance(one, str)]
    if said and len(said) == len(named):
        return nothing, [{"type": "model-graded-closedqa", "value": literal("\n".join(said))}]
    if all(isinstance(sample.get("criteria"), str) for sample in samples):
        columns, value = several("criteria", [[str(sample["criteria"])] for sample in samples])
        return columns, [{"type": "model-graded-closedqa", "value": value}]
    notes.lost("closedqa without criteria", where)
    return nothing, []


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalClass:
    """A class of evals.

    Attributes:
        scored: What makes columns and asserts of its samples.
        ideal: Whether each sample has an `ideal`.
        sampling: How it samples, whatever its arguments say.
        args: The arguments that it takes.
    """

    scored: Callable[[Mapping[str, Any], Samples, Notebook, str], Scored]
    ideal: bool = True
    sampling: Mapping[str, Json] = field(default_factory=dict)
    args: frozenset[str] = frozenset()


_FEW_SHOT: Final = frozenset({"num_few_shot", "few_shot_jsonl", "max_tokens"})
_GRADED: Final = frozenset(
    {"modelgraded_spec", "modelgraded_spec_args", "eval_type", "sample_kwargs", "eval_kwargs", "multicomp_n"}
)
_CLASSES: Final[Mapping[str, EvalClass]] = {
    "evals.elsuite.basic.match:Match": EvalClass(scored=match, sampling={"temperature": 0}, args=_FEW_SHOT),
    "evals.elsuite.basic.includes:Includes": EvalClass(scored=includes, args=frozenset({"ignore_case"})),
    "evals.elsuite.basic.fuzzy_match:FuzzyMatch": EvalClass(
        scored=fuzzy, sampling={"temperature": 0, "max_tokens": 100}, args=frozenset({"max_tokens"})
    ),
    "evals.elsuite.basic.json_match:JsonMatch": EvalClass(
        scored=json_match, sampling={"temperature": 0, "max_tokens": 512}, args=frozenset({"max_tokens"})
    ),
    "evals.elsuite.modelgraded.classify:ModelBasedClassify": EvalClass(
        scored=modelgraded, ideal=False, sampling={"max_tokens": 1024}, args=_GRADED | {"metaeval", "match_fn"}
    ),
}
"""The class and its module, since anybody may call theirs `Match`. Of the published questions to a judge only `fact`
and `closedqa` have a type of ours."""
