"""The place that a run was given when its round was decided, as the decision beside its record has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.reread import decision_from_json
from llmgate.record.disk import decoded, read_bytes
from llmgate.session.decide.github import DECISION_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.gate.decision.round_types import RoundDecision

__all__ = ["noted_place"]


def noted_place(folder: Path) -> RoundDecision | None:
    """The place of a candidate in its round; None where the round is not decided yet.

    Args:
        folder: The candidate's record.

    Raises:
        RecordError: If there is a decision that cannot be read.
    """
    path = folder / DECISION_NAME
    if not path.exists():
        return None
    return decision_from_json(decoded(read_bytes(path), str(path), fix="Decide the round again")).round
