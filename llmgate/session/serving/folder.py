"""A folder that holds runs of two arms and nothing else: what `llmgate bench --compare` keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.errors import RecordError
from llmgate.record.disk import private_folder
from llmgate.record.redaction import NO_SECRETS, Redactor
from llmgate.record.run.files import read_arms, write_arm_run, write_arms_plan

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
        write_arms_plan(self.path, plan, redact=self._redact)

    def add_arm_run(self, run: ArmRun) -> None:
        """Keep one run."""
        write_arm_run(self.path, run, redact=self._redact)

    def arms(self) -> tuple[ServingArms, ...]:
        """What was kept so far."""
        return read_arms(self.path)
