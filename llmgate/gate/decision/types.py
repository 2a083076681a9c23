"""What `decide` returns: values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from llmgate.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS
from llmgate.gate.decision.judge_types import JudgeDrift, PreferenceDecision
from llmgate.gate.decision.look_types import LookDecision
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import DEFAULT_SLICE_ALPHA, Direction, OnInconclusive, Role
from llmgate.stats.clusters.facts import ClusterFacts

__all__ = [
    "ASK_AGAIN",
    "NOTHING_TO_COMPARE",
    "SCORE_AGAIN",
    "Decision",
    "FlakyCase",
    "Flip",
    "MetricDecision",
    "OutputDrift",
    "Problem",
    "RepeatDecision",
    "SliceDecision",
    "Verdict",
    "WaiverUse",
]

ASK_AGAIN: Final = "Ask them again: add --resume and --out with the folder of the run"
"""What to do about cases of a run that could not be evaluated."""
NOTHING_TO_COMPARE: Final = "there is nothing to compare with"
"""What is wrong with a metric that has no champion and no limit of its own."""
SCORE_AGAIN: Final = "Score them again with the tool that wrote the file, and decide on the new one"
"""What to do about rows of a table that have no score."""


class Verdict(StrEnum):
    """The three words."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that could not be evaluated. It keeps the verdict from PASS, unless it was counted.

    Attributes:
        where: What it is about.
        what: What is wrong.
        fix: How to mend it.
        counted: What is missing was counted against the candidate as badly as it can be, and the metric passes even so.
    """

    where: str
    what: str
    fix: str = ""
    counted: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f". {self.fix}" if self.fix else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A case whose score changed on a metric. Scores are fractions; `delta` > 0 means better."""

    suite: str
    case: str
    metric: str
    champion: float
    candidate: float
    direction: Direction = Direction.HIGHER

    @property
    def delta(self) -> float:
        """Candidate minus champion, turned round where less is better."""
        difference = self.candidate - self.champion
        return -difference if self.direction is Direction.LOWER else difference


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDecision:
    """The decision on one metric, with its evidence. All scores, bounds and margins are fractions, not percentages.

    Attributes:
        reference: `champion` for a paired comparison, `threshold` for an absolute minimum, `none` if neither exists.
        method: The interval used, in words.
        candidate: Mean score over the evaluated pairs (cases, without a champion); None if there are none.
        champion: The champion's mean over the same pairs.
        direction: Which way is better.
        delta: candidate − champion; champion − candidate where less is better. More than 0 is better.
        lower: One-sided (1−α) lower bound of delta, or of the candidate's rate for a threshold.
        upper: One-sided (1−α) upper bound of the same.
        margin: The margin that was applied.
        min: The absolute threshold that was applied, beside a champion too: a PASS then needs both.
        max: The same where less is better.
        expected: Cases that the suite says must exist.
        evaluated: Pairs (cases) that both sides evaluated.
        errors: expected − evaluated.
        better: Pairs in which the candidate scored higher.
        worse: Pairs in which the candidate scored lower.
        se: Standard error of delta over independent pairs; descriptive, whatever the method.
        se_clustered: The same with whole clusters as the unit; None where no two cases share one.
        clusters: How many clusters there are, a case without a key being its own.
        p_worse: One-sided p-value of "the candidate is worse" (δ0 = 0; for a threshold, "is below min"),
            Holm-adjusted over the tests of the gating metrics.
        pass_if_unchanged: P(PASS | δ = 0) of this gate at this n, see `chances_from`.
        pass_if_margin_lost: P(PASS | δ = −margin), at most.
        chances_from: Where the spread comes from that both chances rest on: this `comparison` itself, the `repeats` of
            the champion, a second `run` of it, or the `history` of releases.
        reason: One sentence.
        notes: Remarks, for example that the default margin was used.
        waived: Whether a waiver that holds covers its verdict: it is shown and does not count.
        two_sided: Whether a change in either direction is a loss. `delta`, `lower`, `upper` and `margin` are then
            relative changes (0.04 is 4 % more), and p_worse is two-sided, of "nothing changed".
        judged: Whether a judge scores it. `candidate` and `champion`, `better` and `worse` are then the judge's.
        labels: Cases that people labelled. If there are any, delta and bounds are about what people say of all cases
            (PPI++); if not, those of a judged metric are about what the judge says.
        labels_digest: SHA-256 over the file of labels, "" for none or where they came with the scores.
        admission: Whether its judge was admitted; "" where no judge scores it, or it is only watched.
        unit: Of a serving figure, such as `ms`; "" for scores. `candidate` and `champion` are then geometric means over
            runs in this unit, as are `min` and `max`; `delta`, `lower`, `upper` and `margin` are relative changes, more
            than 0 being better whatever the direction (−0.04: 4 % less throughput, or 4 % more latency), except for a
            threshold, whose bounds are in the unit. `expected` and `evaluated` count pairs of runs.
        cluster_facts: How much the clusters tell, None where no two cases share one.
    """

    suite: str
    metric: str
    role: Role
    verdict: Verdict
    reference: Literal["champion", "threshold", "none"]
    method: str
    alpha: float
    candidate: float | None = None
    champion: float | None = None
    delta: float | None = None
    lower: float | None = None
    upper: float | None = None
    margin: float | None = None
    min: float | None = None
    max: float | None = None
    direction: Direction = Direction.HIGHER
    expected: int
    evaluated: int
    errors: int
    better: int = 0
    worse: int = 0
    se: float | None = None
    se_clustered: float | None = None
    clusters: int | None = None
    p_worse: float | None = None
    pass_if_unchanged: float | None = None
    pass_if_margin_lost: float | None = None
    chances_from: Literal["comparison", "repeats", "run", "history"] = "comparison"
    reason: str
    notes: tuple[str, ...] = ()
    waived: bool = False
    two_sided: bool = False
    judged: bool = False
    labels: int = 0
    labels_digest: str = ""
    admission: Literal["", "admitted", "unadmitted"] = ""
    unit: str = ""
    cluster_facts: ClusterFacts | None = None

    @property
    def gates(self) -> bool:
        """Whether it is meant to count for the verdict; a waiver may have taken that from it."""
        return self.role is not Role.WATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceDecision:
    """A part of the cases, compared on its own. All numbers are fractions; more than 0 is better.

    Attributes:
        suite: Suite name.
        metric: Gating metric.
        field: Slice field.
        value: Its value.
        cases: Pairs in the slice that both sides evaluated.
        candidate: Mean score over them.
        champion: The champion's.
        delta: As for the metric.
        lower: One-sided (1−α) bound of delta, with the metric's α.
        upper: The same above.
        method: The interval used, in words.
        p_worse: One-sided p-value of "worse than the champion", Holm-adjusted over all slices.
        failed: Proven worse at the slices' family-wise error rate, and not proven to be within the margin.
        waived: Whether a waiver that holds covers it.
    """

    suite: str
    metric: str
    field: str
    value: str
    cases: int
    candidate: float
    champion: float
    delta: float
    lower: float
    upper: float
    method: str
    p_worse: float
    failed: bool
    waived: bool = False

    @property
    def name(self) -> str:
        """`suite::metric[field=value]`."""
        return f"{self.suite}::{self.short_name}"

    @property
    def short_name(self) -> str:
        """`metric[field=value]`."""
        return f"{self.metric}[{self.field}={self.value}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlakyCase:
    """A case whose repeats got different scores."""

    case: str
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatDecision:
    """What several answers to the same case say about a metric. Shown; it decides nothing.

    Attributes:
        suite: Suite name.
        metric: Metric name.
        repeats: Answers to a case.
        cases: Cases whose answers all have a score.
        between: Variance of the cases' true means, of the candidate.
        within: Mean variance of one case's answers.
        champion_within: The same of the champion, None without its repeats.
        scores_flip: How often two answers to the same case get different scores.
        texts_flip: How often two answers to the same case differ in their text.
        one_more: One more repeat narrows the bounds as much as this share of cases more; None if without limit.
        flaky: How many cases got different scores.
        named: The first of them, those that are most divided before others.
    """

    suite: str
    metric: str
    repeats: int
    cases: int
    between: float
    within: float
    champion_within: float | None = None
    scores_flip: float
    texts_flip: float
    one_more: float | None
    flaky: int
    named: tuple[FlakyCase, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDrift:
    """One output feature, beside the champion's.

    Attributes:
        suite: Suite name.
        trait: Which.
        role: Whether it gates; then it is among the metrics too, with its verdict.
        verdict: That verdict, None where it does not gate.
        champion: Share of answers with the feature, or their geometric mean length in characters; None where unknown,
            and for embeddings.
        candidate: The same.
        change: candidate − champion; of lengths the relative change; of embeddings the energy distance of vectors of
            length 1.
        lower: One-sided (1−α) lower bound of the change, None for embeddings.
        upper: The same above.
        usual: The energy distance that an unchanged model would have, None but for embeddings.
        p: Two-sided p-value of "nothing changed".
        changed: Pairs whose answers differ in the feature.
        evaluated: Pairs that both sides have.
        expected: Pairs that there should be.
        why: Why pairs are missing, or what else is to be known.
    """

    suite: str
    trait: OutputFeature
    role: Role
    verdict: Verdict | None = None
    champion: float | None = None
    candidate: float | None = None
    change: float | None = None
    lower: float | None = None
    upper: float | None = None
    usual: float | None = None
    p: float | None = None
    changed: int = 0
    evaluated: int = 0
    expected: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverUse:
    """What became of a waiver.

    Attributes:
        target: What it is about.
        until: Its last day.
        by: Who gave it.
        reason: Why.
        status: `applied` if it covers a finding, `unused` if there is none to cover, `expired` if its last day is
            over, `no date` if the decision was taken without knowing the day.
    """

    target: str
    until: str
    by: str
    reason: str
    status: Literal["applied", "unused", "expired", "no date"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict with its evidence; byte-identical for the same records and policy.

    Attributes:
        sentence: What the release manager reads first, see `summary`; older versions wrote the details into it too.
        candidate_run: Run id, "" for plain score tables.
        champion_run: Run id of the baseline, None without one.
        candidate_digest: Journal digest of the candidate record.
        champion_digest: Journal digest of the baseline record.
        required_failures: `suite::case` of every failed `required: true` assert that is not waived.
        slices: Every slice that was tested.
        slice_alpha: Family-wise error rate of all slices together.
        waivers: Every waiver of the policy, and what became of it.
        looks: The suites that could stop early.
        repeats: Of the metrics whose cases were answered several times.
        outputs: How the output features compare with the champion's.
        drifts: What became of judges' anchors, on each side that had them.
        preferences: Wins, ties and losses of the candidate's answers, on each metric that `prefer` asserts feed.
        as_baseline: The run was made to be compared with, so a metric that has nothing to compare with yet does not
            stand in its way. The verdict is the same, and allows no promotion.
    """

    verdict: Verdict
    sentence: str
    metrics: tuple[MetricDecision, ...]
    flips: tuple[Flip, ...] = ()
    problems: tuple[Problem, ...] = ()
    required_failures: tuple[str, ...] = ()
    slices: tuple[SliceDecision, ...] = ()
    slice_alpha: float = DEFAULT_SLICE_ALPHA
    waivers: tuple[WaiverUse, ...] = ()
    looks: tuple[LookDecision, ...] = ()
    repeats: tuple[RepeatDecision, ...] = ()
    outputs: tuple[OutputDrift, ...] = ()
    drifts: tuple[JudgeDrift, ...] = ()
    preferences: tuple[PreferenceDecision, ...] = ()
    on_inconclusive: OnInconclusive = OnInconclusive.FAIL
    candidate_run: str = ""
    champion_run: str | None = None
    candidate_digest: str = ""
    champion_digest: str | None = None
    as_baseline: bool = False

    @property
    def barring(self) -> tuple[Problem, ...]:
        """The problems that keep the verdict from PASS."""
        return tuple(problem for problem in self.problems if not problem.counted)

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 3 INCONCLUSIVE; 0 as well where the caller or `as_baseline` lets an INCONCLUSIVE through."""
        if self.verdict is Verdict.PASS:
            return EXIT_PASS
        if self.verdict is Verdict.FAIL:
            return EXIT_FAIL
        allowed = self.on_inconclusive is OnInconclusive.ALLOW and not self.barring
        return EXIT_PASS if allowed or self.is_baseline else EXIT_INCONCLUSIVE

    @property
    def is_baseline(self) -> bool:
        """Whether it was recorded as a baseline, and lacks nothing but something to compare with."""
        held = all(m.verdict is Verdict.PASS or m.waived or m.reference == "none" for m in self.metrics if m.gates)
        return (
            self.as_baseline
            and self.verdict is not Verdict.FAIL
            and held
            and all(problem.what == NOTHING_TO_COMPARE for problem in self.barring)
        )
