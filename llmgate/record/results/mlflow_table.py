"""Evaluation tables of MLflow: the artifact `eval_results_table.json` of `mlflow.evaluate`, as pandas splits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import RecordError
from llmgate.record.results.foreign import ForeignRow, json_of, mapping, score_of, shown, tables_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile
    from llmgate.record.scores import ScoreTable

__all__ = ["read_mlflow", "table_in"]


ITEMS: Final = ("request_id", "id", "inputs", "question", "request")
"""Columns that name the items, where nobody says which."""
LOWER_IS_BETTER: Final = frozenset({"toxicity", "latency", "ari_grade_level", "flesch_kincaid_grade_level"})
"""MLflow's own metrics that say so of themselves."""


def table_in(data: object) -> tuple[list[str], list[Sequence[Any]]] | None:
    """The columns and rows of a table, None if it is none."""
    columns, rows = mapping(data).get("columns"), mapping(data).get("data")
    if not isinstance(columns, list) or not isinstance(rows, list) or len(set(map(str, columns))) < len(columns):
        return None
    return [str(name) for name in columns], rows


def read_mlflow(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """The columns that end in `/score` or `/value`, or those that `--score` names; items by `--id` or their inputs.

    Raises:
        RecordError: If it is no such file, has no column of scores, or rows of another length.
    """
    table = table_in(json_of(source))
    if table is None:
        raise RecordError(
            "not an evaluation table of MLflow", where=source.path, fix="Download eval_results_table.json"
        )
    columns, data = table
    names = layout.scores or tuple(name for name in columns if name.endswith(("/score", "/value")))
    item = layout.item or next((name for name in ITEMS if name in columns), None)
    turned = [name for name in names if name.partition("/")[0] in LOWER_IS_BETTER]
    if turned:
        raise RecordError(
            f"of {turned[0]!r} the lower score is better, and here the higher one is",
            where=source.path,
            fix="Name the other columns: --score COLUMN; or give a table with 1 - score",
        )
    for name in (*names, *([item] if item else [])):
        if name not in columns:
            raise RecordError(f"no column {name!r}", where=source.path, fix=f"Its columns are {', '.join(columns)}")
    if item is None or not names:
        what = "column names the items" if item is None else "column holds scores"
        raise RecordError(f"no {what}", where=source.path, fix="Name them: --id COLUMN --score COLUMN")
    rows = []
    for number, values in enumerate(data):
        where = f"{source.path}: data[{number}]"
        if not isinstance(values, list) or len(values) != len(columns):
            raise RecordError("the row does not have one value per column", where=where, fix="Write the table again")
        row = dict(zip(columns, values, strict=True))
        key = shown(row[item])
        if not key:
            raise RecordError(f"{item} is empty", where=where, fix="Name another column: --id COLUMN")
        rows.append(ForeignRow(item=key, scores={n: score_in(row, n) for n in names}, fields=row, where=where))
    return tables_of(rows, layout, source, suite=suite)


def score_in(row: Mapping[str, Any], name: str) -> float | str:
    """A score, or why there is none: a scorer that broke says so in a column of its own."""
    error = row.get(f"{name.rpartition('/')[0]}/error_message")
    return str(error)[:200] if error else score_of(row[name])
