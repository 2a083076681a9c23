"""A run that is being written: create, resume, append, seal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from llmgate.errors import RecordError
from llmgate.record.disk import private_folder, write_atomic
from llmgate.record.order import shard_cases
from llmgate.record.redaction import NO_SECRETS, Redactor
from llmgate.record.run.files import (
    ANCHORS,
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
    read_file,
    write_arm_run,
    write_arms_plan,
    write_cases,
)
from llmgate.record.run.journal import JOURNAL_NAME, Journal
from llmgate.record.run.loading import load_record
from llmgate.record.run.stored import StoredResults
from llmgate.record.schema import Seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from llmgate.record.arms import ArmRun, ArmsPlan, ServingArms
    from llmgate.record.judges.admission import AdmissionRecord
    from llmgate.record.looks import Stop
    from llmgate.record.manifest import InFlight, Manifest
    from llmgate.record.schema import AnchorCheck, CaseKey, CaseResult, JudgeTrial, PlannedCase, Record
    from llmgate.record.serving.trace import ServingTrace

__all__ = ["RunDir", "changes", "folder_taken"]


def names_of(admissions: Iterable[AdmissionRecord]) -> str:
    """Admission records by their digests."""
    return ", ".join(sorted(record.digest for record in admissions)) or "none"


def folder_taken(path: Path) -> RecordError:
    """The error for a folder that must not be written over."""
    return RecordError(
        "this folder already holds a run",
        where=str(path),
        fix="Add --resume to go on with it, or choose another folder with --out",
    )


FREE: Final = frozenset(
    {
        "run_id",
        "created_at",
        "llmgate_version",
        "hardware",
        "packages",
        "concurrency",
        "adaptive",
        "cache",
        "labels",
        "made_for",
        "beside",
        "minor",
    }
)
"""What may differ between the parts of a run: none of it says what is asked of whom, and how it is judged."""


def held_to(manifest: Manifest) -> dict[str, object]:
    """What a resumed run has to share with the run before it, by field."""
    found = {field.name: getattr(manifest, field.name) for field in fields(manifest) if field.name not in FREE}
    # A server of ours listens on another port each time, and a list of models may be there another time.
    server = replace(manifest.server, url="", unconfirmed="", replicas=())
    # Where the weights are the same, a commit that changed a note is no other model.
    model = replace(manifest.model, revision="") if manifest.model.weights_digest else manifest.model
    return found | {"admissions": names_of(manifest.admissions), "server": server, "model": model}


def changes(before: object, now: object, field: str = "") -> Iterator[str]:
    """Each value that differs, in words: `model weights digest was ab12 and is now cd34`."""
    if is_dataclass(before) and type(before) is type(now):
        before, now = ({part.name: getattr(side, part.name) for part in fields(before)} for side in (before, now))
    if isinstance(before, tuple) and isinstance(now, tuple) and len(before) == len(now):
        before, now = (dict(enumerate(side, start=1)) for side in (before, now))
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys((*before, *now)):
            yield from changes(before.get(name), now.get(name), f"{field} {name}".strip().replace("_", " "))
    elif before != now:
        yield f"{field} was {worded(before)} and is now {worded(now)}"


def worded(value: object) -> str:
    """A value of a manifest for a reader."""
    if value is None or value in ("", ()):
        return "not there"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(worded(part) for part in value)
    if is_dataclass(value):
        return next(
            (str(getattr(value, name)) for name in ("name", "model", "suite") if hasattr(value, name)), "another"
        )
    return str(value)


class RunDir:
    """A run that is being written.

    Use `create` for a new run and `resume` for an unfinished one.

    Attributes:
        cases: All cases.
        asked: Those that this run asks: all of them, or those of its shard.
        results: What is known by now.
    """

    def __init__(self, path: Path, manifest: Manifest, cases: Sequence[PlannedCase], redact: Redactor) -> None:
        self.path = path
        self.manifest = manifest
        self.cases = cases
        self.asked = shard_cases(cases, manifest.shard)
        self._planned = {key: key for case in self.asked for key in case.keys}
        self._journal = Journal(path / JOURNAL_NAME, redact=redact, planned=self._planned)
        self._stops: list[Stop] = []
        self._unasked: set[CaseKey] = set()
        self.in_flight: InFlight | None = None

    @classmethod
    def create(
        cls, path: Path, manifest: Manifest, cases: Sequence[PlannedCase], *, redact: Redactor = NO_SECRETS
    ) -> Self:
        """Start a record in a folder that holds none. What `manifest` says of the cases' digest is found out here.

        Raises:
            RecordError: If the folder already holds a run or cannot be written.
        """
        if MANIFEST.exists(path):
            raise folder_taken(path)
        try:
            private_folder(path)
        except OSError as error:
            raise RecordError(
                f"the folder cannot be made ({error.strerror})", where=str(path), fix="Choose another one with --out"
            ) from error
        manifest = replace(manifest, cases_digest=write_cases(path, cases, redact=redact))
        MANIFEST.write(path, manifest, redact=redact, indent=2)
        return cls(path, manifest, cases, redact)

    @classmethod
    def resume(
        cls, path: Path, manifest: Manifest, cases: Sequence[PlannedCase], *, redact: Redactor = NO_SECRETS
    ) -> Self:
        """Go on with an unfinished run, provided that it asks the same questions of the same model.

        Args:
            path: The run's folder.
            manifest: What the run would be if it started now; the digest of the cases is found out here.
            cases: What it would ask now.
            redact: Applied to everything written.

        Raises:
            RecordError: If the record is sealed already or differs; the message names the field.
        """
        before = MANIFEST.read(path)
        manifest = replace(manifest, cases_digest=cases_digest(cases, redact=redact))
        # As it would be read back: what was redacted then is redacted now.
        now = MANIFEST.holds.validate_json(redact(MANIFEST.holds.dump_json(manifest)))
        changed = next(changes(held_to(before), held_to(now)), None)
        if changed:
            raise RecordError(
                f"the run cannot be resumed: {changed}",
                where=str(path),
                fix="Restore it, or start a new run without --resume",
            )
        (path / SEAL.name).unlink(missing_ok=True)
        return cls(path, before, cases, redact)

    def append(self, result: CaseResult) -> None:
        """Record a result.

        Raises:
            RecordError: If the case was never planned or the disk is full.
        """
        if result.key not in self._planned:
            raise RecordError(f"case {result.key} was never planned", where=str(self.path))
        self._journal.append(result)

    @property
    def results(self) -> Mapping[CaseKey, CaseResult]:
        """What is in the record so far; each result is read from disk when asked for."""
        return self._journal.results

    @property
    def scored(self) -> Mapping[CaseKey, CaseResult]:
        """The same without words: see `Record.scored`."""
        return self._journal.results.scored

    @property
    def tries_judges(self) -> bool:
        """Whether its judges are tried on canaries and anchors: of shards, by the first one alone."""
        shard = self.manifest.shard
        return shard is None or shard.index == 1

    def missing(self) -> list[CaseKey]:
        """Planned generations without an evaluated result, in order: what a resumed run still has to do."""
        scored = self.scored
        return [
            key
            for key in self._planned
            if key not in self._unasked and ((result := scored.get(key)) is None or not result.evaluated)
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
        write_atomic(self.path / f"serving-{trace.name}.json", self._journal.redact(SERVING.dump_json(trace)))

    def serving(self) -> tuple[ServingTrace, ...]:
        """The serving measurements recorded so far, by name."""
        return tuple(read_file(path, SERVING) for path in sorted(self.path.glob(SERVING_GLOB)))

    def plan_arms(self, plan: ArmsPlan) -> None:
        """Record what is to be measured on two arms, before the first run of it."""
        write_arms_plan(self.path, plan, redact=self._journal.redact)

    def add_arm_run(self, run: ArmRun) -> None:
        """Record one run of an arm."""
        write_arm_run(self.path, run, redact=self._journal.redact)

    def arms(self) -> tuple[ServingArms, ...]:
        """What was measured on two arms so far, by suite."""
        return read_arms(self.path)

    def add_trials(self, trials: tuple[JudgeTrial, ...]) -> None:
        """Record what judges said about canaries."""
        TRIALS.write(self.path, trials, redact=self._journal.redact)

    def trials(self) -> tuple[JudgeTrial, ...]:
        """What judges said about canaries so far."""
        return TRIALS.read(self.path) if TRIALS.exists(self.path) else ()

    def add_anchors(self, anchors: AnchorCheck) -> None:
        """Record what judges say now about answers that they judged before."""
        ANCHORS.write(self.path, anchors, redact=self._journal.redact)

    def anchors(self) -> AnchorCheck | None:
        """What judges said about anchors so far."""
        return ANCHORS.read(self.path) if ANCHORS.exists(self.path) else None

    def seal(self, *, sealed_at: str) -> Record:
        """Close the journal, mark the record complete, and read it back.

        Raises:
            RecordError: As for `finish`.
        """
        self.finish(sealed_at=sealed_at)
        # Two of 200,000 cases would not fit where one does.
        self._journal.results = StoredResults(self.path / JOURNAL_NAME)
        return load_record(self.path, shard=True)

    def finish(self, *, sealed_at: str) -> None:
        """Close the journal and mark the record complete.

        Raises:
            RecordError: If a planned generation has no result at all (an error is a result).
        """
        absent = [key for key in self._planned if key not in self.results and key not in self._unasked]
        if absent:
            raise RecordError(
                f"{len(absent)} of {len(self._planned)} planned answers are missing, the first is {absent[0]}",
                where=str(self.path),
                fix="Add --resume to go on with the run",
            )
        self._journal.close()
        files = [self.path / MANIFEST.name, self.path / CASES_NAME, *optional_files(self.path)]
        seal = Seal(
            sealed_at=sealed_at,
            journal_digest=file_digest(self.path / JOURNAL_NAME),
            results=len(self.results),
            files={file.name: file_digest(file) for file in sorted(files)},
            stops=tuple(self._stops),
            in_flight=self.in_flight,
        )
        SEAL.write(self.path, seal, indent=2)

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
