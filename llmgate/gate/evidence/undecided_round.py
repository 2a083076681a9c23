"""A run that was made for a round passes with the round, and never by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Problem

if TYPE_CHECKING:
    from llmgate.gate.decision.round_types import RoundDecision
    from llmgate.record.manifest import Manifest

__all__ = ["undecided"]


def undecided(manifest: Manifest, place: RoundDecision | None) -> tuple[Problem, ...]:
    """What keeps a candidate of a round from PASS while the round is not decided.

    Args:
        manifest: Of its run.
        place: Its place in the round that is being decided; None where it is decided by itself.
    """
    if not manifest.round or (place is not None and place.name == manifest.round):
        return ()
    return (
        Problem(
            where=f"round {manifest.round}",
            what="the run is one of several candidates, of which each would pass too easily by itself",
            fix=f"Decide them together: llmgate round {manifest.round} RUN RUN … --champion RUN",
        ),
    )
