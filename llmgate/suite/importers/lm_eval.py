"""lm-evaluation-harness: task files with local data, and the samples that `--log_samples` writes.

Format: https://github.com/EleutherAI/lm-evaluation-harness/blob/main/docs/task_guide.md. llmgate generates and does
not compare likelihoods: a multiple-choice task becomes a question with lettered options and a `choice` assert.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.record.reach import contained
from llmgate.suite.importers.files import FUNCTION, ForeignFile, listing, mapping, read_csv, read_source
from llmgate.suite.importers.lm_eval_docs import Task, document_record, sample_record
from llmgate.suite.importers.promptfoo_sampling import sampling_of
from llmgate.suite.importers.result import Imported, Notebook
from llmgate.suite.importers.table import choice, several, slug, suite_of, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.suite.asserts import Json, Vocabulary

__all__ = ["import_lm_eval", "transforms"]

_SAMPLES: Final = re.compile(r"(?:samples_)?(.+?)(?:_\d{4}-\d\d-\d\dT[\d.:-]+)?")
_SPLITS: Final = ("test_split", "validation_split", "training_split")
_METRICS: Final[Mapping[str, Mapping[str, Json]]] = {
    "exact_match": {"type": "exact-match"},
    "f1": {"type": "f1"},
    "bleu": {"type": "bleu"},
    "chrf": {"type": "chrf"},
    "acc": {"type": "choice"},
    "acc_norm": {"type": "choice"},
    "rougeL": {"type": "rouge-l"},
}
_TRANSFORMS: Final = {"lowercase": "lower", "uppercase": "upper", "remove_whitespace": "trim"}
MAX_INCLUDES: Final = 10


def import_lm_eval(path: Path, vocabulary: Vocabulary, allowed: Sequence[str] = ()) -> Imported:
    """Read a task file, or logged samples.

    Args:
        path: A task's `.yaml`, or a `samples_*.jsonl`.
        vocabulary: The assert types that exist.
        allowed: Folders outside its project whose files it may name.

    Raises:
        SuiteError: If it cannot be read, or no document of it can be carried over.
    """
    notes = Notebook(vocabulary)
    source = read_source(path, allowed=allowed)
    if path.suffix == ".jsonl":
        task = Task(name=(_SAMPLES.fullmatch(path.stem) or re.match("(.*)", path.stem))[1], config={}, where=str(path))  # type: ignore[index]
        samples = [(sample, source.where(i)) for i, sample in enumerate(source.data)]
        records = [record for sample, where in samples if (record := sample_record(sample, task, where, notes))]
        metrics = metrics_of_samples(source.data)
    else:
        config = task_config(source, notes, 0)
        task = Task(name=str(config.get("task") or path.stem), config=config, where=str(path))
        metrics = metrics_of_task(config, str(path), notes)
        documents = local_documents(source, config)
        records = [record for document, where in documents if (record := document_record(document, task, where, notes))]
    if not records:
        raise SuiteError("no document can be carried over", where=str(path), fix=notes.why("It is empty"))
    if task.config.get("num_fewshot"):
        notes.lost(f"num_fewshot {task.config['num_fewshot']}: examples are not put before the question", str(path))
    transform = transforms(task.config, str(path), notes)
    lettered = any("choices" in record for record in records)
    if lettered and not all("choices" in record for record in records):
        notes.lost("documents without options, because others have some", str(path))
        records = [record for record in records if "choices" in record]
    targets, value = several("target", [texts(record["target"]) for record in records])
    records = [{**record, **target} for record, target in zip(records, targets, strict=True)]
    options = [len(texts(record["choices"])) for record in records if "choices" in record]
    changes: dict[str, Json] = {"transform": list(transform)} if transform and not lettered else {}
    asserts = asserts_for(metrics, value, str(path), notes, options=options)
    suite = suite_of(
        records,
        [({**written, **changes}, str(path)) for written in asserts],
        notes,
        name=slug(task.name),
        prompt=({"role": "user", "content": "{{ prompt }}"},),
        prefix="doc",
        unchecked=("every metric, so nothing is checked", str(path)),
        sampling=sampling(task.config, str(path), notes),
        repeat=repeats(task.config.get("repeats")),
    )
    return Imported(suites=(suite,), notes=notes.notes)


def repeats(written: Any) -> int:
    """How often each document is asked."""
    return min(max(written, 1), 1000) if isinstance(written, int) else 1


def task_config(source: ForeignFile, notes: Notebook, depth: int) -> dict[str, Any]:
    """A task's settings with those of the files that it includes.

    Raises:
        SuiteError: If it is no task, or includes go in circles.
    """
    if not isinstance(source.data, Mapping) or depth > MAX_INCLUDES:
        raise SuiteError("this is no task file", where=str(source.path), fix="Name the YAML file of one task")
    if isinstance(source.data.get("task"), list) or "group" in source.data:
        raise SuiteError("this is a group of tasks", where=str(source.path), fix="Import its tasks one by one")
    config = dict(source.data)
    include = config.pop("include", None)
    if isinstance(include, str):
        inner = read_source(source.named(include, source.where("include")), source.reach)
        config = {**task_config(inner, notes, depth + 1), **config}
    return config


def local_documents(source: ForeignFile, config: Mapping[str, Any]) -> list[tuple[Any, str]]:
    """The documents of a task whose data lies in files.

    Raises:
        SuiteError: If they lie on a hub.
    """
    kwargs = mapping(config.get("dataset_kwargs"))
    files = kwargs.get("data_files")
    if files is None:
        hub = "/".join(str(config[key]) for key in ("dataset_path", "dataset_name") if config.get(key))
        raise SuiteError(
            f"the documents are the dataset {hub or 'of a function'}, which is not downloaded",
            where=source.where("dataset_path"),
            fix="Run the task with --log_samples and import its samples_*.jsonl, or use `dataset: hf://…` in a suite",
        )
    if isinstance(files, Mapping):
        splits = [str(config[key]) for key in _SPLITS if config.get(key)]
        files = next((files[split] for split in splits if split in files), None)
    documents: list[tuple[Any, str]] = []
    for name in files if isinstance(files, list) else [files]:
        where = source.where("dataset_kwargs")
        path = next((p for p in (source.path.parent / str(name), Path(str(name))) if p.exists()), None)
        if path is None:
            raise SuiteError(f"there is no file {name}", where=where, fix="Check data_files")
        contained(path, source.reach, where=where)
        if path.suffix == ".csv":
            documents += [(row, f"{path}:{line}") for line, row in read_csv(path, source.reach)]
            continue
        inner = read_source(path, source.reach)
        data = inner.data
        field = kwargs.get("field")
        if isinstance(data, Mapping):
            data = data.get(field) if field else next((v for v in data.values() if isinstance(v, list)), [])
        documents += [(document, inner.where(i)) for i, document in enumerate(listing(data))]
    return documents


def metrics_of_task(config: Mapping[str, Any], where: str, notes: Notebook) -> list[tuple[str, Mapping[str, Any]]]:
    """Names and options of `metric_list`; what the harness takes where there is none."""
    if str(config.get("process_results", "")).startswith(FUNCTION):
        notes.lost("process_results is code, which is not run", where)
    listed = config.get("metric_list")
    if not isinstance(listed, list):
        return [("acc", {})] if config.get("output_type") == "multiple_choice" else [("exact_match", {})]
    return [(str(metric.get("metric")), metric) for metric in listed if isinstance(metric, Mapping)]


def metrics_of_samples(samples: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """The metrics that logged samples carry."""
    first = mapping(next(iter(listing(samples)), None))
    listed = first.get("metrics")
    names = listed if isinstance(listed, list) else [name for name in _METRICS if name in first]
    return [(str(name), {}) for name in names]


def asserts_for(
    metrics: list[tuple[str, Mapping[str, Any]]], value: Json, where: str, notes: Notebook, *, options: list[int]
) -> list[dict[str, Json]]:
    """One assert per metric that has a counterpart.

    Args:
        metrics: Names and options.
        value: What reads the target column.
        where: The task's file.
        notes: What is left out.
        options: How many options each question lists; empty if it lists none.
    """
    asserts: list[dict[str, Json]] = []
    for name, settings in metrics:
        written = _METRICS.get(name)
        if options and name in {"acc", "acc_norm", "exact_match"}:
            written = {"type": "choice"}
        if written is None or (written["type"] == "choice" and not options):
            notes.lost(f"the metric {name} has no counterpart", where)
            continue
        if name == "exact_match" and written["type"] == "exact-match":
            note_exactness(settings, where, notes)
        lettered = written["type"] == "choice"
        asserts.append(choice(value, options) if lettered else {**written, "value": value, "metric": slug(name)})
    return asserts


def note_exactness(options: Mapping[str, Any], where: str, notes: Notebook) -> None:
    """Say how `exact-match` differs from the task's exact_match."""
    notes.remark("exact-match ignores case, punctuation and articles; `equals` compares letter by letter", where)
    if options.get("regexes_to_ignore"):
        notes.lost("regexes_to_ignore of exact_match", where)


