"""The files of a run: their names, and how each is written and read.

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
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from llmgate.errors import RecordError
from llmgate.record.atomic import replace_file
from llmgate.record.manifest import Manifest
from llmgate.record.run.journal import NO_SECRETS, Redactor, first_problem, lines_of
from llmgate.record.schema import AnchorCheck, CaseKey, JudgeTrial, PlannedCase, Seal
from llmgate.record.serving import ServingTrace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "ANCHORS",
    "ANCHORS_NAME",
    "CASE",
    "CASES_NAME",
    "MANIFEST",
    "MANIFEST_NAME",
    "SEAL",
    "SEAL_NAME",
    "SERVING",
    "SERVING_GLOB",
    "TRIALS",
    "TRIALS_NAME",
    "cases_digest",
    "encode_cases",
    "file_digest",
    "optional_files",
    "planned_keys",
    "read_anchor_check",
    "read_file",
    "read_lines",
    "read_trials",
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
    """Write a whole file or nothing: see `replace_file`.

    Raises:
        RecordError: If it cannot be written.
    """
    try:
        replace_file(path, data)
    except OSError as error:
        raise RecordError(
            f"cannot be written ({error.strerror})", where=str(path), fix="Free some space, or choose another --out"
        ) from error


def encode_cases(cases: Iterable[PlannedCase], redact: Redactor = NO_SECRETS) -> bytes:
    """The content of cases.jsonl."""
    return b"".join(redact(CASE.dump_json(case, exclude=_unsaid(case))) + b"\n" for case in cases)


def _unsaid(case: PlannedCase) -> dict[str, Any] | None:
    """What cases without special messages or traits leave out, so that the digests of older records still hold."""
    unsaid: dict[str, Any] = {}
    if all(message.wire is None for message in case.messages):
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
    return [key for case in cases for key in case.keys]


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
