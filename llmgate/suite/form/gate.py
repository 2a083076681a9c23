"""`gate:` of a suite: which metrics its asserts feed, how each is gated, what else the decision looks at.

`stopping:` and `extend:` below it say when a suite may end before all its cases are asked, or goes beyond its base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, field_validator, model_validator

from llmgate.errors import PolicyError, SuiteError, did_you_mean
from llmgate.record.policy import (
    DEFAULT_ALPHA,
    DEFAULT_MISSING,
    DEFAULT_SLICE_CASES,
    MOST_RESERVE,
    Aggregate,
    Binding,
    Direction,
    Inference,
    MetricPolicy,
    OnInconclusive,
    Role,
    SlicePolicy,
    Unadmitted,
)
from llmgate.record.waiver import Waiver
from llmgate.suite.asserts import with_members
from llmgate.suite.form.drift import WATCH_ALL, DriftBlock
from llmgate.suite.form.part import Finite, Name, Part, keys_of, placed

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec, Vocabulary

__all__ = ["GateBlock", "Gates", "SlicesPart", "WaiverPart", "fed_metrics", "is_long"]

LOOKS: Final = 5
MOST_LOOKS: Final = 50


class GatePart(Part):
    """One entry of `gate:`."""

    role: Annotated[Role, Field(strict=False)] = Role.PRIMARY
    """primary and guardrail gate; watch is only shown."""
    aggregate: Annotated[Aggregate, Field(strict=False)] = Aggregate.ALL
    """all: a case is right if all its asserts pass; mean: the weighted mean of their scores."""
    margin: Finite | None = None
    """The largest loss that is accepted, as a fraction: 0.03 for three points."""
    min: Finite | None = None
    """What the lower confidence bound of the score itself must reach."""
    max: Finite | None = None
    """What the upper confidence bound must not exceed, where less is better."""
    direction: Annotated[Direction, Field(strict=False)] = Direction.HIGHER
    """lower, where the metric counts something unwanted."""
    alpha: Finite = DEFAULT_ALPHA
    """One-sided error rate."""
    unadmitted: Annotated[Unadmitted, Field(strict=False)] = Unadmitted.REFUSE
    """labels: a judged metric gates by people's labels; allow: by what a judge says that was never admitted."""
    reason: str = ""
    """Why, where alpha is above 0.2 or the margin above 0.5."""
    missing: Finite = DEFAULT_MISSING
    """The share of cases, up to 0.05, that may lack a score if it passes with them counted against the candidate."""
    inference: Annotated[Inference, Field(strict=False)] = Inference.POPULATION
    """population: the verdict speaks of cases like these; benchmark: of these alone, with `repeat: 2` or more."""


class SlicesPart(Part):
    """`slices:` - the fields in whose values a loss is looked for; a list of fields for short."""

    fields: list[str] | None = None
    """Slice fields; all of `case: {slices: …}` if it is left out."""
    min_cases: Annotated[int, Field(alias="min-cases", ge=2)] = DEFAULT_SLICE_CASES
    """Slices with fewer cases are shown and not tested."""

    @model_validator(mode="before")
    @classmethod
    def listed(cls, data: object) -> object:
        """Take a list of fields."""
        return {"fields": data} if isinstance(data, list) else data


class WaiverPart(Part):
    """One entry of `waivers:`."""

    metric: str | None = None
    """The metric whose finding is accepted."""
    slice: Annotated[dict[str, str], Field(min_length=1, max_length=1)] | None = None
    """Field and value, if it is the loss in a slice of the metric."""
    case: str | None = None
    """The case whose failed `required` assert is accepted."""
    until: str
    """The last day on which it holds, in UTC: 2026-12-31."""
    by: str
    """Who accepts it."""
    reason: str
    """Why."""

    def waiver(self, suite: str, where: str) -> Waiver:
        """As the record keeps it.

        Raises:
            PolicyError: With the given place.
        """
        field, value = next(iter(self.slice.items())) if self.slice else (None, None)
        with placed(where, PolicyError):
            return Waiver(suite=suite, field=field, value=value, **self.model_dump(exclude={"slice"}))


class ExtendPart(Part):
    """`extend:` - the reserve."""

    cases: Annotated[int, Field(ge=1)]
    """How many cases are only asked if the others do not decide."""


class StoppingPart(Part):
    """`stopping:` - when the suite may end before all its cases are asked."""

    looks: int | list[Finite] | None = None
    """How many looks, equally spaced, or at which shares of the cases; before a reserve, of the base. Default: 5, and
    one at the end of the base where there is a reserve."""
    seed: int = 0
    """Decides the order of the cases."""
    required: bool = False
    """Whether cases may stay unasked although they have asserts that must never fail."""
    extend: ExtendPart | None = None
    """Cases that are only asked if the others do not decide."""

    @field_validator("looks")
    @classmethod
    def some(cls, looks: int | list[float] | None) -> int | list[float] | None:
        """Refuse numbers of looks that nobody can mean."""
        if isinstance(looks, int) and not 1 <= looks <= MOST_LOOKS:
            raise ValueError(f"{looks} looks; there may be 1 to {MOST_LOOKS}")
        if looks == []:
            raise ValueError("no look at all; end the list with 1")
        return looks

    def fractions(self, cases: int) -> tuple[float, ...]:
        """Of all cases.

        Args:
            cases: How many there are, more than the reserve.
        """
        looks = self.looks or (1 if self.extend else LOOKS)
        of_base = tuple((k + 1) / looks for k in range(looks)) if isinstance(looks, int) else tuple(looks)
        if self.extend is None:
            return of_base
        base = cases - self.extend.cases
        return (*(fraction * base / cases for fraction in of_base), 1.0)


