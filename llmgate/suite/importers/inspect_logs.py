"""Inspect's eval logs, `.json` and `.eval`: their samples as rows, their scorers as asserts.

Format: https://inspect.aisi.org.uk/eval-logs.html. An `.eval` file is a ZIP archive of `header.json` and
`samples/*.json`.
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
from llmgate.suite.importers.inspect_scorers import bare, builtin, scorer_names, scorers, unfit
from llmgate.suite.importers.messages import as_messages, common_prompt
from llmgate.suite.importers.promptfoo.sampling import sampling_of
from llmgate.suite.importers.result import Imported, Notebook
from llmgate.suite.importers.table import any_of_pattern, lettered, several, slug, suite_of, texts

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.asserts import Json, Vocabulary

__all__ = ["import_inspect"]

_FILE: Final = re.compile(r"\S+\.(?:txt|md|jinja2?|prompt)|(?:https?|file|s3)://\S+")
_FIELD: Final = re.compile(r"{{|}}|{(\w+)}")
_OF_THE_CLIENT: Final = frozenset(
    {*("max_retries", "timeout", "attempt_timeout", "max_connections", "cache", "cache_prompt", "batch"), "num_choices"}
)
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
    names = scorer_names(header)
    usable = []
    for sample in samples:
        why = unfit(sample, names)
        if why:
            notes.lost(f"the sample {sample.get('id')!r}: {why}", str(path))
            continue
        usable.append(sample)
        if sample.get("files") or sample.get("sandbox") or sample.get("setup"):
            notes.setting("files, sandboxes and set-up of samples: the model is asked without them", str(path))
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
    """What solvers put around a sample's input: templates with their parameters."""

    system: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    template: tuple[str, Mapping[str, Any]] | None = None
    choices: bool = False

    def around(self, sample: Mapping[str, Any]) -> list[dict[str, str]]:
        """The conversation that a sample starts with."""
        messages = as_messages(sample.get("input")) or []
        last = messages[-1]
        content = last["content"]
        options = texts(sample.get("choices"))
        facts = mapping(sample.get("metadata"))
        if self.template:
            text, given = self.template
            content = filled(text, {**facts, **given, "prompt": content})
        if self.choices and options:
            content = lettered(content, options)
        before = [{"role": "system", "content": filled(text, {**facts, **given})} for text, given in self.system]
        return [*before, *messages[:-1], {**last, "content": content}]


def filled(template: str, values: Mapping[str, Any]) -> str:
    """A template of Inspect with the names that are known: `{name}`; `{{` stands for a brace."""

    def meaning(found: re.Match[str]) -> str:
        if found[0] in {"{{", "}}"}:
            return found[0][0]
        value = values.get(found[1])
        return found[0] if value is None else str(value)

    return _FIELD.sub(meaning, template)


def read_plan(header: Mapping[str, Any], where: str, notes: Notebook) -> Framing:
    """What the solvers of the plan put around inputs; what others do to the question is noted."""
    system: list[tuple[str, Mapping[str, Any]]] = []
    template: tuple[str, Mapping[str, Any]] | None = None
    choices = False
    for step in map(mapping, listing(mapping(header.get("plan")).get("steps"))):
        name = builtin(step.get("solver"))
        params = mapping(step.get("params") or step.get("params_passed"))
        text = params.get("template")
        given = {key: value for key, value in params.items() if key != "template"}
        is_text = isinstance(text, str) and not _FILE.fullmatch(text)
        if name == "system_message" and isinstance(text, str) and is_text:
            system.append((text, given))
        elif name == "prompt_template" and isinstance(text, str) and text.count("{prompt}") == 1 and not template:
            template = (text, given)
        elif name == "multiple_choice":
            choices = True
            notes.setting("multiple_choice: options are lettered and asked for in llmgate's own words", where)
        elif name != "generate":
            notes.setting(f"the solver {step.get('solver')!r} is not run: the model is asked without it", where)
    return Framing(system=tuple(system), template=template, choices=choices)


def records_of(samples: list[Mapping[str, Any]]) -> tuple[list[dict[str, Json]], Json]:
    """The columns of all samples - target, its pattern, options, metadata - and the value that reads the target."""
    targets = [texts(sample.get("target")) for sample in samples]
    columns, value = several("target", targets)
    records = []
    for column, target, sample in zip(columns, targets, samples, strict=True):
        record: dict[str, Json] = {**column, "target_pattern": any_of_pattern(map(bare, target))}
        if sample.get("choices"):
            record["choices"] = list(texts(sample.get("choices")))
        metadata = mapping(sample.get("metadata"))
        records.append({**record, **{key: fact for key, fact in metadata.items() if key not in record}})
    return records, value


def sampling(header: Mapping[str, Any], where: str, notes: Notebook) -> dict[str, Json]:
    """The generation settings of the log that llmgate has too."""
    task, plan = mapping(header.get("eval")), mapping(header.get("plan"))
    config = {**mapping(plan.get("config")), **mapping(task.get("model_generate_config"))}
    for key in sorted(set(map(str, config)) - {*_SAMPLING, *_OF_THE_CLIENT}):
        if config[key] not in (None, False, {}, []):
            notes.setting(f"the generation setting {key!r} is not sent", where)
    if task.get("model"):
        notes.remark(f"the model is named when the suite is run; it was {task['model']}", where)
    return sampling_of({key: config[key] for key in _SAMPLING if key in config}, where, notes)
