"""A decision on one metric in a few keys, for programs that want to know no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmgate.gate.verdict import decision_to_json

if TYPE_CHECKING:
    from llmgate.gate.decision import Decision

__all__ = ["decision_with_headline", "headline"]


def headline(decision: Decision) -> dict[str, Any]:
    """The one gating metric's figures; empty where none or several gate.

    Returns:
        `delta`, `lower`, `upper`, `margin`, `se` and `se_clustered` as fractions, `n` evaluated pairs, `errors` and
        `expected` ones, `better` and `worse` pairs and their share `discordance`, `clusters`, `alpha`,
        `metric`, and the `method` of the interval.
    """
    gating = [metric for metric in decision.metrics if metric.gates]
    if len(gating) != 1:
        return {}
    metric = gating[0]
    n = metric.evaluated
    return {
        "metric": metric.metric,
        "method": metric.method,
        "n": n,
        "delta": metric.delta,
        "lower": metric.lower,
        "upper": metric.upper,
        "margin": metric.margin,
        "alpha": metric.alpha,
        "se": metric.se,
        "se_clustered": metric.se_clustered,
        "clusters": metric.clusters,
        "better": metric.better,
        "worse": metric.worse,
        "discordance": (metric.better + metric.worse) / n if n else None,
        "errors": metric.errors,
        "expected": metric.expected,
    }


def decision_with_headline(decision: Decision) -> str:
    """The decision's JSON with the headline's keys beside its own; it reads back as the same decision."""
    return decision_to_json(decision, headline(decision))
