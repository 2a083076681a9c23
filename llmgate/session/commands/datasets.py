"""What `llmgate dataset …` does: find a dataset by path, URI or suite; lock, verify, compare, describe, sample it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import DatasetError, LlmgateError, UsageError
from llmgate.record.disk import read_regular, write_atomic
from llmgate.record.environment import for_programs
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.data.dataset import check_lock, load_dataset, read_rows, write_lock
from llmgate.suite.data.describe import DatasetStats, dataset_stats
from llmgate.suite.data.diff import RowDiff, diff_rows, diff_with_digests
from llmgate.suite.data.formats import NO_TYPES, Format, as_jsonl, format_of, suffixes
from llmgate.suite.data.locate import is_uri, locate
from llmgate.suite.data.lock import Lock, parse_lock, read_lock
from llmgate.suite.data.ngrams import NEAR
from llmgate.suite.data.sample import sample_rows
from llmgate.suite.data.source import Content, DatasetSource, as_source
from llmgate.suite.folder import SUFFIXES, Sort, look_at, look_into
from llmgate.suite.spec import load_suite

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmgate.suite.data.rows import DatasetRows

__all__ = [
    "Described",
    "Named",
    "Verified",
    "check_dataset",
    "compare",
    "compare_with_git",
    "compare_with_lock",
    "describe",
    "find_dataset",
    "lock_dataset",
    "read_types",
    "sample_dataset",
    "verify",
]

LOCK_SUFFIX: Final = ".lock.json"
GIT_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A dataset that somebody named.

    Attributes:
        source: Where its rows come from.
        id_column: The column that names rows, None if neither a suite nor the caller says.
        slices: Slice columns of the suite.
        cluster: Cluster column of the suite.
    """

    source: DatasetSource
    id_column: str | None = None
    slices: tuple[str, ...] = ()
    cluster: str | None = None


def find_dataset(
    name: str, *, beside: Path | None = None, id_column: str | None = None, allowed: Sequence[str] = ()
) -> Named:
    """Find what a name on the command line means.

    Args:
        name: A data file, a URI, or a suite, which stands for its dataset.
        beside: The suite, or its folder, beside which the lock of a URI lies; the current folder without one.
        id_column: The column that names rows.
        allowed: Folders outside its project whose files a suite may name.

    Raises:
        SuiteError, DatasetError: If there is no such thing.
    """
    path = Path(name)
    found = look_at(path) if path.name.lower().endswith(SUFFIXES) and path.exists() else None
    if found and found.sort is Sort.REFUSED:
        raise found.problem
    if found and found.sort is Sort.RUN:
        suite = load_suite(path, VOCABULARY, allowed=allowed)
        return Named(
            source=suite.source,
            id_column=id_column or suite.id_column,
            slices=suite.slice_columns,
            cluster=suite.cluster_column,
        )
    if not is_uri(name):
        return Named(source=as_source(path), id_column=id_column)
    folder = Path() if beside is None else beside if beside.is_dir() else beside.parent
    return Named(source=locate(name, folder), id_column=id_column)


def lock_dataset(
    named: Named,
    *,
    version: str | None = None,
    licence: str | None = None,
    types: Mapping[str, str] = NO_TYPES,
) -> Lock:
    """Lock a dataset as it is now.

    A lock that was deleted is looked for in git, so that its version cannot come to mean other rows.

    Raises:
        DatasetError: If it is malformed, or changed and the version is not a higher one.
    """
    return write_lock(
        named.source,
        version=version,
        licence=licence,
        id_column=named.id_column,
        types=types,
        before=None if named.source.lock.exists() else _deleted_lock(named.source),
    )


def check_dataset(named: Named) -> Lock:
    """The lock of a dataset that matches it.

    Raises:
        DatasetError: If it does not.
    """
    return check_lock(named.source, id_column=named.id_column or _locked_id_column(named.source))


def read_types(written: Iterable[str]) -> dict[str, str]:
    """`COLUMN=TYPE` as column and type.

    Raises:
        UsageError: If it is anything else.
    """
    types: dict[str, str] = {}
    for text in written:
        column, separator, kinds = text.rpartition("=")
        if not separator or not column or not kinds or column in types:
            raise UsageError(
                f"--type {text!r} is not COLUMN=TYPE, or is there twice", fix="For example --type price=number"
            )
        types[column] = kinds
    return types


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """One dataset held against its lock: the lock, or what is wrong."""

    name: str
    lock: Lock | None = None
    problem: LlmgateError | None = None


