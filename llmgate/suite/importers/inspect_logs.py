"""Inspect's eval logs, `.json` and `.eval`: their samples as rows, their scorers as asserts.

Format: https://inspect.aisi.org.uk/eval-logs.html. An `.eval` file is a ZIP archive of `header.json` and
`samples/*.json`. Inspect's `match` looks at the end of the answer (or elsewhere, as `location` says), `includes`
anywhere in it, both without regard to case unless told otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import RecordError, SuiteError
from llmgate.record.results.inspect_log import log_of
from llmgate.record.results.source import read_source
from llmgate.suite.importers.files import listing, mapping
from llmgate.suite.importers.messages import as_messages, common_prompt
from llmgate.suite.importers.promptfoo_sampling import sampling_of
from llmgate.suite.importers.result import Imported, Notebook
from llmgate.suite.importers.table import any_of_pattern, choice, lettered, several, slug, suite_of, texts

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.asserts import Json, Vocabulary

__all__ = ["import_inspect"]

_SAMPLING: Final = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop_seqs", "frequency_penalty")
MAX_SAMPLES: Final = 200_000


def import_inspect(path: Path, vocabulary: Vocabulary) -> Imported:
    """Read an eval log.

    Args:
        path: A `.json` or `.eval` log.
        vocabulary: The assert types that exist.

    Raises:
        SuiteError: If it cannot be read, or holds no sample.
    """
    header, samples = read_log(path)
    notes = Notebook(vocabulary)
    task = mapping(header.get("eval"))
    samples, repeat = first_epochs(samples)
    usable = [sample for sample in samples if as_messages(sample.get("input")) is not None]
    for sample in samples:
        if as_messages(sample.get("input")) is None:
            notes.lost(f"the sample {sample.get('id')!r}: its input is no text", str(path))
        if sample.get("files") or sample.get("sandbox") or sample.get("setup"):
            notes.lost("files, sandboxes and set-up of samples", str(path))
    if not usable:
        raise SuiteError("the log holds no sample that can be carried over", where=str(path), fix="Log with samples")
    framing = read_plan(header, str(path), notes)
    conversations = [framing.around(sample) for sample in usable]
    records, value = records_of(usable)
    counts = [len(texts(sample.get("choices"))) for sample in usable]
    prompt, records = common_prompt(list(conversations), records)
    suite = suite_of(
        records,
        [(written, str(path)) for written in scorers(header, value, counts, str(path), notes)],
        notes,
        name=slug(str(task.get("task") or path.stem).rpartition("/")[2]),
        description=f"Inspect task {task.get('task')}" if task.get("task") else "",
        prompt=prompt,
        names=[str(sample.get("id", "")) or None for sample in usable],
        prefix="sample",
        unchecked=("every scorer, so nothing is checked", str(path)),
        sampling=sampling(header, str(path), notes),
        repeat=min(repeat, 1000),
    )
    return Imported(suites=(suite,), notes=notes.notes)


def read_log(path: Path) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """Header and samples."""
    try:
        header, samples = log_of(read_source(path), finished=False)
    except RecordError as error:
        raise SuiteError(error.what, where=error.where, fix=error.fix or "Check the path") from error
    if "eval" not in header:
        raise SuiteError("this is no eval log", where=str(path), fix="Name a .json or .eval log of Inspect")
    return header, [sample for sample in samples[:MAX_SAMPLES] if isinstance(sample, Mapping)]


def first_epochs(samples: list[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], int]:
    """Each sample once, in the order of the log, and how often each was asked."""
    first: dict[str, Mapping[str, Any]] = {}
    epochs = 1
    for sample in samples:
        first.setdefault(str(sample.get("id")), sample)
        epoch = sample.get("epoch")
        epochs = max(epochs, epoch if isinstance(epoch, int) else 1)
    # Numbers count, texts follow as they come: an archive lists 10 before 2.
    numbered = {int(name): sample for name, sample in first.items() if name.isdecimal() and len(name) < 20}
    others = [sample for name, sample in first.items() if not (name.isdecimal() and len(name) < 20)]
    return [*(numbered[number] for number in sorted(numbered)), *others], epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """What solvers put around a sample's input."""

    system: tuple[str, ...] = ()
    template: str = ""
    choices: bool = False

    def around(self, sample: Mapping[str, Any]) -> list[dict[str, str]]:
        """The conversation that a sample starts with."""
        messages = as_messages(sample.get("input")) or []
        last = messages[-1]
        content = last["content"]
        options = texts(sample.get("choices"))
        if self.template:
            content = self.template.replace("{prompt}", content)
        if self.choices and options:
            content = lettered(content, options)
        before = [{"role": "system", "content": text} for text in self.system]
        return [*before, *messages[:-1], {**last, "content": content}]


