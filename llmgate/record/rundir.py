"""A run on disk: create, resume, seal, load.

manifest.json       identities, digests, versions, hardware, seeds; written before the first request
cases.jsonl         every case that must be answered
journal.jsonl       what happened, append-only
serving-NAME.json   raw timings of serving measurements
canaries.json       what judges said about answers that no judge should let pass
anchors.json        what judges say now about answers that they judged before
seal.json           digests of all of these; written last
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from llmgate.errors import RecordError
from llmgate.record.journal import JOURNAL_NAME, NO_SECRETS, Journal, Redactor, first_problem, lines_of, read_journal
from llmgate.record.manifest import RECORD_MAJOR, Manifest
from llmgate.record.schema import AnchorCheck, CaseKey, CaseResult, JudgeTrial, PlannedCase, Record, Seal
from llmgate.record.serving import ServingTrace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from llmgate.record.admission import AdmissionRecord
    from llmgate.record.looks import Stop

__all__ = [
    "MANIFEST_NAME",
    "SEAL_NAME",
    "RunDir",
    "cases_digest",
    "folder_taken",
    "load_record",
    "load_seal",
    "planned_keys",
    "write_atomic",
]

MANIFEST_NAME: Final = "manifest.json"
CASES_NAME: Final = "cases.jsonl"
SEAL_NAME: Final = "seal.json"
SERVING_GLOB: Final = "serving-*.json"
TRIALS_NAME: Final = "canaries.json"
ANCHORS_NAME: Final = "anchors.json"

MANIFEST: Final[TypeAdapter[Manifest]] = TypeAdapter(Manifest)
CASE: Final[TypeAdapter[PlannedCase]] = TypeAdapter(PlannedCase)
SERVING: Final[TypeAdapter[ServingTrace]] = TypeAdapter(ServingTrace)
TRIALS: Final[TypeAdapter[tuple[JudgeTrial, ...]]] = TypeAdapter(tuple[JudgeTrial, ...])
ANCHORS: Final[TypeAdapter[AnchorCheck]] = TypeAdapter(AnchorCheck)
SEAL: Final[TypeAdapter[Seal]] = TypeAdapter(Seal)

T = TypeVar("T")


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file or nothing: a reader sees the old content or the new one.

    Raises:
        RecordError: If it cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise RecordError(
            f"cannot be written ({error.strerror})", where=str(path), fix="Free some space, or choose another --out"
        ) from error


def encode_cases(cases: Iterable[PlannedCase], redact: Redactor = NO_SECRETS) -> bytes:
    """The content of cases.jsonl."""
    return b"".join(redact(CASE.dump_json(case, exclude=_unsaid(case))) + b"\n" for case in cases)


def _unsaid(case: PlannedCase) -> dict[str, Any] | None:
    """What cases without special messages or traits leave out, so that the digests of older records still hold."""
    unsaid: dict[str, Any] = {}
    if all(one.wire is None for one in case.messages):
        unsaid["messages"] = {"__all__": {"wire"}}
    if case.traits is None:
        unsaid["traits"] = True
    return unsaid or None


def cases_digest(cases: Iterable[PlannedCase], *, redact: Redactor = NO_SECRETS) -> str:
    """SHA-256 over all planned cases in order, as they are written.

    Two runs with the same digest asked the same questions.
    """
    return hashlib.sha256(encode_cases(cases, redact)).hexdigest()


def planned_keys(cases: Iterable[PlannedCase]) -> list[CaseKey]:
    """Every generation that must exist, in order."""
    return [CaseKey(suite=c.suite, case=c.case, repeat=k) for c in cases for k in range(c.repeats)]


def names_of(admissions: Iterable[AdmissionRecord]) -> str:
    """Admission records by their digests."""
    return ", ".join(sorted(one.digest for one in admissions)) or "none"


def folder_taken(path: Path) -> RecordError:
    """The error for a folder that must not be written over."""
    return RecordError(
        "this folder already holds a run",
        where=str(path),
        fix="Add --resume to go on with it, or choose another folder with --out",
    )


class RunDir:
    """A run that is being written.

    Use `create` for a new run and `resume` for an unfinished one.
    """

    def __init__(self, path: Path, manifest: Manifest, cases: tuple[PlannedCase, ...], journal: Journal) -> None:
        self.path = path
        self.manifest = manifest
        self.cases = cases
        self._journal = journal
        self._planned = frozenset(planned_keys(cases))
        self.results: dict[CaseKey, CaseResult] = dict(journal.content.results)
        self._stops: list[Stop] = []
        self._unasked: set[CaseKey] = set()

    @classmethod
    def create(
        cls, path: Path, manifest: Manifest, cases: tuple[PlannedCase, ...], *, redact: Redactor = NO_SECRETS
    ) -> Self:
        """Start a record in a folder that holds none.

        Raises:
            RecordError: If the folder already holds a run or cannot be written.
        """
        if (path / MANIFEST_NAME).exists():
            raise folder_taken(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(
                f"the folder cannot be made ({error.strerror})", where=str(path), fix="Choose another one with --out"
            ) from error
        write_atomic(path / CASES_NAME, encode_cases(cases, redact))
        write_atomic(path / MANIFEST_NAME, redact(MANIFEST.dump_json(manifest, indent=2)))
        return cls(path, manifest, cases, Journal(path / JOURNAL_NAME, redact=redact))

    @classmethod
    def resume(
        cls, path: Path, manifest: Manifest, cases: tuple[PlannedCase, ...], *, redact: Redactor = NO_SECRETS
    ) -> Self:
        """Go on with an unfinished run, provided that it asks the same questions of the same model.

        Args:
            path: The run's folder.
            manifest: What the run would be if it started now.
            cases: What it would ask now.
            redact: Applied to everything written.

        Raises:
            RecordError: If the record is sealed already or differs; the message names the field.
        """
        before = read_file(path / MANIFEST_NAME, MANIFEST)
        for field, then, now in (
            ("cases", before.cases_digest, manifest.cases_digest),
            ("model", before.model, manifest.model),
            ("suites", before.suites, manifest.suites),
            ("server engine", before.server.engine, manifest.server.engine),
            ("server version", before.server.version, manifest.server.version),
            ("server flags", before.server.flags, manifest.server.flags),
            ("judge", before.judge, manifest.judge),
            ("admissions", names_of(before.admissions), names_of(manifest.admissions)),
            ("seed", before.seed, manifest.seed),
            ("looks", before.looks, manifest.looks),
        ):
            if then != now:
                raise RecordError(
                    f"the run cannot be resumed: {field} was {then} and is now {now}",
                    where=str(path),
                    fix="Restore it, or start a new run without --resume",
                )
        (path / SEAL_NAME).unlink(missing_ok=True)
        return cls(path, before, cases, Journal(path / JOURNAL_NAME, redact=redact))

    def append(self, result: CaseResult) -> None:
        """Record a result.

        Raises:
            RecordError: If the case was never planned or the disk is full.
        """
        if result.key not in self._planned:
            raise RecordError(f"case {result.key} was never planned", where=str(self.path))
        self._journal.append(result)
        self.results[result.key] = result

    def missing(self) -> list[CaseKey]:
        """Planned generations without an evaluated result, in order: what a resumed run still has to do."""
        return [
            key
            for key in planned_keys(self.cases)
            if key not in self._unasked and (key not in self.results or not self.results[key].evaluated)
        ]

    def stop(self, stop: Stop) -> int:
        """Ask no more of a suite.

        Args:
            stop: At which look, and why.

        Returns:
            How many generations will never be made.
        """
        rest = {key for key in self._planned if key.suite == stop.suite and key not in self.results}
        self._stops.append(stop)
        self._unasked |= rest
        return len(rest)

    def add_serving(self, trace: ServingTrace) -> None:
        """Record a serving measurement, replacing an earlier one of the same name."""
        write_atomic(self.path / f"serving-{trace.name}.json", SERVING.dump_json(trace))

    def serving(self) -> tuple[ServingTrace, ...]:
        """The serving measurements recorded so far, by name."""
        return tuple(read_file(path, SERVING) for path in sorted(self.path.glob(SERVING_GLOB)))

    def add_trials(self, trials: tuple[JudgeTrial, ...]) -> None:
        """Record what judges said about canaries."""
        write_atomic(self.path / TRIALS_NAME, self._journal.redact(TRIALS.dump_json(trials)))

    def trials(self) -> tuple[JudgeTrial, ...]:
        """What judges said about canaries so far."""
        return read_trials(self.path)

    def add_anchors(self, anchors: AnchorCheck) -> None:
        """Record what judges say now about answers that they judged before."""
        write_atomic(self.path / ANCHORS_NAME, self._journal.redact(ANCHORS.dump_json(anchors)))

    def anchors(self) -> AnchorCheck | None:
        """What judges said about anchors so far."""
        return read_anchor_check(self.path)

    def seal(self, *, sealed_at: str) -> Record:
        """Close the journal and mark the record complete.

        Raises:
            RecordError: If a planned generation has no result at all (an error is a result).
        """
        absent = [key for key in planned_keys(self.cases) if key not in self.results and key not in self._unasked]
        if absent:
            raise RecordError(
                f"{len(absent)} of {len(self._planned)} planned answers are missing, the first is {absent[0]}",
                where=str(self.path),
                fix="Add --resume to go on with the run",
            )
        self._journal.close()
        files = [self.path / MANIFEST_NAME, self.path / CASES_NAME, *optional_files(self.path)]
        seal = Seal(
            sealed_at=sealed_at,
            journal_digest=file_digest(self.path / JOURNAL_NAME),
            results=len(self.results),
            files={file.name: file_digest(file) for file in sorted(files)},
            stops=tuple(self._stops),
        )
        write_atomic(self.path / SEAL_NAME, SEAL.dump_json(seal, indent=2))
        return load_record(self.path)

    def close(self) -> None:
        """Give up the journal's lock without sealing."""
        self._journal.close()

    def __enter__(self) -> Self:
        """The run itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the journal; an unfinished run stays unsealed."""
        self.close()


