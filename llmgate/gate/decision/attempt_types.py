"""What a decision says about the attempts before it: values only."""

from __future__ import annotations

from dataclasses import dataclass

from llmgate.gate.decision.verdict_word import Verdict

__all__ = ["AttemptBound", "AttemptDecision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptBound:
    """What one gating metric has to reach at this attempt.

    Attributes:
        suite: Suite name.
        metric: Metric name.
        alpha: One-sided error rate over all attempts together: the policy's.
        spent: What each attempt so far takes of it, this one last.
        first: What the first attempt had to reach, on the scale of a standard normal.
        z: What this one has to reach.
        pooled: Whether the answers of all attempts count together; False where this attempt's are judged alone, at
            what it takes of alpha.
        correlation: r, the share of the variance of a case's difference that asking again does not average out, in
            [0, 0.96]; None at the first attempt, and where nothing is pooled.
        information: t_1 = 1, t_2, …: how much all answers up to each attempt tell, beside those of the first; empty
            where nothing is pooled.
    """

    suite: str
    metric: str
    alpha: float
    spent: tuple[float, ...]
    first: float
    z: float
    pooled: bool = True
    correlation: float | None = None
    information: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDecision:
    """Which attempt of the same candidate a decision is, and what earlier ones cost it.

    Attributes:
        number: Counted from 1.
        reserve: Share of every alpha that is kept for attempts after the first.
        earlier: The verdicts of the attempts before it, in order.
        digests: The journal digests of their records, in the same order; "" where that is not known.
        shares: What each attempt so far takes of every alpha, as a share, this one last.
        bounds: Of every gating metric that scores answers, and of gating serving figures.
        answers: How many answers of the candidate count together.
        sentence: What people are told.
    """

    number: int
    reserve: float
    earlier: tuple[Verdict, ...] = ()
    digests: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    bounds: tuple[AttemptBound, ...] = ()
    answers: int = 0
    sentence: str = ""
