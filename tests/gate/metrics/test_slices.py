"""Slices: a loss in one fails the candidate, a gain in one proves nothing, and looking has a known price."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import decide_by
from support.words import said

from llmgate.gate.decision.types import Decision, Verdict
from llmgate.record.policy import MetricPolicy, Policy, Role, SlicePolicy
from llmgate.record.scores import Items, ScoreTable

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "paired"
LIVEBENCH = SHARED / "livebench.jsonl.gz"
TOPIC = SlicePolicy(suite="s", field="topic")


def table_of(
    scores: np.ndarray,
    topics: Sequence[str | None],
    *,
    clusters: Sequence[str | None] | None = None,
    errors: tuple[int, ...] = (),
) -> ScoreTable:
    items = Items.of([f"c{i:05d}" for i in range(len(scores))], slices={"topic": topics}, clusters=clusters)
    scores = scores.astype(float)
    scores[list(errors)] = np.nan
    return ScoreTable(suite="s", metric="accuracy", items=items, scores=scores, errors=dict.fromkeys(errors, "timeout"))


def policy(
    *, margin: float = 0.05, role: Role = Role.PRIMARY, slices: tuple[SlicePolicy, ...] = (TOPIC,), alpha: float = 0.01
) -> Policy:
    metric = MetricPolicy(suite="s", metric="accuracy", margin=margin, role=role)
    return Policy(metrics=(metric,), slices=slices, slice_alpha=alpha)


def one_lost_topic(lost: int = 30) -> tuple[ScoreTable, ScoreTable]:
    """1,000 cases in five topics; all of the losses in one, as many gains in the others."""
    topics: Sequence[str | None] = [f"t{i // 200}" for i in range(1000)]
    champion, candidate = np.ones(1000), np.ones(1000)
    candidate[:lost] = 0.0
    champion[200 : 200 + lost] = 0.0
    return table_of(candidate, topics), table_of(champion, topics)


def test_equal_overall_and_worse_in_one_slice_fails_and_names_it() -> None:
    candidate, champion = one_lost_topic()
    decision = decide_by(candidate, champion, policy())
    assert decision.metrics[0].verdict is Verdict.PASS
    assert decision.metrics[0].delta == 0.0
    assert decision.verdict is Verdict.FAIL
    assert [one.name for one in decision.slices if one.failed] == ["s::accuracy[topic=t0]"]
    assert decision.sentence == (
        "Do not ship: the only gate passes, but 1 slice is worse. accuracy[topic=t0] fell from 100 % to 85 %."
    )
    assert (
        "Slices: 1 slice is worse: accuracy[topic=t0] by 15.0 points on 200 cases. Testing 5 slices adds at most 1 % false"
        " alarms."
    ) in said(decision)
    (lost,) = [one for one in decision.slices if one.failed]
    assert (lost.cases, lost.candidate, lost.champion) == (200, 0.85, 1.0)
    assert lost.delta == pytest.approx(-0.15)


def test_slices_that_are_not_in_the_policy_are_not_looked_into() -> None:
    candidate, champion = one_lost_topic()
    decision = decide_by(candidate, champion, policy(slices=()))
    assert decision.verdict is Verdict.PASS
    assert decision.slices == ()


def test_a_better_slice_makes_no_pass() -> None:
    topics: Sequence[str | None] = ["a"] * 100 + ["b"] * 100
    champion = np.concatenate((np.zeros(100), np.ones(100)))
    candidate = np.ones(200)
    candidate[100:112] = 0.0
    decision = decide_by(table_of(candidate, topics), table_of(champion, topics), policy(margin=0.01))
    assert decision.metrics[0].verdict is Verdict.PASS
    assert decision.verdict is Verdict.FAIL
    worse = decide_by(table_of(champion, topics), table_of(np.ones(200), topics), policy(margin=0.01))
    assert worse.verdict is Verdict.FAIL
    assert {one.value: one.failed for one in worse.slices} == {"a": True, "b": False}


def test_a_loss_within_the_margin_is_no_fail_in_a_slice_either() -> None:
    topics: Sequence[str | None] = ["a"] * 4000
    champion, candidate = np.ones(4000), np.ones(4000)
    candidate[:40] = 0.0
    decision = decide_by(table_of(candidate, topics), table_of(champion, topics), policy(margin=0.05))
    assert decision.slices[0].p_worse < 1e-9
    assert decision.verdict is Verdict.PASS


@pytest.mark.parametrize(("cases", "tested"), [(19, 0), (20, 1)])
def test_small_slices_are_not_tested(cases: int, tested: int) -> None:
    topics: list[str | None] = [*["small"] * cases, *[None] * 500]
    decision = decide_by(table_of(np.ones(cases + 500), topics), table_of(np.ones(cases + 500), topics), policy())
    assert len(decision.slices) == tested


def test_watched_metrics_have_no_slices() -> None:
    candidate, champion = one_lost_topic()
    assert decide_by(candidate, champion, policy(role=Role.WATCH)).slices == ()


def test_a_slice_of_one_cluster_has_no_known_spread_and_does_not_end_the_decision() -> None:
    topics: Sequence[str | None] = ["a"] * 100 + ["b"] * 100
    clusters: Sequence[str | None] = ["one"] * 100 + [f"c{i // 2}" for i in range(100)]
    candidate = np.ones(200)
    candidate[:60] = 0.0
    decision = decide_by(
        table_of(candidate, topics, clusters=clusters), table_of(np.ones(200), topics, clusters=clusters), policy()
    )
    assert [one.value for one in decision.slices] == ["b"]


@pytest.mark.parametrize(("groups", "tested"), [(4, ["b"]), (5, ["a", "b"])])
def test_a_slice_of_too_few_clusters_is_left_out(groups: int, tested: list[str]) -> None:
    topics: Sequence[str | None] = ["a"] * 100 + ["b"] * 100
    clusters: Sequence[str | None] = [f"a{i % groups}" for i in range(100)] + [f"b{i // 2}" for i in range(100)]
    candidate = np.ones(200)
    candidate[:63] = 0.0
    decision = decide_by(
        table_of(candidate, topics, clusters=clusters), table_of(np.ones(200), topics, clusters=clusters), policy()
    )
    assert [one.value for one in decision.slices] == tested
    # 5 clusters of the same sign: 1 subset of 32, by two slices 2 of 32, is no proof at 1 %.
    assert not any(one.failed for one in decision.slices)


def test_cases_without_a_score_are_not_in_a_slice_and_bar_the_pass() -> None:
    topics: Sequence[str | None] = ["a"] * 1000
    decision = decide_by(table_of(np.ones(1000), topics, errors=(3,)), table_of(np.ones(1000), topics), policy())
    assert decision.slices[0].cases == 999
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.exit_code == 3


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.001, 0.01, 0.1]))
def test_looking_into_slices_never_improves_a_verdict(lost: int, gained: int, alpha: float) -> None:
    topics: Sequence[str | None] = [f"t{i % 3}" for i in range(300)]
    champion, candidate = np.ones(300), np.ones(300)
    candidate[:lost] = 0.0
    champion[299 - gained : 299] = 0.0
    sides = table_of(candidate, topics), table_of(champion, topics)
    order = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}
    with_slices = decide_by(*sides, policy(alpha=alpha)).verdict
    assert order[with_slices] <= order[decide_by(*sides, policy(slices=())).verdict]


def test_an_unchanged_model_fails_by_a_slice_in_at_most_one_of_a_hundred_runs() -> None:
    """8 slices of 40 cases, 20 % discordance; the bound leaves four standard errors of room."""
    rng = np.random.default_rng(8)
    topics: Sequence[str | None] = [f"t{i % 8}" for i in range(320)]
    runs, failed = 400, 0
    for _ in range(runs):
        base = rng.random(320) < 0.7
        flip = rng.random((2, 320)) < 0.113
        decision = decide_by(table_of(base ^ flip[0], topics), table_of(base ^ flip[1], topics), policy(margin=0.03))
        failed += any(one.failed for one in decision.slices)
    assert failed / runs <= 0.01 + 4 * math.sqrt(0.01 * 0.99 / runs)


def livebench(candidate: str, champion: str) -> Decision:
    scores: dict[str, dict[str, float]] = {candidate: {}, champion: {}}
    category: dict[str, str] = {}
    with gzip.open(LIVEBENCH, "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            if row["system"] in scores:
                scores[row["system"]][row["item_id"]] = row["score"]
                category[row["item_id"]] = row["category"]
    shared = sorted(scores[candidate].keys() & scores[champion].keys())
    sides = []
    for system in (candidate, champion):
        items = Items.of(shared, slices={"topic": [category[i] for i in shared]})
        sides.append(
            ScoreTable(suite="s", metric="accuracy", items=items, scores=np.array([scores[system][i] for i in shared]))
        )
    return decide_by(sides[0], sides[1], policy(margin=0.03))


@pytest.mark.skipif(not LIVEBENCH.exists(), reason="the paired LiveBench results are not beside the checkout")
@pytest.mark.parametrize(
    ("champion", "candidate", "lost"),
    [
        ("gemini-1.5-pro-exp-0801", "gemini-1.5-flash-002", {"language"}),
        ("Phi-3-medium-4k-instruct", "gemma-2-9b-it", {"reasoning"}),
        ("command-r-plus", "gpt-3.5-turbo-1106", {"instruction_following"}),
        ("gpt-4-1106-preview", "gemini-1.5-flash-002", {"language"}),
    ],
)
def test_real_models_equal_overall_and_not_inside(champion: str, candidate: str, lost: set[str]) -> None:
    decision = livebench(candidate, champion)
    assert decision.metrics[0].verdict is not Verdict.FAIL
    assert decision.verdict is Verdict.FAIL
    assert {one.value for one in decision.slices if one.failed} >= lost