def load_record(path: Path, *, unfinished: bool = False) -> Record:
    """Load a record and check it against its seal.

    Args:
        path: The run's folder.
        unfinished: Accept a record without a seal, for showing it; deciding needs the seal.

    Raises:
        RecordError: If a file is missing, damaged, changed after sealing, or of an unknown major version.
    """
    if not path.is_dir():
        raise RecordError("there is no run here", where=str(path), fix="Name the folder that `llmgate run` printed")
    manifest = read_file(path / MANIFEST_NAME, MANIFEST)
    if manifest.major != RECORD_MAJOR:
        raise RecordError(
            f"this record has format {manifest.major}, and this llmgate reads format {RECORD_MAJOR}",
            where=str(path / MANIFEST_NAME),
            fix="Use the llmgate version that wrote it",
        )
    seal = read_file(path / SEAL_NAME, SEAL) if (path / SEAL_NAME).exists() else None
    if seal is None and not unfinished:
        raise RecordError(
            "this run is unfinished, so there is nothing to decide on",
            where=str(path),
            fix="Go on with it by adding --resume to the command that started it",
        )
    if seal is not None:
        check_seal(path, seal)
    cases = tuple(read_lines(path / CASES_NAME, CASE))
    if cases_digest(cases) != manifest.cases_digest:
        raise RecordError(
            "the cases differ from those in the manifest", where=str(path / CASES_NAME), fix="Restore the file"
        )
    return Record(
        manifest=manifest,
        cases=cases,
        results=checked_results(path, cases, seal),
        serving=tuple(read_file(file, SERVING) for file in sorted(path.glob(SERVING_GLOB))),
        trials=read_trials(path),
        anchors=read_anchor_check(path),
        seal=seal,
        path=str(path),
    )


