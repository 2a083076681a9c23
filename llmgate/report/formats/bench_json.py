"""Serving as JSON, with the keys of `vllm bench serve`: one measurement, and two arms with their decision."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.serving.arm_figures import read_arms

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision
    from llmgate.gate.serving.arm_figures import RunFigures
    from llmgate.gate.serving.summary import ServingSummary
    from llmgate.record.arms import ServingArms

__all__ = ["compare_json", "measurement_facts"]


def measurement_facts(summary: ServingSummary) -> dict[str, Any]:
    """One measurement: vLLM's keys and llmgate's, with what is wrong with it."""
    return {
        **summary.metrics,
        "max_concurrency": summary.concurrency,
        "num_prompts": summary.requests,
        "invalid": list(summary.invalid),
        "notes": list(summary.notes),
    }


def compare_json(decision: Decision, arms: ServingArms) -> str:
    """Two arms with the decision on them.

    Args:
        decision: On the serving figures of both.
        arms: All runs that were made.

    Returns:
        `verdict`, `sentence`, `metrics` and `problems` as a decision's JSON has them; `arms` with the runs of each
        side that count, in pair order, each with the keys of `vllm bench serve` and its `pair`; `discarded` with the
        runs that were made again.
    """
    decided = json.loads(decision_to_json(decision))
    figures = read_arms(arms)
    told = {
        **{name: decided[name] for name in ("verdict", "sentence", "metrics", "problems")},
        "suite": arms.plan.suite,
        "pairs": arms.plan.pairs,
        "hosting": arms.plan.hosting,
        "seed": arms.plan.seed,
        "arms": {
            "candidate": [_facts(mine) for mine, _ in figures.pairs if mine is not None],
            "champion": [_facts(theirs) for _, theirs in figures.pairs if theirs is not None],
        },
        "discarded": [
            {"position": run.position, "pair": run.pair, "arm": run.arm, "why": run.discarded}
            for run in arms.runs
            if run.discarded
        ],
    }
    return json.dumps(told, indent=2, sort_keys=True, allow_nan=False)


def _facts(run: RunFigures) -> dict[str, Any]:
    facts = measurement_facts(run.summary)
    if run.busy:
        facts["invalid"] = [run.busy, *facts["invalid"]]
    return {**facts, "pair": run.run.pair, "position": run.run.position, "date": run.run.started_at}
