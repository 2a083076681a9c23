"""How the champion's run came about, read from both manifests: was it chosen for its result?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.baseline_types import BaselineFacts
from llmgate.record.manifest import ALONE, FOR_COMPARISON, FOR_PROMOTION

if TYPE_CHECKING:
    from llmgate.gate.decision.baseline_types import How
    from llmgate.record.manifest import Manifest

__all__ = ["baseline_facts", "was_selected"]

BY_PURPOSE: Final[dict[str, How]] = {FOR_COMPARISON: "stored", ALONE: "stored", FOR_PROMOTION: "selected"}
"""A run that was held to thresholds alone could be chosen by these only, which matters where its rate is near them."""


def was_selected(candidate: Manifest, champion: Manifest) -> bool:
    """Whether the champion's run is the champion's because it passed."""
    return _how(candidate, champion) == "selected"


def baseline_facts(candidate: Manifest, champion: Manifest) -> BaselineFacts | None:
    """What both manifests say of the champion's run; None where an older record says nothing.

    The age is that at the time of the candidate's run and not today, so that a decision taken again is the same.
    """
    if not champion.made_for:
        return None
    before, now = _moment(champion.created_at), _moment(candidate.created_at)
    age = None if before is None or now is None else max(0, (now - before).days)
    return BaselineFacts(how=_how(candidate, champion), answered_at=champion.created_at, age_days=age)


def _how(candidate: Manifest, champion: Manifest) -> How:
    if candidate.beside and candidate.beside == champion.run_id:
        return "fresh"
    return BY_PURPOSE.get(champion.made_for, "unknown")


def _moment(text: str) -> datetime | None:
    """A time, in UTC where it names no zone; None if it cannot be read."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