def transforms(config: Mapping[str, Any], where: str, notes: Notebook) -> list[Json]:
    """The transforms that stand for the first filter, which takes the answer out of the text; the others are noted."""
    filters = [entry for entry in listing(config.get("filter_list")) if isinstance(entry, Mapping)]
    for entry in filters[1:]:
        notes.lost(f"the filter {entry.get('name')!r}: answers are filtered in one way only", where)
    names: list[Json] = []
    for step in map(mapping, listing(filters[0].get("filter")) if filters else []):
        name = step.get("function")
        if name == "regex" and step.get("group_select", 0) == 0 and isinstance(step.get("regex_pattern"), str):
            names.append(f"match:{step['regex_pattern']}")
        elif name in _TRANSFORMS:
            names.append(_TRANSFORMS[name])
        elif name != "take_first":
            notes.lost(f"the filter {name} has no counterpart: asserts see the whole answer", where)
            return []
    return names


def sampling(config: Mapping[str, Any], where: str, notes: Notebook) -> dict[str, Json]:
    """The sampling of `generation_kwargs`."""
    given = config.get("generation_kwargs")
    if not isinstance(given, Mapping):
        return {}
    kept = {key: value for key, value in given.items() if key not in {"until", "do_sample"}}
    stops = given.get("until")
    # The harness treats a stop of white space as an end of the answer; OpenAI's API takes at most four.
    listed = [stop for stop in (stops if isinstance(stops, list) else [stops]) if isinstance(stop, str) and stop]
    if len(listed) > 4:
        notes.lost(f"{len(listed) - 4} of the stop texts: an endpoint takes four", where)
    if not given.get("do_sample", False):
        kept["temperature"] = 0
    return {**sampling_of(kept, where, notes), **({"stop": list(listed[:4])} if listed else {})}
