"""What a report says of two servings measured against each other, in words and in numbers to be drawn.

As in `llmgate.report.rows`, every string is fit to be shown and every number is finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmgate.report.panel_rows import Panel
from llmgate.report.pieces import State

__all__ = [
    "ArmsView",
    "CurvePoint",
    "CurveView",
    "DiscardedRun",
    "EcdfLine",
    "EcdfView",
    "PairPoint",
    "PairsView",
    "Side",
]

Side = Literal["candidate", "champion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPoint:
    """One pair of runs, or one run where there is no champion.

    Attributes:
        number: From 1.
        at: Its place among all runs that were made, from 0; of a pair the middle of its two runs.
        value: Relative change in percent, more being better; without a champion the figure itself.
        words: What is said of it.
    """

    number: int
    at: float
    value: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardedRun:
    """A run that was made again. `at` is its place among all runs."""

    at: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsView:
    """A figure in all pairs of runs, in the order of their making.

    Attributes:
        metric: In words.
        unit: Of the values: `%` for changes, else the figure's.
        compared: Whether the values are changes against the champion, more being better.
        outcome: The verdict on this figure.
        state: How it looks.
        runs: How many runs were made, discarded ones included.
        mean: Estimate over the pairs, None without one.
        lower: Its lower bound, in the unit of the values.
        upper: Its upper bound.
        limit: What the whole interval must lie beyond.
        limit_words: What that is.
        low_is_better: Whether the whole interval must lie below the limit, not above it.
        reading: Estimate, bounds and limit.
        summary: All of it in a sentence, for who cannot see the drawing.
    """

    metric: str
    unit: str
    compared: bool
    outcome: str
    state: State
    runs: int
    points: tuple[PairPoint, ...]
    discarded: tuple[DiscardedRun, ...]
    mean: float | None
    lower: float | None
    upper: float | None
    limit: float | None
    limit_words: str
    low_is_better: bool
    reading: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EcdfLine:
    """Shares of one side: (value in ms, share of values up to it), both ascending; share 1 at the end."""

    side: Side
    steps: tuple[tuple[float, float], ...]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EcdfView:
    """How a latency is spread, on each side, over all runs that count."""

    title: str
    lines: tuple[EcdfLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One load: throughput, latency, and a few words to stand beside the point."""

    throughput: float
    latency_ms: float
    label: str
    side: Side
    invalid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveView:
    """Latency over throughput at several loads.

    Attributes:
        title: What was measured.
        throughput: What the horizontal axis counts, with its unit.
        latency: What the vertical axis counts, with its unit.
        points: Of both sides, in the order of the load.
        level_ms: The service level of the latency, None without one.
        table: The same as figures.
    """

    title: str
    throughput: str
    latency: str
    points: tuple[CurvePoint, ...]
    level_ms: float | None
    table: Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmsView:
    """How serving was measured, and what each run says.

    Attributes:
        id: Anchor within the page.
        title: Heading.
        lead: How to read it.
        compared: Whether there are two sides.
        facts: Labels and sentences: hosting, order, time, discarded runs.
        invalid: Every reason against a run that counts.
        pairs: One per figure that was decided on.
        ecdfs: Distributions of latencies.
        tables: Figures of the runs, discarded runs, differences of the servers, the servers' own account, GPUs.
    """

    id: str
    title: str
    lead: str
    compared: bool
    facts: tuple[tuple[str, str], ...]
    invalid: tuple[str, ...]
    pairs: tuple[PairsView, ...]
    ecdfs: tuple[EcdfView, ...]
    tables: tuple[Panel, ...]
