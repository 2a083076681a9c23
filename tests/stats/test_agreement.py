"""Agreement figures against published examples, closed forms, other libraries and, where it is at hand, real data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import inter_rater

from llmgate.errors import UndefinedError
from llmgate.stats.agreement import (
    binary_figures,
    cohen_kappa,
    correlation,
    gwet_ac1,
    krippendorff_alpha,
    net_preference,
    observed_agreement,
    order_figures,
    sign_agreement,
    unanimity,
)

LABELS = st.integers(0, 3)
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=60)


def table(counts: list[list[int]]) -> list[tuple[int, int]]:
    return [(i, j) for i, row in enumerate(counts) for j, count in enumerate(row) for _ in range(count)]


@given(PAIRS)
def test_kappa_is_what_statsmodels_says(pairs: list[tuple[int, int]]) -> None:
    counts = np.zeros((4, 4))
    for one, other in pairs:
        counts[one, other] += 1
    if len({label for pair in pairs for label in pair}) == 1:
        with pytest.raises(UndefinedError):
            cohen_kappa(pairs)
    else:
        expected = inter_rater.cohens_kappa(counts, return_results=False)
        assert cohen_kappa(pairs) == pytest.approx(float(expected))


@given(PAIRS)
def test_agreement_is_between_0_and_1_and_the_same_both_ways(pairs: list[tuple[int, int]]) -> None:
    turned = [(other, one) for one, other in pairs]
    assert 0 <= observed_agreement(pairs) <= 1
    assert observed_agreement(pairs) == observed_agreement(turned)
    if len({label for pair in pairs for label in pair}) > 1:
        for figure in (cohen_kappa, gwet_ac1):
            assert -1 - 1e-9 <= figure(pairs) <= 1
            assert figure(pairs) == pytest.approx(figure(turned))


def test_the_published_paradox_of_kappa() -> None:
    """Of 125 items 118 are yes by both and none is no by both: agreement 0.944, kappa below 0, AC1 0.94."""
    pairs = table([[118, 5], [2, 0]])
    assert observed_agreement(pairs) == 0.944
    assert cohen_kappa(pairs) == pytest.approx((0.944 - 0.94528) / (1 - 0.94528))
    assert gwet_ac1(pairs) == pytest.approx((0.944 - 0.054432) / (1 - 0.054432))


def test_alpha_of_krippendorffs_own_example() -> None:
    """Krippendorff (2011), example C: four observers, twelve units, missing ratings, nominal alpha 0.743."""
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    assert krippendorff_alpha(list(zip(*observers, strict=True))) == pytest.approx(0.743, abs=5e-4)


@given(PAIRS)
def test_alpha_of_two_complete_raters_is_scotts_pi_with_a_correction(pairs: list[tuple[int, int]]) -> None:
    both = [label for pair in pairs for label in pair]
    if len(pairs) < 2 or len(set(both)) == 1:
        with pytest.raises(UndefinedError):
            krippendorff_alpha(pairs)
        return
    n = len(both)
    chance = 1 - sum((both.count(label) / n) ** 2 for label in set(both))
    expected = 1 - (1 - observed_agreement(pairs)) / (chance * n / (n - 1))
    assert krippendorff_alpha(pairs) == pytest.approx(expected)


def test_a_missing_rating_is_a_miss_or_refused_but_never_left_out() -> None:
    pairs = [(1, 1), (2, None), (None, None)]
    assert observed_agreement(pairs) == pytest.approx(1 / 3)
    for figure in (cohen_kappa, gwet_ac1):
        with pytest.raises(UndefinedError, match="2 of 3 items lack a rating"):
            figure(pairs)
    assert unanimity([(1, 1, 1), (1, 1, None), (None, None, None), (1, 1, 2)]) == 0.25


@pytest.mark.parametrize(
    "figure",
    [
        observed_agreement, cohen_kappa, gwet_ac1, krippendorff_alpha, unanimity, net_preference, order_figures,
        binary_figures, correlation, sign_agreement,
    ],
)  # fmt: skip
def test_nothing_has_no_figures(figure: object) -> None:
    with pytest.raises(UndefinedError):
        figure([])  # type: ignore[operator]


def test_one_category_says_nothing_about_chance() -> None:
    for figure in (cohen_kappa, gwet_ac1, krippendorff_alpha):
        with pytest.raises(UndefinedError):
            figure([(1, 1), (1, 1)])


def test_votes_for_either_side() -> None:
    assert net_preference([2, 2, 1, 0, None]) == pytest.approx(1 / 5)


def test_a_judge_in_both_orders() -> None:
    items: list[tuple[int, tuple[int | None, int | None]]] = [
        (1, (1, 1)),
        (2, (1, 2)),
        (2, (1, 1)),
        (1, (None, 1)),
        (2, (0, 0)),
    ]
    found = order_figures(items)
    assert found.accuracy == pytest.approx(4 / 10)
    assert found.consistent == pytest.approx(3 / 5)
    assert found.both == pytest.approx(1 / 5)
    assert found.first_position == pytest.approx(4 / 10)
    assert found.missing == 1


@given(st.lists(st.sampled_from([1, 2]), min_size=1))
def test_a_judge_that_reads_the_order_is_right_half_the_time(golds: list[int]) -> None:
    found = order_figures([(gold, (1, 2)) for gold in golds])
    assert (found.accuracy, found.first_position, found.consistent, found.both) == (0.5, 1.0, 0.0, 0.0)


def test_yes_and_no() -> None:
    found = binary_figures([(True, True), (True, False), (True, None), (False, False), (False, None)])
    assert (found.items, found.human_rate, found.judge_rate) == (5, 0.6, 0.2)
    assert (found.agreement, found.specificity) == (0.4, 0.5)
    assert found.sensitivity == pytest.approx(1 / 3)
    assert binary_figures([(True, True)]).specificity is None
    assert binary_figures([(False, True)]).sensitivity is None


NUMBERS = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=30))
def test_correlation_is_what_scipy_says(pairs: list[tuple[float, float]]) -> None:
    ones, others = zip(*pairs, strict=True)
    if len(set(ones)) == 1 or len(set(others)) == 1:
        return
    assert correlation(pairs) == pytest.approx(float(stats.pearsonr(ones, others).statistic), abs=1e-7)


@pytest.mark.parametrize("pairs", [[(1, 1)], [(1, 1), (1, 2)], [(1, 2), (math.nan, 1)], [(1, math.inf), (2, 1)]])
def test_no_correlation(pairs: list[tuple[float, float]]) -> None:
    with pytest.raises(UndefinedError):
        correlation(pairs)


def test_signs() -> None:
    count, share = sign_agreement([(1, 0.5), (-1, 0.5), (0, 1), (2, 0)])
    assert count == 3
    assert share == pytest.approx(1 / 3)
    with pytest.raises(UndefinedError):
        sign_agreement([(0, 1)])
