"""The files of a run: their names, and how each is written and read.

manifest.json       identities, digests, versions, hardware, seeds; written before the first request
cases.jsonl         every case that must be answered
journal.jsonl       what happened, append-only
serving-NAME.json   raw timings of serving measurements
arms-NAME.json      what was to be measured on two arms, the candidate's and the champion's
arms-NAME.K.json    raw timings of the run at place K
canaries.json       what judges said about answers that no judge should let pass
anchors.json        what judges say now about answers that they judged before
seal.json           digests of all of these; written last
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import ValidationError

from llmgate.errors import RecordError
from llmgate.record.arms import ArmRun, ArmsPlan, ServingArms
from llmgate.record.disk import JsonForm, digested, first_problem, read_bytes, stream_lines, write_atomic
from llmgate.record.manifest import Manifest
from llmgate.record.policy import Binding
from llmgate.record.reach import open_regular
from llmgate.record.redaction import NO_SECRETS, Redactor
from llmgate.record.run.stored import CASE, CaseFile, StoredCase, stored_case
from llmgate.record.schema import AnchorCheck, JudgeTrial, PlannedCase, Seal
from llmgate.record.serving.trace import ServingTrace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = [
    "ANCHORS",
    "ARMS_GLOB",
    "ARMS_PLAN",
    "ARM_RUN",
    "ATTEMPTS_KEPT",
    "ATTEMPTS_NAME",
    "CASES_NAME",
    "MANIFEST",
    "SEAL",
    "SERVING",
    "SERVING_GLOB",
    "TRIALS",
    "RecordFile",
    "arm_run_name",
    "arms_plan_name",
    "case_lines",
    "cases_digest",
    "file_digest",
    "optional_files",
    "read_arms",
    "read_cases",
    "read_file",
    "write_arm_run",
    "write_arms_plan",
    "write_cases",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFile(Generic[T]):
    """One JSON file of a record.

    Attributes:
        name: Within the run's folder.
        holds: What is in it.
        unsaid: What a value leaves out, as pydantic's `exclude` has it.
    """

    name: str
    holds: JsonForm[T]
    unsaid: Callable[[T], dict[str, Any] | None] = lambda _: None

    def exists(self, run: Path) -> bool:
        """Whether a run's folder has it."""
        return (run / self.name).exists()

    def read(self, run: Path) -> T:
        """Read and validate it.

        Raises:
            RecordError: If it cannot be read or understood.
        """
        return read_file(run / self.name, self.holds)

    def write(self, run: Path, value: T, *, redact: Redactor = NO_SECRETS, indent: int | None = None) -> None:
        """Write it whole or not at all.

        Raises:
            RecordError: If it cannot be written.
        """
        write_atomic(run / self.name, redact(self.holds.dump_json(value, indent=indent, exclude=self.unsaid(value))))


def _unsaid_of_run(manifest: Manifest) -> dict[str, Any] | None:
    """What was added to manifests later, where it says nothing."""
    identities = {name: getattr(manifest, name) for name in ("model", "embedding")}
    policy: dict[str, Any] = {
        "metrics": {index: set(metric.unsaid) for index, metric in enumerate(manifest.policy.metrics) if metric.unsaid}
    }
    if manifest.policy.binding is Binding.WEIGHTS:
        policy["binding"] = True
    if not manifest.policy.serving:
        policy["serving"] = True
    if not manifest.policy.reserve:
        policy["reserve"] = True
    unsaid: dict[str, Any] = {"policy": policy}
    if not manifest.local_models:
        unsaid["local_models"] = True
    return unsaid | {
        name: {"binding"} for name, model in identities.items() if model is not None and model.binding is None
    }


CASES_NAME: Final = "cases.jsonl"
ATTEMPTS_NAME: Final = "attempts.json"
"""Which attempt of its candidate the run is; beside the record and not under its seal, as all that is decided on it."""
ATTEMPTS_KEPT: Final = "attempts-kept.json.gz"
"""What pooling needs of the attempts before it, and of its own."""
SERVING_GLOB: Final = "serving-*.json"
ARMS_GLOB: Final = "arms-*.json"

SERVING: Final[JsonForm[ServingTrace]] = JsonForm(ServingTrace)
ARMS_PLAN: Final[JsonForm[ArmsPlan]] = JsonForm(ArmsPlan)
ARM_RUN: Final[JsonForm[ArmRun]] = JsonForm(ArmRun)
MANIFEST: Final[RecordFile[Manifest]] = RecordFile(
    name="manifest.json", holds=JsonForm(Manifest), unsaid=_unsaid_of_run
)
TRIALS: Final[RecordFile[tuple[JudgeTrial, ...]]] = RecordFile(
    name="canaries.json", holds=JsonForm(tuple[JudgeTrial, ...])
)
ANCHORS: Final[RecordFile[AnchorCheck]] = RecordFile(name="anchors.json", holds=JsonForm(AnchorCheck))
SEAL: Final[RecordFile[Seal]] = RecordFile(name="seal.json", holds=JsonForm(Seal))


