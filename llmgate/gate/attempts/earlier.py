"""An attempt before this one: as a ledger hands it over, and as it counts. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Verdict

if TYPE_CHECKING:
    from llmgate.gate.evidence.evidence import Evidence  # noqa: TC004 - nothing reads this annotation
    from llmgate.record.schema import Record  # noqa: TC004 - nothing reads this annotation

__all__ = ["Earlier", "PastAttempt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An attempt of the same candidate at the same gate.

    Attributes:
        number: Which attempt it was, counted from 1.
        digest: Tells it from other attempts.
        verdict: What was decided then.
        candidate: The record, or what a ledger keeps of it; None where it cannot be read any more, which keeps a later
            verdict from PASS.
        champion: The champion's record that it was compared with, None without a champion. A run that several attempts
            were compared with counts once; so does a run of the candidate that was compared with several.
        lost: Why there is no record, to be told.
    """

    number: int
    digest: str
    verdict: Verdict
    candidate: Record | None
    champion: Record | None = None
    lost: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """An attempt as it counts.

    Attributes:
        number: As of `Earlier`.
        digest: As of `Earlier`.
        verdict: As of `Earlier`.
        candidate: What the candidate's run brought, None where that is lost.
        champion: The same of the champion's run.
        lost: Why it is lost.
        may_stop: The suites that could have stopped early.
        stopped: Those that did, at a look that the data confirm; only their tables may lack cases.
    """

    number: int
    digest: str
    verdict: Verdict
    candidate: Evidence | None
    champion: Evidence | None = None
    lost: str = ""
    may_stop: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
