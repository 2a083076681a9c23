"""An attempt before this one, as a ledger hands it over: values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Verdict

if TYPE_CHECKING:
    from llmgate.record.schema import Record  # noqa: TC004 - nothing reads this annotation

__all__ = ["Earlier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An attempt of the same candidate at the same gate.

    Attributes:
        number: Which attempt it was, counted from 1.
        digest: Journal digest of the candidate's record, as the ledger keeps it. It must be that of `candidate`.
        verdict: What was decided then.
        candidate: The record; None where it cannot be read any more, which keeps a later verdict from PASS.
        champion: The champion's record that it was compared with, None without a champion. Where it is the same run
            at all attempts it counts once.
        lost: Why there is no record, to be told.
    """

    number: int
    digest: str
    verdict: Verdict
    candidate: Record | None
    champion: Record | None = None
    lost: str = ""