def verify(
    names: Sequence[str], *, beside: Path | None = None, id_column: str | None = None, allowed: Sequence[str] = ()
) -> list[Verified]:
    """Hold datasets against their locks, all of them, whatever the first one says.

    Args:
        names: Data files, URIs, suites, or folders, which stand for every suite and every lock below them.
        beside: As in `find_dataset`.
        id_column: As in `find_dataset`.
        allowed: As in `find_dataset`.

    Raises:
        UsageError: If there is nothing to verify.
    """
    results: dict[Path, Verified] = {}
    for name, folder in dict.fromkeys(_expanded(names, beside)):
        try:
            named = find_dataset(name, beside=folder, id_column=id_column, allowed=allowed)
            if named.source.lock.resolve() in results:
                continue
            results[named.source.lock.resolve()] = Verified(name=named.source.name, lock=check_dataset(named))
        except LlmgateError as error:
            results[Path(name).resolve()] = Verified(name=name, problem=error)
    if not results:
        raise UsageError("there is nothing to verify", fix="Name data files, suites, or folders that hold some")
    return list(results.values())


def compare(first: Named, second: Named) -> RowDiff:
    """What changed from one dataset to another, locked or not.

    Raises:
        DatasetError: If one of them is malformed.
    """
    return diff_rows(_rows(first)[0], _rows(second)[0])


def compare_with_lock(named: Named) -> RowDiff:
    """What changed since a dataset was locked; a lock knows rows, but not their fields.

    Raises:
        DatasetError: If the data or its lock is missing or malformed.
    """
    return diff_with_digests(read_lock(named.source).digests, _rows(named)[0])


