"""Two arms with their decision as JSON, each run with the keys of `vllm bench serve`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.serving.arm_figures import read_arms

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision
    from llmgate.gate.serving.arm_figures import RunFigures
    from llmgate.record.arms import ServingArms

__all__ = ["compare_json"]


def compare_json(decision: Decision, arms: ServingArms) -> dict[str, Any]:
    """Two arms with the decision on them.

    Args:
        decision: On the serving figures of both.
        arms: All runs that were made.

    Returns:
        `verdict`, `sentence`, `metrics` and `problems` as a decision's JSON has them; `arms` with the runs of each
        side that count, in pair order, each with the keys of `vllm bench serve` and its `pair`; `discarded` with the
        runs that were made again; `plan` with the rest.
    """
    decided = json.loads(decision_to_json(decision))
    figures = read_arms(arms)
    return {
        **{name: decided[name] for name in ("verdict", "sentence", "metrics", "problems")},
        "plan": asdict(arms.plan),
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


def _facts(run: RunFigures) -> dict[str, Any]:
    """The keys of `vllm bench serve`, then where the run stands and what is wrong with it."""
    summary = run.summary
    return {
        "request_goodput": None,
        **summary.metrics,
        "max_concurrency": summary.concurrency or None,
        "num_prompts": summary.requests,
        "pair": run.run.pair,
        "position": run.run.position,
        "date": run.run.started_at,
        "invalid": [*([run.busy] if run.busy else []), *summary.invalid],
        "notes": list(summary.notes),
    }
