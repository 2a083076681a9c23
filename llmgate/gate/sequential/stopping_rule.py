"""The rule at a look: may the run stop here, and was it right to?

At look k every test of a gating metric is put to O'Brien and Fleming's bound z_k instead of z_α, with the interval that
fits its scores at the one-sided α of 1 − Φ(z_k). A suite stops

- for a PASS if every gating metric has passed: δ0 = −m is excluded, and the candidate reaches `min:`;
- for a FAIL if a gating metric that nobody waived is worse (δ0 = 0 is excluded, by p-values that are adjusted over all
  gating tests of the run) and, before the last look, its estimate is worse than −m.

The last condition keeps an early FAIL from taking the place of a PASS that a wide margin would give. At a margin of 10
points, a true loss of 5, 10 % discordance and 1,000 cases, where 99.9 % of runs without looks pass, it is 99.0 % of
those with looks, and 54 % without the condition. To ask for an upper bound below −m/2 instead gives 98.2 %, and makes
clear losses expensive: at a margin of 3 points and a loss of 5, 61 % of the cases are asked instead of 48 %.

Both tests keep their error rate whatever ends the run, and p-values that hold at every look are adjusted as others are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Problem
from llmgate.gate.metrics.attempt_point import too_coarse
from llmgate.gate.metrics.metric import MetricTest
from llmgate.gate.metrics.missing import barred
from llmgate.gate.metrics.tests import default_margin, run_test
from llmgate.record.policy import Inference
from llmgate.stats.multiplicity import holm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.gate.evidence.pairing import Matches
    from llmgate.gate.metrics.look import LookPoint
    from llmgate.gate.metrics.metric import HypothesisTest
    from llmgate.record.policy import MetricPolicy, Policy

__all__ = ["at_look", "run_test_at", "settled"]


def run_test_at(
    policy: MetricPolicy,
    candidate: Evidence,
    champion: Evidence | None,
    point: LookPoint | None,
    matches: Matches | None = None,
) -> MetricTest:
    """As `run_test`, at a look.

    Args:
        policy: What is asked, with the α that holds over all looks.
        candidate: The candidate's evidence, of the cases that the look sees.
        champion: The champion's on the same cases, None without one.
        point: Where the metric stands; None if the look sees none of its cases.
        matches: Remembers how items match.

    Raises:
        NotComparableError: If the two sides put a case into different clusters.
    """
    if point is None:
        problem = Problem(where=policy.where, what="none of its cases was asked before this look")
        return MetricTest(policy=policy, problem=problem)
    margin, notes = policy.margin, list[str]()
    if margin is None and champion is not None:
        # By the number of planned cases: a margin must not change from look to look.
        margin, note = default_margin(point.planned)
        notes.append(note)
    test = run_test(replace(policy, margin=margin, alpha=point.tail(policy.alpha)), candidate, champion, matches)
    if policy.inference is Inference.BENCHMARK:
        what = "the suite may stop early, and a verdict on these cases alone needs the answers to all of them"
        fix = "Remove `stopping:`, or write `inference: population`"
        test = replace(test, problem=test.problem or Problem(where=policy.where, what=what, fix=fix))
    test = barred(test, "in a suite that may stop early it is not counted against the candidate")
    return replace(
        test,
        policy=policy,
        comparison=None if test.comparison is None else at_look(test.comparison, point, margin=margin),
        floor=None if test.floor is None else at_look(test.floor, point),
        notes=(*notes, *test.notes),
        look=point,
    )


def at_look(hypothesis: HypothesisTest, point: LookPoint, *, margin: float | None = None) -> HypothesisTest:
    """What a test at the level of a look is worth there.

    Args:
        hypothesis: The test, at `point.tail(alpha)`.
        point: The look.
        margin: Of a comparison; None for a threshold, where PASS and FAIL exclude each other already.
    """
    interval = hypothesis.interval
    coarse = not point.final and too_coarse(interval)
    premature = not point.final and margin is not None and interval.estimate >= -margin
    return replace(
        hypothesis,
        passed=hypothesis.passed and not coarse,
        worse=hypothesis.worse and not (coarse or premature),
        p=point.p(hypothesis.p),
    )


def settled(tests: Sequence[MetricTest], policy: Policy, *, champion: bool) -> str:
    """Why a suite may stop at a look: nothing that is still to come can be needed.

    Args:
        tests: All metrics of the suite, by `run_test_at`.
        policy: Of the whole run: p-values are adjusted for the tests of other suites too, as if those were 1.
        champion: Whether the run is compared with a champion.

    Returns:
        In words; empty if the suite has to go on. Where something could not be evaluated it always goes on.
    """
    gating = [test for test in tests if test.policy.gates]
    if not gating or any(test.problem is not None or not test.hypotheses for test in gating):
        return ""
    hypotheses = [(test.policy, hypothesis) for test in gating for hypothesis in test.hypotheses]
    if all(hypothesis.passed for _, hypothesis in hypotheses):
        return "every gating metric passes"
    others = max(0, _hypotheses_of(policy, champion=champion) - len(hypotheses))
    adjusted = holm([*(hypothesis.p for _, hypothesis in hypotheses), *([1.0] * others)])
    waived = {(waiver.suite, waiver.metric) for waiver in policy.waivers}
    for (metric, hypothesis), p in zip(hypotheses, adjusted, strict=False):
        if hypothesis.worse and p <= metric.alpha and (metric.suite, metric.metric) not in waived:
            return f"{metric.metric} fails"
    return ""


def _hypotheses_of(policy: Policy, *, champion: bool) -> int:
    """How many p-values the gating metrics of a run have at most, those of serving included."""
    asked = sum(champion + (metric.floor is not None) for metric in policy.metrics if metric.gates)
    return asked + sum(
        (champion and figure.margin is not None) + (figure.limit is not None)
        for figure in policy.serving
        if figure.gates
    )
