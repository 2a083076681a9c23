"""What a decision says about the round of candidates that it is one of: values only."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RoundDecision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundDecision:
    """One candidate of several that were decided together, or the one that was asked again on new cases.

    Attributes:
        name: Of the round, as `--round` declared it.
        number: Which candidate this is, counted from 1; of a final, which one was asked again.
        of: K, how many there are.
        candidates: Journal digests of their records, in order.
        before: The numbers of those that had passed already when this one was decided: a step leaves out who passed.
        correlation: Between their statistics, as it was taken for the bound; None where nothing was known of it.
        final: Whether this is the round's one final, on cases that decided nothing about who was asked again.
    """

    name: str
    number: int
    of: int
    candidates: tuple[str, ...]
    before: tuple[int, ...] = ()
    correlation: float | None = None
    final: bool = False

    @property
    def remaining(self) -> int:
        """How many candidates share the error rate at this step; a final has all of it."""
        return 1 if self.final else self.of - len(self.before)

    @property
    def sentence(self) -> str:
        """For the reader of the verdict."""
        if self.final:
            return f"Final of round {self.name}: candidate {self.number} of {self.of}, asked again on new cases."
        return (
            f"Candidate {self.number} of {self.of} in round {self.name}; the error rate holds for all of them together."
        )
