"""Admission of a judge: what people and the judge said of the same items, and what followed from it. Types only.

A record is about one instrument: one assert of a suite, its criterion, its judges, their prompts and sampling. Another
criterion asked of the same model is another instrument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from llmgate.record.judges.identity import JudgeIdentity

__all__ = [
    "ADMISSION_MAJOR",
    "ADMISSION_MINOR",
    "DEFAULT_THRESHOLDS",
    "AdmissionEvidence",
    "AdmissionRecord",
    "AdmissionResults",
    "AdmissionThresholds",
    "BiasFigures",
    "CanaryCount",
    "CanaryTrial",
    "Figure",
    "Instrument",
    "LabelledItem",
    "PairBias",
    "StratumFigure",
    "SystemBias",
    "TraitBias",
]

ADMISSION_MAJOR = 1
"""Readers refuse a record with another major version."""
ADMISSION_MINOR = 1
"""Readers ignore what a newer minor version added."""

Kind = Literal["answers", "pairs"]
"""Whether people labelled single answers (`pass`, `fail`) or pairs of them (`1`, `2`, `tie`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionThresholds:
    """What a judge has to reach. Bounds are one-sided at `alpha`; shares and κ are fractions.

    Attributes:
        items: Fewest items with a label that people agree on.
        per_label: Fewest of them with each label (of pairs: each winner).
        kappa: Cohen's κ with people that the lower bound must reach.
        order: Share of pairs on which both orders name the same winner that the lower bound must reach.
        repeat: Share of repeated questions answered alike that the lower bound must reach.
        unparseable: Largest share of items without a verdict.
        unsettled: Largest share of items on which people themselves do not come to a majority.
        alpha: One-sided error rate.
        margin: What a difference between two systems may be off by: the bound of |judge's − people's| has to lie below.
            It is the margin of the metric that the judge is to score, whatever that is: a gate takes the bound off its
            own margin besides.
    """

    items: int = 150
    per_label: int = 30
    kappa: float = 0.4
    order: float = 0.8
    repeat: float = 0.85
    unparseable: float = 0.05
    unsettled: float = 0.1
    alpha: float = 0.05
    margin: float = 0.05


DEFAULT_THRESHOLDS = AdmissionThresholds()
"""κ: of 58 judges on 316 pairs with objective labels (LLMBar) all ten that use GPT-4 have a lower bound above 0.40, and
the best of the others has 0.31; a coin reaches it at 150 items less than once in 10⁹ times. It is
also where Landis & Koch (1977), Biometrics 33:159-174, begin to speak of moderate agreement. Order: the same ten lie
above 0.85. Repeat: of 50 repeated questions two may be answered differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledItem:
    """One item: what people said, and what the judge said.

    Attributes:
        item: Its id.
        votes: Each person's label, None where one gave none.
        said: The judge's verdict in the same words; None if it gave none.
        orders: Of a pair: the winner with answer 1 shown first, and with answer 2 shown first.
        again: What the judge said when asked the same once more, one entry for each time that was planned.
        cluster: Items that are not independent of each other share it.
        stratum: The part of the items that it belongs to.
        systems: Who gave the answer; of a pair both, in their order. Empty where that is not known.
        case: Items that answer the same question share it.
        lengths: Characters of the answer; of a pair of both.
        styled: Whether the answer is laid out (headings, lists, emphasis, code); of a pair both.
    """

    item: str
    votes: tuple[str | None, ...]
    said: str | None = None
    orders: tuple[str | None, str | None] | None = None
    again: tuple[str | None, ...] = ()
    cluster: str | None = None
    stratum: str | None = None
    systems: tuple[str, ...] = ()
    case: str | None = None
    lengths: tuple[int, ...] = ()
    styled: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryTrial:
    """An answer that no judge should let pass, and what the judge did: `caught`, `passed`, or `lost` for no verdict."""

    canary: str
    item: str
    outcome: Literal["caught", "passed", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionEvidence:
    """All that an admission follows from.

    Attributes:
        kind: What was labelled.
        items: Every item of the labels, whether the judge answered or not.
        canaries: Every trial that was planned.
    """

    kind: Kind
    items: tuple[LabelledItem, ...]
    canaries: tuple[CanaryTrial, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """An estimate with its one-sided bounds, or why there is none.

    Attributes:
        of: How many items it is about.
        estimate: None if it is undefined.
        lower: One-sided bound.
        upper: The same above.
        method: The interval in words, or why there is none.
    """

    of: int
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumFigure:
    """κ within one part of the items."""

    stratum: str
    kappa: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemBias:
    """What a judge makes of one system: its mean score less people's, over their items."""

    system: str
    bias: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBias:
    """Two systems as people and as the judge see them.

    Attributes:
        systems: Two names; differences are the second's less the first's. Of a judge of pairs it is the share of
            comparisons that the second one wins, ties counting half.
        people: Their difference (their share).
        judge: The judge's.
        bias: The judge's less people's; its bounds hold for all pairs of systems together.
    """

    systems: tuple[str, str]
    people: float
    judge: float
    bias: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitBias:
    """How much more a judge gives to answers of one kind than people do, compared with the others.

    Attributes:
        trait: `length` (the longer half of the answers, or the longer one of two) or `layout` (headings, lists, code).
        bias: The difference of the mean errors; its bounds hold for all traits together.
    """

    trait: str
    bias: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasFigures:
    """How a judge's error differs between systems. Fractions.

    Attributes:
        unknown: Why it is not known; "" if it is.
        systems: Each system's bias; their bounds hold together.
        worst: The pair of systems with the largest bound, None where it is not known.
        difference: Bound of |judge's − people's| difference, over all pairs of systems together, in [0, 1].
        rate: The same of a single system's score (of a judge of pairs: of the share of comparisons won).
        traits: By kind of answer.
    """

    unknown: str = ""
    systems: tuple[SystemBias, ...] = ()
    worst: PairBias | None = None
    difference: float | None = None
    rate: float | None = None
    traits: tuple[TraitBias, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryCount:
    """How often one canary was tried, and how that ended."""

    canary: str
    tried: int
    passed: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionResults:
    """The figures. Fractions, not percentages.

    An item without a verdict counts as a disagreement in every figure that compares judge and people.

    Attributes:
        kind: What was labelled.
        items: Items in the labels.
        settled: Items on which people come to a majority; all figures are about these.
        labels: How many of them have each label.
        unparseable: How many of them the judge gave no verdict on.
        agreement: Share on which the judge says what people say.
        kappa: Cohen's κ.
        ac1: Gwet's AC1.
        alpha: Krippendorff's α, the judge beside the people's majority.
        people: Krippendorff's α among the people; None where each item has one label.
        sensitivity: Share of people's passes that the judge sees; None for pairs.
        specificity: Share of people's fails that the judge sees; None for pairs.
        order: Share of pairs on which both orders name the same winner; None for answers.
        first_position: Share of all calls that name the answer shown first; None for answers.
        repeat: Share of repeated questions that were answered alike.
        canaries: By canary.
        strata: κ by stratum, of those with enough items.
        bias: How the error differs between systems; None in records that were made before anybody asked.
    """

    kind: Kind
    items: int
    settled: int
    labels: Mapping[str, int]
    unparseable: int
    agreement: Figure
    kappa: Figure
    ac1: Figure
    alpha: Figure
    people: Figure | None = None
    sensitivity: Figure | None = None
    specificity: Figure | None = None
    order: Figure | None = None
    first_position: float | None = None
    repeat: Figure
    canaries: tuple[CanaryCount, ...] = ()
    strata: tuple[StratumFigure, ...] = ()
    bias: BiasFigures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What measures: an assert with its criterion, and the judges that it asks.

    Attributes:
        type: Base type of the assert.
        criterion: What it wants, for readers.
        assert_digest: SHA-256 over the assert as written, without its name, weight, metric and `not-`.
        judges: The judge, or the members of a panel in order. Their prompt digests cover this type alone.
    """

    type: str
    criterion: str
    assert_digest: str
    judges: tuple[JudgeIdentity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRecord:
    """A judge, tried against people's labels.

    Attributes:
        created_at: UTC, ISO 8601.
        llmgate_version: What made it.
        instrument: What was tried.
        labels_name: The labels' file, for readers.
        labels_digest: SHA-256 over the labels.
        verdicts_digest: SHA-256 over everything that the judge said.
        thresholds: What was asked for.
        results: The figures.
        admitted: Whether the judge may gate.
        reasons: Why not.
        digest: SHA-256 over all other fields as they were written.
    """

    created_at: str
    llmgate_version: str
    instrument: Instrument
    labels_name: str
    labels_digest: str
    verdicts_digest: str
    thresholds: AdmissionThresholds = field(default_factory=AdmissionThresholds)
    results: AdmissionResults
    admitted: bool
    reasons: tuple[str, ...] = ()
    digest: str = ""
    major: int = ADMISSION_MAJOR
    minor: int = ADMISSION_MINOR
