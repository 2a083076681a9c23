"""The attempts that the tags of a version tell of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llmgate.promote import tags
from llmgate.promote.target import AttemptName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.promote.target import VersionFacts

__all__ = ["noted_attempts", "tried_before"]

NOTE: Final = re.compile(r"(?P<number>[1-9][0-9]{0,8}) (?P<key>[0-9a-f]{64}) (?P<id>[0-9a-f]{64})")


def noted_attempts(version: VersionFacts) -> Mapping[str, AttemptName]:
    """Which attempt each gate run of a version was, by the registry's id of the run, as far as it can be read."""
    found = {}
    for key, value in version.tags.items():
        name, slash, run = key.partition("/")
        match = NOTE.fullmatch(value) if name == tags.ATTEMPTS and slash else None
        if match is not None:
            found[run] = AttemptName(key=match["key"], id=match["id"], number=int(match["number"]))
    return found


def tried_before(version: VersionFacts) -> str:
    """What the version's tag says of its attempts: `3 (earlier: FAIL, INCONCLUSIVE)`; "" where nothing came before."""
    told = " ".join(version.tags.get(tags.ATTEMPT, "").split())[:200]
    return told if "earlier" in told else ""
