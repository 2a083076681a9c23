"""`drift:` of a suite: which traits of the answers are compared with the champion's, and which of them gate.

drift:
  refusals: {margin: 0.05}      # gates as a guardrail
  length: {margin: 0.2}         # at most a fifth longer or shorter
  schema: watch                 # shown
  embeddings: watch             # needs an embedding model

Refusals, lengths and formats are watched unless the suite says otherwise: they cost nothing, as no model is asked for
them, and what users of a model notice first is rarely what its asserts look at. `drift: off` leaves all of it out.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, field_validator, model_validator

from llmgate.errors import PolicyError, SuiteError
from llmgate.record.output_features import (
    DEFAULT_LENGTH_MARGIN,
    FORMAT_TYPES,
    REFUSAL_TYPES,
    FeatureWatch,
    OutputFeature,
)
from llmgate.record.policy import DEFAULT_ALPHA, Direction, MetricPolicy, Policy, Role
from llmgate.suite.asserts import with_members
from llmgate.suite.form.part import Finite, Part, placed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmgate.record.schema import PlannedCase
    from llmgate.suite.asserts import AssertSpec

__all__ = [
    "WATCH_ALL",
    "DriftBlock",
    "TraitPart",
    "TraitRole",
    "case_features",
    "check_formats",
    "with_drift",
]


class TraitRole(StrEnum):
    """What is done with a trait."""

    OFF = "off"
    WATCH = "watch"
    GUARDRAIL = "guardrail"


class TraitPart(Part):
    """One entry of `drift:`. An entry gates unless it says `role: watch`; a role alone is the short form."""

    role: Annotated[TraitRole, Field(strict=False)] = TraitRole.GUARDRAIL
    """guardrail gates; watch is only shown; off is left out."""
    margin: Finite | None = None
    """The largest loss that is accepted, as a fraction: 0.03 for three points; of length the largest change, 0.2 for a
    fifth longer or shorter."""
    min: Finite | None = None
    """What the lower confidence bound of the share of kept formats must reach."""
    max: Finite | None = None
    """What the upper confidence bound of the share of refusals must not exceed."""
    alpha: Finite = DEFAULT_ALPHA
    """One-sided error rate."""
    reason: str = ""
    """Why, where alpha is above 0.2 or the margin above 0.5; a margin of length needs none."""


WATCHED: Final = TraitPart.model_construct(role=TraitRole.WATCH)
OFF: Final = TraitPart.model_construct(role=TraitRole.OFF)


class DriftBlock(Part):
    """`drift:` as it is written."""

    refusals: TraitPart = WATCHED
    """Answers that decline to answer, where no assert asks for that."""
    format: Annotated[TraitPart, Field(alias="schema")] = WATCHED
    """Answers that keep the format for which an assert asks."""
    length: TraitPart = WATCHED
    """Length of answers in characters, in both directions."""
    embeddings: TraitPart = OFF
    """Energy distance of the answers' embeddings; it is only shown, and needs an embedding model."""

    @model_validator(mode="before")
    @classmethod
    def switched(cls, data: object) -> object:
        """Take `off`, which YAML may read as false."""
        if data is False or data == "off":
            return {trait.value: {"role": "off"} for trait in OutputFeature}
        return data

    @field_validator("refusals", "format", "length", "embeddings", mode="before")
    @classmethod
    def short(cls, data: object) -> object:
        """Take a role alone."""
        if data is False:
            return {"role": "off"}
        return {"role": data} if isinstance(data, str) else data

    @property
    def parts(self) -> Mapping[OutputFeature, TraitPart]:
        """The entries by trait."""
        return {
            OutputFeature.REFUSALS: self.refusals,
            OutputFeature.SCHEMA: self.format,
            OutputFeature.LENGTH: self.length,
            OutputFeature.EMBEDDINGS: self.embeddings,
        }

    @property
    def written(self) -> tuple[OutputFeature, ...]:
        """The traits that the block names."""
        fields = self.model_fields_set
        return tuple(
            trait for trait in OutputFeature if ("format" if trait is OutputFeature.SCHEMA else trait.value) in fields
        )

    def metrics(self, suite: str, where: Callable[..., str]) -> tuple[MetricPolicy, ...]:
        """The traits that gate, as metrics.

        Args:
            suite: The suite's name.
            where: Words the place of an entry.

        Raises:
            PolicyError: If one is impossible.
        """
        return tuple(
            feature_policy(suite, trait, part, where(trait.value))
            for trait, part in self.parts.items()
            if part.role is TraitRole.GUARDRAIL
        )

    def watched(self, suite: str) -> tuple[FeatureWatch, ...]:
        """The traits that are only shown."""
        return tuple(
            FeatureWatch(suite=suite, trait=trait) for trait, part in self.parts.items() if part.role is TraitRole.WATCH
        )


WATCH_ALL: Final = DriftBlock.model_construct()
"""What holds where a suite has no `drift:`: all that costs nothing is watched."""


def feature_policy(suite: str, trait: OutputFeature, part: TraitPart, where: str) -> MetricPolicy:
    """One trait as a metric that gates.

    Raises:
        PolicyError: If that is impossible.
    """
    margin = DEFAULT_LENGTH_MARGIN if part.margin is None and trait is OutputFeature.LENGTH else part.margin
    with placed(where, PolicyError):
        return MetricPolicy(
            suite=suite,
            metric=trait.metric,
            role=Role.GUARDRAIL,
            margin=margin,
            min=part.min,
            max=part.max,
            direction=Direction.LOWER if trait is OutputFeature.REFUSALS else Direction.HIGHER,
            alpha=part.alpha,
            trait=trait,
            reason=part.reason,
        ).explained()


def case_features(asserts: Iterable[AssertSpec]) -> tuple[OutputFeature, ...]:
    """The traits that the answers to a case have, by what it asserts.

    Where an assert asks for a refusal, refusing is right and no trait; a format is one where an assert asks for it.
    """
    wanted = [spec for spec in asserts if not spec.negated]
    refusing = any(spec.type in REFUSAL_TYPES and not spec.negated for spec in with_members(wanted))
    formatted = any(spec.type in FORMAT_TYPES for spec in wanted)
    applies = {OutputFeature.REFUSALS: not refusing, OutputFeature.SCHEMA: formatted, OutputFeature.LENGTH: True}
    return tuple(trait for trait, does in applies.items() if does)


def check_formats(metrics: Sequence[MetricPolicy], cases: Iterable[PlannedCase], where: str) -> None:
    """Refuse to gate formats where no case asks for one.

    Raises:
        SuiteError: With what to add.
    """
    gated = any(metric.trait is OutputFeature.SCHEMA and metric.gates for metric in metrics)
    if gated and not any(OutputFeature.SCHEMA in (case.traits or ()) for case in cases):
        raise SuiteError(
            "no assert asks for a format, so there is no `schema` to gate",
            where=where,
            fix="Add an `is-json` assert, or leave `schema:` out",
        )


def with_drift(policy: Policy, suite: str, block: DriftBlock, where: Callable[..., str]) -> Policy:
    """A policy with what a block says about one suite; traits that it does not name stay as they are.

    Raises:
        PolicyError: If an entry is impossible.
    """
    written = block.written
    metrics = [metric for metric in policy.metrics if metric.suite != suite or metric.trait not in written]
    metrics += [metric for metric in block.metrics(suite, where) if metric.trait in written]
    watched = [watch for watch in policy.watched if watch.suite != suite or watch.trait not in written]
    watched += [watch for watch in block.watched(suite) if watch.trait in written]
    return replace(policy, metrics=tuple(metrics), watched=tuple(watched))
