"""The types of a run record: frozen, versioned, without I/O.

A record is everything that happened in one run, enough to decide and to report again without a model. `run.files`
has its form on disk.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import not_
from typing import Annotated, Any, Literal

from pydantic import Field

from llmgate.record.answered_by import (
    Exchange,
    Failure,
    FailureKind,
    Generation,
    MaybeSaid,
    OnlyIfTrue,
    TokenLogprob,
)
from llmgate.record.arms import ServingArms
from llmgate.record.looks import Stop
from llmgate.record.manifest import Manifest, MaybeInFlight
from llmgate.record.output_features import AnswerFeatures, OutputFeature
from llmgate.record.serving.trace import ServingTrace

__all__ = [
    "AnchorCheck",
    "AnchorResult",
    "CaseKey",
    "CaseResult",
    "ChatRole",
    "CheckResult",
    "Exchange",
    "Failure",
    "FailureKind",
    "Generation",
    "JudgeTrial",
    "Judgement",
    "Message",
    "Outcome",
    "PlannedCase",
    "Record",
    "Seal",
    "TokenLogprob",
    "Vote",
    "WordlessResults",
    "weighted_mean",
]

Written = Annotated[tuple[Mapping[str, Any], ...], Field(exclude_if=not_)]
Exchanges = Annotated[tuple[Exchange, ...], Field(exclude_if=not_)]
"""Both left out of files where there is none."""

ChatRole = Literal["system", "developer", "user", "assistant", "tool"]
"""Who says a message."""


class Outcome(StrEnum):
    """How a check ended. An error is not a fail: it keeps the verdict from PASS whatever the others say."""

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    FAIL = "fail"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CaseKey:
    """Names one generation: the `repeat`-th answer to one case of one suite."""

    suite: str
    case: str
    repeat: int = 0

    def __str__(self) -> str:
        return f"{self.suite}::{self.case}" + (f"#{self.repeat}" if self.repeat else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat message.

    Attributes:
        role: Who says it.
        content: Its text, as a reader sees it; pictures and calls of tools are worded.
        wire: The message as it is sent, where role and content do not say it all; pictures by their digest.
    """

    role: ChatRole
    content: str
    wire: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCase:
    """A case that must exist in the results. What is planned and missing is an error, never a gap.

    Attributes:
        suite: Suite name.
        case: Stable id, unique within the suite.
        repeats: How many generations the case has.
        cluster: Cases that share a document, conversation or task carry the same key.
        slices: Field name to value, for slice tables.
        messages: The rendered prompt.
        expected: What the asserts look for, worded for a reader.
        metrics: The metrics that this case's asserts feed; None for all of its suite, none where nothing checks it.
        threshold: The least weighted mean with which the case passes a metric; None if every assert has to pass.
        request_digest: SHA-256 of the request body, so that a resumed run never reuses an answer to another question.
        traits: The output features that its answers have whatever comes back; None in older records.
    """

    suite: str
    case: str
    repeats: int = 1
    cluster: str | None = None
    slices: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    expected: str = ""
    metrics: tuple[str, ...] | None = None
    threshold: float | None = None
    request_digest: str
    traits: tuple[OutputFeature, ...] | None = None

    @property
    def unchecked(self) -> bool:
        """Whether nothing checks its answers: they are recorded, and neither passed nor missed."""
        return self.metrics == ()

    @property
    def keys(self) -> tuple[CaseKey, ...]:
        """Its generations, in order."""
        if self.repeats == 1:
            return (CaseKey(suite=self.suite, case=self.case),)
        return tuple(CaseKey(suite=self.suite, case=self.case, repeat=repeat) for repeat in range(self.repeats))


