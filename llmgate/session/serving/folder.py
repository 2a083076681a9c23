"""A folder that holds runs of two arms and nothing else: what `llmgate bench --compare` keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.errors import RecordError
from llmgate.record.disk import private_folder, write_atomic
from llmgate.record.redaction import NO_SECRETS, Redactor
from llmgate.record.run.files import ARM_RUN, ARMS_PLAN, arm_run_name, arms_plan_name, read_arms

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.arms import ArmRun, ArmsPlan, ServingArms

__all__ = ["ArmsFolder"]


class ArmsFolder:
    """Plans and runs of two arms, in the files that a run's record has them in.

    Args:
        path: The folder; made if it is not there.
        redact: Applied to all that is written.

    Raises:
        RecordError: If it cannot be made.
    """

    def __init__(self, path: Path, *, redact: Redactor = NO_SECRETS) -> None:
        self.path = path
        self._redact = redact
        try:
            private_folder(path)
        except OSError as error:
            raise RecordError(
                f"the folder cannot be made ({error.strerror})", where=str(path), fix="Choose another one with --out"
            ) from error

    def plan_arms(self, plan: ArmsPlan) -> None:
        """Keep what is to be measured."""
        write_atomic(self.path / arms_plan_name(plan.suite), self._redact(ARMS_PLAN.dump_json(plan)))

    def add_arm_run(self, run: ArmRun) -> None:
        """Keep one run."""
        write_atomic(self.path / arm_run_name(run.suite, run.position), self._redact(ARM_RUN.dump_json(run)))

    def arms(self) -> tuple[ServingArms, ...]:
        """What was kept so far."""
        return read_arms(self.path)
