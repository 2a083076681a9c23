"""How serving is gated: types only, no behaviour beyond validation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from llmgate.errors import PolicyError, did_you_mean
from llmgate.record.policy_words import DEFAULT_ALPHA, MOST_ALPHA, MOST_MARGIN, Direction, Role

__all__ = ["DEFAULT_SERVING_MARGIN", "SERVING_FIGURES", "TAILS", "ServingPolicy", "tail_requests", "unit_of"]

DEFAULT_SERVING_MARGIN: Final = 0.05
LATENCIES: Final = ("ttft", "tpot", "itl", "e2el")
THROUGHPUTS: Final = ("request_throughput", "output_throughput", "total_token_throughput", "request_goodput")
SERVING_FIGURES: Final = (
    *THROUGHPUTS,
    *(f"{statistic}_{name}_ms" for statistic in ("mean", "median", "p90", "p95", "p99") for name in LATENCIES),
)
"""What can be gated, with the names of `vllm bench serve`."""
TAILS: Final = tuple(name for name in SERVING_FIGURES if name.startswith("p9"))
"""Figures that rest on few requests of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPolicy:
    """The gate of one figure of a suite's serving. The run is the unit: requests inside of one share its noise.

    Attributes:
        suite: Suite name.
        metric: One of `SERVING_FIGURES`.
        role: Whether it gates.
        margin: The largest relative loss against the champion that is accepted: 0.05 is 5 % less throughput, or 5 %
            more latency. None where only a limit is asked about.
        min: What the lower confidence bound of the candidate's own figure must reach, where more is better; in its
            unit.
        max: What the upper bound must not exceed, where less is better.
        alpha: One-sided error rate, per side.
        reason: Why it is as lax as it is, where alpha or margin ask for that.

    Raises:
        PolicyError: If the figure does not exist or a number is outside its range.
    """

    suite: str
    metric: str
    role: Role = Role.PRIMARY
    margin: float | None = DEFAULT_SERVING_MARGIN
    min: float | None = None
    max: float | None = None
    alpha: float = DEFAULT_ALPHA
    reason: str = ""

    def __post_init__(self) -> None:
        where = self.where
        if self.metric not in SERVING_FIGURES:
            raise PolicyError(
                f"{self.metric!r} is no serving figure", where=where, fix=did_you_mean(self.metric, SERVING_FIGURES)
            )
        limit, other = (self.max, "min") if self.direction is Direction.LOWER else (self.min, "max")
        if getattr(self, other) is not None:
            word = "less" if self.direction is Direction.LOWER else "more"
            raise PolicyError(f"{word} is better here, so there is no {other}", where=where, fix=f"Remove `{other}:`")
        if limit is not None and not (math.isfinite(limit) and limit > 0):
            raise PolicyError(f"the limit is {limit}, but must be above 0", where=where, fix="Give it in ms or per s")
        if self.margin is None and limit is None:
            raise PolicyError("there is neither a margin nor a limit", where=where, fix="Write `margin: 0.05`")
        if self.margin is not None and not (math.isfinite(self.margin) and 0 < self.margin < 1):
            raise PolicyError(
                f"margin is {self.margin}, but must lie between 0 and 1, both excluded",
                where=where,
                fix="Write 0.05 for 5 %",
            )
        if not (math.isfinite(self.alpha) and 0 < self.alpha < 0.5):
            raise PolicyError(
                f"alpha is {self.alpha}, but must lie between 0 and 0.5, both excluded",
                where=where,
                fix=f"The default is {DEFAULT_ALPHA}",
            )

    @property
    def where(self) -> str:
        """Names its gate in messages."""
        return f"{self.suite}::serving::{self.metric}"

    @property
    def direction(self) -> Direction:
        """Which way is better: latencies are to be low, throughputs high."""
        return Direction.LOWER if self.metric.endswith("_ms") else Direction.HIGHER

    @property
    def gates(self) -> bool:
        """Whether it can keep the verdict from PASS."""
        return self.role is not Role.WATCH

    @property
    def limit(self) -> float | None:
        """What the candidate's own figure is held against, in its unit; None without a limit."""
        return self.min if self.max is None else self.max

    @property
    def unexplained(self) -> str | None:
        """What is so lax that it needs a reason and has none; None if nothing is."""
        if not self.gates or self.reason.strip():
            return None
        if self.alpha > MOST_ALPHA:
            return f"alpha is {self.alpha:g}, which is above {MOST_ALPHA:g} and needs a reason"
        if self.margin is not None and self.margin > MOST_MARGIN:
            return f"margin is {self.margin:g}, which is above {MOST_MARGIN:g} and needs a reason"
        return None


def unit_of(metric: str) -> str:
    """The unit of a serving figure."""
    if metric.endswith("_ms"):
        return "ms"
    return "tok/s" if "token" in metric or metric.startswith("output") else "req/s"


def tail_requests(metric: str) -> int:
    """How many requests a run needs so that a figure may gate: ten beyond the percentile of a tail, at least one."""
    return math.ceil(1000 / (100 - int(metric[1:3]))) if metric in TAILS else 1