def compare_with_git(named: Named, ref: str) -> RowDiff:
    """What changed since a commit, tag or branch.

    Raises:
        DatasetError: If it is not a file in a git repository, or git does not have it at that revision.
    """
    path = named.source.path
    if path is None:
        raise DatasetError("only files have revisions in git", where=named.source.name, fix="Name two datasets")
    before = replace(named.source, name=f"{ref}:{path.name}")
    data = _git_blob(path, ref)
    try:
        lock = parse_lock(_git_blob(named.source.lock, ref), before)
    except DatasetError:
        lock = None  # it was not locked then, so its cells are text and its ids are where they are now
    id_column = named.id_column or (lock.id_column if lock else _locked_id_column(named.source))
    types = lock.cell_types if lock else NO_TYPES
    old = read_rows(before, Content(data=data, kind=format_of(path)), id_column=id_column, types=types)
    return diff_rows(old, _rows(named)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What is in a dataset, and whether that is what was locked; `lock_note` says it in words."""

    name: str
    stats: DatasetStats
    lock_note: str


def describe(
    named: Named,
    *,
    slices: Sequence[str] = (),
    cluster: str | None = None,
    texts: Sequence[str] = (),
    near: float = NEAR,
) -> Described:
    """Describe a dataset, locked or not.

    Raises:
        DatasetError: If it is malformed or a named column does not exist.
    """
    rows, id_column = _rows(named)
    stats = dataset_stats(
        rows,
        id_column=id_column,
        slices=tuple(slices) or named.slices,
        cluster=cluster or named.cluster,
        texts=texts,
        near=near,
    )
    try:
        lock = check_lock(named.source, id_column=id_column)
        note = f"matches its lock, version {lock.version}"
    except DatasetError as error:
        note = error.what if named.source.lock.exists() else "not locked"
    return Described(name=named.source.name, stats=stats, lock_note=note)


def sample_dataset(named: Named, out: Path, count: int, *, seed: int, stratify: str | None = None) -> Lock:
    """Write a smaller dataset as JSON Lines, with a lock of its own that says where its rows come from.

    Args:
        named: The dataset; it must match its lock.
        out: The new file.
        count: How many rows.
        seed: What decides which.
        stratify: A column whose values keep their shares.

    Raises:
        DatasetError: If the dataset does not match its lock, or the sample cannot be drawn or written.
    """
    if format_of(out) is not Format.JSONL or out.suffix.lower() not in suffixes(Format.JSONL):
        raise UsageError("samples are written as JSON Lines", where=str(out), fix="Let its name end in .jsonl")
    target = as_source(out)
    for path in (out, target.lock):
        if path.exists():
            raise UsageError("there is such a file already", where=str(path), fix="Choose another --out")
    id_column = named.id_column or _locked_id_column(named.source)
    dataset = load_dataset(named.source, id_column=id_column)
    rows = sample_rows(dataset.rows, count, seed=seed, stratify=stratify)
    write_atomic(out, as_jsonl(row.values for row in rows), error=DatasetError, private=False)
    by = f", stratified by {stratify}" if stratify else ""
    return write_lock(
        target,
        name=f"{dataset.name}-sample",
        licence=dataset.licence,
        id_column=id_column,
        origin=f"{count} of {len(dataset.rows)} rows of {dataset.name} {dataset.version} (sha256 {dataset.digest}), "
        f"seed {seed}{by}",
    )


def _rows(named: Named) -> tuple[DatasetRows, str]:
    """The rows, without a look at what was locked but for the types of cells, and the column that names them."""
    source = named.source
    content = source.read(missing_fix="Check the path")
    lock = read_lock(source) if source.lock.exists() else None
    id_column = named.id_column or (lock.id_column if lock else "id")
    types = lock.cell_types if lock and content.kind is Format.CSV else NO_TYPES
    return read_rows(source, content, id_column=id_column, types=types), id_column


def _locked_id_column(source: DatasetSource) -> str:
    return read_lock(source).id_column if source.lock.exists() else "id"


def _expanded(names: Iterable[str], beside: Path | None) -> list[tuple[str, Path | None]]:
    """Names with what lies below folders, each with the folder in which the lock of a URI lies."""
    expanded: list[tuple[str, Path | None]] = []
    for name in names:
        folder = Path(name)
        if not folder.is_dir():
            expanded.append((name, beside))
            continue
        suites = [found.path for found in look_into(folder) if found.sort in {Sort.RUN, Sort.REFUSED}]
        expanded += [(str(path), None) for path in suites]
        for lock in sorted(folder.rglob(f"*{LOCK_SUFFIX}")):
            expanded += [(data, lock.parent) for data in _locked_by(lock)]
    return expanded


def _locked_by(lock: Path) -> list[str]:
    """What a lock is for: the data file beside it, or the URI that it names."""
    stem = lock.name.removesuffix(LOCK_SUFFIX)
    candidates = [lock.with_name(stem + suffix) for kind in Format for suffix in suffixes(kind)]
    there = [str(path) for path in candidates if path.exists()]
    try:
        uri = parse_lock(read_regular(lock), as_source(candidates[0])).source
    except (OSError, DatasetError):
        uri = ""  # reading it again says what is wrong with it
    return there or [uri or str(candidates[0])]


def _deleted_lock(source: DatasetSource) -> Lock | None:
    """The lock as git last had it, None if it never did, or there is no git."""
    path = source.lock
    try:
        last = (
            _git(path, "log", "-1", "--format=%H", "--diff-filter=AM", "--", f"./{path.name}").stdout.decode().strip()
        )
        # The index first, which may be newer than the last commit.
        for ref in ("", last):
            blob = _git(path, "cat-file", "blob", f"{ref}:./{path.name}")
            if not blob.returncode:
                return parse_lock(blob.stdout, source)
    except DatasetError:
        return None
    return None


def _git(path: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # noqa: S603 - no shell
            ["git", "-C", str(path.parent), *arguments],  # noqa: S607 - the user's git
            env=for_programs(),
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatasetError(f"git cannot be asked: {error}", where=str(path), fix="Install git") from error


def _git_blob(path: Path, ref: str) -> bytes:
    if ref.startswith("-") or ":" in ref or not ref.isprintable():
        raise DatasetError(f"{ref!r} is no revision", fix="Name a commit, a tag or a branch")
    done = _git(path, "cat-file", "blob", f"{ref}:./{path.name}")
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise DatasetError(
            f"git does not have it at {ref!r} ({lines[0] if lines else 'no reason given'})",
            where=str(path),
            fix="Check the revision and the path",
        )
    return done.stdout