class GateBlock(Part):
    """`gate:` in its long form."""

    metrics: dict[Name, GatePart] = Field(default_factory=dict)
    """Metric to how it is gated."""
    inconclusive: Annotated[OnInconclusive, Field(strict=False)] | None = None
    """allow: INCONCLUSIVE does not fail the session. It never allows a promotion."""
    slices: SlicesPart | None = None
    """In which slices a loss is looked for."""
    slice_alpha: Annotated[Finite | None, Field(alias="slice-alpha", gt=0, lt=0.5)] = None
    """Error rate of all slices together."""
    waivers: list[WaiverPart] = Field(default_factory=list)
    """Findings that somebody accepts until a date."""
    stopping: StoppingPart | None = None
    """When the suite may end before all its cases are asked."""
    binding: Annotated[Binding, Field(strict=False)] = Binding.WEIGHTS
    """claimed: a version may be promoted by a run at an endpoint, which nothing but the run's word ties to it."""
    reserve: Annotated[Finite | None, Field(ge=0, le=MOST_RESERVE)] = None
    """Share of every error rate that is kept for further attempts of the same candidate. Default: 0.1; at 0 the first
    attempt has all of it, and no other can pass."""

    @model_validator(mode="before")
    @classmethod
    def short(cls, data: object) -> object:
        """Take the short form too."""
        if isinstance(data, dict) and not is_long(data):
            return {"metrics": data}
        return data


def is_long(gate: Mapping[str, object]) -> bool:
    """Whether a `gate:` has the long form: a key of it is one that only that form has."""
    return not gate.keys().isdisjoint(keys_of(GateBlock))


def fed_metrics(asserts: Iterable[AssertSpec]) -> tuple[str, ...]:
    """The metrics that asserts feed, in the order in which they name them; members of sets may feed their own."""
    return tuple(dict.fromkeys(spec.metric for spec in with_members(asserts)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What a suite says about its metrics.

    Attributes:
        suite: The suite's name.
        block: `gate:` as it is written.
        where: Words the place of a part of it.
        drift: `drift:` as it is written.
        where_drift: Words the place of a part of that.
    """

    suite: str
    block: GateBlock
    where: Callable[..., str]
    drift: DriftBlock = WATCH_ALL
    where_drift: Callable[..., str] = str

    @property
    def parts(self) -> Mapping[str, GatePart]:
        """The entries by metric."""
        return self.block.metrics

    def slices(self, columns: Sequence[str]) -> tuple[SlicePolicy, ...]:
        """The slice fields that are looked into: all of the suite's, unless `slices:` names some or none.

        Raises:
            SuiteError: If `slices:` names a field that is no slice of the suite.
        """
        part = self.block.slices or SlicesPart()
        fields = columns if part.fields is None else part.fields
        for field in fields:
            if field not in columns:
                raise SuiteError(
                    f"{field!r} is no slice of the suite",
                    where=self.where("slices"),
                    fix=f"{did_you_mean(field, columns)} Or add it to `case: {{slices: […]}}`"
                    if columns
                    else f"Add it to `case: {{slices: [{field}]}}`",
                )
        return tuple(SlicePolicy(suite=self.suite, field=field, min_cases=part.min_cases) for field in fields)

    def waivers(self) -> tuple[Waiver, ...]:
        """What somebody accepted.

        Raises:
            SuiteError: If one is impossible.
        """
        with placed():
            return tuple(
                part.waiver(self.suite, self.where("waivers", index)) for index, part in enumerate(self.block.waivers)
            )

    def policies(
        self, asserts: Iterable[AssertSpec], vocabulary: Vocabulary, *, further: Iterable[str] = ()
    ) -> tuple[MetricPolicy, ...]:
        """One policy per metric that asserts feed, and one per trait that gates.

        Metrics without an entry are watched, unless there is no entry at all, in which case all that no judge scores
        are primary.

        Args:
            asserts: All that the suite has.
            vocabulary: Says which of them ask a judge.
            further: Metrics that something else feeds: the tests of a suite in code.

        Raises:
            SuiteError: If an entry names a metric that no assert feeds, is impossible, or an assert feeds a metric
                that is a trait.
        """
        asserts = tuple(asserts)
        metrics = tuple(dict.fromkeys((*fed_metrics(asserts), *further)))
        for name in self.parts:
            if name not in metrics:
                raise SuiteError(
                    f"no check feeds the metric {name!r}" if further else f"no assert feeds the metric {name!r}",
                    where=self.where("metrics", name),
                    fix=did_you_mean(name, metrics),
                )
        judged = frozenset(
            metric
            for spec in asserts
            for asking in (spec, *spec.asserts)
            if vocabulary.is_judge(asking.type)
            for metric in (spec.metric, asking.metric)
        )
        return (*(self._policy(name, judged=name in judged) for name in metrics), *self._features(metrics))

    def _features(self, fed: Sequence[str]) -> tuple[MetricPolicy, ...]:
        with placed():
            metrics = self.drift.metrics(self.suite, self.where_drift)
        for metric in metrics:
            if metric.metric in fed:
                raise SuiteError(
                    f"an assert feeds the metric {metric.metric!r}, which `drift:` gates too",
                    where=self.where_drift(),
                    fix="Give the assert's metric another name",
                )
        return metrics

    def _policy(self, name: str, *, judged: bool) -> MetricPolicy:
        gate = self.parts.get(name)
        if gate is None:
            gate = GatePart(role=Role.WATCH if self.parts or judged else Role.PRIMARY)
        with placed(self.where("metrics", name)):
            return MetricPolicy(suite=self.suite, metric=name, judged=judged, **gate.model_dump()).explained()
