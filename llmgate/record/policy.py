"""What is gated, and how strictly: types only, no behaviour beyond validation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from llmgate.errors import PolicyError

__all__ = ["DEFAULT_ALPHA", "Aggregate", "MetricPolicy", "OnInconclusive", "Policy", "Role"]

DEFAULT_ALPHA = 0.05


class Role(StrEnum):
    """What a metric may do to the verdict."""

    PRIMARY = "primary"
    """Gates: the verdict is PASS only if this metric passes."""
    GUARDRAIL = "guardrail"
    """Gates like a primary; by convention with a wider margin."""
    WATCH = "watch"
    """Shown, never gates."""


class Aggregate(StrEnum):
    """How the asserts of one case become the case's score on a metric."""

    ALL = "all"
    """1 if every assert of the metric passes, else 0 (binary)."""
    MEAN = "mean"
    """Weighted mean of the assert scores (graded)."""


class OnInconclusive(StrEnum):
    """What an INCONCLUSIVE verdict does to the exit code. It never allows a promotion."""

    FAIL = "fail"
    ALLOW = "allow"


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
        min: Absolute threshold as a fraction, judged by the lower confidence bound when no champion is given.
        alpha: One-sided error rate, per side.
        judged: Whether a judge scores it. Such a metric cannot gate before its judge has been admitted.

    Raises:
        PolicyError: If a number is outside its range, or a judged metric is to gate.
    """

    suite: str
    metric: str
    role: Role = Role.PRIMARY
    aggregate: Aggregate = Aggregate.ALL
    margin: float | None = None
    min: float | None = None
    alpha: float = DEFAULT_ALPHA
    judged: bool = False

    def __post_init__(self) -> None:
        where = f"{self.suite}::gate::{self.metric}"
        if self.judged and self.gates:
            raise PolicyError(
                f"the judge behind {self.metric!r} was never admitted, so it cannot gate",
                where=where,
                fix="Set `role: watch`; only deterministic asserts gate until a judge has been admitted",
            )
        if self.margin is not None and not (math.isfinite(self.margin) and 0 < self.margin < 1):
            raise PolicyError(
                f"margin is {self.margin}, but must lie between 0 and 1, both excluded",
                where=where,
                fix="Write 0.03 for three points",
            )
        if self.min is not None and not (math.isfinite(self.min) and 0 < self.min <= 1):
            raise PolicyError(
                f"min is {self.min}, but must lie above 0 and at most 1",
                where=where,
                fix="Write 0.8 for 80 %",
            )
        if not (math.isfinite(self.alpha) and 0 < self.alpha < 0.5):
            raise PolicyError(
                f"alpha is {self.alpha}, but must lie between 0 and 0.5, both excluded",
                where=where,
                fix=f"The default is {DEFAULT_ALPHA}",
            )

    @property
    def gates(self) -> bool:
        """Whether this metric can keep the verdict from PASS."""
        return self.role is not Role.WATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All gated and watched metrics of a run."""

    metrics: tuple[MetricPolicy, ...]
    inconclusive: OnInconclusive = OnInconclusive.FAIL
