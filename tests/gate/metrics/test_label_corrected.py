"""Judged metrics that people's labels correct: what is decided on, what is refused, and how often it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import decide_by
from support.words import said

from llmgate.gate.decide import decide
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Decision, MetricDecision, Verdict
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.metrics.label_corrected import FEWEST_CLUSTERS, FEWEST_LABELS, JUDGE_ALONE, labels_for
from llmgate.record.policy import Direction, MetricPolicy, Policy, Role, SlicePolicy, Unadmitted
from llmgate.record.scores import Items, ScoreTable
from llmgate.stats.corrected import ppi_bounded
from llmgate.stats.proportion import PairedCounts, tango

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Column = NDArray[np.float64]


def table_of(
    judge: Column,
    human: Column | None,
    *,
    clusters: Sequence[str] | None = None,
    topics: Sequence[str] | None = None,
) -> ScoreTable:
    items = Items.of(
        [f"c{i:05d}" for i in range(len(judge))], clusters=clusters, slices={"topic": topics} if topics else None
    )
    return ScoreTable(suite="s", metric="tone", items=items, scores=judge.astype(float), human=human)


def policy(*, margin: float | None = 0.05, slices: bool = False, **fields: object) -> Policy:
    metric = MetricPolicy(suite="s", metric="tone", margin=margin, **fields)  # type: ignore[arg-type]
    return Policy(
        metrics=(metric,), slices=(SlicePolicy(suite="s", field="topic"),) if slices else (), slice_alpha=0.01
    )


def sides(
    n: int,
    labels: int,
    *,
    seed: int = 1,
    candidate: float = 0.8,
    champion: float = 0.8,
    blind: float = 0.0,
    noise: float = 0.05,
) -> tuple[tuple[Column, Column], tuple[Column, Column]]:
    """Judge and human columns of both sides; the judge lets a share `blind` of the candidate's bad answers pass."""
    rng = np.random.default_rng(seed)
    base = rng.random(n)
    found = []
    drawn = rng.permutation(n)[:labels]
    for rate, lenient in ((candidate, blind), (champion, 0.0)):
        human = (base < rate).astype(float)
        swap = rng.random(n) < 0.03
        human = np.where(swap, 1 - human, human)
        judge = np.where(rng.random(n) < noise, 1 - human, human)
        judge = np.where((judge == 0) & (rng.random(n) < lenient), 1.0, judge)
        seen = np.full(n, np.nan)
        seen[drawn] = human[drawn]
        found.append((judge, seen))
    return found[0], found[1]


def decided(
    both: tuple[tuple[Column, Column], tuple[Column, Column]], chosen: Policy, *, labelled: bool = True
) -> Decision:
    one, other = (table_of(judge, human if labelled else None) for judge, human in both)
    return decide_by(one, other, chosen)


def test_the_bounds_are_those_of_people_on_all_cases() -> None:
    (f1, y1), (f0, y0) = sides(800, 200)
    decision = decided(((f1, y1), (f0, y0)), policy())
    (metric,) = decision.metrics
    known = ~np.isnan(y1)
    wanted = ppi_bounded((f1 - f0)[known], (y1 - y0)[known], (f1 - f0)[~known], alpha=0.05, floor=-1.0, ceiling=1.0)
    assert (metric.delta, metric.lower, metric.upper) == pytest.approx((wanted.estimate, wanted.lower, wanted.upper))
    assert metric.labels == 200
    assert metric.method.startswith("PPI++")
    assert metric.candidate == pytest.approx(f1.mean())
    assert any("People labelled 200 of 800 cases" in note for note in metric.notes)
    assert metric.reason.startswith("corrected by 200 human labels: ")
    assert "Labels: s::tone is corrected by 200 human labels." in said(decision)
    assert decision_from_json(decision_to_json(decision)) == decision


def test_a_judge_that_does_not_see_the_loss_no_longer_passes_it() -> None:
    both = sides(1000, 300, candidate=0.68, blind=0.5)
    assert decided(both, policy(margin=0.08), labelled=False).verdict is Verdict.PASS
    assert decided(both, policy(margin=0.08)).verdict is Verdict.FAIL


def test_a_judge_that_is_right_lets_few_labels_do() -> None:
    both = sides(6000, 600, noise=0.0)
    assert decided(both, policy()).verdict is Verdict.PASS
    few = [tuple(column[~np.isnan(side[1])] for column in side) for side in both]
    alone = decided(((few[0][0], few[0][1]), (few[1][0], few[1][1])), policy()).metrics[0]
    metric = decided(both, policy()).metrics[0]
    assert width(metric) < 0.75 * width(alone)


