"""What a report says, in words: the rows that every format shares.

Every string is fit to be shown (see `visible`): no control character but line feed and tab, no lone surrogate, no
endless text. Formats only escape what is special in their own syntax. No number in a string is a NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from llmgate.report.arm_rows import ArmsView, CurveView
from llmgate.report.case_rows import ErrorRow, Listing
from llmgate.report.panel_rows import Column, Panel, PanelRow, columns
from llmgate.report.pieces import State

__all__ = [
    "INTERVAL_KINDS",
    "Column",
    "DrawnInterval",
    "Fact",
    "IntervalKind",
    "MetricRow",
    "Notice",
    "Panel",
    "PanelRow",
    "ProblemRow",
    "ProvenanceGroup",
    "ProvenanceRow",
    "ReportView",
    "ServingCell",
    "ServingRow",
    "ServingTable",
    "SliceRow",
    "columns",
]


IntervalKind = Literal["difference", "rate", "change", "reserve"]
INTERVAL_KINDS: tuple[IntervalKind, ...] = get_args(IntervalKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A sentence under the verdict that changes how it must be read."""

    text: str
    serious: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A figure with its label, for the strip under the verdict."""

    label: str
    value: str
    detail: str = ""
    serious: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnInterval:
    """An interval to be drawn.

    Attributes:
        kind: `difference` in points around zero, `rate` in percent from 0 to 100. Of serving: `change` against the
            champion, and `reserve` up to the figure's own limit, both in percent around zero, more being better.
        lower: Lower one-sided bound, in points.
        upper: Upper one-sided bound, in points.
        point: The estimate, in points.
        limit: What the lower bound must reach, in points: −margin, or the minimum; None if there is none.
    """

    kind: IntervalKind
    lower: float
    upper: float
    point: float
    limit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric with its evidence, worded.

    Attributes:
        outcome: `PASS`, `FAIL` or `INCONCLUSIVE` of this metric.
        state: How the outcome looks.
        gates: False for a metric that is only watched.
        difference: Candidate minus champion in points, with its sign; of serving the relative change in words.
        bounds: Both one-sided bounds.
        level: The confidence of each bound, in words.
        limit: The margin or the minimum, in words.
        counts: `300 of 300 cases`; of serving `8 of 8 pairs`.
        changes: `19 better, 22 worse`, empty without a champion.
        waived: Whether a waiver keeps it from counting.
        chances: Both error rates of the gate in one sentence, empty if they are unknown.
        interval: What to draw, None if there is no finite interval.
    """

    suite: str
    metric: str
    role: str
    gates: bool
    outcome: str
    state: State
    champion: str
    candidate: str
    difference: str
    bounds: str
    level: str
    limit: str
    counts: str
    errors: int
    changes: str
    p_worse: str
    chances: str
    method: str
    reason: str
    notes: tuple[str, ...]
    interval: DrawnInterval | None
    waived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """A part of the cases, described, never gated."""

    suite: str
    field: str
    value: str
    cases: int
    champion: str
    candidate: str
    difference: str
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCell:
    """One side's figure, or, where no run is valid, the word INVALID instead of one."""

    text: str
    invalid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRow:
    """One serving figure.

    Attributes:
        change: Relative change in words with its direction, empty if either side has no valid figure.
        gain: Relative change as a fraction, positive where the candidate is better; None if unknown.
        main: Whether it belongs to the few figures that people look at first.
    """

    label: str
    champion: ServingCell | None
    candidate: ServingCell | None
    change: str
    gain: float | None
    main: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingTable:
    """Serving figures of one workload at one concurrency. `invalid` holds every reason against every run."""

    name: str
    concurrency: int
    rows: tuple[ServingRow, ...]
    invalid: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemRow:
    """Something that could not be evaluated."""

    where: str
    what: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceRow:
    """One fact about both runs."""

    label: str
    champion: str
    candidate: str
    differs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceGroup:
    """Facts that belong together."""

    title: str
    rows: tuple[ProvenanceRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """A whole report in words.

    Attributes:
        state: How the verdict looks.
        verdict: One of the three words.
        qualifier: What must stand beside the word, such as `could not be evaluated`; usually empty.
        sentence: What the release manager reads.
        consequence: What the verdict means for a promotion.
        next: What to do now, one sentence to follow `Next:`.
        details: Labels and sentences below the verdict, in reading order.
        champion: Name of the champion, None if there is none.
        panels: Further evidence, in reading order.
        curves: Serving at several loads.
        arms: Serving of both sides, run by run.
    """

    state: State
    verdict: str
    qualifier: str
    sentence: str
    consequence: str
    next: str
    details: tuple[tuple[str, str], ...] = ()
    candidate: str
    champion: str | None
    run: str
    created_at: str
    notices: tuple[Notice, ...]
    facts: tuple[Fact, ...]
    problems: tuple[ProblemRow, ...]
    metrics: tuple[MetricRow, ...]
    required: Listing
    worse: Listing
    better: Listing
    missed: Listing
    errors: tuple[ErrorRow, ...]
    errors_left_out: int
    slices: tuple[SliceRow, ...]
    slices_left_out: int
    serving: tuple[ServingTable, ...]
    provenance: tuple[ProvenanceGroup, ...]
    panels: tuple[Panel, ...] = ()
    curves: tuple[CurveView, ...] = ()
    arms: tuple[ArmsView, ...] = ()
