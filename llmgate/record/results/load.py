"""A path → its results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError, did_you_mean
from llmgate.record.growth import json_cost
from llmgate.record.results.layout import Layout
from llmgate.record.results.source import ResultsFile, read_source, text_of
from llmgate.record.scores import NO_LABEL, Labels, ScoreTable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMATS", "SUITE", "Results", "detect", "load_results"]

SUITE: Final = "scores"
"""What the suite is called in policies and reports: a file of results does not say."""

FORMATS: Final = ("csv", "deepeval", "inspect", "jsonl", "lm-eval", "mlflow", "parquet", "promptfoo")
"""What `--format` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a file holds.

    Attributes:
        source: The file.
        format: Its format.
        tables: One per metric.
        main: The metrics that gate where nobody says which.
        judged: The metrics that a model scored, as far as the file tells.
    """

    source: str
    format: str
    tables: tuple[ScoreTable, ...]
    main: tuple[str, ...]
    judged: frozenset[str] = frozenset()


def load_results(path: Path | str, layout: Layout | None = None, *, kind: str | None = None) -> Results:
    """Read a file of results.

    Args:
        path: The file; gzip is unpacked.
        layout: Which columns of a plain table mean what.
        kind: One of `FORMATS`; None to tell from the content.

    Raises:
        RecordError: If it cannot be read, or holds no results.
    """
    source = read_source(path)
    kind = detect(source) if kind is None else kind
    if kind not in FORMATS:
        raise RecordError(f"there is no format {kind!r}", where=str(path), fix=did_you_mean(kind, FORMATS))
    layout = layout or Layout()
    tables = read_plain(source, layout, kind) if kind in {"csv", "jsonl", "parquet"} else read(source, layout, kind)
    check_clusters(tables[0].items.clusters if tables else None, str(path))
    names = tuple(table.metric for table in tables)
    return Results(
        source=str(path),
        format=kind,
        tables=tables,
        # promptfoo's score and named metrics are parts of what it calls a pass.
        main=("pass",) if kind == "promptfoo" and "pass" in names else names,
        judged=judged_in(source) if kind == "deepeval" else frozenset(),
    )


def check_clusters(clusters: Labels | None, where: str) -> None:
    """Refuse items without a cluster beside items that have one: counted as independent, they would narrow bounds.

    Raises:
        RecordError: With their number.
    """
    lost = 0 if clusters is None else int((clusters.codes == NO_LABEL).sum())
    if clusters is not None and lost:
        raise RecordError(
            f"{lost:,} of {len(clusters.codes):,} items have no cluster, and the others have one",
            where=where,
            fix="Give each its own where it stands alone, or name another column with --cluster",
        )


def detect(source: ResultsFile) -> str:
    """The format of a file, by its content; by its name only where the content leaves it open."""
    data = source.data
    if data.startswith((b"PAR1", b"PK")):
        return "parquet" if data.startswith(b"PAR1") else "inspect"
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith((b"{", b"[")):
        return "csv" if source.suffix in {".csv", ".tsv"} or b"," in start.partition(b"\n")[0] else "jsonl"
    first = start.partition(b"\n")[0].rstrip()
    source.growth.afford(json_cost(first))
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return detect_whole(source)
    if isinstance(row, dict) and "doc_id" in row and ("resps" in row or "filtered_resps" in row):
        return "lm-eval"
    return "jsonl" if isinstance(row, dict) and "item_id" in row else detect_whole(source)


def detect_whole(source: ResultsFile) -> str:
    """The format of a file that may be one JSON value."""
    from llmgate.record.results import deepeval, mlflow_table, promptfoo  # noqa: PLC0415 - only for files of others

    try:
        value = json.loads(text_of(source))
    except (ValueError, RecursionError):
        return "jsonl"
    if promptfoo.rows_in(value) is not None:
        return "promptfoo"
    if deepeval.cases_in(value) is not None:
        return "deepeval"
    if mlflow_table.table_in(value) is not None:
        return "mlflow"
    return "inspect" if isinstance(value, dict) and {"eval", "status"} <= value.keys() else "jsonl"


def read_plain(source: ResultsFile, layout: Layout, kind: str) -> tuple[ScoreTable, ...]:
    """A plain table; only the reader that a file needs is loaded."""
    if kind == "parquet":
        from llmgate.record.results.parquet import read_parquet  # noqa: PLC0415

        return read_parquet(source, layout, suite=SUITE)
    if kind == "csv":
        from llmgate.record.results.csvtable import read_csv  # noqa: PLC0415

        return read_csv(source, layout, suite=SUITE)
    from llmgate.record.results.jsonl import read_jsonl  # noqa: PLC0415

    return read_jsonl(source, layout, suite=SUITE)


def read(source: ResultsFile, layout: Layout, kind: str) -> tuple[ScoreTable, ...]:
    """The results of another tool."""
    from llmgate.record.results import deepeval, inspect_log, lm_eval, mlflow_table, promptfoo  # noqa: PLC0415

    readers = {
        "deepeval": deepeval.read_deepeval,
        "inspect": inspect_log.read_inspect,
        "lm-eval": lm_eval.read_lm_eval,
        "mlflow": mlflow_table.read_mlflow,
        "promptfoo": promptfoo.read_promptfoo,
    }
    return readers[kind](source, layout, suite=SUITE)


def judged_in(source: ResultsFile) -> frozenset[str]:
    """The metrics of a run of DeepEval that a model scored."""
    from llmgate.record.results import deepeval  # noqa: PLC0415 - only for its files
    from llmgate.record.results.foreign import json_of  # noqa: PLC0415

    return deepeval.judged_in(deepeval.cases_in(json_of(source)) or [])
