"""What a stage means: MLflow gives `models:/NAME/STAGE` the highest version in it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["ARCHIVED", "Transition", "means"]

ARCHIVED: Final = "Archived"


def means(staged: Mapping[int, str], stage: str) -> int | None:
    """The version that a stage means, None if nobody is in it."""
    return max((version for version, its in staged.items() if its == stage), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A version that goes to a stage.

    Attributes:
        version: Which.
        stage: Where to, in MLflow's spelling.
        archive: Whether all others in that stage are archived.
        before: The versions that are in a stage.
        protects: Whether a stage is protected.
    """

    version: int
    stage: str
    archive: bool
    before: Mapping[int, str]
    protects: Callable[[str], bool]

    @property
    def after(self) -> dict[int, str]:
        """The versions that are in a stage then."""
        moved = {
            version: ARCHIVED if self.archive and its == self.stage and version != self.version else its
            for version, its in self.before.items()
        }
        return {**moved, self.version: self.stage}

    def needs_verdict(self) -> bool:
        """Whether the version newly comes into a protected stage, or becomes what it means."""
        if not self.protects(self.stage):
            return False
        comes = self.before.get(self.version) != self.stage
        return comes or means(self.after, self.stage) != means(self.before, self.stage)

    def holder(self) -> int | None:
        """Who is what the stage means until then."""
        return means(self.before, self.stage)

    def objection(self) -> tuple[str, str] | None:
        """Why it is refused whatever verdict there is, and what to do; None if it is not."""
        before, after = self.before, self.after
        for stage in sorted({*before.values(), self.stage} - {None}):
            was, then = means(before, stage), means(after, stage)
            if not self.protects(stage):
                continue
            if stage == self.stage and then != self.version and self.needs_verdict():
                return f"version {then} is in {stage} too and would still be what it means", "archive existing versions"
            if was is not None and then != was and (stage != self.stage or then != self.version):
                return (
                    f"version {was} is what the protected stage {stage} means",
                    "put another version there, and let that archive this one",
                )
        return None
