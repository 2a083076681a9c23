"""Samples that lm-evaluation-harness logs with `--log_samples`, and what their run's `results_*.json` says of them.

A line has what the model was asked and said, but neither options of metrics nor filters. Those stand in the results
file that the harness writes beside it; without it a metric is kept only where the log itself shows what it does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.suite.asserts import Json
from llmgate.suite.importers.files import ForeignFile, listing, mapping, read_source
from llmgate.suite.importers.lm_eval.checks import generation, metrics_of
from llmgate.suite.importers.lm_eval.docs import AskedDocument, logged_targets, sample_question

if TYPE_CHECKING:
    from llmgate.suite.importers.result import Notebook

__all__ = ["Log", "read_log"]

_NAME: Final = re.compile(r"(?:samples_)?(.+?)(?:_(\d{4}-\d\d-\d\dT[\d.:-]+))?")
_CHOSEN: Final = ("acc", "acc_norm", "acc_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What a task asks.

    Attributes:
        name: What it is called.
        config: Its settings.
        questions: What is asked.
        metrics: Names and options of its metrics.
        sampling: Entries of `sampling:`.
    """

    name: str
    config: Mapping[str, Any]
    questions: list[AskedDocument]
    metrics: list[tuple[str, Mapping[str, Any]]]
    sampling: Mapping[str, Json]


def read_log(source: ForeignFile, notes: Notebook) -> Log:
    """The questions of logged samples; each document once, though the log has it once for every filter."""
    where = str(source.path)
    found = _NAME.fullmatch(source.path.stem)
    name = found[1] if found else source.path.stem
    samples = [(sample, source.where(i)) for i, sample in enumerate(source.data)]
    filters = list(dict.fromkeys(str(mapping(sample).get("filter", "none")) for sample, _ in samples))
    first = [(sample, at) for sample, at in samples if str(mapping(sample).get("filter", "none")) == filters[0]]
    questions = [one for sample, at in first if (one := sample_question(sample, at, notes, name))]
    config = settings_beside(source, name, found[2] if found else None)
    if config is not None:
        metrics = metrics_of(config, where, notes)
        if config.get("doc_to_choice") is not None and config.get("output_type") != "multiple_choice":
            notes.lost("every metric: targets are indices of options, and the log does not hold the options", where)
            metrics = []
        return Log(
            name=name,
            config=config,
            questions=questions,
            metrics=metrics,
            sampling=generation(config, where, notes),
        )
    metrics = []
    for metric in metrics_in([sample for sample, _ in first]):
        if metric == "exact_match" and not compares_plainly([sample for sample, _ in samples]):
            notes.lost(
                "the metric exact_match: its filters and options are not in the log, which does not show that it "
                "compares letter by letter; keep the results_*.json of the run beside it",
                where,
            )
        else:
            metrics.append((metric, {}))
    return Log(
        name=name, config={}, questions=questions, metrics=metrics, sampling=logged_sampling(first, where, notes)
    )


def settings_beside(source: ForeignFile, task: str, stamp: str | None) -> Mapping[str, Any] | None:
    """The task's settings in the results file of the same run, None if there is none."""
    path = source.path.parent / f"results_{stamp}.json"
    if stamp is None or not path.is_file():
        return None
    try:
        configs = mapping(mapping(read_source(path, source.reach).data).get("configs"))
    except SuiteError:
        return None
    config = configs.get(task)
    return config if isinstance(config, Mapping) else None


def logged_sampling(samples: list[tuple[Any, str]], where: str, notes: Notebook) -> dict[str, Json]:
    """The generation settings with which the first sample was asked."""
    for sample, _ in samples[:1]:
        arguments = mapping(sample).get("arguments")
        items = list(arguments.values()) if isinstance(arguments, Mapping) else listing(arguments)
        for item in items[:1]:
            parts = list(item.values()) if isinstance(item, Mapping) else listing(item)
            if len(parts) > 1 and isinstance(parts[1], Mapping):
                return generation({"generation_kwargs": parts[1]}, where, notes)
    return {"temperature": 0}


def metrics_in(samples: list[Any]) -> list[str]:
    """The metrics that logged samples carry."""
    first = mapping(next(iter(samples), None))
    listed = first.get("metrics")
    return (
        list(map(str, listed))
        if isinstance(listed, list)
        else [name for name in ("exact_match", *_CHOSEN) if name in first]
    )


def compares_plainly(samples: list[Any]) -> bool:
    """Whether each recorded exact_match is what comparing the whole answer with the targets gives."""
    return bool(samples) and all(map(plain, map(mapping, samples)))


def plain(sample: Mapping[str, Any]) -> bool:
    """Whether one sample shows it: its answer was not filtered, and its score is that of plain equality."""
    said = sample.get("resps")
    while isinstance(said, list) and said:
        said = said[0]
    filtered = sample.get("filtered_resps")
    while isinstance(filtered, list) and filtered:
        filtered = filtered[0]
    return (
        isinstance(said, str)
        and said == filtered
        and sample.get("exact_match") == float(said in logged_targets(sample.get("target")))
    )