def case_lines(cases: Iterable[PlannedCase], redact: Redactor = NO_SECRETS) -> Iterator[bytes]:
    """The lines of cases.jsonl."""
    for case in cases:
        whole = case.whole() if isinstance(case, StoredCase) else case
        yield redact(CASE.dump_json(whole, exclude=_unsaid(whole))) + b"\n"


def write_cases(path: Path, cases: Iterable[PlannedCase], *, redact: Redactor = NO_SECRETS) -> str:
    """Write cases.jsonl, whole or not at all.

    Returns:
        Their `cases_digest`.

    Raises:
        RecordError: If it cannot be written.
    """
    digest = hashlib.sha256()
    write_atomic(path / CASES_NAME, digested(case_lines(cases, redact), digest))
    return digest.hexdigest()


def read_cases(path: Path) -> tuple[tuple[PlannedCase, ...], str]:
    """The cases of a run's folder, their words read when asked for, and the digest of the file.

    Raises:
        RecordError: If it cannot be read or understood.
    """
    file_path = path / CASES_NAME
    digest, same = hashlib.sha256(), dict[Any, Any]()
    cases: list[PlannedCase] = []
    try:
        with open_regular(file_path) as file:
            words = CaseFile(file_path)
            for number, line in enumerate(stream_lines(file, digest), start=1):
                case = _read_case(line, f"{file_path}:{number}")
                cases.append(stored_case(case, words, words.note(line), same))
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=str(file_path), fix="Restore it") from error
    return tuple(cases), digest.hexdigest()


def _read_case(line: bytes, where: str) -> PlannedCase:
    try:
        return CASE.validate_json(line)
    except ValidationError as error:
        raise RecordError(f"cannot be understood: {first_problem(error)}", where=where, fix="Restore it") from error


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
    digest = hashlib.sha256()
    for line in case_lines(cases, redact):
        digest.update(line)
    return digest.hexdigest()


def optional_files(path: Path) -> list[Path]:
    """The files that a record may have or not."""
    globbed = (file for glob in (SERVING_GLOB, ARMS_GLOB) for file in path.glob(glob))
    return [*globbed, *(path / file.name for file in (TRIALS, ANCHORS) if file.exists(path))]


def arms_plan_name(suite: str) -> str:
    """The file of a plan of two arms; suite names have no dot."""
    return f"arms-{suite}.json"


def arm_run_name(suite: str, position: int) -> str:
    """The file of one run of an arm."""
    return f"arms-{suite}.{position}.json"


def write_arms_plan(path: Path, plan: ArmsPlan, *, redact: Redactor = NO_SECRETS) -> None:
    """Keep what is to be measured on two arms.

    Raises:
        RecordError: If it cannot be written; as for `write_arm_run`.
    """
    write_atomic(path / arms_plan_name(plan.suite), redact(ARMS_PLAN.dump_json(plan)))


def write_arm_run(path: Path, run: ArmRun, *, redact: Redactor = NO_SECRETS) -> None:
    """Keep one run of an arm."""
    write_atomic(path / arm_run_name(run.suite, run.position), redact(ARM_RUN.dump_json(run)))


def read_arms(path: Path) -> tuple[ServingArms, ...]:
    """All that was measured on two arms, by suite; runs in the order in which they were made.

    Raises:
        RecordError: If a file cannot be understood, its name is not that of its content, or a run is missing.
    """
    plans: dict[str, ArmsPlan] = {}
    runs: dict[str, list[ArmRun]] = {}
    for file in sorted(path.glob(ARMS_GLOB)):
        if file.name.count(".") == 1:
            plan = read_file(file, ARMS_PLAN)
            suite, name = plan.suite, arms_plan_name(plan.suite)
            plans[suite] = plan
        else:
            run = read_file(file, ARM_RUN)
            suite, name = run.suite, arm_run_name(run.suite, run.position)
            runs.setdefault(suite, []).append(run)
        if file.name != name:
            raise RecordError(f"this is {name} by its content", where=str(file), fix="Restore it")
    for suite, made in runs.items():
        made.sort(key=lambda run: run.position)
        if suite not in plans or [run.position for run in made] != list(range(len(made))):
            raise RecordError(f"a file of the arms of {suite!r} is missing", where=str(path), fix="Restore it")
    return tuple(ServingArms(plan=plan, runs=tuple(runs.get(suite, ()))) for suite, plan in sorted(plans.items()))


def file_digest(path: Path) -> str:
    """Full SHA-256 of a file."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_file(path: Path, adapter: JsonForm[T]) -> T:
    """Read and validate one JSON file of a record."""
    try:
        return adapter.validate_json(read_bytes(path, fix="Name the folder of a run"))
    except ValidationError as error:
        raise RecordError(f"cannot be understood: {first_problem(error)}", where=str(path), fix="Restore it") from error