def load_seal(path: Path) -> Seal:
    """The seal of a finished run.

    Raises:
        RecordError: If there is none.
    """
    return read_file(path / SEAL_NAME, SEAL)


def checked_results(path: Path, cases: tuple[PlannedCase, ...], seal: Seal | None) -> Mapping[CaseKey, CaseResult]:
    """Read the journal and hold it against the plan."""
    content = read_journal(path / JOURNAL_NAME)
    if seal is not None and content.torn:
        raise RecordError("the sealed journal ends in a damaged line", where=str(path / JOURNAL_NAME), fix="Restore it")
    unplanned = content.results.keys() - set(planned_keys(cases))
    if unplanned:
        raise RecordError(
            f"case {min(unplanned)} was never planned", where=str(path / JOURNAL_NAME), fix="Restore the file"
        )
    return content.results


def check_seal(path: Path, seal: Seal) -> None:
    """Refuse a record of which any file changed, vanished or appeared after sealing."""
    files = {JOURNAL_NAME: seal.journal_digest, **seal.files}
    for name, digest in files.items():
        # The name comes from a file: it must not lead out of the folder.
        if Path(name).name != name or not (path / name).is_file():
            raise RecordError("a file of the sealed record is missing", where=str(path / name), fix="Restore it")
        if file_digest(path / name) != digest:
            raise RecordError("the file changed after the run was sealed", where=str(path / name), fix="Restore it")
    added = {file.name for file in optional_files(path)} - files.keys()
    if added:
        raise RecordError("this file was added after the run was sealed", where=str(path / min(added)), fix="Remove it")


def optional_files(path: Path) -> list[Path]:
    """The files that a record may have or not."""
    named = [path / TRIALS_NAME, path / ANCHORS_NAME]
    return [*path.glob(SERVING_GLOB), *(file for file in named if file.exists())]


def read_trials(path: Path) -> tuple[JudgeTrial, ...]:
    """What judges said about canaries, empty where none were tried."""
    return read_file(path / TRIALS_NAME, TRIALS) if (path / TRIALS_NAME).exists() else ()


def read_anchor_check(path: Path) -> AnchorCheck | None:
    """What judges said about anchors, None where there were none."""
    return read_file(path / ANCHORS_NAME, ANCHORS) if (path / ANCHORS_NAME).exists() else None


def file_digest(path: Path) -> str:
    """Full SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_file(path: Path, adapter: TypeAdapter[T]) -> T:
    """Read and validate one JSON file of a record."""
    try:
        return adapter.validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(
            f"cannot be read ({error.strerror})", where=str(path), fix="Name the folder of a run"
        ) from error
    except ValidationError as error:
        raise RecordError(f"cannot be understood: {first_problem(error)}", where=str(path), fix="Restore it") from error


def read_lines(path: Path, adapter: TypeAdapter[T]) -> Iterable[T]:
    """Read and validate a JSON Lines file of a record."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=str(path), fix="Restore it") from error
    for number, line in enumerate(lines_of(data), start=1):
        try:
            yield adapter.validate_json(line)
        except ValidationError as error:
            raise RecordError(
                f"cannot be understood: {first_problem(error)}", where=f"{path}:{number}", fix="Restore it"
            ) from error