def width(metric: MetricDecision) -> float:
    assert metric.lower is not None
    assert metric.upper is not None
    return metric.upper - metric.lower


@pytest.mark.parametrize("labels", [0, 1, FEWEST_LABELS - 1])
def test_too_few_labels_decide_nothing(labels: int) -> None:
    decision = decided(sides(1000, labels, candidate=0.9), policy())
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "too few to correct a judge" in said(decision)
    assert decision.metrics[0].lower is None


@pytest.mark.parametrize(("margin", "labels"), [(0.03, 88), (0.05, 52), (0.1, 25)])
def test_so_few_labels_cannot_exclude_the_margin_and_the_note_says_so(margin: float, labels: int) -> None:
    assert labels_for(margin, alpha=0.05) == labels
    for n, excluded in ((labels - 1, False), (labels, True)):
        clean = tango(PairedCounts(better=0, worse=0, pairs=n), alpha=0.05)
        assert (clean.lower > -margin) is excluded
    said_so = [
        any("cannot exclude a loss" in note for note in decided(sides(800, n), policy(margin=margin)).metrics[0].notes)
        for n in (FEWEST_LABELS, 100)
    ]
    assert said_so == [labels > FEWEST_LABELS, False]


@pytest.mark.parametrize("unlabelled", [0, 1])
def test_labels_of_one_side_decide_nothing(unlabelled: int) -> None:
    both = sides(1000, 300, candidate=0.9)
    one, other = (table_of(judge, None if i == unlabelled else human) for i, (judge, human) in enumerate(both))
    decision = decide_by(one, other, policy())
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert f"none of the {('candidate', 'champion')[unlabelled]}" in said(decision)


def test_a_case_counts_as_labelled_where_both_answers_are() -> None:
    (f1, y1), (f0, y0) = sides(800, 200)
    y0[np.flatnonzero(~np.isnan(y0))[:40]] = np.nan
    assert decided(((f1, y1), (f0, y0)), policy()).metrics[0].labels == 160


def test_clusters_are_respected() -> None:
    (f1, y1), (f0, y0) = sides(900, 300)
    keys = [f"d{i // 3}" for i in range(900)]
    decision = decide_by(table_of(f1, y1, clusters=keys), table_of(f0, y0, clusters=keys), policy())
    assert decision.metrics[0].method.startswith("PPI++, clusters")
    coarse = [f"d{i // 45}" for i in range(900)]
    refused = decide_by(table_of(f1, y1, clusters=coarse), table_of(f0, y0, clusters=coarse), policy())
    assert refused.verdict is Verdict.INCONCLUSIVE
    assert f"it takes {FEWEST_CLUSTERS}" in said(refused)


def test_where_less_is_better_all_is_mirrored() -> None:
    (f1, y1), (f0, y0) = sides(800, 200, candidate=0.7)
    up = decided(((f1, y1), (f0, y0)), policy()).metrics[0]
    turned = decided(((1 - f1, 1 - y1), (1 - f0, 1 - y0)), policy(direction=Direction.LOWER)).metrics[0]
    assert (up.lower, up.upper) == pytest.approx((turned.lower, turned.upper))
    assert up.verdict is turned.verdict


def test_a_minimum_is_put_to_what_people_would_give() -> None:
    (f1, y1), _ = sides(1000, 300, candidate=0.6, blind=0.6)
    one = table_of(f1, y1)
    alone = table_of(f1, None)
    chosen = policy(margin=None, min=0.7)
    assert f1.mean() > 0.75

    def verdict(given: ScoreTable) -> Verdict:
        return decide_by(given, table_of(np.ones(1000), None if given is alone else np.ones(1000)), chosen).verdict

    # Against a perfect champion both fail; the rate is looked at beside it.
    assert verdict(one) is Verdict.FAIL
    floors = {
        given.human is None: decide_by(given, given_champion(given), policy(min=0.7)).metrics[0]
        for given in (one, alone)
    }
    assert floors[True].verdict is Verdict.PASS
    assert floors[False].verdict is Verdict.FAIL


def given_champion(table: ScoreTable) -> ScoreTable:
    """The same answers, but for two that make the comparison one with some spread."""
    scores = table.scores.copy()
    scores[:2] = 1 - scores[:2]
    return table_of(scores, table.human)


