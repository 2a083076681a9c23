"""A path → its results."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmgate.errors import RecordError, did_you_mean
from llmgate.record.growth import json_cost
from llmgate.record.results.layout import Layout
from llmgate.record.results.source import ResultsFile, read_source, text_of
from llmgate.record.scores import NO_LABEL, Labels, ScoreTable

__all__ = ["FORMATS", "SUITE", "Results", "detect", "load_results"]

SUITE: Final = "scores"
"""What the suite is called in policies and reports: a file of results does not say."""

FORMATS: Final = ("csv", "deepeval", "inspect", "jsonl", "junit", "lm-eval", "mlflow", "parquet", "promptfoo")
"""What `--format` takes."""
HEADER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a file holds.

    Attributes:
        source: The file; of a folder the one in it.
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
        path: The file, where gzip is unpacked; or the folder that holds one.
        layout: Which columns of a plain table mean what.
        kind: One of `FORMATS`; None to tell from the content.

    Raises:
        RecordError: If it cannot be read, or holds no results.
    """
    layout = layout or Layout()
    if Path(path).is_dir():
        from llmgate.record.results.folder import file_in  # noqa: PLC0415 - only for folders

        path = file_in(Path(path), detect, item=layout.item_column)
    source = read_source(path)
    kind = detect(source) if kind is None else kind
    if kind not in FORMATS:
        raise RecordError(f"there is no format {kind!r}", where=str(path), fix=did_you_mean(kind, FORMATS))
    tables = read_plain(source, layout, kind) if kind in {"csv", "jsonl", "parquet"} else read(source, layout, kind)
    check_clusters(tables[0].items.clusters if tables else None, str(path))
    names = tuple(table.metric for table in tables)
    return Results(
        source=str(path),
        format=kind,
        tables=tables,
        # promptfoo's score and named metrics are parts of what it calls a pass.
        main=("pass",) if kind in {"promptfoo", "junit"} and "pass" in names else names,
        judged=judged_in(source, kind),
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
    if start.startswith(b"<"):
        return detect_markup(source)
    if not start.startswith((b"{", b"[")):
        return detect_table(source, start)
    return detect_json(source, start)


def detect_json(source: ResultsFile, start: bytes) -> str:
    """The format of a file in JSON, by its first line if that is a row, else by the whole."""
    first = start.partition(b"\n")[0].rstrip()
    source.growth.afford(json_cost(first))
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return detect_whole(source)
    if isinstance(row, dict) and ("doc_id" in row or "testIdx" in row):
        from llmgate.record.results import lm_eval, promptfoo  # noqa: PLC0415 - only for files of others

        if lm_eval.is_sample(row):
            return "lm-eval"
        if promptfoo.is_row(row):
            return "promptfoo"
    return "jsonl" if isinstance(row, dict) and "item_id" in row else detect_whole(source)


def detect_markup(source: ResultsFile) -> str:
    """The format of a file in XML, of which one is known."""
    from llmgate.record.results.junit import is_junit  # noqa: PLC0415 - only for files of others

    if is_junit(source.data):
        return "junit"
    raise RecordError(
        "begins like XML or HTML, and is no JUnit XML", where=source.path, fix="Give results as JSON, CSV or JUnit XML"
    )


def detect_table(source: ResultsFile, start: bytes) -> str:
    """The format of a file that is no JSON, by its header, which has line breaks where it holds prompts."""
    if b"," in start[:HEADER_BYTES] and source.suffix != ".tsv":
        from llmgate.record.results import mlflow_table, promptfoo_csv  # noqa: PLC0415 - only where there is a header

        try:
            header = next(csv.reader(io.StringIO(start[:HEADER_BYTES].decode(errors="replace"), newline="")), [])
        except csv.Error:
            header = []
        if promptfoo_csv.is_table(header):
            return "promptfoo"
        if mlflow_table.is_header(header):
            return "mlflow"
    return "csv" if source.suffix in {".csv", ".tsv"} or b"," in start.partition(b"\n")[0] else "jsonl"


def detect_whole(source: ResultsFile) -> str:
    """The format of a file that may be one JSON value."""
    from llmgate.record.results import deepeval, lm_eval_run, mlflow_table, promptfoo  # noqa: PLC0415 - as above

    try:
        value = json.loads(text_of(source))
    except (ValueError, RecursionError):
        return "jsonl"
    if promptfoo.rows_in(value) is not None:
        return "promptfoo"
    if lm_eval_run.averages_in(value) is not None:
        return "lm-eval"
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
    from llmgate.record.results import (  # noqa: PLC0415 - only for files of others
        deepeval,
        inspect_log,
        junit,
        lm_eval_run,
        mlflow_table,
        promptfoo,
    )

    readers = {
        "deepeval": deepeval.read_deepeval,
        "inspect": inspect_log.read_inspect,
        "junit": junit.read_junit,
        "lm-eval": lm_eval_run.read_lm_eval_run,
        "mlflow": mlflow_table.read_mlflow,
        "promptfoo": promptfoo.read_promptfoo,
    }
    return readers[kind](source, layout, suite=SUITE)


def judged_in(source: ResultsFile, kind: str) -> frozenset[str]:
    """The metrics that a model scored, where a tool says so."""
    if kind == "mlflow":
        from llmgate.record.results import mlflow_table  # noqa: PLC0415 - only for its files

        return mlflow_table.judged_in(source)
    if kind != "deepeval":
        return frozenset()
    from llmgate.record.results import deepeval  # noqa: PLC0415 - only for its files
    from llmgate.record.results.foreign import json_of  # noqa: PLC0415

    return deepeval.judged_in(deepeval.cases_in(json_of(source)) or [])
