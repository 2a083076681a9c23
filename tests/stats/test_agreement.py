"""Agreement figures against published examples, closed forms, other libraries and, where it is at hand, real data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats import inter_rater

from llmgate.errors import UndefinedError
from llmgate.stats.agreement import cohen_kappa, gwet_ac1, krippendorff_alpha, observed_agreement

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


@pytest.mark.parametrize("figure", [observed_agreement, cohen_kappa, gwet_ac1, krippendorff_alpha])
def test_nothing_has_no_figures(figure: object) -> None:
    with pytest.raises(UndefinedError):
        figure([])  # type: ignore[operator]


def test_one_category_says_nothing_about_chance() -> None:
    for figure in (cohen_kappa, gwet_ac1, krippendorff_alpha):
        with pytest.raises(UndefinedError):
            figure([(1, 1), (1, 1)])
