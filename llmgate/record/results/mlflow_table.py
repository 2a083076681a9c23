"""Evaluation tables of MLflow, of `mlflow.evaluate` and of `mlflow.genai.evaluate`.

The first is the artifact `eval_results_table.json`, the second the `result_df`, written by pandas as JSON (`split`,
`records` or its default) or CSV. A row of the second is a trace. Its ground truth stands beside the scores, under names
that end in `/value` as well; which is which its assessments say.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import RecordError, did_you_mean
from llmgate.record.growth import CELL
from llmgate.record.results.foreign import ForeignRow, digest_of, json_of, mapping, parsed, score_of, shown, tables_of
from llmgate.record.results.rows import number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile
    from llmgate.record.scores import ScoreTable

__all__ = ["is_header", "judged_in", "read_mlflow", "table_in", "table_of_file"]


ITEMS: Final = ("request_id", "id", "inputs", "question", "request")
"""Columns that name the items, where nobody says which."""
SCORES: Final = ("/score", "/value")
LOWER_IS_BETTER: Final = frozenset({"toxicity", "latency", "ari_grade_level", "flesch_kincaid_grade_level"})
"""MLflow's own metrics that say so of themselves."""
GROUND_TRUTH: Final = frozenset({"expected_facts", "expected_response", "expected_retrieved_context", "guidelines"})
"""Expectations that MLflow's own scorers read, where no assessments say what is one."""
TRACE: Final = "trace_id"
LONGEST_ID: Final = 100

Table = tuple[list[str], list["Sequence[Any]"]]


def is_header(header: Sequence[str]) -> bool:
    """Whether a header of CSV is that of such a table."""
    named = any(name in header for name in (*ITEMS, TRACE))
    return named and any(name.endswith(SCORES) for name in header) and "item_id" not in header


def table_in(data: object) -> Table | None:
    """The columns and rows of a table, None if it is none."""
    columns, rows = mapping(data).get("columns"), mapping(data).get("data")
    if isinstance(columns, list) and isinstance(rows, list) and len(set(map(str, columns))) == len(columns):
        return [str(name) for name in columns], rows
    records = rows if "schema" in mapping(data) else data
    if isinstance(data, dict) and data and all(isinstance(column, dict) for column in data.values()):
        # As pandas writes without `orient`: by column, then by row.
        first = next(iter(data.values()))
        if all(column.keys() == first.keys() for column in data.values()):
            records = [{name: column[key] for name, column in data.items()} for key in first]
    if not isinstance(records, list) or not records or not all(isinstance(row, dict) for row in records):
        return None
    names = list(dict.fromkeys(str(name) for row in records for name in row))
    return (names, [[row.get(name) for name in names] for row in records]) if is_header(names) else None


def table_of_file(source: ResultsFile) -> Table:
    """The table of a file.

    Raises:
        RecordError: If it holds none, or rows of another length.
    """
    if source.data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"[")):
        table = table_in(json_of(source))
    else:
        source.growth.afford(CELL * source.data.count(b","))
        text = io.TextIOWrapper(io.BytesIO(source.data), encoding="utf-8-sig", newline="")
        try:
            header, *lines = csv.reader(text, strict=True)
        except (ValueError, csv.Error) as error:
            raise RecordError(f"this is not CSV in UTF-8 ({error})", where=source.path, fix="Write it again") from error
        table = (header, [cells for cells in lines if cells]) if len(set(header)) == len(header) else None
    if table is None:
        raise RecordError(
            "not an evaluation table of MLflow", where=source.path, fix="Download eval_results_table.json"
        )
    for number, values in enumerate(table[1]):
        if not isinstance(values, list) or len(values) != len(table[0]):
            raise RecordError(
                "the row does not have one value per column",
                where=f"{source.path}: data[{number}]",
                fix="Write the table again",
            )
    return table


