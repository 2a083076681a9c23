"""A project whose candidate is tried again and again, and its attempt ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmgate.gate.decision.verdict_word import Verdict
from llmgate.session.attempts.counting import AttemptSources, CountedWith, counted_with
from llmgate.session.attempts.ledger import AttemptLedger
from support.records import make_decision, make_policy, make_record

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.policy import Policy
    from llmgate.record.schema import Record

__all__ = ["POLICY", "RESERVED", "Tried", "record_of", "told"]

POLICY = make_policy(margin=0.1)
RESERVED = replace(POLICY, reserve=0.1)
CASES = 20


class Tried:
    """Runs of one candidate against one champion, beside each other, with their ledger.

    Args:
        root: A folder.
    """

    def __init__(self, root: Path) -> None:
        self.runs = root / "runs"
        self.ledger = AttemptLedger(root / "attempts")
        self.champion = record_of("champion", right=18, version=7)
        self.made = 0

    def run(self, *, shift: int = 0, right: int = 15, policy: Policy = RESERVED, **more: Any) -> tuple[Path, Record]:
        """A run: its folder, and its record. It found what another did if it is shifted alike."""
        self.made += 1
        out = self.runs / f"run-{self.made}"
        out.mkdir(parents=True)
        return out, record_of(out.name, right=right, shift=shift, policy=policy, **more)

    def decide(self, run: tuple[Path, Record], verdict: str = "INCONCLUSIVE", *, ledger: bool = True) -> CountedWith:
        """Count a run and enter a verdict, whatever the numbers say.

        Args:
            run: Folder and record.
            verdict: What is entered.
            ledger: Whether there is a ledger, or only what stands beside the record.
        """
        out, candidate = run
        attempts = AttemptSources(ledger=self.ledger if ledger else None, always=ledger)
        with counted_with(out, candidate, self.champion, candidate.manifest.policy, attempts) as counted:
            counted.enter(replace(make_decision(), verdict=Verdict(verdict)))
        return counted


def record_of(run: str, *, right: int, shift: int = 0, lost: int = 0, policy: Policy = RESERVED, **more: Any) -> Record:
    """A sealed record in which `right` of twenty cases passed, from the one named `shift` on, and the first are lost."""
    scores: dict[str, float | None] = {f"c{i:02}": float((i - shift) % CASES < right) for i in range(CASES)}
    scores |= {f"c{i:02}": None for i in range(lost)}
    return make_record(scores=scores, run_id=run, policy=policy, **more)


def told(counted: CountedWith) -> list[tuple[int, str]]:
    """Numbers and verdicts of the attempts before."""
    return [(one.number, one.verdict.value) for one in counted.earlier]
