"""The decision: rules, error handling, and the properties that make it safe to rely on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import make_case, make_check, make_failed_result, make_policy, make_record, make_result, seal
from support.tables import decide_tables
from support.words import said

from llmgate.errors import NotComparableError, PolicyError, RecordError
from llmgate.gate.decide import decide
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.details import chances_sentence, detail_lines
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Decision, Problem, Verdict
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.metrics.tests import default_margin
from llmgate.record.policy import MetricPolicy, OnInconclusive, Policy, Role
from llmgate.record.scores import ItemScore, ScoreTable
from llmgate.stats.clusters.facts import ClusterFacts
from llmgate.stats.clusters.rule import METHOD
from llmgate.stats.unseen import unseen_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.schema import CaseKey, CaseResult, Record

GATE = MetricPolicy(suite="support", metric="accuracy", margin=0.03)


def table(scores: Sequence[float | None], *, metric: str = "accuracy", clusters: list[str] | None = None) -> ScoreTable:
    items = (
        ItemScore(
            item_id=f"c{i:04d}",
            score=score,
            cluster=clusters[i] if clusters else None,
            error="timeout" if score is None else None,
        )
        for i, score in enumerate(scores)
    )
    return ScoreTable.of(items, suite="support", metric=metric)


def changed(better: int, worse: int, pairs: int) -> tuple[ScoreTable, ScoreTable]:
    same = [1.0] * (pairs - better - worse)
    return table([1.0] * better + [0.0] * worse + same), table([0.0] * better + [1.0] * worse + same)


def bring(*tables: ScoreTable, failures: tuple[str, ...] = (), problems: tuple[Problem, ...] = ()) -> Evidence:
    return Evidence(tables=tables, required_failures=failures, problems=problems)


def only(*metrics: MetricPolicy) -> Policy:
    return Policy(metrics=metrics)


# Three outcomes.


@pytest.mark.parametrize(
    ("better", "worse", "pairs", "verdict"),
    [
        (50, 60, 1000, Verdict.PASS),
        (60, 30, 1000, Verdict.PASS),
        (0, 0, 88, Verdict.PASS),
        (0, 0, 87, Verdict.INCONCLUSIVE),
        (10, 12, 300, Verdict.INCONCLUSIVE),
        (20, 60, 300, Verdict.FAIL),
        # Worse, but provably by less than the margin.
        (5, 25, 2000, Verdict.PASS),
        (0, 1, 1, Verdict.INCONCLUSIVE),
    ],
)
def test_right_or_wrong_scores_are_decided_by_tango(better: int, worse: int, pairs: int, verdict: Verdict) -> None:
    decision = decide_tables(*changed(better, worse, pairs), margin=0.03)
    (metric,) = decision.metrics
    assert decision.verdict is metric.verdict is verdict
    assert metric.method == "Tango score interval for paired proportions"
    assert (metric.better, metric.worse, metric.evaluated, metric.errors) == (better, worse, pairs, 0)
    assert len(decision.flips) == better + worse
    assert metric.delta == pytest.approx((better - worse) / pairs)


@pytest.mark.parametrize(
    ("candidate", "champion", "clusters", "method"),
    [
        ([0.5 + 0.01 * (i % 7) for i in range(60)], [0.5 + 0.01 * (i % 5) for i in range(60)], None, "paired t"),
        ([0.5 + 0.01 * (i % 7) for i in range(49)], [0.5 + 0.01 * (i % 5) for i in range(49)], None, "BCa bootstrap"),
        ([0.1] * 3 + [0.9] * 297, [0.9] * 300, None, "BCa bootstrap"),
        ([0.9] * 300, [0.9] * 300, None, "bound for what stayed unseen"),
        ([1.0, 0.0] * 60, [1.0] * 120, [str(i // 3) for i in range(120)], METHOD),
        ([1.0, 0.0] * 60, [1.0] * 120, [str(i // 9) for i in range(120)], METHOD),
        ([1.0, 0.0] * 60, [1.0] * 120, [str(i) for i in range(120)], "Tango score interval for paired proportions"),
        # Every cluster has the same mean: only what is inside them varies.
        ([1.0, 0.0] * 60, [0.5] * 120, [str(i // 2) for i in range(120)], "paired t"),
    ],
)
def test_the_method_follows_from_the_scores(
    candidate: list[float | None], champion: list[float | None], clusters: list[str] | None, method: str
) -> None:
    decision = decide_tables(table(candidate, clusters=clusters), table(champion, clusters=clusters), margin=0.03)
    assert decision.metrics[0].method == method


@pytest.mark.parametrize(
    ("cases", "verdict"), [(99, Verdict.PASS), (98, Verdict.INCONCLUSIVE), (1, Verdict.INCONCLUSIVE)]
)
def test_graded_scores_without_any_change_need_as_many_cases_as_could_hide_a_loss(cases: int, verdict: Verdict) -> None:
    scores: list[float | None] = [0.7] * cases
    assert decide_tables(table(scores), table(scores), margin=0.03).verdict is verdict


def test_a_tiny_constant_loss_is_not_certainty() -> None:
    decision = decide_tables(table([0.69] * 20), table([0.7] * 20), margin=0.03)
    assert decision.verdict is Verdict.INCONCLUSIVE


def test_one_cluster_cannot_be_decided_on() -> None:
    clusters = ["doc"] * 100
    decision = decide_tables(
        table([1.0, 0.0] * 50, clusters=clusters), table([1.0] * 100, clusters=clusters), margin=0.03
    )
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "all 100 cases belong to one cluster" in decision.problems[0].what


# The margin.


@pytest.mark.parametrize(("cases", "margin"), [(687, 0.05), (688, 0.03), (5000, 0.03)])
def test_the_default_margin_depends_on_the_cases_and_says_so(cases: int, margin: float) -> None:
    decision = decide_tables(*changed(0, 0, cases))
    assert decision.metrics[0].margin == margin == default_margin(cases)[0]
    assert "No margin was set" in decision.metrics[0].notes[0]


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1, float("nan")])
def test_an_impossible_margin_is_refused(margin: float) -> None:
    with pytest.raises(PolicyError, match="margin"):
        decide_tables(*changed(1, 1, 10), margin=margin)


def test_an_impossible_alpha_is_refused() -> None:
    with pytest.raises(PolicyError, match="alpha"):
        decide_tables(*changed(1, 1, 10), margin=0.03, alpha=0.5)


# Absolute thresholds.


@pytest.mark.parametrize(
    ("right", "cases", "verdict"),
    [
        (88, 100, Verdict.PASS),
        (85, 100, Verdict.INCONCLUSIVE),
        (72, 100, Verdict.FAIL),
        (10, 10, Verdict.INCONCLUSIVE),
        (14, 14, Verdict.PASS),
        (0, 1, Verdict.INCONCLUSIVE),
    ],
)
def test_without_a_champion_the_bound_must_reach_the_minimum(right: int, cases: int, verdict: Verdict) -> None:
    policy = only(MetricPolicy(suite="support", metric="accuracy", min=0.8))
    decision = decide(bring(table([1.0] * right + [0.0] * (cases - right))), None, policy)
    assert decision.verdict is verdict
    (metric,) = decision.metrics
    assert (metric.reference, metric.method) == ("threshold", "Clopper–Pearson exact")
    assert (metric.margin, metric.champion, metric.pass_if_unchanged) == (None, None, None)
    assert decision.problems == ()


@pytest.mark.parametrize(("level", "verdict"), [(0.9, Verdict.PASS), (0.5, Verdict.FAIL), (0.79, Verdict.INCONCLUSIVE)])
def test_graded_scores_have_minima_too(level: float, verdict: Verdict) -> None:
    scores: list[float | None] = [level + 0.04 * (i % 3 - 1) for i in range(400)]
    policy = only(MetricPolicy(suite="support", metric="accuracy", min=0.79))
    decision = decide(bring(table(scores)), None, policy)
    assert (decision.verdict, decision.metrics[0].method) == (verdict, "t")


def test_a_perfect_score_cannot_be_proven() -> None:
    policy = only(MetricPolicy(suite="support", metric="accuracy", min=1.0))
    assert decide(bring(table([1.0] * 500)), None, policy).verdict is Verdict.INCONCLUSIVE
    assert decide(bring(table([1.0] * 499 + [0.0])), None, policy).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("better", "worse", "minimum", "verdict"),
    [
        (50, 60, 0.9, Verdict.PASS),
        (50, 60, 0.93, Verdict.INCONCLUSIVE),
        (50, 60, 0.97, Verdict.FAIL),
        (0, 100, 0.8, Verdict.FAIL),
    ],
)
def test_beside_a_champion_a_minimum_must_be_met_too(better: int, worse: int, minimum: float, verdict: Verdict) -> None:
    candidate, champion = changed(better, worse, 1000)
    decision = decide(bring(candidate), bring(champion), only(replace(GATE, min=minimum)))
    assert decision.verdict is verdict
    assert decision.metrics[0].reference == "champion"
    assert decision.metrics[0].min == minimum


def test_with_nothing_to_compare_with_there_is_no_pass() -> None:
    decision = decide(bring(table([1.0] * 1000)), None, only(GATE))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "nothing to compare with" in decision.problems[0].what
    assert decision.exit_code == 3


# What could not be evaluated.


def test_pairs_without_a_score_are_named_and_bar_a_pass_where_they_are_many() -> None:
    candidate, champion = changed(0, 0, 200)
    rows = [ItemScore(item_id=f"c{i:04d}", score=None, error="timeout") for i in range(197, 200)]
    broken = ScoreTable.of((*list(candidate.rows())[:197], *rows), suite="support", metric="accuracy")
    decision = decide_tables(broken, champion, margin=0.2)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.exit_code == 3
    assert decision.problems[0].what == (
        "3 of 200 pairs could not be evaluated:"
        " c0197 (candidate: timeout), c0198 (candidate: timeout), c0199 (candidate: timeout)"
    )
    assert (decision.metrics[0].expected, decision.metrics[0].evaluated, decision.metrics[0].errors) == (200, 197, 3)
    assert decide_tables(champion, broken, margin=0.2).problems[0].what.endswith("c0199 (champion: timeout)")


def test_a_missing_item_is_never_intersected_away() -> None:
    candidate, champion = changed(5, 5, 2000)
    fewer = ScoreTable.of(list(candidate.rows())[1:], suite="support", metric="accuracy")
    for pair in ((fewer, champion), (champion, fewer)):
        decision = decide_tables(*pair, margin=0.03)
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert "c0000" in decision.problems[0].what
        assert "not there" in decision.problems[0].what


def test_proven_worse_stays_proven_whatever_else_is_missing() -> None:
    candidate, champion = changed(0, 200, 1000)
    decision = decide_tables(
        ScoreTable.of(list(candidate.rows())[:-3], suite="support", metric="accuracy"), champion, margin=0.03
    )
    assert decision.verdict is Verdict.FAIL
    assert "3 of 1,000 pairs could not be evaluated" in said(decision)


@pytest.mark.parametrize("empty", [bring(), bring(table([])), bring(table([1.0], metric="tone"))])
def test_a_side_without_scores_is_a_problem(empty: Evidence) -> None:
    full = bring(table([1.0] * 500))
    for candidate, champion, side in (
        (empty, full, "candidate"),
        (full, empty, "champion"),
        (empty, None, "candidate"),
    ):
        decision = decide(candidate, champion, only(replace(GATE, min=0.5)))
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert f"the {side} has no scores on this metric" in decision.problems[0].what


def test_nothing_evaluated_is_a_problem_and_not_a_mean() -> None:
    decision = decide(bring(table([None, None])), bring(table([1.0, 1.0])), only(GATE))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.metrics[0].candidate is None
    assert decision.metrics[0].lower is None


def test_a_problem_of_either_side_bars_a_pass() -> None:
    problem = Problem(where="support", what="something broke")
    candidate, champion = changed(5, 5, 2000)
    ours = decide(bring(candidate, problems=(problem,)), bring(champion), only(GATE))
    theirs = decide(bring(candidate), bring(champion, problems=(problem,)), only(GATE))
    assert ours.verdict is theirs.verdict is Verdict.INCONCLUSIVE
    assert theirs.problems[0].where == "champion, support"


def test_a_handful_of_clusters_is_not_enough_and_says_how_many_are() -> None:
    keys = [f"doc{i % 4}" for i in range(100)]
    decision = decide_tables(
        table([1.0, 0.0, 0.0] * 33 + [1.0], clusters=keys), table([1.0] * 100, clusters=keys), margin=0.03
    )
    (metric,) = decision.metrics
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "4 clusters, which are too few to decide: at an error rate of 5 % it takes 5" in decision.problems[0].what
    assert decision.problems[0].fix == "Add cases of more clusters"
    assert metric.cluster_facts == ClusterFacts(
        groups=4, effective=4.0, largest_share=0.25, unseen=unseen_share(4, alpha=0.05)
    )


def test_a_decision_on_clusters_says_how_much_they_tell() -> None:
    """41 clusters of which one holds half, and as many equal ones."""
    for lopsided in (True, False):
        keys = ["big" if lopsided and i >= 400 else f"doc{i // 10}" for i in range(800)]
        candidate = table([float(i % 7 != 0) for i in range(800)], clusters=keys)
        champion = table([float(i % 9 != 0) for i in range(800)], clusters=keys)
        decision = decide_tables(candidate, champion, margin=0.3)
        (metric,) = decision.metrics
        facts = metric.cluster_facts
        assert facts is not None
        assert (facts.groups, facts.few) == ((41, True) if lopsided else (80, False))
        (line,) = [text for label, text in detail_lines(decision) if label == "Clusters"]
        assert all(note in line for note in metric.notes)
        if lopsided:
            assert "41 clusters of cases that belong together, as much as 3.9 equal ones, the largest with 50 %" in line
            assert "a kind of cluster that makes up as much as 7 % of all may be unseen." in line
            assert "so that a single one may turn the verdict: add clusters, or split the largest." in line
        else:
            assert "80 clusters of cases that belong together, about equal;" in line
            assert "turn the verdict" not in line
        assert decision_from_json(decision_to_json(decision)) == decision
    unclustered = decide_tables(table([1.0] * 100), table([1.0] * 100), margin=0.05)
    assert unclustered.metrics[0].cluster_facts is None
    assert "cluster_facts" not in decision_to_json(unclustered)
    assert not [label for label, _ in detail_lines(unclustered) if label == "Clusters"]


def test_what_clusters_promise_is_only_a_most() -> None:
    """The chance rests on the t bound, which is the narrowest of the three."""
    keys = [f"doc{i // 10}" for i in range(400)]
    scores = [float(i % 7 != 0) for i in range(400)], [float(i % 9 != 0) for i in range(400)]
    clustered = decide_tables(*(table(one, clusters=keys) for one in scores), margin=0.03)
    alone = decide_tables(*map(table, scores), margin=0.03)
    assert "would pass this gate at most" in chances_sentence(clustered.metrics[0])
    assert "would pass this gate at most" not in chances_sentence(alone.metrics[0])


def test_the_same_case_in_different_clusters_is_refused() -> None:
    with pytest.raises(NotComparableError, match="cluster is 'a' for the candidate, but 'b' for the champion"):
        decide_tables(table([1.0], clusters=["a"]), table([1.0], clusters=["b"]), margin=0.03)


# Roles and several metrics.


def test_no_gating_metric_is_a_problem_and_no_pass() -> None:
    for policy in (only(), only(replace(GATE, role=Role.WATCH))):
        decision = decide(bring(table([1.0] * 999)), bring(table([1.0] * 999)), policy)
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert "no metric gates" in decision.problems[0].what


def two(worse: tuple[int, int], roles: tuple[Role, Role] = (Role.PRIMARY, Role.GUARDRAIL)) -> Decision:
    sides = [changed(0, n, 1000) for n in worse]
    names = ("accuracy", "tone")
    renamed = [[replace(side, metric=name) for side in pair] for pair, name in zip(sides, names, strict=True)]
    policy = only(*(replace(GATE, metric=name, role=role) for name, role in zip(names, roles, strict=True)))
    return decide(bring(*(pair[0] for pair in renamed)), bring(*(pair[1] for pair in renamed)), policy)


def test_every_gating_metric_must_pass_and_any_can_fail() -> None:
    assert two((0, 0)).verdict is Verdict.PASS
    assert two((0, 28)).verdict is Verdict.FAIL
    assert two((100, 0)).verdict is Verdict.FAIL


def test_a_watched_metric_never_gates() -> None:
    decision = two((0, 500), roles=(Role.PRIMARY, Role.WATCH))
    assert decision.verdict is Verdict.PASS
    assert decision.metrics[1].verdict is Verdict.FAIL


def test_an_error_on_a_watched_metric_is_a_note() -> None:
    policy = only(GATE, replace(GATE, metric="tone", role=Role.WATCH))
    good, tone = table([1.0] * 500), table([None] + [1.0] * 499, metric="tone")
    decision = decide(bring(good, tone), bring(good, replace(good, metric="tone")), policy)
    assert decision.verdict is Verdict.PASS
    assert "1 of 500 pairs could not be evaluated" in decision.metrics[1].notes[-1]


def test_fail_p_values_are_adjusted_over_all_gating_tests() -> None:
    # Alone 16 better and 30 worse of 300 have p = 0.0195; the margin keeps it from passing.
    alone = decide_tables(*changed(16, 30, 300), margin=0.01)
    assert alone.verdict is Verdict.FAIL
    names = ("accuracy", "tone", "safety")
    candidate, champion = changed(16, 30, 300)
    policy = only(*(replace(GATE, metric=name, margin=0.01) for name in names))
    sides = [
        bring(*(replace(side if name == "accuracy" else champion, metric=name) for name in names))
        for side in (candidate, champion)
    ]
    decision = decide(sides[0], sides[1], policy)
    raw, adjusted = alone.metrics[0].p_worse, decision.metrics[0].p_worse
    assert raw is not None
    assert adjusted == pytest.approx(3 * raw)
    assert decision.metrics[0].verdict is Verdict.INCONCLUSIVE
    assert "after adjusting for 3 tests" in decision.metrics[0].reason


def test_a_failed_required_check_fails_everything() -> None:
    candidate, champion = changed(100, 0, 1000)
    decision = decide(bring(candidate, failures=("support::refund",)), bring(champion), only(GATE))
    assert decision.verdict is Verdict.FAIL
    assert decision.required_failures == ("support::refund",)
    # The champion's own failures are no fault of the candidate.
    assert decide(bring(candidate), bring(champion, failures=("support::x",)), only(GATE)).verdict is Verdict.PASS


# Records.


def records(scores: dict[str, float | None], champion: dict[str, float | None] | None = None) -> tuple[Record, Record]:
    return make_record(scores=scores), make_record(scores=champion or scores, run_id="run-champion")


def test_records_are_decided_by_the_candidates_policy_unless_another_is_given() -> None:
    candidate, champion = records({f"c{i:03d}": 1.0 for i in range(120)})
    decision = decide_records(candidate, champion)
    assert decision.verdict is Verdict.PASS
    assert candidate.seal is not None
    assert champion.seal is not None
    assert (decision.candidate_run, decision.champion_run) == ("run-candidate", "run-champion")
    assert decision.candidate_digest == candidate.seal.journal_digest
    assert decision.champion_digest == champion.seal.journal_digest
    stricter = decide_records(candidate, champion, make_policy(margin=0.01))
    assert stricter.verdict is Verdict.INCONCLUSIVE


def test_a_single_unfinished_record_is_refused() -> None:
    with pytest.raises(RecordError, match="no seal"):
        decide_records(make_record(sealed=False), None, make_policy([replace(GATE, min=0.5)]))


def test_records_that_differ_are_refused() -> None:
    candidate, champion = records({"a": 1.0, "b": 1.0}, {"a": 1.0})
    with pytest.raises(NotComparableError, match="cases is 2 for the candidate, but 1 for the champion"):
        decide_records(candidate, champion)


def test_inconclusive_can_be_allowed_but_stays_inconclusive() -> None:
    candidate, champion = records({"a": 1.0})
    allowed = replace(make_policy(), inconclusive=OnInconclusive.ALLOW)
    decision = decide_records(candidate, champion, allowed)
    assert (decision.verdict, decision.exit_code) == (Verdict.INCONCLUSIVE, 0)


# Properties.

RANK = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}
SCORE = st.sampled_from([0.0, 1.0, 1.0, 1.0, None])


def rank(decision: Decision) -> int:
    if decision.verdict is Verdict.INCONCLUSIVE and decision.problems:
        return 0
    return RANK[decision.verdict]


def runs(draw: st.DrawFn, cases: int, run_id: str, tidy: bool) -> Record:
    planned = [make_case(f"c{i}", repeats=1 + i % 2, cluster=f"k{i % 5}" if i % 3 == 0 else None) for i in range(cases)]
    results: list[CaseResult] = []
    for case in planned:
        for repeat in range(case.repeats):
            score = 1.0 if tidy else draw(SCORE)
            required = not tidy and draw(st.integers(0, 20)) == 0
            if score is None:
                results.append(make_failed_result(case.case, repeat=repeat))
            else:
                checks = [make_check(score, required=required), make_check(score, metric="tone", weight=0.5)]
                results.append(make_result(case.case, repeat=repeat, checks=checks))
    return make_record(results=results, cases=planned, run_id=run_id)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Record, Record | None, Policy]:
    cases = draw(st.integers(1, 30))
    tidy = draw(st.booleans())
    policy = only(
        MetricPolicy(
            suite="support",
            metric="accuracy",
            margin=draw(st.sampled_from([None, 0.03, 0.3, 0.9])),
            min=draw(st.sampled_from([None, 0.1, 0.8])),
            alpha=draw(st.sampled_from([0.05, 0.4])),
        ),
        MetricPolicy(suite="support", metric="tone", role=draw(st.sampled_from(Role)), margin=0.6, min=0.05),
    )
    candidate = runs(draw, cases, "run-candidate", tidy)
    champion = runs(draw, cases, "run-champion", tidy) if draw(st.booleans()) else None
    return candidate, champion, policy


def without(record: Record, key: CaseKey) -> Record:
    """The record as a writer would have sealed it who never saw this result."""
    return seal(replace(record, results={k: v for k, v in record.results.items() if k != key}))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_deleting_any_line_never_improves_a_verdict(data: st.DataObject) -> None:
    candidate, champion, policy = data.draw(situations())
    before = rank(decide_records(candidate, champion, policy))
    for key in candidate.results:
        assert rank(decide_records(without(candidate, key), champion, policy)) <= before
        if champion is not None:
            assert rank(decide_records(candidate, without(champion, key), policy)) <= before
    for case in candidate.cases:
        planless = seal(
            replace(
                candidate,
                cases=tuple(c for c in candidate.cases if c is not case),
                results={k: v for k, v in candidate.results.items() if k.case != case.case},
            )
        )
        if champion is not None:
            with pytest.raises(NotComparableError):
                decide_records(planless, champion, policy)
        elif planless.cases:
            assert rank(decide_records(planless, None, policy)) <= before


@settings(max_examples=60, deadline=None)
@given(situations())
def test_the_same_records_give_the_same_bytes_in_any_order(situation: tuple[Record, Record | None, Policy]) -> None:
    candidate, champion, policy = situation
    shuffled = replace(
        candidate,
        cases=tuple(reversed(candidate.cases)),
        results=dict(reversed(list(candidate.results.items()))),
    )
    one, two = (decide_records(record, champion, policy) for record in (candidate, shuffled))
    assert decision_to_json(one) == decision_to_json(two)


@settings(max_examples=60, deadline=None)
@given(situations())
def test_a_decision_is_consistent(situation: tuple[Record, Record | None, Policy]) -> None:
    decision = decide_records(*situation)
    gating = [m for m in decision.metrics if m.gates]
    if decision.verdict is Verdict.PASS:
        assert gating
        assert not decision.problems
        assert not decision.required_failures
        assert all(m.verdict is Verdict.PASS and m.errors == 0 for m in gating)
    if decision.verdict is Verdict.FAIL:
        assert decision.required_failures or any(m.verdict is Verdict.FAIL for m in gating)
    for metric in decision.metrics:
        assert metric.expected == metric.evaluated + metric.errors
        if metric.lower is not None and metric.upper is not None:
            assert metric.lower <= metric.upper
            if metric.verdict is Verdict.PASS and metric.reference == "champion":
                assert metric.margin is not None
                assert metric.lower > -metric.margin
    leads = {Verdict.PASS: "Ship: ", Verdict.FAIL: "Do not ship: ", Verdict.INCONCLUSIVE: "Not decided: "}
    assert decision.sentence.startswith(leads[decision.verdict])
    assert decision.sentence.endswith(".")
    counted = Counter(flip.metric for flip in decision.flips)
    assert all(counted[m.metric] == m.better + m.worse for m in decision.metrics)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=60), st.data())
def test_a_better_answer_never_makes_things_worse(champion: list[float], data: st.DataObject) -> None:
    candidate = [data.draw(st.sampled_from([0.0, 1.0])) for _ in champion]
    wrong = [i for i, score in enumerate(candidate) if score == 0.0]
    if wrong:
        better = list(candidate)
        better[data.draw(st.sampled_from(wrong))] = 1.0
        old = decide_tables(table(list(candidate)), table(list(champion)), margin=0.2, alpha=0.2)
        new = decide_tables(table(list(better)), table(list(champion)), margin=0.2, alpha=0.2)
        assert rank(new) >= rank(old)
