"""`gate:` of a suite: which metrics its asserts feed, and how each is gated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from llmgate.errors import PolicyError, SuiteError, did_you_mean
from llmgate.record.policy import DEFAULT_ALPHA, Aggregate, MetricPolicy, Role
from llmgate.suite.assertpart import Finite, Part

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec, Vocabulary

__all__ = ["GatePart", "Gates", "fed_metrics"]


class GatePart(Part):
    """One entry of `gate:`."""

    role: Annotated[Role, Field(strict=False)] = Role.PRIMARY
    aggregate: Annotated[Aggregate, Field(strict=False)] = Aggregate.ALL
    margin: Finite | None = None
    min: Finite | None = None
    alpha: Finite = DEFAULT_ALPHA


def fed_metrics(asserts: Iterable[AssertSpec]) -> tuple[str, ...]:
    """The metrics that asserts feed, in the order in which they name them; members of sets may feed their own."""
    return tuple(dict.fromkeys(one.metric for spec in asserts for one in (spec, *spec.asserts)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What a suite says about its metrics.

    Attributes:
        suite: The suite's name.
        parts: `gate:` by metric.
        where: Words the place of an entry.
    """

    suite: str
    parts: Mapping[str, GatePart]
    where: Callable[[str], str]

    def policies(self, asserts: Iterable[AssertSpec], vocabulary: Vocabulary) -> tuple[MetricPolicy, ...]:
        """One policy per metric that asserts feed.

        Metrics without an entry are watched, unless there is no entry at all, in which case all that no judge scores
        are primary.

        Raises:
            SuiteError: If an entry names a metric that no assert feeds, or is impossible.
        """
        asserts = tuple(asserts)
        metrics = fed_metrics(asserts)
        for name in self.parts:
            if name not in metrics:
                raise SuiteError(
                    f"no assert feeds the metric {name!r}", where=self.where(name), fix=did_you_mean(name, metrics)
                )
        judged = frozenset(
            metric
            for spec in asserts
            for one in (spec, *spec.asserts)
            if vocabulary.is_judge(one.type)
            for metric in (spec.metric, one.metric)
        )
        return tuple(self._policy(name, judged=name in judged) for name in metrics)

    def _policy(self, name: str, *, judged: bool) -> MetricPolicy:
        gate = self.parts.get(name)
        if gate is None:
            gate = GatePart(role=Role.WATCH if self.parts or judged else Role.PRIMARY)
        try:
            return MetricPolicy(
                suite=self.suite,
                metric=name,
                role=gate.role,
                aggregate=gate.aggregate,
                margin=gate.margin,
                min=gate.min,
                alpha=gate.alpha,
                judged=judged,
            )
        except PolicyError as error:
            raise SuiteError(error.what, where=self.where(name), fix=error.fix) from error
