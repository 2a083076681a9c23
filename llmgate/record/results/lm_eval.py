"""Samples of lm-evaluation-harness: `samples_TASK_TIME.jsonl`, which `--log_samples` writes.

A line is a document after one filter. Metrics that are no number of one document - a perplexity, the parts of an F1 -
cannot be paired and are left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import RecordError
from llmgate.record.growth import RESULT, json_cost
from llmgate.record.results.foreign import ForeignRow, digest_of, mapping, parsed, score_of, tables_of
from llmgate.record.results.source import lines_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile
    from llmgate.record.scores import ScoreTable

__all__ = ["is_sample", "read_lm_eval", "sample_rows"]

NO_METRICS: Final = frozenset(
    {
        "arguments", "doc", "doc_hash", "doc_id", "filter", "filtered_resps", "metrics", "prompt_hash", "resps",
        "target", "target_hash", "task_name", "schema_version",
    }
)  # fmt: skip


def is_sample(row: object) -> bool:
    """Whether a line is a document after a filter."""
    return "doc_id" in mapping(row) and bool({"resps", "filtered_resps"} & mapping(row).keys())


def read_lm_eval(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """A metric per name, or `NAME,FILTER` as the harness itself calls it where there are several filters.

    An item is a document: its number and its digest, so that another version of a task is another one.

    Raises:
        RecordError: With file and line, if it is no such file.
    """
    return tables_of(sample_rows(source), layout, source, suite=suite)


def sample_rows(source: ResultsFile) -> list[ForeignRow]:
    """A row per document, whose scores are those after each filter.

    Raises:
        RecordError: With file and line, if it is no such file.
    """
    lines: list[tuple[str, Mapping[str, Any]]] = []
    for where, line in lines_in(source):
        source.growth.spend(RESULT + json_cost(line), where)
        lines.append((where, line_of(line, where)))
    filters = {str(row.get("filter", "none")) for _, row in lines}
    names = sorted({name for _, row in lines for name in metrics_in(row)})
    numeric = [name for name in names if any(isinstance(row.get(name), bool | int | float) for _, row in lines)]
    items: dict[str, ForeignRow] = {}
    for where, row in lines:
        kind = str(row.get("filter", "none"))
        wanted = [name for name in metrics_in(row) if name in numeric] or numeric
        scores = {f"{name},{kind}" if len(filters) > 1 else name: score_of(row.get(name)) for name in wanted}
        item = f"{row['doc_id']}-{str(row.get('doc_hash') or digest_of(row.get('doc')))[:8]}"
        known = items.get(item)
        if known is not None and scores.keys() & known.scores.keys():
            raise RecordError(f"document {row['doc_id']} occurs twice", where=where, fix="Give one file of one run")
        merged = {**(known.scores if known else {}), **scores}
        items[item] = ForeignRow(item=item, scores=merged, fields=mapping(row.get("doc")), where=where)
    every = {name for row in items.values() for name in row.scores}
    return [replace(row, scores={name: row.scores.get(name, "no score") for name in every}) for row in items.values()]


def metrics_in(row: Mapping[str, Any]) -> list[str]:
    """The names of a line's metrics: as it says, or whatever else is a number."""
    named = row.get("metrics")
    if isinstance(named, list):
        return [str(name) for name in named]
    return [name for name, value in row.items() if name not in NO_METRICS and isinstance(value, bool | int | float)]


def line_of(line: str, where: str) -> Mapping[str, Any]:
    """One line."""
    try:
        row = parsed(line)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}", where=where, fix="Write it again") from error
    if "doc_id" not in mapping(row):
        raise RecordError("no 'doc_id'", where=where, fix="Write samples with: lm_eval --log_samples")
    return mapping(row)
