"""A run of lm-evaluation-harness by its `results_….json`: only averages stand in there, so its samples are looked for.

They lie beside it, and have its time in their names. Averages are held against them, so that nobody compares the
samples of another run.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import RecordError
from llmgate.record.results.foreign import json_of, listing, mapping, parsed, tables_of
from llmgate.record.results.lm_eval import is_sample, read_lm_eval, sample_rows
from llmgate.record.results.source import read_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.record.results.foreign import ForeignRow
    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile
    from llmgate.record.scores import ScoreTable

__all__ = ["averages_in", "read_lm_eval_run", "samples_beside"]

TIME: Final = re.compile(r".*_(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9-]+(?:\.[0-9]+)?)\.json")
LOG: Final = "Evaluate with: lm_eval --log_samples --output_path DIR, and give its samples_TASK_….jsonl"
SAME: Final = 1e-6


def averages_in(data: object) -> Mapping[str, Any] | None:
    """The whole file of averages, None if it is none."""
    found = mapping(data)
    here = isinstance(found.get("results"), dict) and isinstance(found.get("configs"), dict)
    return found if here and ("lm_eval_version" in found or "n-shot" in found) else None


def samples_beside(path: Path, averages: Mapping[str, Any]) -> dict[str, Path]:
    """The samples of each task that has any: by the time in the name, or under the same name with another word in it.

    Args:
        path: The file of averages.
        averages: What it holds.
    """
    name = path.name.removesuffix(".gz")
    time = TIME.fullmatch(name)
    tasks = [str(task) for task in averages["configs"]]
    found = {}
    for task in tasks:
        names = [f"samples_{task}_{time['time']}.jsonl"] if time else []
        if "results" in name:
            words = [f"samples_{task}", *(["samples"] if len(tasks) == 1 else [])]
            names += [name.replace("results", word).removesuffix(".json") + ".jsonl" for word in words]
        places = [
            path.with_name(name + packed) for name in dict.fromkeys(names) if "/" not in name for packed in ("", ".gz")
        ]
        there = [place for place in places if place.is_file()]
        if len(there) > 1:
            raise RecordError(
                f"has {len(there)} files of samples of {task!r} beside it: {', '.join(one.name for one in there)}",
                where=str(path),
                fix="Name the one that is meant",
            )
        if there:
            found[task] = there[0]
    return found


def read_lm_eval_run(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """The metrics of its samples, of several tasks each as `TASK/METRIC`; a file of samples is read as it is.

    Raises:
        RecordError: If samples are not there, are of another run, or a metric's lower score is better.
    """
    averages = averages_in(json_of(source)) if source.suffix == ".json" and not one_per_line(source) else None
    if averages is None:
        return read_lm_eval(source, layout, suite=suite)
    samples = samples_beside(Path(source.path), averages)
    if not samples:
        raise RecordError(
            "holds averages only, which cannot be compared item by item, and no samples of that run lie beside it",
            where=source.path,
            fix=LOG,
        )
    lacking = [task for task in averages["configs"] if task not in samples]
    if lacking:
        raise RecordError(f"no samples of the task {lacking[0]!r} lie beside it", where=source.path, fix=LOG)
    rows: list[ForeignRow] = []
    for task, path in samples.items():
        mine = sample_rows(read_source(path))
        check_average(task, averages, mine, str(path))
        if len(samples) > 1:
            mine = [in_task(row, task) for row in mine]
        rows += mine
    check_direction(averages, rows, layout, source.path)
    return tables_of(rows, layout, source, suite=suite)


def one_per_line(source: ResultsFile) -> bool:
    """Whether the first line is a document by itself, whatever the file is called."""
    try:
        return is_sample(parsed(source.data.lstrip().partition(b"\n")[0]))
    except (ValueError, RecursionError):
        return False


def in_task(row: ForeignRow, task: str) -> ForeignRow:
    """A row whose item and metrics are named after their task."""
    scores = {f"{task}/{name}": score for name, score in row.scores.items()}
    return replace(row, item=f"{task}/{row.item}", scores=scores, fields={"task": task, **row.fields})


def check_average(task: str, averages: Mapping[str, Any], rows: Sequence[ForeignRow], where: str) -> None:
    """Refuse samples that do not come to what the run says: as many, and with the same means."""
    said = mapping(mapping(averages.get("n-samples")).get(task)).get("effective")
    if isinstance(said, int) and said != len(rows):
        raise RecordError(
            f"holds {len(rows)} documents of {task!r}, and its run had {said}", where=where, fix="Give those of its run"
        )
    metrics = listing(mapping(mapping(averages["configs"]).get(task)).get("metric_list"))
    means = {str(one.get("metric")) for one in map(mapping, metrics) if one.get("aggregation") == "mean"}
    for name, value in mapping(mapping(averages["results"]).get(task)).items():
        metric, _, kind = name.partition(",")
        if metric not in means or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        scores = [row.scores.get(name, row.scores.get(metric, "")) for row in rows]
        numbers = [score for score in scores if isinstance(score, float)]
        if len(numbers) == len(rows) > 0 and not math.isclose(math.fsum(numbers) / len(rows), value, abs_tol=SAME):
            raise RecordError(
                f"{metric} ({kind}) comes to {math.fsum(numbers) / len(rows):.4g} there, and its run says {value:.4g}",
                where=where,
                fix="Give the samples of its run",
            )


def check_direction(averages: Mapping[str, Any], rows: Sequence[ForeignRow], layout: Layout, where: str) -> None:
    """Refuse metrics of which the run says that the lower score is better."""
    names = layout.scores or tuple(dict.fromkeys(name for row in rows for name in row.scores))
    higher = mapping(averages.get("higher_is_better"))
    turned = {str(metric) for task in higher.values() for metric, up in mapping(task).items() if up is False}
    for name in names:
        if name.rpartition("/")[2].partition(",")[0] in turned:
            raise RecordError(
                f"of {name!r} the lower score is better, and here the higher one is",
                where=where,
                fix="Name the other metrics: --score NAME; or give a table with 1 - score",
            )
