"""A verdict on these cases alone: what keeps it from being one, and what stands beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.errors import UndefinedError
from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.wording import count, name_some
from llmgate.gate.metrics.intervals import compare
from llmgate.record.policy import Inference

if TYPE_CHECKING:
    from llmgate.gate.evidence.pairing import Pairs
    from llmgate.gate.metrics.metric import MetricTest
    from llmgate.record.policy import MetricPolicy, Policy

__all__ = ["benchmark_notes", "benchmark_problem", "in_view", "view_sentence"]


def in_view(test: MetricTest, pairs: Pairs) -> MetricTest:
    """A metric that is about to be tested, with what the view that was asked for has to say first.

    Args:
        test: The metric, untested.
        pairs: Its cases.
    """
    problem = benchmark_problem(test.policy, pairs, corrected=test.corrected)
    if problem is not None:
        return replace(test, problem=test.problem or problem)
    notes = benchmark_notes(test.policy, test.oriented or pairs, margin=test.margin)
    return replace(test, notes=(*test.notes, *notes))


def view_sentence(policy: Policy) -> str:
    """To follow the sentence of a decision: which metrics it holds of these cases only for; empty if there are none."""
    alone = [metric for metric in policy.metrics if metric.gates and metric.inference is Inference.BENCHMARK]
    if not alone:
        return ""
    others = any(metric.gates and metric.inference is not Inference.BENCHMARK for metric in policy.metrics)
    what = f" in {name_some(metric.metric for metric in alone)}" if others else ""
    return f" This holds for these cases only{what}, not for others like them."


def benchmark_problem(policy: MetricPolicy, pairs: Pairs, *, corrected: bool) -> Problem | None:
    """Why nothing can be said of these cases alone, None where it can or nobody asked.

    Args:
        policy: What is asked.
        pairs: The cases.
        corrected: Whether people's labels correct the scores.
    """
    if policy.inference is not Inference.BENCHMARK:
        return None
    if corrected:
        what = "people's labels are a sample of the cases, so they say nothing of these cases alone"
        return Problem(where=policy.where, what=what, fix="Write `inference: population`")
    if pairs.sampling is None:
        what = "single answers are not known here, and a verdict on these cases alone rests on how they vary"
        fix = (
            "Decide on the first attempt at runs of llmgate with `repeat: 2` or more, or write `inference: population`"
        )
        return Problem(where=policy.where, what=what, fix=fix)
    return None


def benchmark_notes(policy: MetricPolicy, oriented: Pairs, *, margin: float | None) -> tuple[str, ...]:
    """That the verdict speaks of these cases alone, and what it would be for cases like them.

    Args:
        policy: What is asked.
        oriented: The cases, turned so that more is better.
        margin: Of the comparison, None without one.
    """
    if policy.inference is not Inference.BENCHMARK or oriented.sampling is None:
        return ()
    cases = count(len(oriented.item_ids), "case")
    held = f"The verdict holds for these {cases} only, not for others like them: only the answers' own chance counts."
    if margin is None:
        return (held,)
    try:
        among = compare(replace(oriented, sampling=None), margin=margin, alpha=policy.alpha).interval
    except UndefinedError as error:
        return (held, f"For cases like them nothing can be said: {error.what}.")
    bounds = f"{100.0 * among.lower:+.1f} to {100.0 * among.upper:+.1f} points ({among.method})"
    return (held, f"For cases like them the difference lies between {bounds}.")
