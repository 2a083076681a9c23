"""Metrics of which less is better: the same rule, turned round, and worded as people count it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import PolicyError
from llmgate.gate.decide import decide
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.gate.evidence.evidence import Evidence
from llmgate.record.policy import Direction, MetricPolicy, Policy
from llmgate.record.scores import Items, ScoreTable


def table(scores: np.ndarray) -> ScoreTable:
    items = Items.of([f"c{i:04d}" for i in range(len(scores))])
    return ScoreTable(suite="s", metric="refusals", items=items, scores=scores.astype(float))


def decided(candidate: np.ndarray, champion: np.ndarray | None, **policy: object) -> Decision:
    metric = MetricPolicy(suite="s", metric="refusals", **policy)  # type: ignore[arg-type]
    sides = [None if side is None else Evidence(tables=(table(side),)) for side in (candidate, champion)]
    assert sides[0] is not None
    return decide(sides[0], sides[1], Policy(metrics=(metric,)))


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.5, 1.0])), min_size=30, max_size=60),
    st.sampled_from([0.03, 0.1, 0.3]),
)
def test_it_is_the_rule_on_one_minus_the_score(rows: list[tuple[float, float]], margin: float) -> None:
    candidate, champion = np.array(rows).T
    low = decided(candidate, champion, margin=margin, direction=Direction.LOWER)
    high = decided(1 - candidate, 1 - champion, margin=margin)
    assert low.verdict is high.verdict
    (one,), (other,) = low.metrics, high.metrics
    assert (one.delta, one.lower, one.upper, one.better, one.worse) == (
        other.delta, other.lower, other.upper, other.better, other.worse,
    )  # fmt: skip
    assert one.candidate == pytest.approx(np.mean(candidate))
    assert [flip.delta for flip in low.flips] == [flip.delta for flip in high.flips]


def test_more_refusals_fail_and_are_worded_as_worse() -> None:
    champion, candidate = np.zeros(300), np.zeros(300)
    candidate[:40] = 1.0
    decision = decided(candidate, champion, margin=0.03, direction=Direction.LOWER)
    assert decision.verdict is Verdict.FAIL
    assert "points worse" in decision.metrics[0].reason
    assert decision.metrics[0].candidate == pytest.approx(40 / 300)
    assert (decision.metrics[0].better, decision.metrics[0].worse) == (0, 40)
    assert all(flip.delta < 0 < flip.candidate for flip in decision.flips)


@pytest.mark.parametrize(
    ("counted", "verdict", "reason"),
    [
        (0, Verdict.PASS, "at most 0.6 % (95 %), maximum 2 %."),
        (40, Verdict.FAIL, "at least 6.1 % (95 %), maximum 2 %."),
        (8, Verdict.INCONCLUSIVE, "between 0.8 % and 2.9 % (95 % each), maximum 2 %"),
    ],
)
def test_a_maximum_is_judged_by_the_upper_bound(counted: int, verdict: Verdict, reason: str) -> None:
    scores = np.zeros(500)
    scores[:counted] = 1.0
    decision = decided(scores, None, max=0.02, direction=Direction.LOWER)
    (metric,) = decision.metrics
    assert decision.verdict is verdict
    assert metric.reason.startswith(reason)
    assert metric.lower is not None
    assert metric.upper is not None
    assert metric.lower <= counted / 500 <= metric.upper
    lead, limit = {
        Verdict.PASS: ("Ship: ", " at most 0.6 % where 2 % is allowed."),
        Verdict.FAIL: ("Do not ship: ", " is 8.0 % (allowed: at most 2 %)."),
        Verdict.INCONCLUSIVE: ("Not decided: 500 cases cannot show that ", " is at most 2 %."),
    }[verdict]
    assert decision.sentence.startswith(lead)
    assert limit in decision.sentence


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"min": 0.5, "direction": Direction.LOWER}, "there is no min"),
        ({"max": 0.5}, "there is no max"),
        ({"max": 1.0, "direction": Direction.LOWER}, "max is 1.0"),
        ({"max": float("nan"), "direction": Direction.LOWER}, "max is nan"),
        ({"max": -0.1, "direction": Direction.LOWER}, "max is -0.1"),
    ],
)
def test_thresholds_that_contradict_the_direction_are_refused(policy: dict[str, object], says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        MetricPolicy(suite="s", metric="m", **policy)  # type: ignore[arg-type]
