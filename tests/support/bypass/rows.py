"""All rows, in the order in which the page tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from support.bypass.aliases import ALIASES, NAMES, STAGES
from support.bypass.content import ABOUT, FORGED, SIGNERS
from support.bypass.elsewhere import DOORS, LIMITS, USERS, WORKSPACES
from support.bypass.history import REPLAYS, ROLLBACKS
from support.bypass.keeping import DELETIONS, PROMPTS, TAGS
from support.bypass.outcomes import VERDICTS
from support.bypass.usual import GOOD, READING, USUAL
from support.bypass.weights import WEIGHTS

if TYPE_CHECKING:
    from support.bypass.table import Area, Row

__all__ = ["AREAS", "ROWS"]

AREAS: Final[tuple[Area, ...]] = (
    ALIASES, NAMES, STAGES, FORGED, SIGNERS, ABOUT, VERDICTS, REPLAYS, ROLLBACKS, TAGS, DELETIONS, PROMPTS, WORKSPACES,
    USERS, DOORS, WEIGHTS, LIMITS, GOOD, READING, USUAL,
)  # fmt: skip
ROWS: Final[tuple[Row, ...]] = tuple(row for area in AREAS for row in area.rows)