def read_mlflow(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """The columns that end in `/score` or `/value` and are no ground truth, or those that `--score` names.

    Items are told apart by `--id` or their inputs; of a trace these are its request.

    Raises:
        RecordError: If it is no such file, has no column of scores, or rows of another length.
    """
    columns, data = table_of_file(source)
    rows = [dict(zip(columns, values, strict=True)) for values in data]
    names = layout.scores or tuple(scored(columns, rows))
    item = layout.item or item_column(columns, rows)
    turned = [name for name in names if name.partition("/")[0] in LOWER_IS_BETTER]
    if turned:
        raise RecordError(
            f"of {turned[0]!r} the lower score is better, and here the higher one is",
            where=source.path,
            fix="Name the other columns: --score COLUMN; or give a table with 1 - score",
        )
    for name in (*names, *([item] if item not in {None, TRACE} else [])):
        if name not in columns:
            raise RecordError(f"no column {name!r}", where=source.path, fix=did_you_mean(str(name), columns))
    if item is None or not names:
        what = "column names the items" if item is None else "column holds scores"
        raise RecordError(f"no {what}", where=source.path, fix="Name them: --id COLUMN --score COLUMN")
    read = []
    for number, row in enumerate(rows):
        where = f"{source.path}: data[{number}]"
        key = request_of(row) if item == TRACE and layout.item is None else shown(row[item])
        if not key:
            raise RecordError(f"{item} is empty", where=where, fix="Name another column: --id COLUMN")
        error = state_error(row)
        scores = {} if error else {name: score_in(row, name) for name in names}
        read.append(ForeignRow(item=short(key), scores=scores, error=error, fields=row, where=where))
    fix = "Name a column that tells them apart, and is the same in both files: --id COLUMN"
    return tables_of(read, layout, source, suite=suite, twice=fix)


def short(key: str) -> str:
    """A long input, such as a conversation, by its beginning and a digest."""
    return key if len(key) <= LONGEST_ID else f"{key[:LONGEST_ID]}…-{digest_of(key)}"


def scored(columns: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The columns of scores: those that hold what was found, and not what was expected."""
    found, expected = set[str](), set[str]()
    for row in rows:
        for one in assessments_of(row):
            (expected if "expectation" in one else found).add(str(one.get("assessment_name") or one.get("name")))
    for column in columns:
        name, slash, kind = column.rpartition("/")
        if slash + kind not in SCORES or (kind == "value" and name in expected | GROUND_TRUTH and name not in found):
            continue
        yield column


def assessments_of(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What was said of a trace, by its own column or by the trace itself."""
    found = as_data(row.get("assessments"))
    if not isinstance(found, list):
        found = mapping(mapping(as_data(row.get("trace"))).get("info")).get("assessments")
    return [mapping(one) for one in found] if isinstance(found, list) else []


def as_data(value: object) -> object:
    """A cell that may hold JSON as text."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return parsed(value)
    except (ValueError, RecursionError):
        return None


def judged_in(source: ResultsFile) -> frozenset[str]:
    """The columns that a model scored, as far as their assessments say so."""
    columns, data = table_of_file(source)
    names = {
        str(one.get("assessment_name") or one.get("name"))
        for values in data
        for one in assessments_of(dict(zip(columns, values, strict=True)))
        if mapping(one.get("source")).get("source_type") in ("LLM_JUDGE", "AI_JUDGE")
    }
    return frozenset(column for column in columns if column.endswith("/value") and column.rpartition("/")[0] in names)


def item_column(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The column that names the items. Ids of traces name no item: another run has others."""
    for name in ITEMS:
        if name in columns and not (rows and all(str(row[name]).startswith("tr-") for row in rows)):
            return name
    return TRACE if {TRACE, "trace"} <= set(columns) else None


def request_of(row: Mapping[str, Any]) -> str | None:
    """What a trace was asked, where no column says it: of its first span, or of its description."""
    trace = mapping(as_data(row.get("trace")))
    spans = mapping(trace.get("data")).get("spans") or as_data(row.get("spans"))
    for span in spans if isinstance(spans, list) else []:
        if not mapping(span).get("parent_span_id") and not mapping(span).get("parent_id"):
            asked = mapping(mapping(span).get("attributes")).get("mlflow.spanInputs")
            if asked:
                return shown(as_data(asked))
    info = mapping(trace.get("info"))
    return shown(as_data(mapping(info.get("trace_metadata")).get("mlflow.traceInputs") or info.get("request_preview")))


def state_error(row: Mapping[str, Any]) -> str:
    """Why nothing of a row counts: a trace that broke is scored all the same, on an answer that is not there."""
    state = row.get("state")
    if TRACE not in row or state is None or state in ("OK", "TraceState.OK", ""):
        return ""
    return f"its trace ended with {str(state)[:40]}"


def score_in(row: Mapping[str, Any], name: str) -> float | str:
    """A score, or why there is none: a scorer that broke says so in a column of its own."""
    error = row.get(f"{name.rpartition('/')[0]}/error_message")
    if error and error == error:  # noqa: PLR0124 - NaN, as pandas has it where there is nothing
        return str(error)[:200]
    value = row[name]
    return score_of(number_of(value) if isinstance(value, str) else value)
