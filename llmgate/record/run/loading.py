"""A run that was written, read back and held against its seal."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError
from llmgate.record.manifest import RECORD_MAJOR
from llmgate.record.order import shard_cases
from llmgate.record.run.files import (
    ANCHORS,
    ARMS_GLOB,
    CASES_NAME,
    MANIFEST,
    SEAL,
    SERVING,
    SERVING_GLOB,
    TRIALS,
    cases_digest,
    file_digest,
    optional_files,
    read_arms,
    read_cases,
    read_file,
)
from llmgate.record.run.journal import JOURNAL_NAME, read_journal
from llmgate.record.schema import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.record.manifest import Shard
    from llmgate.record.schema import CaseKey, CaseResult, PlannedCase, Seal

__all__ = ["load_record", "load_seal", "part_only", "record_digest"]

PLAIN_NAMES: Final = frozenset({MANIFEST.name, CASES_NAME, TRIALS.name, ANCHORS.name})
"""What a seal may list besides serving measurements; the journal has a place of its own."""


def load_record(path: Path, *, unfinished: bool = False, shard: bool = False) -> Record:
    """Load a record and check it against its seal.

    Args:
        path: The run's folder.
        unfinished: Accept a record without a seal, for showing it; deciding needs the seal.
        shard: Accept the record of a part of a run, for showing or merging it; deciding needs all parts.

    Raises:
        RecordError: If a file is missing, damaged, changed after sealing, or of an unknown major version.
    """
    if not path.is_dir():
        raise RecordError("there is no run here", where=str(path), fix="Name the folder that `llmgate run` printed")
    manifest = MANIFEST.read(path)
    if manifest.major != RECORD_MAJOR:
        raise RecordError(
            f"this record has format {manifest.major}, and this llmgate reads format {RECORD_MAJOR}",
            where=str(path / MANIFEST.name),
            fix="Use the llmgate version that wrote it",
        )
    if manifest.shard is not None and not shard:
        raise part_only(manifest.shard, str(path))
    seal = SEAL.read(path) if SEAL.exists(path) else None
    if seal is None and not unfinished:
        raise RecordError(
            "this run is unfinished, so there is nothing to decide on",
            where=str(path),
            fix="Go on with it by adding --resume to the command that started it",
        )
    if seal is not None:
        check_seal(path, seal)
    cases, digest = read_cases(path)
    # What cases say counts, however they are written.
    if digest != manifest.cases_digest and cases_digest(cases) != manifest.cases_digest:
        raise RecordError(
            "the cases differ from those in the manifest", where=str(path / CASES_NAME), fix="Restore the file"
        )
    return Record(
        manifest=manifest,
        cases=cases,
        results=checked_results(path, shard_cases(cases, manifest.shard), seal, shard=manifest.shard),
        serving=tuple(read_file(file, SERVING) for file in sorted(path.glob(SERVING_GLOB))),
        arms=read_arms(path),
        trials=TRIALS.read(path) if TRIALS.exists(path) else (),
        anchors=ANCHORS.read(path) if ANCHORS.exists(path) else None,
        seal=seal,
        path=str(path),
    )


def part_only(shard: Shard, where: str) -> RecordError:
    """The error for a part of a run where a whole one is wanted."""
    return RecordError(
        f"this is shard {shard.name} of a run, and a part of a run decides nothing",
        where=where,
        fix=f"Merge all {shard.of} with `llmgate merge SHARD... --out DIR`, and name that folder",
    )


def load_seal(path: Path) -> Seal:
    """The seal of a finished run.

    Raises:
        RecordError: If there is none.
    """
    return SEAL.read(path)


def record_digest(path: Path) -> str:
    """SHA-256 over the names and contents of all files of a sealed record, the seal included; nothing else counts.

    It is taken over the canonical JSON of `[[name, SHA-256 of the file], …]`, sorted by name.

    Args:
        path: The run's folder.

    Raises:
        RecordError: If the record is unfinished, or a file changed after it was sealed.
    """
    seal = load_seal(path)
    check_seal(path, seal)
    files = {JOURNAL_NAME: seal.journal_digest, **seal.files, SEAL.name: file_digest(path / SEAL.name)}
    listed = json.dumps(sorted(files.items()), separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(listed.encode()).hexdigest()


def checked_results(
    path: Path, cases: tuple[PlannedCase, ...], seal: Seal | None, *, shard: Shard | None
) -> Mapping[CaseKey, CaseResult]:
    """Read the journal and hold it against the plan."""
    planned = {key: key for case in cases for key in case.keys}
    digest = hashlib.sha256()
    content = read_journal(path / JOURNAL_NAME, planned=planned, digest=digest)
    if seal is not None and content.torn:
        raise RecordError("the sealed journal ends in a damaged line", where=str(path / JOURNAL_NAME), fix="Restore it")
    if seal is not None and digest.hexdigest() != seal.journal_digest:
        raise RecordError(
            "the file changed while it was being read", where=str(path / JOURNAL_NAME), fix="Restore it, and try again"
        )
    if seal is not None and len(content.results) != seal.results:
        raise RecordError(
            f"the seal counts {seal.results} results, and the journal holds {len(content.results)}",
            where=str(path / SEAL.name),
            fix="Restore it, or run again",
        )
    unplanned = [key for key in content.results if key not in planned]
    if unplanned:
        part = f" for shard {shard.name}" if shard else ""
        raise RecordError(
            f"case {min(unplanned)} was never planned{part}", where=str(path / JOURNAL_NAME), fix="Restore the file"
        )
    content.results.settle()
    return content.results


def check_seal(path: Path, seal: Seal) -> None:
    """Refuse a record of which any file changed, vanished or appeared after sealing, or is not under the seal."""
    for name in (MANIFEST.name, CASES_NAME):
        if name not in seal.files:
            raise RecordError(
                f"{name} is missing from the seal's list, so nothing says that it is unchanged",
                where=str(path / SEAL.name),
                fix="Restore the seal, or run again",
            )
    for name in seal.files:
        measured = any(Path(name).match(glob) for glob in (SERVING_GLOB, ARMS_GLOB)) and Path(name).name == name
        if name not in PLAIN_NAMES and not measured:
            raise RecordError(
                f"the seal lists {name!r}, which is no file of a record",
                where=str(path / SEAL.name),
                fix="Restore the seal, or use the llmgate version that wrote it",
            )
    files = {JOURNAL_NAME: seal.journal_digest, **seal.files}
    for name, digest in files.items():
        if not (path / name).is_file():
            raise RecordError("a file of the sealed record is missing", where=str(path / name), fix="Restore it")
        if file_digest(path / name) != digest:
            raise RecordError("the file changed after the run was sealed", where=str(path / name), fix="Restore it")
    added = {file.name for file in optional_files(path)} - files.keys()
    if added:
        raise RecordError("this file was added after the run was sealed", where=str(path / min(added)), fix="Remove it")
