"""Wins, ties and losses of a record, against counts by hand and the formulas of win rates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import make_case, make_check, make_failed_result, make_policy, make_record, make_result

from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Verdict
from llmgate.gate.judges.preferences import preferences_of
from llmgate.record.policy import Aggregate, MetricPolicy, Role
from llmgate.stats.preference import mean_win_rate, win_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.judge_types import PreferenceDecision
    from llmgate.record.policy import Policy
    from llmgate.record.schema import CaseResult, Record

POLICY = make_policy([MetricPolicy(suite="support", metric="liked", aggregate=Aggregate.MEAN, role=Role.WATCH)])


def prefer(case: str, points: float | None, *, repeat: int = 0, kind: str = "prefer") -> CaseResult:
    return make_result(case, repeat=repeat, checks=[make_check(points, type=kind, metric="liked")])


def record(points: Sequence[float | None], *, clusters: Sequence[str | None] | None = None) -> Record:
    names = [f"c{i:03d}" for i in range(len(points))]
    keys = clusters or [None] * len(points)
    return make_record(
        results=[prefer(name, one) for name, one in zip(names, points, strict=True)],
        cases=[make_case(name, cluster=key) for name, key in zip(names, keys, strict=True)],
    )


def only(found: Record, policy: Policy = POLICY) -> PreferenceDecision:
    (one,) = preferences_of(found, policy)
    return one


def test_wins_ties_and_losses_are_counted() -> None:
    found = only(record([1.0] * 30 + [0.5] * 15 + [0.0] * 20))
    wanted = win_rate(30, 15, 20, alpha=0.05)
    assert (found.wins, found.ties, found.losses, found.lost) == (30, 15, 20, 0)
    assert (found.rate, found.lower, found.upper) == (wanted.estimate, wanted.lower, wanted.upper)
    assert found.rate == pytest.approx((30 + 7.5) / 65)
    assert found.method == "score interval of wins and losses"


def test_select_best_counts_as_prefer_does() -> None:
    results = [prefer("c000", 1.0, kind="select-best"), prefer("c001", 0.0, kind="not-select-best")]
    found = only(make_record(results=results, cases=[make_case("c000"), make_case("c001")]))
    assert (found.wins, found.ties, found.losses, found.lost) == (1, 0, 0, 0)


def test_orders_that_half_agree_count_in_quarters() -> None:
    points = [1.0] * 20 + [0.75] * 9 + [0.25] * 4 + [0.0] * 15
    found, wanted = only(record(points)), mean_win_rate(np.array(points), alpha=0.05)
    assert (found.wins, found.ties, found.losses) == (29, 0, 19)
    assert (found.rate, found.lower, found.upper) == (wanted.estimate, wanted.lower, wanted.upper)


def test_clusters_are_respected() -> None:
    points = [1.0, 1.0, 0.0, 0.0, 1.0, 0.5] * 10
    keys = [f"d{i // 2}" for i in range(60)]
    found = only(record(points, clusters=keys))
    wanted = mean_win_rate(np.array(points), alpha=0.05, clusters=keys)
    assert (found.lower, found.upper) == (wanted.lower, wanted.upper)
    assert found.method.startswith("clusters: ")
    one = only(record(points, clusters=["d"] * 60))
    assert one.rate is None
    assert "belong to one cluster" in one.method


def test_what_has_no_verdict_is_counted_apart() -> None:
    found = only(record([1.0, None, 0.0, None]))
    assert (found.wins, found.losses, found.lost) == (1, 1, 2)
    none = only(record([None]))
    assert (none.rate, none.lost) == (None, 1)


def test_repeats_are_averaged_and_one_that_is_missing_loses_the_case() -> None:
    found = make_record(
        results=[
            prefer("a", 1.0),
            prefer("a", 0.0, repeat=1),
            prefer("b", 1.0),
            prefer("b", 1.0, repeat=1),
            prefer("c", 1.0),
            make_failed_result("c", repeat=1),
        ],
        cases=[make_case(name, repeats=2) for name in "abc"],
    )
    one = only(found)
    assert (one.wins, one.ties, one.losses, one.lost) == (1, 1, 0, 1)


def test_other_asserts_are_no_preferences() -> None:
    assert preferences_of(make_record(), make_policy()) == ()
    negated = make_record(results=[prefer("a", 1.0, kind="not-prefer")])
    assert preferences_of(negated, POLICY) == ()


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=40))
def test_turning_every_preference_round_mirrors_the_rate(points: list[float]) -> None:
    one, other = only(record(points)), only(record([1 - p for p in points]))
    assert (one.wins, one.losses) == (other.losses, other.wins)
    assert one.rate is not None
    assert other.rate == pytest.approx(1 - one.rate)
    assert one.lower is not None
    assert other.upper == pytest.approx(1 - one.lower)


def test_a_decision_shows_it_and_a_minimum_gates_it() -> None:
    metric = replace(POLICY.metrics[0], role=Role.PRIMARY, min=0.47)
    liked = decide_records(record([1.0] * 160 + [0.5] * 80 + [0.0] * 120), None, make_policy([metric]))
    assert liked.verdict is Verdict.PASS
    assert [(one.wins, one.ties, one.losses) for one in liked.preferences] == [(160, 80, 120)]
    assert decision_from_json(decision_to_json(liked)) == liked
    worse = decide_records(record([1.0] * 90 + [0.5] * 80 + [0.0] * 190), None, make_policy([metric]))
    assert worse.verdict is Verdict.FAIL
