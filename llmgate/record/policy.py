"""What is gated, and how strictly: types only, no behaviour beyond validation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from llmgate.errors import PolicyError, did_you_mean
from llmgate.record.output_features import FeatureWatch, OutputFeature
from llmgate.record.policy_words import (
    DEFAULT_ALPHA,
    DEFAULT_MISSING,
    DEFAULT_RESERVE,
    DEFAULT_SLICE_ALPHA,
    DEFAULT_SLICE_CASES,
    MOST_ALPHA,
    MOST_MARGIN,
    MOST_MISSING,
    MOST_RESERVE,
    Aggregate,
    Binding,
    Direction,
    Inference,
    OnInconclusive,
    Role,
    Unadmitted,
)
from llmgate.record.serving.policy import ServingPolicy
from llmgate.record.waiver import Waiver

__all__ = [
    "DEFAULT_ALPHA",
    "DEFAULT_MISSING",
    "DEFAULT_RESERVE",
    "DEFAULT_SLICE_ALPHA",
    "DEFAULT_SLICE_CASES",
    "MOST_RESERVE",
    "Aggregate",
    "Binding",
    "Direction",
    "Inference",
    "MetricPolicy",
    "OnInconclusive",
    "Policy",
    "Role",
    "SlicePolicy",
    "Unadmitted",
    "written_policy",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPolicy:
    """The gate of one metric of one suite.

    Attributes:
        suite: Suite name.
        metric: Metric name, unique within the suite.
        role: Whether it gates.
        aggregate: How asserts become the case score.
        margin: Non-inferiority margin as a fraction of the score range (0.03 = 3 points), or None for the
            default that depends on the number of cases.
        min: Absolute threshold as a fraction, judged by the lower confidence bound, where more is better.
        max: The same where less is better, judged by the upper confidence bound.
        direction: Which way is better.
        alpha: One-sided error rate, per side.
        judged: Whether a judge scores it. Such a metric gates only if its judge was admitted, or if people's labels
            on a random part of the answers correct it.
        unadmitted: What becomes of it where its judge was not.
        trait: The output feature that is the score, None for a metric that asserts feed. For `length`, the margin is
            a relative change in either direction.
        reason: Why it is as lax as it is, where `unexplained` asks for that.
        missing: The share of its cases that may be without a score, if it passes with all of them counted against the
            candidate. A PASS is barred beyond it.
        inference: Whether the verdict speaks of cases like these, or of these alone, which needs two answers and more
            to each.

    Raises:
        PolicyError: If a number is outside its range, `unadmitted` is set where no judge scores, or a feature is gated
            as it cannot be.
    """

    suite: str
    metric: str
    role: Role = Role.PRIMARY
    aggregate: Aggregate = Aggregate.ALL
    margin: float | None = None
    min: float | None = None
    max: float | None = None
    direction: Direction = Direction.HIGHER
    alpha: float = DEFAULT_ALPHA
    judged: bool = False
    unadmitted: Unadmitted = Unadmitted.REFUSE
    trait: OutputFeature | None = None
    reason: str = ""
    missing: float = DEFAULT_MISSING
    inference: Inference = Inference.POPULATION

    def __post_init__(self) -> None:
        where = self.where
        self._check_feature(where)
        self._check_threshold(where)
        if self.unadmitted is not Unadmitted.REFUSE and not self.judged:
            raise PolicyError("`unadmitted` is about judges, and none scores this metric", where=where, fix="Remove it")
        if self.margin is not None and not (math.isfinite(self.margin) and 0 < self.margin < 1):
            raise PolicyError(
                f"margin is {self.margin}, but must lie between 0 and 1, both excluded",
                where=where,
                fix="Write 0.03 for three points",
            )
        if not (math.isfinite(self.alpha) and 0 < self.alpha < 0.5):
            raise PolicyError(
                f"alpha is {self.alpha}, but must lie between 0 and 0.5, both excluded",
                where=where,
                fix=f"The default is {DEFAULT_ALPHA}",
            )
        if not 0 <= self.missing <= MOST_MISSING:
            raise PolicyError(
                f"missing is {self.missing}, but must lie between 0 and {MOST_MISSING}",
                where=where,
                fix=f"The default is {DEFAULT_MISSING}; at 0 no case may be missing",
            )

    def _check_threshold(self, where: str) -> None:
        lower = self.direction is Direction.LOWER
        if lower and self.min is not None:
            raise PolicyError("less is better here, so there is no min", where=where, fix="Write `max:`")
        if not lower and self.max is not None:
            raise PolicyError(
                "more is better here, so there is no max", where=where, fix="Write `min:`, or `direction: lower`"
            )
        if self.min is not None and not (math.isfinite(self.min) and 0 < self.min <= 1):
            raise PolicyError(
                f"min is {self.min}, but must lie above 0 and at most 1", where=where, fix="Write 0.8 for 80 %"
            )
        if self.max is not None and not (math.isfinite(self.max) and 0 <= self.max < 1):
            raise PolicyError(
                f"max is {self.max}, but must be at least 0 and below 1", where=where, fix="Write 0.02 for 2 %"
            )

    def _check_feature(self, where: str) -> None:
        if self.trait is OutputFeature.EMBEDDINGS:
            raise PolicyError(
                "the distance of embeddings has no margin that means something, so it cannot gate",
                where=where,
                fix="Write `embeddings: watch`",
            )
        if self.trait is OutputFeature.LENGTH and (self.min is not None or self.max is not None or self.margin is None):
            raise PolicyError(
                "length is compared with the champion's, by a margin and nothing else",
                where=where,
                fix="Write `margin: 0.2` for a fifth longer or shorter",
            )
        if self.trait is OutputFeature.LENGTH and self.inference is Inference.BENCHMARK:
            raise PolicyError("lengths are compared over answers like these", where=where, fix="Leave `inference:` out")
        if self.trait is OutputFeature.LENGTH and self.direction is not Direction.HIGHER:
            raise PolicyError(
                "neither longer nor shorter answers are better", where=where, fix="Leave `direction:` out"
            )

    @property
    def where(self) -> str:
        """Names its gate in messages."""
        return f"{self.suite}::gate::{self.metric}"

    @property
    def gates(self) -> bool:
        """Whether this metric can keep the verdict from PASS."""
        return self.role is not Role.WATCH

    @property
    def unexplained(self) -> str | None:
        """What is so lax that it needs a reason and has none; None if nothing is.

        No error of the type: records from before reasons were asked for are still read and decided on.
        """
        if not self.gates or self.reason.strip():
            return None
        if self.alpha > MOST_ALPHA:
            return f"alpha is {self.alpha:g}, which is above {MOST_ALPHA:g} and needs a reason"
        if self.margin is not None and self.margin > MOST_MARGIN and self.trait is not OutputFeature.LENGTH:
            return f"margin is {self.margin:g}, which is above {MOST_MARGIN:g} and needs a reason"
        return None

    def explained(self) -> MetricPolicy:
        """Itself.

        Raises:
            PolicyError: If it needs a reason and has none.
        """
        if problem := self.unexplained:
            raise PolicyError(problem, where=self.where, fix="Add `reason: …` beside it, or write a smaller one")
        return self

    @property
    def unsaid(self) -> tuple[str, ...]:
        """What was added later and says nothing here: left out where it is written, so that older digests hold."""
        later = {"reason": "", "missing": DEFAULT_MISSING, "inference": Inference.POPULATION}
        return tuple(name for name, nothing in later.items() if getattr(self, name) == nothing)

    @property
    def floor(self) -> float | None:
        """The threshold on scores that are turned so that more is better; None without one."""
        return self.min if self.max is None else 1.0 - self.max


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePolicy:
    """A slice field whose values are looked at one by one. A slice can FAIL; it never makes a PASS.

    Attributes:
        suite: Suite name.
        field: Slice field of the suite.
        min_cases: Slices with fewer cases are shown and not tested.
    """

    suite: str
    field: str
    min_cases: int = DEFAULT_SLICE_CASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All gated and watched metrics of a run.

    Attributes:
        metrics: One entry per metric.
        inconclusive: What INCONCLUSIVE does to the exit code.
        slices: The slice fields in which a loss is looked for.
        slice_alpha: Family-wise error rate of all slices together, one-sided; it adds to that of the metrics.
        waivers: Findings that somebody accepted until a date.
        watched: Output features that are shown and do not gate.
        binding: `claimed` allows the promotion of a version by a run that nothing but its own word ties to it.
        serving: One entry per serving figure that gates or is watched.
        reserve: Share of every alpha that is kept for attempts of the same candidate after the first. At 0 the first
            has all of it, and no other can pass.

    Raises:
        PolicyError: If `slice_alpha` or `reserve` is none, a waiver names a metric or slice that is not gated, or two
            metrics of a suite share a name.
    """

    metrics: tuple[MetricPolicy, ...]
    inconclusive: OnInconclusive = OnInconclusive.FAIL
    slices: tuple[SlicePolicy, ...] = ()
    slice_alpha: float = DEFAULT_SLICE_ALPHA
    waivers: tuple[Waiver, ...] = ()
    watched: tuple[FeatureWatch, ...] = ()
    binding: Binding = Binding.WEIGHTS
    serving: tuple[ServingPolicy, ...] = ()
    reserve: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.reserve) and 0 <= self.reserve <= MOST_RESERVE):
            raise PolicyError(
                f"reserve is {self.reserve}, but must lie between 0 and {MOST_RESERVE}",
                fix=f"The default is {DEFAULT_RESERVE}; at 0 only the first attempt of a candidate can pass",
            )
        named = {(metric.suite, metric.metric) for metric in self.metrics}
        for figure in self.serving:
            if (figure.suite, figure.metric) in named:
                raise PolicyError(
                    f"two metrics are called {figure.metric!r}",
                    where=figure.where,
                    fix="Give the metric that asserts feed another name, and gate a serving figure once",
                )
            named.add((figure.suite, figure.metric))
        if not (math.isfinite(self.slice_alpha) and 0 < self.slice_alpha < 0.5):
            raise PolicyError(
                f"slice-alpha is {self.slice_alpha}, but must lie between 0 and 0.5, both excluded",
                fix=f"The default is {DEFAULT_SLICE_ALPHA}",
            )
        gated = {(metric.suite, metric.metric) for metric in self.metrics if metric.gates}
        gated |= {(figure.suite, figure.metric) for figure in self.serving if figure.gates}
        looked_into = {(slices.suite, slices.field) for slices in self.slices}
        for waiver in self.waivers:
            if waiver.metric is not None and (waiver.suite, waiver.metric) not in gated:
                raise PolicyError(
                    "the waiver is about no gating metric",
                    where=waiver.target,
                    fix=did_you_mean(waiver.metric, [metric for suite, metric in gated if suite == waiver.suite]),
                )
            if waiver.field is not None and (waiver.suite, waiver.field) not in looked_into:
                raise PolicyError(
                    f"the waiver is about {waiver.field!r}, which the gate does not test as a slice",
                    where=waiver.target,
                    fix=did_you_mean(waiver.field, [field for suite, field in looked_into if suite == waiver.suite]),
                )

    @property
    def unexplained(self) -> tuple[tuple[str, str], ...]:
        """Where a gate is so lax that it needs a reason and has none, and what is lax."""
        asked = [(metric.where, metric.unexplained) for metric in self.metrics]
        asked += [(figure.where, figure.unexplained) for figure in self.serving]
        return tuple((where, problem) for where, problem in asked if problem)


def written_policy(policy: Policy) -> dict[str, Any]:
    """A policy as digests cover it: what was added later is left out where it says nothing, so older digests hold."""
    values = asdict(policy)
    if policy.binding is Binding.WEIGHTS:
        del values["binding"]
    if not policy.serving:
        del values["serving"]
    if not policy.reserve:
        del values["reserve"]
    for written, metric in zip(values["metrics"], policy.metrics, strict=True):
        for name in metric.unsaid:
            del written[name]
    return values
