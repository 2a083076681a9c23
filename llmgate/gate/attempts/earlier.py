"""An attempt before this one, as a ledger hands it over: values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Verdict

if TYPE_CHECKING:
    from llmgate.gate.evidence.evidence import Evidence  # noqa: TC004 - nothing reads this annotation

__all__ = ["Earlier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An attempt of the same candidate at the same gate, as scores: its record may be gone by now.

    Attributes:
        number: Which attempt it was, counted from 1.
        digest: Tells it from other attempts: SHA-256 over the scores of both sides.
        verdict: What was decided then.
        candidate: What the candidate's run brought: tables, failed required checks, problems, the judge's drift. None
            where it cannot be read any more, which keeps a later verdict from PASS.
        champion: The same of the champion's run, None without a champion. A run that several attempts were compared
            with has the same digest in all of them, and counts once.
        lost: Why there are no scores, to be told.
        may_stop: The suites that could have stopped early.
        stopped: Those that did, at a look that was confirmed; only their tables may lack cases.
    """

    number: int
    digest: str
    verdict: Verdict
    candidate: Evidence | None
    champion: Evidence | None = None
    lost: str = ""
    may_stop: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
