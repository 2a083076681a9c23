"""What an admitted judge may be off by is part of the bounds: people's difference is what is decided on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.admissions import make_admission, make_results
from support.words import said

from llmgate.gate.decide import decide
from llmgate.gate.decision.types import Decision, MetricDecision, Verdict
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.judges.admission_status import AdmissionStatus
from llmgate.record.judges.admission import BiasFigures
from llmgate.record.policy import MetricPolicy, Policy
from llmgate.record.scores import Items, ScoreTable
from llmgate.stats.proportion import PairedCounts, tango


def decided(
    *,
    better: int,
    worse: int,
    n: int = 1000,
    bias: float | None = 0.02,
    missing: int = 0,
    graded: bool = False,
    records: int = 1,
    **fields: float,
) -> Decision:
    """A judged metric, whose judge was admitted with a bias of at most so much."""
    champion = np.array([0.0] * better + [1.0] * worse + [1.0] * (n - better - worse))
    candidate = np.array([1.0] * better + [0.0] * worse + [1.0] * (n - better - worse))
    if graded:
        champion, candidate = champion * 0.8, candidate * 0.8
        candidate[-200:] -= 0.01
    if missing:
        candidate[-missing:] = np.nan
    items = Items.of([f"c{i:05d}" for i in range(n)])
    policy = MetricPolicy(suite="s", metric="tone", judged=True, **({"margin": 0.05} | fields))  # type: ignore[arg-type]
    results = make_results() if bias is None else make_results(bias=bias)
    if bias is None:
        results = replace(results, bias=BiasFigures(difference=None))
    admissions = tuple(make_admission(results=results) for _ in range(records))
    status = AdmissionStatus(suite="s", metric="tone", records=admissions)
    sides = [
        Evidence(
            tables=(
                ScoreTable(
                    suite="s",
                    metric="tone",
                    items=items,
                    scores=scores,
                    errors=dict.fromkeys(np.flatnonzero(np.isnan(scores)).tolist(), "lost"),
                    right_or_wrong=True,
                ),
            ),
            run="r",
            digest=f"{k}",
            admission_statuses=(status,),
        )
        for k, scores in enumerate((candidate, champion))
    ]
    return decide(sides[0], sides[1], Policy(metrics=(policy,)))


def metric_of(decision: Decision) -> MetricDecision:
    (metric,) = decision.metrics
    assert metric.lower is not None
    assert metric.upper is not None
    return metric


def test_the_bounds_are_wider_by_what_the_judge_may_be_off_by() -> None:
    metric = metric_of(decided(better=20, worse=24))
    judge = tango(PairedCounts(better=20, worse=24, pairs=1000), alpha=0.05)
    assert (metric.lower, metric.upper) == pytest.approx((judge.lower - 0.02, judge.upper + 0.02))
    assert metric.delta == pytest.approx(judge.estimate)
    assert metric.method.endswith("and judge's bias")
    assert any("may be off by 2.0 points; the bounds include that" in note for note in metric.notes)


@pytest.mark.parametrize(
    ("bias", "worse", "verdict"),
    [
        (0.0, 30, Verdict.PASS),
        (0.02, 30, Verdict.PASS),
        (0.035, 30, Verdict.INCONCLUSIVE),
        (0.0, 80, Verdict.FAIL),
        (0.03, 80, Verdict.FAIL),
        (0.049, 80, Verdict.INCONCLUSIVE),
    ],
)
def test_a_verdict_has_to_hold_whatever_the_judge_hides(bias: float, worse: int, verdict: Verdict) -> None:
    assert decided(better=20, worse=worse, bias=bias).verdict is verdict


def test_a_judge_that_may_be_off_by_the_margin_does_not_gate() -> None:
    for bias in (0.05, 0.3, None):
        decision = decided(better=90, worse=0, bias=bias)
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert "points between two systems, and the margin is 5" in said(decision)
    # Two asserts that feed a metric may be off together.
    assert decided(better=20, worse=20, bias=0.03).verdict is not Verdict.INCONCLUSIVE
    assert decided(better=20, worse=20, bias=0.03, records=2).verdict is Verdict.INCONCLUSIVE


def test_a_minimum_is_held_against_the_bias_of_one_system() -> None:
    assert decided(better=0, worse=0, n=400, bias=0.02, margin=0.5, min=0.97).verdict is Verdict.PASS
    assert decided(better=0, worse=0, n=400, bias=0.03, margin=0.5, min=0.97).verdict is Verdict.INCONCLUSIVE


def test_missing_scores_are_not_counted_beside_a_bias() -> None:
    assert decided(better=20, worse=20, missing=5, bias=0.0).verdict is Verdict.INCONCLUSIVE
    assert "beside a judge's bias" in said(decided(better=20, worse=20, missing=5))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(0, 120), st.floats(0.0, 0.049), st.booleans())
def test_a_larger_bias_never_decides_more(better: int, worse: int, bias: float, graded: bool) -> None:
    without, within = (decided(better=better, worse=worse, bias=one, graded=graded) for one in (0.0, bias))
    assert within.verdict in {without.verdict, Verdict.INCONCLUSIVE}
    one, other = without.metrics[0], within.metrics[0]
    assert one.p_worse is not None
    assert other.p_worse is not None
    assert other.p_worse >= one.p_worse - 1e-12
    assert (other.verdict is Verdict.FAIL) <= (other.p_worse <= 0.05 + 1e-12)
    assert one.pass_if_unchanged is not None
    assert other.pass_if_unchanged is not None
    assert other.pass_if_unchanged <= one.pass_if_unchanged + 1e-9
