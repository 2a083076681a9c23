"""MLflow as a place where datasets are kept: asked quietly, in bounded time, its errors worded as ours."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import DatasetError, LlmgateError, SuiteError, did_you_mean
from llmgate.mlflow_quiet import quiet
from llmgate.record.artifact_store import lies_below, local_path, local_reach
from llmgate.record.reach import Reach
from llmgate.suite.data.formats import Format, format_of
from llmgate.suite.data.source import Content, DatasetSource, read_bytes, remote_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["EXTRA", "SCHEME", "asking", "mlflow_source"]

SCHEME: Final = "mlflow:"
FORM: Final = "Write mlflow:datasets/NAME or mlflow:runs/RUN_ID/NAME"
KEPT: Final = "mlflow_evaluation_dataset"
IN_MEMORY: Final = "code"
LOG_IT: Final = "Log the file as an artifact, and the dataset with `mlflow.get_artifact_uri(…)` as its source"
COLUMNS: Final = ("inputs", "expectations", "tags")
EXTRA: Final = "pip install 'pytest-llmgate[mlflow]'"


def mlflow_source(uri: str, folder: Path) -> DatasetSource:
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
    parts = zip(*(map(_own, frame[column].tolist()) for column in COLUMNS), strict=True)
    rows = [{"id": str(row_id), **dict(zip(COLUMNS, own, strict=True))} for row_id, own in zip(ids, parts, strict=True)]
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

    run = mlflow.get_run(run_id)
    inputs = run.inputs
    entries = [entry.dataset for entry in inputs.dataset_inputs] if inputs else []
    wanted = [entry for entry in entries if not name or entry.name == name]
    if len({(entry.name, entry.digest) for entry in wanted}) != 1:
        names = sorted({entry.name for entry in entries})
        raise DatasetError(
            f"the run has {len(wanted)} such datasets",
            where=uri,
            fix=did_you_mean(name, names) if names and name else f"{FORM}; the run has {', '.join(names) or 'none'}",
        )
    entry = wanted[0]
    if entry.source_type == KEPT:
        return _kept(str(json.loads(entry.source)["dataset_id"]), uri)
    named = json.loads(entry.source)
    location = named.get("uri", named.get("url")) if isinstance(named, dict) else None
    if not isinstance(location, str) or entry.source_type == IN_MEMORY:
        raise DatasetError(
            f"the run only noted this dataset; its source is {entry.source_type!r}, where no rows lie",
            where=uri,
            fix=LOG_IT,
        )
    experiment = mlflow.get_experiment(run.info.experiment_id)
    path, content = _artifact(location, [experiment.artifact_location, run.info.artifact_uri], uri)
    return Content(data=content, kind=format_of(path), upstream=_note(entry.digest))


def _artifact(location: str, folders: Sequence[str], uri: str) -> tuple[Path, bytes]:
    """A file of a run, and nothing else that the run may name."""
    import mlflow  # noqa: PLC0415 - an extra, seconds to import

    gone = "Its source is gone; log the dataset again"
    path = local_path(location)
    if path is not None:
        reach = local_reach(mlflow.get_tracking_uri(), folders)
        if reach.holder(path.resolve()) is None:
            raise _elsewhere(location, uri)
        return path, read_bytes(path, missing_fix=gone, within=reach)
    if not lies_below(location, folders):
        raise _elsewhere(location, uri)
    with tempfile.TemporaryDirectory(prefix="llmgate-mlflow-") as folder:
        path = Path(mlflow.artifacts.download_artifacts(artifact_uri=location, dst_path=folder))
        return path, read_bytes(path, missing_fix=gone, within=Reach(folders=(Path(folder).resolve(),)))


def _elsewhere(location: str, uri: str) -> DatasetError:
    what = f"the source of this dataset, {location[:200]!r}, lies outside MLflow's artifact store"
    return DatasetError(what, where=uri, fix=f"{LOG_IT}. Or download it yourself, and name the file")


def _lines(rows: Sequence[dict[str, Any]], uri: str) -> bytes:
    try:
        return b"".join(
            json.dumps(row, ensure_ascii=False, sort_keys=True, allow_nan=False).encode() + b"\n" for row in rows
        )
    except (TypeError, ValueError) as error:
        raise DatasetError(f"a record holds what JSON cannot: {error}", where=uri, fix="Change the record") from error


def _note(digest: object) -> str:
    return f"mlflow digest {digest}"


@contextlib.contextmanager
def asking(where: str, error: type[DatasetError | SuiteError] = DatasetError) -> Iterator[None]:
    """Ask MLflow something.

    Args:
        where: What is asked about.
        error: What its refusals become.

    Raises:
        DatasetError, SuiteError: For whatever MLflow, the network or the disk says.
    """
    with quiet():
        try:
            yield
        except LlmgateError:
            raise
        except ImportError as missing:
            raise error("this needs MLflow", where=where, fix=EXTRA) from missing
        except Exception as refusal:
            first = (str(refusal).strip() or type(refusal).__name__).splitlines()[0].rstrip(".")
            raise error(
                f"MLflow says: {first[:300]}", where=where, fix="Check the name, the server and MLFLOW_TRACKING_URI"
            ) from refusal