def test_slices_are_tested_on_people_or_not_at_all() -> None:
    (f1, y1), (f0, y0) = sides(1200, 600)
    topics = ["a" if i < 600 else "b" if i < 1150 else "few" for i in range(1200)]
    # The judge finds one topic much worse; people do not.
    f1 = np.where((np.arange(1200) < 600) & (np.arange(1200) % 4 == 0), 0.0, f1)
    decision = decide_by(table_of(f1, y1, topics=topics), table_of(f0, y0, topics=topics), policy(slices=True))
    assert [one.value for one in decision.slices] == ["a", "b"]
    assert not any(one.failed for one in decision.slices)
    alone = decide_by(table_of(f1, None, topics=topics), table_of(f0, None, topics=topics), policy(slices=True))
    assert any(one.failed for one in alone.slices)


def test_without_labels_it_is_called_a_judges_score() -> None:
    chosen = policy(role=Role.WATCH, judged=True)
    (metric,) = decided(sides(400, 100), chosen, labelled=False).metrics
    assert metric.judged
    assert metric.reason.startswith(f"{JUDGE_ALONE}: ")
    assert any(JUDGE_ALONE in note.lower() for note in metric.notes)
    (metric,) = decided(sides(400, 100), chosen).metrics
    assert JUDGE_ALONE not in metric.reason
    assert not any(JUDGE_ALONE in note.lower() for note in metric.notes)


@pytest.mark.parametrize("unadmitted", [Unadmitted.REFUSE, Unadmitted.LABELS])
def test_labels_need_no_trust_in_the_judge_and_without_them_nothing_passes(unadmitted: Unadmitted) -> None:
    both = sides(3000, 400, candidate=0.82, noise=0.02)
    chosen = policy(judged=True, unadmitted=unadmitted)
    decision = decided(both, chosen)
    assert decision.verdict is Verdict.PASS
    assert decision.metrics[0].admission == ""
    alone = decided(both, chosen, labelled=False)
    assert alone.verdict is Verdict.INCONCLUSIVE
    assert "was never admitted" in said(alone)
    assert alone.metrics[0].reason.startswith(JUDGE_ALONE)
    # Cases of a run are drawn; a table has people's scores in a column.
    assert "--human" in said(alone)
    assert "llmgate" not in said(alone)
    new, old = (
        Evidence(tables=(table_of(judge, None),), run=name) for (judge, _), name in zip(both, "ab", strict=True)
    )
    assert "llmgate labels sample" in said(decide(new, old, chosen))


@given(st.integers(0, 2**32), st.integers(0, 300), st.floats(0.0, 0.8))
def test_taking_labels_of_one_side_away_never_makes_a_pass(seed: int, kept: int, blind: float) -> None:
    (f1, y1), (f0, y0) = sides(300, 120, seed=seed, blind=blind)
    y1[kept:] = np.nan
    decision = decided(((f1, y1), (f0, y0)), policy(margin=0.1))
    labels = int(np.sum(~np.isnan(y1) & ~np.isnan(y0)))
    if labels < FEWEST_LABELS:
        assert decision.verdict is Verdict.INCONCLUSIVE
    else:
        assert decision.metrics[0].labels == labels


def test_a_lost_margin_passes_in_one_of_twenty_draws_at_most() -> None:
    """The judge is blind to half of the loss, and alone would let it through nearly always."""
    rng, passed, alone = np.random.default_rng(5), 0, 0
    chosen, draws, n = policy(margin=0.06), 400, 600
    for _ in range(draws):
        champion = (rng.random(n) < 0.85).astype(float)
        # Six points lost in truth: 8 % turn to the worse, 2 % to the better, of all cases.
        turn = rng.random(n)
        candidate = np.where(turn < 0.08, 0.0, np.where(turn < 0.1, 1.0, champion))
        champion = np.where(turn < 0.08, 1.0, np.where(turn < 0.1, 0.0, champion))
        f1 = np.where((candidate == 0) & (rng.random(n) < 0.6), 1.0, candidate)
        known = rng.permutation(n)[:150]
        columns = [np.full(n, np.nan), np.full(n, np.nan)]
        columns[0][known], columns[1][known] = candidate[known], champion[known]
        passed += decided(((f1, columns[0]), (champion, columns[1])), chosen).verdict is Verdict.PASS
        alone += decided(((f1, columns[0]), (champion, columns[1])), chosen, labelled=False).verdict is Verdict.PASS
    assert alone > 0.8 * draws
    # Binomial(400, 5 %) exceeds 32 in less than one of 100 seeds.
    assert passed <= 32
