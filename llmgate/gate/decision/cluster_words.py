"""What is said of clusters beside a verdict: how much they tell, and what kind of them may be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.wording import count, share
from llmgate.stats.clusters.facts import FEW_EFFECTIVE

if TYPE_CHECKING:
    from llmgate.stats.clusters.facts import ClusterFacts

__all__ = ["cluster_sentence", "few_clusters"]

_ALIKE: Final = 0.95
"""Share of their number that clusters have to weigh to be called equal."""


def cluster_sentence(facts: ClusterFacts) -> str:
    """How many there are, how unequal they are, and what may have stayed unseen."""
    of = f"{count(facts.groups, 'cluster')} of cases that belong together"
    weigh = "about equal" if facts.effective >= _ALIKE * facts.groups else _weigh(facts)
    unseen = f"a kind of cluster that makes up as much as {share(facts.unseen)} of all may be unseen"
    return f"{of}, {weigh}; {unseen}."


def few_clusters(facts: ClusterFacts) -> str:
    """A warning where a single cluster may turn the verdict; empty where it may not."""
    if not facts.few:
        return ""
    return (
        f"Clusters that weigh as much as {facts.effective:.1f} equal ones are few (fewer than {FEW_EFFECTIVE:.0f}), so"
        " that a single one may turn the verdict: add clusters, or split the largest."
    )


def _weigh(facts: ClusterFacts) -> str:
    return f"as much as {facts.effective:.1f} equal ones, the largest with {share(facts.largest_share)} of the cases"
