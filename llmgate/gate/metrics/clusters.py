"""What a metric's clusters are like, whatever its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.cluster_words import cluster_sentence, few_clusters
from llmgate.stats.clusters.facts import facts_of

if TYPE_CHECKING:
    from llmgate.gate.metrics.metric import MetricTest
    from llmgate.stats.clusters.facts import ClusterFacts

__all__ = ["cluster_facts_of", "cluster_notes"]


def cluster_facts_of(test: MetricTest) -> ClusterFacts | None:
    """Facts about the clusters of the cases that were evaluated, None where no two share one."""
    pairs = test.pairs
    if pairs is None or pairs.clusters is None or not len(pairs.clusters):
        return None
    return facts_of(pairs.clusters, alpha=test.policy.alpha)


def cluster_notes(facts: ClusterFacts | None) -> tuple[str, ...]:
    """The same in words, with a warning where a single cluster may turn the verdict.

    Args:
        facts: None where there are no clusters.
    """
    if facts is None:
        return ()
    return tuple(note for note in (cluster_sentence(facts), few_clusters(facts)) if note)
