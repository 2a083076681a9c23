"""Logs of Inspect: `.json`, and `.eval`, which is a zip of one file per sample.

A sample that ended in an error or at a limit has no score, whatever its scorers said before; so has one that the log
names and does not hold. Epochs are repeats.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import RecordError
from llmgate.record.growth import json_cost
from llmgate.record.results.foreign import ForeignRow, json_of, mapping, parsed, score_of, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile
    from llmgate.record.scores import ScoreTable

__all__ = ["log_of", "read_inspect"]

LETTERS: Final = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""Correct, partially correct, incorrect, no answer, as Inspect's own metrics count them."""
ZSTANDARD: Final = 93
"""The method's number in zip files."""
WORDS: Final = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def read_inspect(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """A metric per scorer; a scorer of several values gives SCORER/VALUE each.

    Raises:
        RecordError: If it is no such log, or was not finished.
    """
    header, samples = log_of(source)
    status = header.get("status")
    if status != "success":
        raise RecordError(f"the log's status is {status!r}", where=source.path, fix="Finish it: inspect eval-retry LOG")
    task = mapping(header.get("eval"))
    epochs = mapping(task.get("config")).get("epochs")
    epochs = epochs if isinstance(epochs, int) and epochs > 0 else 1
    rows = [row_of(mapping(sample), f"{source.path}: samples[{i}]") for i, sample in enumerate(samples)]
    there = {row.item for row in rows}
    ids = mapping(task.get("dataset")).get("sample_ids")
    missing = [str(name) for name in ids or [] if str(name) not in there] if not sampled(task) else []
    rows += [ForeignRow(item=name, error="the log does not hold it", where=source.path) for name in missing]
    return tables_of(rows, layout, source, suite=suite, repeats=epochs)


def sampled(task: Mapping[str, Any]) -> bool:
    """Whether only a part of the data set was asked for."""
    config = mapping(task.get("config"))
    return config.get("limit") is not None or config.get("sample_id") is not None


def log_of(source: ResultsFile, *, finished: bool = True) -> tuple[Mapping[str, Any], Sequence[Any]]:
    """The header and the samples, as they are written.

    Args:
        source: The log.
        finished: Whether a packed log that lacks its final header is refused.

    Raises:
        RecordError: If it cannot be read.
    """
    if not source.data.startswith(b"PK"):
        data = mapping(json_of(source))
        samples = data.get("samples")
        return data, samples if isinstance(samples, list) else []
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise ValueError("it holds a file twice")
            source.growth.afford(sum(file.file_size for file in archive.infolist()))
            heads = ("header.json",) if finished else ("header.json", "_journal/start.json")
            head = next((name for name in heads if name in names), None)
            if head is None:
                raise RecordError(
                    "the log was not finished", where=source.path, fix="Finish it: inspect eval-retry LOG"
                )
            return mapping(parsed(member(archive, source, head))), list(members(archive, source))
    except (zipfile.BadZipFile, RuntimeError, zlib.error, ValueError, EOFError) as error:
        fix = "Write it as JSON: inspect log convert LOG --to json --output-dir DIR"
        raise RecordError(f"cannot be unpacked: {error}", where=source.path, fix=fix) from error


def members(archive: zipfile.ZipFile, source: ResultsFile) -> Iterator[Any]:
    """The samples, each in a file of its own."""
    for name in sorted(archive.namelist()):
        if name.startswith("samples/") and name.endswith(".json"):
            data = member(archive, source, name)
            source.growth.spend(json_cost(data))
            yield parsed(data)


def member(archive: zipfile.ZipFile, source: ResultsFile, name: str) -> bytes:
    """A file of the archive; Inspect packs them by Zstandard, which Python's own module knows from 3.14 on."""
    about = archive.getinfo(name)
    if about.compress_type != ZSTANDARD:
        return archive.read(name)
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, 0.3 s to import
    except ImportError as error:
        fix = "pip install 'pytest-llmgate[data]', or write it as JSON: inspect log convert"
        raise RecordError("logs packed by Zstandard need pyarrow", where=source.path, fix=fix) from error
    # The local header: 26 bytes, the lengths of the name and of what follows it, and these two.
    lengths = source.data[about.header_offset + 26 : about.header_offset + 30]
    start = about.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    packed = source.data[start : start + about.compress_size]
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            data: bytes = stream.read(about.file_size + 1)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{name}: {error}") from error
    if len(data) != about.file_size or zlib.crc32(data) != about.CRC:
        raise ValueError(f"{name} is damaged")
    return data


def row_of(sample: Mapping[str, Any], where: str) -> ForeignRow:
    """One epoch of one sample."""
    failed = mapping(sample.get("error")).get("message") or ("error" if sample.get("error") else "")
    limit = mapping(sample.get("limit")).get("type") or ("?" if sample.get("limit") else "")
    scores: dict[str, float | str] = {}
    for scorer, score in mapping(sample.get("scores")).items():
        value = mapping(score).get("value")
        if isinstance(value, dict):
            scores.update({f"{scorer}/{name}": value_of(part) for name, part in value.items()})
        else:
            scores[scorer] = value_of(value)
    error = str(failed)[:200] or (f"it ended at the {limit} limit" if limit else "")
    return ForeignRow(
        item=str(sample.get("id")),
        repeat=str(sample.get("epoch", 1)),
        scores=scores,
        error=error or ("" if scores else "it was not scored"),
        fields=mapping(sample.get("metadata")),
        where=where,
    )


def value_of(value: object) -> float | str:
    """A value of a scorer as a number: letters and words as Inspect reads them."""
    if isinstance(value, str):
        known = LETTERS.get(value, WORDS.get(value.lower()))
        if known is not None:
            return known
        try:
            return score_of(float(value))
        except ValueError:
            return score_of(value)
    return "the score is NaN" if isinstance(value, float) and math.isnan(value) else score_of(value)
