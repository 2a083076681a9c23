"""Decisions on plain scores, as tests hold them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.gate.decide import decide
from llmgate.gate.evidence.evidence import Evidence
from llmgate.record.policy import DEFAULT_ALPHA, MetricPolicy, Policy

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision
    from llmgate.record.scores import ScoreTable

__all__ = ["decide_by", "decide_tables"]


def decide_tables(
    candidate: ScoreTable, champion: ScoreTable, *, margin: float | None = None, alpha: float = DEFAULT_ALPHA
) -> Decision:
    """One metric; the champion's table is matched by item id, whatever its name."""
    metric = MetricPolicy(suite=candidate.suite, metric=candidate.metric, margin=margin, alpha=alpha)
    renamed = replace(champion, suite=candidate.suite, metric=candidate.metric)
    return decide(Evidence(tables=(candidate,)), Evidence(tables=(renamed,)), Policy(metrics=(metric,)))


def decide_by(candidate: ScoreTable, champion: ScoreTable, policy: Policy) -> Decision:
    """By a policy of its own; both tables have the name that it gives."""
    return decide(Evidence(tables=(candidate,)), Evidence(tables=(champion,)), policy)