def read_plan(header: Mapping[str, Any], where: str, notes: Notebook) -> Framing:
    """What the solvers of the plan put around inputs; other solvers are noted."""
    system, template, choices = [], "", False
    for step in map(mapping, listing(mapping(header.get("plan")).get("steps"))):
        name = str(step.get("solver")).rpartition("/")[2]
        text = mapping(step.get("params")).get("template")
        if name == "system_message" and isinstance(text, str):
            system.append(text)
        elif name == "prompt_template" and isinstance(text, str) and text.count("{prompt}") == 1:
            template = text
        elif name == "multiple_choice":
            choices = True
            notes.remark("multiple_choice: options are lettered and asked for in llmgate's own words", where)
        elif name != "generate":
            notes.lost(f"the solver {name!r}: code is not run", where)
    return Framing(system=tuple(system), template=template, choices=choices)


def records_of(samples: list[Mapping[str, Any]]) -> tuple[list[dict[str, Json]], Json]:
    """The columns of all samples - target, its pattern, options, metadata - and the value that reads the target."""
    targets = [[text.strip() for text in texts(sample.get("target")) if text.strip()] for sample in samples]
    columns, value = several("target", targets)
    records = []
    for column, target, sample in zip(columns, targets, samples, strict=True):
        record: dict[str, Json] = {**column, "target_pattern": any_of_pattern(target)}
        if sample.get("choices"):
            record["choices"] = list(texts(sample.get("choices")))
        metadata = mapping(sample.get("metadata"))
        records.append({**record, **{key: fact for key, fact in metadata.items() if key not in record}})
    return records, value


def sampling(header: Mapping[str, Any], where: str, notes: Notebook) -> dict[str, Json]:
    """The generation settings of the log that llmgate has too."""
    task, plan = mapping(header.get("eval")), mapping(header.get("plan"))
    config = {**mapping(plan.get("config")), **mapping(task.get("model_generate_config"))}
    if task.get("model"):
        notes.remark(f"the model is named when the suite is run; it was {task['model']}", where)
    return sampling_of({key: config[key] for key in _SAMPLING if key in config}, where, notes)


def scorers(
    header: Mapping[str, Any], value: Json, options_each: list[int], where: str, notes: Notebook
) -> list[dict[str, Json]]:
    """The asserts that stand for the log's scorers, each with a metric called after it if there are several."""
    listed = mapping(header.get("eval")).get("scorers") or mapping(header.get("results")).get("scores")
    asserts: dict[str, dict[str, Json]] = {}
    for entry in map(mapping, listing(listed)):
        name = str(entry.get("scorer") or entry.get("name")).rpartition("/")[2]
        options = mapping(entry.get("params") or entry.get("options"))
        written = choice(value, options_each) if name == "choice" else scorer(name, options, value)
        if written is None:
            notes.lost(f"the scorer {name!r}{options_text(options)} has no counterpart", where)
        else:
            asserts[name] = written
    if len(asserts) > 1:
        return [{**written, "metric": slug(name)} for name, written in asserts.items()]
    return list(asserts.values())


def options_text(options: Mapping[str, Any]) -> str:
    """Options in words, for messages."""
    return f" with {', '.join(map(str, options))}" if options else ""


def scorer(name: str, options: Mapping[str, Any], value: Json) -> dict[str, Json] | None:
    """The assert that stands for one scorer.

    Args:
        name: Inspect's name.
        options: Its arguments.
        value: What reads the target column: a template, or a list of them.
    """
    fold = bool(options.get("ignore_case", True))
    several_kinds = "" if isinstance(value, str) else "-any"
    simple: dict[str, dict[str, Json]] = {
        "includes": {"type": f"{'i' if fold else ''}contains{several_kinds}", "value": value},
        "exact": {"type": "exact-match", "value": value},
        "f1": {"type": "f1", "value": value},
    }
    single: dict[str, dict[str, Json]] = {
        "model_graded_qa": {"type": "llm-rubric", "value": f"The answer is correct by this criterion: {value}"},
        "model_graded_fact": {"type": "factuality", "value": value},
    }
    if name == "match" and not options.get("numeric"):
        return {"type": "regex", "value": f"{'(?i)' if fold else ''}{located(str(options.get('location', 'end')))}"}
    if name == "pattern" and groups(options.get("pattern")) == 1:
        return {
            "type": "exact-match",
            "value": value,
            "config": {"normalise": "casefold" if fold else "none"},
            "transform": [f"match:{'(?i)' if fold else ''}{options['pattern']}"],
        }
    if set(options) & {"template", "instructions", "grade_pattern", "partial_credit", "answer_fn"}:
        return None
    if name in single and isinstance(value, str):
        return single[name]
    return simple.get(name)


def groups(pattern: Any) -> int | None:
    """How many groups a regular expression has, None if it is none."""
    try:
        return re.compile(pattern).groups if isinstance(pattern, str) else None
    except (re.error, RecursionError, OverflowError):
        return None


def located(location: str) -> str:
    """The pattern for `match`: the target at an end of the answer, punctuation aside."""
    body = "{{ target_pattern }}"
    patterns = {"begin": rf"^\W*{body}", "any": body, "exact": rf"^\W*{body}\W*$"}
    return patterns.get(location, rf"{body}\W*$")
