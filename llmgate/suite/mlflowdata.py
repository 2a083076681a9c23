"""Datasets that MLflow keeps, or that somebody logged to a run.

    mlflow:datasets/NAME          an evaluation dataset (mlflow.genai.datasets), by name or by its id `d-…`
    mlflow:runs/RUN_ID/NAME       the dataset of that name that was logged to a run; the name may be left out if it is
                                  the only one

Rows of an evaluation dataset have the columns `id` (MLflow's record id), `inputs`, `expectations` and `tags`, so that a
prompt says `{{ inputs.question }}`. A logged dataset is read from where it says it lies, as a JSONL, CSV or Parquet
file; one that was made in memory has no such place.

MLflow's own digest is 8 hexadecimal digits over a part of the data. The lock notes it, and decides by its own full
SHA-256.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import DatasetError, did_you_mean
from llmgate.suite.formats import Format, format_of
from llmgate.suite.mlflowstore import asking
from llmgate.suite.source import Content, Source, read_bytes, remote_source

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SCHEME", "mlflow_source"]

SCHEME: Final = "mlflow:"
FORM: Final = "Write mlflow:datasets/NAME or mlflow:runs/RUN_ID/NAME"
KEPT: Final = "mlflow_evaluation_dataset"
IN_MEMORY: Final = "code"
COLUMNS: Final = ("inputs", "expectations", "tags")


def mlflow_source(uri: str, folder: Path) -> Source:
    """Read a `mlflow:` URI.

    Args:
        uri: As written.
        folder: The folder of the suite, where the lock lies.

    Raises:
        DatasetError: If it names neither a dataset nor a run.
    """
    kind, _, name = uri.removeprefix(SCHEME).partition("/")
    if kind not in {"datasets", "runs"} or not name or not name.isprintable():
        raise DatasetError("this names no dataset in MLflow", where=uri, fix=FORM)

    def fetch() -> Content:
        with asking(uri):
            if kind == "datasets":
                return _kept(name, uri)
            run, _, dataset = name.partition("/")
            return _logged(run, dataset, uri)

    return remote_source(uri, stable=uri, title=name.rpartition("/")[2], folder=folder, fetch=fetch)


def _kept(name: str, uri: str) -> Content:
    from mlflow.genai import datasets  # noqa: PLC0415 - an extra, seconds to import

    by_id = name.startswith("d-") and len(name) == 34
    dataset = datasets.get_dataset(dataset_id=name) if by_id else datasets.get_dataset(name=name)
    frame = dataset.to_df()
    ids = frame["dataset_record_id"].tolist()
    parts = {column: [_own(one) for one in frame[column].tolist()] for column in COLUMNS}
    rows = [
        {"id": str(row_id), **{column: parts[column][index] for column in COLUMNS}} for index, row_id in enumerate(ids)
    ]
    if not rows:
        raise DatasetError("has no rows", where=uri, fix="Add records to it")
    # MLflow promises no order, so the rows get one.
    return Content(
        data=_lines(sorted(rows, key=lambda row: row["id"]), uri), kind=Format.JSONL, upstream=_note(dataset.digest)
    )


def _own(part: object) -> dict[str, object]:
    """A part of a record without the tags that MLflow itself sets, such as who wrote it."""
    return {str(k): v for k, v in part.items() if not str(k).startswith("mlflow.")} if isinstance(part, dict) else {}


def _logged(run_id: str, name: str, uri: str) -> Content:
    import mlflow  # noqa: PLC0415 - an extra, seconds to import
    from mlflow import data  # noqa: PLC0415 - see above

    inputs = mlflow.get_run(run_id).inputs
    entries = [one.dataset for one in inputs.dataset_inputs] if inputs else []
    wanted = [one for one in entries if not name or one.name == name]
    if len({(one.name, one.digest) for one in wanted}) != 1:
        names = sorted({one.name for one in entries})
        raise DatasetError(
            f"the run has {len(wanted)} such datasets",
            where=uri,
            fix=did_you_mean(name, names) if names and name else f"{FORM}; the run has {', '.join(names) or 'none'}",
        )
    entry = wanted[0]
    if entry.source_type == KEPT:
        return _kept(str(json.loads(entry.source)["dataset_id"]), uri)
    load = getattr(data.get_source(entry), "load", None)
    if load is None or entry.source_type == IN_MEMORY:
        raise DatasetError(
            f"the run only noted this dataset; its source is {entry.source_type!r}, where no rows lie",
            where=uri,
            fix="Log it with a source: mlflow.data.from_pandas(df, source='rows.jsonl', name=…)",
        )
    with tempfile.TemporaryDirectory(prefix="llmgate-mlflow-") as folder:
        path = Path(str(load(dst_path=folder)))
        content = read_bytes(path, missing_fix="Its source is gone; log the dataset again")
    return Content(data=content, kind=format_of(path), upstream=_note(entry.digest))


def _lines(rows: Sequence[dict[str, Any]], uri: str) -> bytes:
    try:
        return b"".join(
            json.dumps(row, ensure_ascii=False, sort_keys=True, allow_nan=False).encode() + b"\n" for row in rows
        )
    except (TypeError, ValueError) as error:
        raise DatasetError(f"a record holds what JSON cannot: {error}", where=uri, fix="Change the record") from error


def _note(digest: object) -> str:
    return f"mlflow digest {digest}"
