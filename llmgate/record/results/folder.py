"""A folder that a tool wrote → the one file of results in it."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError
from llmgate.record.results.source import read_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llmgate.record.results.source import ResultsFile

__all__ = ["file_in"]

DEEPEST: Final = 5
"""Folders below the one that was named; MLflow's artifacts lie three below an experiment."""
MOST_FILES: Final = 200
SHOWN: Final = 6
ENDINGS: Final = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".junit.xml", ".xml", ".eval", ".parquet")
RICHEST_FIRST: Final = (".json", ".jsonl", ".csv", ".junit.xml")
"""Of what promptfoo writes about one evaluation."""
LATEST, WRAPPED = ".latest_run_full.json", ".latest_test_run.json"
"""DeepEval writes the same run to both."""
PLAIN: Final = frozenset({"csv", "jsonl", "parquet"})
HIDDEN: Final = frozenset({".deepeval"})
PERHAPS: Final = (LATEST, WRAPPED)
NAME: Final = "Name the file that is meant"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsFound:
    """A file that holds results.

    Attributes:
        path: Where it lies.
        format: Whose they are.
        digest: Of the file.
    """

    path: Path
    format: str
    digest: str


def file_in(folder: Path, detect: Callable[[ResultsFile], str], *, item: str) -> Path:
    """The one file of results in a folder; of several that one run wrote the one that says most.

    Args:
        folder: Searched with what lies below it; symbolic links to folders are not followed.
        detect: Tells the format of a file.
        item: The column of ids in plain tables.

    Raises:
        RecordError: If there is none, or there are several.
    """
    found, unread = [], []
    for path in files_below(folder):
        try:
            source = read_source(path)
            kind = detect(source)
        except RecordError as error:
            unread.append(error)
            continue
        if kind not in PLAIN or has_column(source, kind, item):
            found.append(ResultsFound(path=path, format=kind, digest=source.digest))
    # Plain tables lie about for many reasons, and count where no tool's own results do.
    chosen = [one for one in found if one.format not in PLAIN] or found
    chosen = without_copies(chosen)
    if not chosen:
        why = f"; {unread[0].where}: {unread[0].what}" if unread else ""
        raise RecordError(f"holds no results that llmgate knows{why}", where=str(folder), fix=NAME)
    if len(chosen) > 1:
        names = [str(one.path.relative_to(folder)) for one in chosen]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise RecordError(
            f"holds {len(names)} files of results: {', '.join(names[:SHOWN])}{more}", where=str(folder), fix=NAME
        )
    return chosen[0].path


def files_below(folder: Path) -> list[Path]:
    """The files that may hold results, by their names.

    Raises:
        RecordError: If they are too many, or the folder cannot be read.
    """
    paths = []
    for place, folders, names in os.walk(folder, onerror=unreadable):
        depth = len(Path(place).relative_to(folder).parts)
        keep = [name for name in sorted(folders) if depth < DEEPEST and (name in HIDDEN or not name.startswith("."))]
        folders[:] = keep
        paths += [Path(place) / name for name in sorted(names) if may_hold(name)]
        if len(paths) > MOST_FILES:
            raise RecordError(f"holds more than {MOST_FILES} files", where=str(folder), fix=NAME)
    return [path for path in paths if path.is_file()]


def unreadable(error: OSError) -> None:
    """What is wrong with a folder."""
    raise RecordError(f"cannot be read ({error.strerror})", where=str(error.filename), fix=NAME) from error


def may_hold(name: str) -> bool:
    """Whether a file of this name may hold results."""
    return name in PERHAPS or (not name.startswith(".") and name.removesuffix(".gz").lower().endswith(ENDINGS))


def has_column(source: ResultsFile, kind: str, item: str) -> bool:
    """Whether a plain table has the column of ids."""
    if kind == "parquet":
        return True
    first = source.data.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0].decode(errors="replace")
    if kind == "csv":
        return item in next(csv.reader([first], delimiter="\t" if source.suffix == ".tsv" else ","), [])
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and item in row


def without_copies(found: Sequence[ResultsFound]) -> list[ResultsFound]:
    """The files, each run once."""
    return list(of_each_run(once_each(found)))


def once_each(found: Sequence[ResultsFound]) -> list[ResultsFound]:
    """Without the same bytes under a second name."""
    return list({one.digest: one for one in reversed(found)}.values())[::-1]


def of_each_run(found: Sequence[ResultsFound]) -> Iterator[ResultsFound]:
    """Without what stands beside a better account of the same run."""
    there = {one.path for one in found}
    samples = {path for one in found if one.format == "lm-eval" for path in beside(one.path)}
    for one in found:
        stem, ending = parted(one.path)
        better = RICHEST_FIRST[: RICHEST_FIRST.index(ending)] if ending in RICHEST_FIRST else ()
        richer = one.format in {"promptfoo", "junit"} and any(
            one.path.with_name(stem + other) in there for other in better
        )
        wrapped = one.path.name == WRAPPED and one.path.with_name(LATEST) in there
        if not (richer or wrapped or one.path in samples):
            yield one


def parted(path: Path) -> tuple[str, str]:
    """The name without its ending, and the ending."""
    ending = ".junit.xml" if path.name.endswith(".junit.xml") else path.suffix
    return path.name.removesuffix(ending), ending


def beside(path: Path) -> list[Path]:
    """The samples that a file of averages of lm-eval is about; none if it holds samples itself."""
    from llmgate.record.results import lm_eval_run  # noqa: PLC0415 - only for its folders
    from llmgate.record.results.foreign import json_of  # noqa: PLC0415

    try:
        averages = lm_eval_run.averages_in(json_of(read_source(path)))
        return list(lm_eval_run.samples_beside(path, averages).values()) if averages is not None else []
    except RecordError:
        return []