def _check_score(outcome: Outcome, score: float | None) -> None:
    if (score is None) != (outcome is Outcome.ERROR):
        raise ValueError(f"outcome {outcome} with score {score}")
    if score is not None and not (math.isfinite(score) and 0.0 <= score <= 1.0):
        raise ValueError(f"score {score} is not a finite number in [0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one member of a panel came to.

    Attributes:
        outcome: pass, fail, or error if the member could not be asked or understood.
        score: Finite, in [0, 1]; None exactly when the outcome is error.
        reason: One line for a reader.

    Raises:
        ValueError: If score and outcome contradict each other or the score is not finite.
    """

    outcome: Outcome
    score: float | None
    reason: str = ""

    def __post_init__(self) -> None:
        _check_score(self.outcome, self.score)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One question to a judge and what came back, so that a verdict can be read again word for word.

    Attributes:
        judge: The judge's name in the suite; empty for the only one.
        messages: What it was asked.
        reply: What it answered, None if it did not.
        error: Why there is no reply, or why the reply could not be read.
        prompt_tokens: Length of the question as the server counted it, None if it did not say.
        cached_tokens: How many of them the server had ready from an earlier question, None if it did not say.
        vote: On the last question to each member of a panel: what that member came to.
        model: The model that the reply names, None if it is the judge's own name or the reply names none.
    """

    judge: str = ""
    messages: tuple[Message, ...] = ()
    reply: str | None = None
    error: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    vote: Vote | None = None
    model: MaybeSaid = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One assert applied to one generation.

    Attributes:
        type: Assert type as written in the suite, with `not-` where negated.
        outcome: pass, fail or error.
        score: Finite, in [0, 1]; None exactly when the outcome is error.
        reason: One line for a reader.
        metric: The metric that this assert feeds.
        weight: Weight in the metric's mean, at least 0.
        required: Whether a fail of this assert fails the whole session.
        judgements: What judges were asked for it, in order; empty for deterministic asserts.
        part: Whether it is a member of an `assert-set` that counts for a metric of its own, and not for the case.
        forgeable: Whether the answer could have brought this about without being right; such checks cannot gate alone.

    Raises:
        ValueError: If score and outcome contradict each other or a number is not finite.
    """

    type: str
    outcome: Outcome
    score: float | None
    reason: str = ""
    metric: str = "accuracy"
    weight: float = 1.0
    required: bool = False
    judgements: tuple[Judgement, ...] = ()
    part: bool = False
    forgeable: OnlyIfTrue = False

    def __post_init__(self) -> None:
        _check_score(self.outcome, self.score)
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"weight {self.weight} is not a finite number >= 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What happened to one generation of one case: an answer or the reason why there is none, and its checks."""

    key: CaseKey
    answer: Generation | Failure
    checks: tuple[CheckResult, ...] = ()
    judged: bool = True
    """False while judge asserts are still to come; such a result counts as not evaluated."""
    threshold: float | None = None
    """The least weighted mean with which the case passes; None if every check has to pass."""
    traits: AnswerFeatures | None = None
    """What the answer looks like; None without an answer, and in older records."""
    asserts: Written = ()
    """The asserts that a test in code asked for and that ask models, as written."""
    exchanges: Exchanges = ()
    """What a test in code asked, in order."""

    @property
    def evaluated(self) -> bool:
        """Whether every check of this case came to pass or fail."""
        return (
            isinstance(self.answer, Generation)
            and self.judged
            and all(c.outcome is not Outcome.ERROR for c in self.checks)
        )

    @property
    def passed(self) -> bool:
        """Whether it was evaluated and its checks passed: each with a weight, or their mean where there is a threshold.

        A required check has to pass in either case.
        """
        checks = [c for c in self.checks if not c.part]
        if not self.evaluated or any(c.required and c.outcome is not Outcome.PASS for c in checks):
            return False
        if self.threshold is None:
            return all(c.outcome is Outcome.PASS for c in checks if c.weight > 0)
        return weighted_mean(checks) >= self.threshold


def weighted_mean(checks: Iterable[CheckResult]) -> float:
    """Mean score by weight of one answer's checks; 0 if nothing counts or a check has no score."""
    counted = [(c.weight, c.score or 0.0) for c in checks]
    total = math.fsum(weight for weight, _ in counted)
    # A plain sum on purpose: promptfoo's means are, and a threshold is compared with them.
    return min(1.0, sum(weight * score for weight, score in counted) / total) if total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Written last. Without it a record is unfinished and cannot be decided on."""

    sealed_at: str
    journal_digest: str
    results: int
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every other file of the record, by name: what was there cannot go missing unseen."""
    stops: tuple[Stop, ...] = ()
    """Suites that stopped before all their cases were asked."""
    in_flight: MaybeInFlight = None
    """What the number of requests in flight came to, where it adapted to the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeTrial:
    """A judge asked about an answer that no judge should let pass, under one criterion of a suite.

    Attributes:
        suite: Suite name.
        type: Assert type.
        criterion: The criterion, rendered for the case that it was tried on.
        judge: The judge's name in the suite; empty for the only one.
        canary: Which answer.
        outcome: Pass if the judge let it pass, error if it gave no verdict.
        judgements: What it was asked and answered.
    """

    suite: str
    type: str
    criterion: str
    judge: str = ""
    canary: str
    outcome: Outcome
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorResult:
    """An answer with a stored verdict, judged again.

    Attributes:
        id: The anchor's.
        passed: The stored verdict.
        outcome: The verdict now; error if there is none.
        reason: One line for a reader.
        judgements: What the judge was asked and answered.
    """

    id: str
    passed: bool
    outcome: Outcome
    reason: str = ""
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorCheck:
    """A frozen set of anchors, judged again.

    Attributes:
        source: The name of its file, for readers.
        digest: SHA-256 over the file.
        results: One per anchor.
    """

    source: str
    digest: str
    results: tuple[AnchorResult, ...]


class WordlessResults(Mapping[CaseKey, CaseResult]):
    """Results whose words lie elsewhere, to be read one by one."""

    @property
    @abstractmethod
    def scored(self) -> Mapping[CaseKey, CaseResult]:
        """See `Record.scored`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record in memory.

    Attributes:
        manifest: What was run.
        cases: All planned cases.
        results: What happened, words and all; of a large record each is read from disk when asked for.
        derived: What was computed of this record already, by name; a record that is made of it begins with nothing.
        scored: The results as decisions see them: outcomes, scores, times and who answered. Words may be missing:
            answers, reasons of what passed or failed, what judges were asked and replied.
    """

    manifest: Manifest
    cases: Sequence[PlannedCase]
    results: Mapping[CaseKey, CaseResult]
    serving: tuple[ServingTrace, ...] = ()
    arms: tuple[ServingArms, ...] = ()
    trials: tuple[JudgeTrial, ...] = ()
    anchors: AnchorCheck | None = None
    seal: Seal | None = None
    path: str = field(default="", compare=False)
    derived: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    scored: Mapping[CaseKey, CaseResult] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        results = self.results
        object.__setattr__(self, "scored", results.scored if isinstance(results, WordlessResults) else results)
