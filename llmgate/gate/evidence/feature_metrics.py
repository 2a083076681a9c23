"""Output features as metrics: how answers look is compared as what they score is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.record.output_features import DEFAULT_LENGTH_MARGIN, OutputFeature
from llmgate.record.policy import Direction, MetricPolicy, Role

if TYPE_CHECKING:
    from llmgate.record.policy import Policy
    from llmgate.record.schema import CaseKey  # noqa: TC004 - nothing reads this annotation

__all__ = ["LENGTH_SCALE", "EmbeddedAnswers", "watched"]

LENGTH_SCALE: Final = 64.0
"""Logarithms of lengths are divided by it, so that they are scores in [0, 1]; a power of two, so that none is rounded.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedAnswers:
    """The embeddings of one suite's answers.

    Attributes:
        suite: Its name.
        packed: Every planned answer's vector as the record has it, None where it has none.
        clusters: Case id to cluster key.
    """

    suite: str
    packed: Mapping[CaseKey, str | None]
    clusters: Mapping[str, str | None]


def watched(policy: Policy) -> tuple[MetricPolicy, ...]:
    """The watched output features as metrics, those of embeddings left out: they have no score per case."""
    return tuple(
        MetricPolicy(
            suite=watch.suite,
            metric=watch.trait.metric,
            role=Role.WATCH,
            margin=DEFAULT_LENGTH_MARGIN if watch.trait is OutputFeature.LENGTH else None,
            direction=Direction.LOWER if watch.trait is OutputFeature.REFUSALS else Direction.HIGHER,
            trait=watch.trait,
        )
        for watch in policy.watched
        if watch.trait is not OutputFeature.EMBEDDINGS
    )
