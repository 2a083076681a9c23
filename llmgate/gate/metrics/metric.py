"""One metric after the data, before the verdict: values only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from llmgate.gate.decision.types import Problem
from llmgate.gate.evidence.evidence import Noise
from llmgate.gate.evidence.pairing import Pairs
from llmgate.record.policy import Direction, MetricPolicy
from llmgate.record.serving.policy import ServingPolicy
from llmgate.stats.interval import Interval

if TYPE_CHECKING:
    from llmgate.gate.metrics.attempt_point import AttemptPoint  # noqa: TC004 - nothing reads this annotation
    from llmgate.gate.metrics.look import LookPoint  # noqa: TC004 - nothing reads this annotation

__all__ = ["HypothesisTest", "MetricTest", "ServingTest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HypothesisTest:
    """One hypothesis after the data.

    Attributes:
        interval: Of the difference, or of the rate.
        passed: Proven not worse than the margin (not below the minimum).
        worse: Not passed, and proven worse (below the minimum) at its own alpha.
        p: One-sided p-value against "not worse" ("not below the minimum").
    """

    interval: Interval
    passed: bool
    worse: bool
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricTest:
    """A metric with what was tested.

    Attributes:
        policy: What was asked.
        pairs: The cases; None where a side has no scores at all.
        comparison: Candidate against champion, None if that was impossible.
        floor: Candidate against `min:`, None if there is none or that was impossible.
        margin: The margin that was applied, None without a champion.
        problem: What bars a PASS.
        counted: What could not be evaluated and was counted against the candidate, which passes even so; None where
            nothing is missing, or where what is missing bars a PASS and is the problem.
        admission: Whether its judge was admitted, "" where that is no question.
        notes: Remarks for the report.
        noise: How much its scores change if nothing has changed, None where only this comparison tells.
        labels: Cases that people labelled, 0 for none.
        labels_digest: SHA-256 over their file, "" where they came with the scores.
        judge_bias: What its judges' difference may be off by, which the bounds of the comparison include.
        look: Where it stands among its looks; None if the suite was not to stop early.
        attempt: Where it stands among the attempts of its candidate; None if nothing is reserved for further ones.
        selected: Whether the champion's scores are those of a run that was chosen because it passed.
    """

    policy: MetricPolicy
    pairs: Pairs | None = None
    comparison: HypothesisTest | None = None
    floor: HypothesisTest | None = None
    margin: float | None = None
    problem: Problem | None = None
    counted: Problem | None = None
    admission: Literal["", "admitted", "unadmitted"] = ""
    notes: tuple[str, ...] = ()
    look: LookPoint | None = None
    noise: Noise | None = None
    labels: int = 0
    labels_digest: str = ""
    attempt: AttemptPoint | None = None
    selected: bool = False
    judge_bias: float = 0.0

    @property
    def level(self) -> float:
        """The one-sided α of this attempt alone; bounds at it hold at the policy's α over all attempts."""
        return self.policy.alpha if self.attempt is None else self.attempt.level(self.policy.alpha)

    def over_attempts(self, p: float) -> float:
        """What a p-value of this attempt on its own is worth over all of them."""
        return p if self.attempt is None else self.attempt.p(p)

    @property
    def planned(self) -> MetricTest:
        """The same with the margin that is left to chance: for how often such a gate passes."""
        if self.margin is None or not self.judge_bias:
            return self
        return replace(self, margin=max(1e-6, self.margin - self.judge_bias))

    @property
    def corrected(self) -> bool:
        """Whether people's labels correct the scores, so that the hypotheses are about people's."""
        return self.pairs is not None and self.pairs.human is not None

    @property
    def judge_alone(self) -> bool:
        """Whether all there is to go by is what a judge says."""
        return self.policy.judged and not self.corrected

    @property
    def hypotheses(self) -> tuple[HypothesisTest, ...]:
        """What has been tested: the comparison, then the minimum."""
        return tuple(hypothesis for hypothesis in (self.comparison, self.floor) if hypothesis is not None)

    @property
    def oriented(self) -> Pairs | None:
        """The cases with their scores turned so that more is better."""
        return self.pairs if self.pairs is None or self.policy.direction is Direction.HIGHER else self.pairs.flipped()

    def shown(self, score: float) -> float:
        """A score, or a bound of one, as the metric counts it, from one that was turned so that more is better."""
        return 1.0 - score if self.policy.direction is Direction.LOWER else score


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingTest:
    """A serving figure with what was tested.

    Attributes:
        policy: What was asked.
        candidate: The figure of each valid pair's candidate run, in its unit.
        champion: The same of the champion's runs, in the same order; empty without a champion.
        pairs: How many were wanted.
        comparison: Of the mean logarithm of the ratio within pairs, turned so that more is better; None if that was
            impossible or nobody asked.
        floor: Of the mean logarithm of the candidate's figure over the limit, turned so that more is better; None if
            there is no limit or that was impossible.
        problem: What bars a PASS.
        notes: Remarks for the report.
        attempt: As for `MetricTest`.
    """

    policy: ServingPolicy
    candidate: tuple[float, ...] = ()
    champion: tuple[float, ...] = ()
    pairs: int = 0
    comparison: HypothesisTest | None = None
    floor: HypothesisTest | None = None
    problem: Problem | None = None
    notes: tuple[str, ...] = ()
    attempt: AttemptPoint | None = None

    @property
    def level(self) -> float:
        """As of `MetricTest`."""
        return self.policy.alpha if self.attempt is None else self.attempt.level(self.policy.alpha)

    @property
    def hypotheses(self) -> tuple[HypothesisTest, ...]:
        """What has been tested: the comparison, then the limit."""
        return tuple(hypothesis for hypothesis in (self.comparison, self.floor) if hypothesis is not None)
