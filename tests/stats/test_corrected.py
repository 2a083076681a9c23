"""Corrected judge scores against closed forms, published numbers, simulation and their own properties."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from llmgate.errors import UndefinedError
from llmgate.stats.corrected import guarded_weight, ppi_bounded, ppi_mean, ppi_weight
from llmgate.stats.paired import cluster_t, t_interval
from llmgate.stats.proportion import PairedCounts, tango
from llmgate.stats.unseen import unseen_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

NONE = np.array([])
THIRDS = st.integers(-3, 3).map(lambda x: x / 3)
LABELLED = st.lists(st.tuples(THIRDS, THIRDS), min_size=3, max_size=40)
OTHERS = st.lists(THIRDS, min_size=2, max_size=60)


def arrays(
    labelled: list[tuple[float, float]], others: list[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    judge, human = (np.array(column) for column in zip(*labelled, strict=True))
    assume(np.ptp(human - ppi_weight(judge, human, len(others)) * judge) > 1e-9)
    return judge, human, np.array(others)


def sample(n: int, rng: np.random.Generator, *, agree: float = 0.8) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A judge that says yes too often, and people's yes at a rate of 0.7."""
    human = (rng.random(n) < 0.7).astype(float)
    judge = np.where(rng.random(n) < agree, human, (rng.random(n) < 0.9).astype(float))
    return judge, human


@pytest.mark.parametrize(
    ("judge", "human", "others", "message"),
    [
        ([1.0], [1.0], [0.0, 1.0], "1 labels have no spread"),
        ([], [], [0.0, 1.0], "0 labels have no spread"),
        ([1.0, 0.0], [1.0], [0.0, 1.0], "1 labels but 2"),
        ([1.0, math.nan], [1.0, 0.0], [0.0, 1.0], "not a finite"),
        ([1.0, 0.0], [1.0, math.inf], [0.0, 1.0], "not a finite"),
        ([1.0, 0.0], [1.0, 0.0], [0.0, math.nan], "not a finite"),
        ([1.0, 0.0], [1.0, 1.0], [0.0, 1.0], "no spread"),
    ],
)
def test_no_correction_without_labels_that_say_something(
    judge: list[float], human: list[float], others: list[float], message: str
) -> None:
    with pytest.raises(UndefinedError, match=message):
        ppi_mean(np.array(judge), np.array(human), np.array(others), alpha=0.05)


@pytest.mark.parametrize("alpha", [0.0, 0.5, math.nan])
def test_no_alpha(alpha: float) -> None:
    with pytest.raises(UndefinedError, match="alpha"):
        ppi_mean(np.array([0.0, 1.0]), np.array([0.0, 1.0]), NONE, alpha=alpha)
    with pytest.raises(UndefinedError, match="alpha"):
        ppi_bounded(np.array([0.0, 1.0]), np.array([0.0, 1.0]), NONE, alpha=alpha, floor=0.0, ceiling=1.0)


def test_the_formula_by_hand() -> None:
    judge, human, others = np.array([1.0, 1, 0, 0, 1]), np.array([1.0, 0, 0, 0, 1]), np.array([1.0, 1, 1, 0])
    weight = 0.2 / (0.3 * (1 + 5 / 4))
    assert ppi_weight(judge, human, 4) == pytest.approx(weight)
    found = ppi_mean(judge, human, others, alpha=0.05)
    residuals = human - weight * judge
    assert found.estimate == pytest.approx(weight * 0.75 + residuals.mean())
    assert found.standard_error == pytest.approx(math.sqrt(weight**2 * 0.25 / 4 + residuals.var(ddof=1) / 5))
    assert found.df == 4
    assert found.lower == pytest.approx(found.estimate - stats.t.ppf(0.95, 4) * found.standard_error)


def test_a_perfect_judge_is_as_good_as_labels_on_all_cases() -> None:
    rng = np.random.default_rng(1)
    _, human = sample(100, rng)
    _, others = sample(300, rng)
    found = ppi_mean(human, human, others, alpha=0.05)
    assert ppi_weight(human, human, 300) == pytest.approx(0.75)
    assert found.estimate == pytest.approx(np.concatenate((human, others)).mean())
    assert found.standard_error == pytest.approx(
        math.sqrt((0.75**2 * others.var(ddof=1) / 300) + 0.25**2 * human.var(ddof=1) / 100)
    )


@pytest.mark.parametrize("others", [NONE, np.array([0.3])])
def test_without_other_cases_the_labels_decide_alone(others: NDArray[np.float64]) -> None:
    judge, human = sample(40, np.random.default_rng(2))
    found, plain = ppi_mean(judge, human, others, alpha=0.05), t_interval(human, alpha=0.05)
    assert (found.lower, found.estimate, found.upper) == pytest.approx((plain.lower, plain.estimate, plain.upper))
    assert found.p_negative == pytest.approx(plain.p_negative)


def test_a_judge_without_variance_or_against_people_is_left_out() -> None:
    _, human = sample(40, np.random.default_rng(3))
    plain = t_interval(human, alpha=0.05)
    for judge in (np.full(40, 0.1), 1 - human):
        assert ppi_weight(judge, human, 100) == 0
        found = ppi_mean(judge, human, np.linspace(0, 1, 100), alpha=0.05)
        assert (found.lower, found.upper) == pytest.approx((plain.lower, plain.upper))


@given(LABELLED, OTHERS)
def test_swapping_the_roles_mirrors_the_bounds(labelled: list[tuple[float, float]], others: list[float]) -> None:
    judge, human, rest = arrays(labelled, others)
    one, other = ppi_mean(judge, human, rest, alpha=0.05), ppi_mean(-judge, -human, -rest, alpha=0.05)
    assert (one.lower, one.upper) == pytest.approx((-other.upper, -other.lower))
    assert one.p_negative is not None
    assert other.p_negative == pytest.approx(1 - one.p_negative)


@given(LABELLED, OTHERS, st.randoms(use_true_random=False))
def test_the_order_of_cases_says_nothing(
    labelled: list[tuple[float, float]], others: list[float], shuffler: object
) -> None:
    judge, human, rest = arrays(labelled, others)
    one = ppi_mean(judge, human, rest, alpha=0.05)
    shuffler.shuffle(labelled)  # type: ignore[attr-defined]
    shuffler.shuffle(others)  # type: ignore[attr-defined]
    judge, human, rest = arrays(labelled, others)
    other = ppi_mean(judge, human, rest, alpha=0.05)
    assert (one.lower, one.estimate, one.upper) == pytest.approx((other.lower, other.estimate, other.upper))


@given(LABELLED, OTHERS)
def test_a_smaller_alpha_gives_wider_bounds(labelled: list[tuple[float, float]], others: list[float]) -> None:
    judge, human, rest = arrays(labelled, others)
    narrow, wide = (ppi_mean(judge, human, rest, alpha=alpha) for alpha in (0.1, 0.01))
    assert wide.lower < narrow.lower <= narrow.upper < wide.upper


@given(LABELLED, OTHERS, st.floats(-1, 1).map(lambda x: round(x, 3)))
def test_a_judge_that_is_off_by_a_constant_changes_nothing(
    labelled: list[tuple[float, float]], others: list[float], shift: float
) -> None:
    judge, human, rest = arrays(labelled, others)
    one, other = ppi_mean(judge, human, rest, alpha=0.05), ppi_mean(judge + shift, human, rest + shift, alpha=0.05)
    assert (one.lower, one.upper) == pytest.approx((other.lower, other.upper), abs=1e-9)


@given(LABELLED, OTHERS)
def test_clusters_of_one_are_no_clusters_but_for_the_degrees_of_freedom(
    labelled: list[tuple[float, float]], others: list[float]
) -> None:
    judge, human, rest = arrays(labelled, others)
    n, m = len(human), len(rest)
    plain = ppi_mean(judge, human, rest, alpha=0.05)
    found = ppi_mean(judge, human, rest, alpha=0.05, clusters_labelled=range(n), clusters_unlabelled=range(n, n + m))
    assert found.df == n - 1
    assert found.standard_error is not None
    assert plain.standard_error is not None
    # The finite-sample factor of the labels serves both parts.
    factor = math.sqrt(n / (n - 1) * (m - 1) / m)
    assert min(1.0, factor) - 1e-9 <= found.standard_error / plain.standard_error <= max(1.0, factor) + 1e-9


def test_clusters_without_a_say_of_the_judge_are_the_cluster_robust_t() -> None:
    rng = np.random.default_rng(4)
    judge, human = sample(60, rng)
    keys = [i % 12 for i in range(60)]
    found = ppi_mean(
        np.zeros(60), human, judge, alpha=0.05, clusters_labelled=keys, clusters_unlabelled=list(range(60))
    )
    robust = cluster_t(human, keys, alpha=0.05)
    assert (found.lower, found.upper, found.df) == pytest.approx((robust.lower, robust.upper, robust.df))


def test_clusters_that_span_both_parts_are_counted_once() -> None:
    """Every case four times: standard errors double, whether or not labels and other cases share the clusters."""
    rng = np.random.default_rng(5)
    judge, human = sample(300, rng)
    labelled = slice(0, 100)
    once = ppi_mean(judge[labelled], human[labelled], judge[100:], alpha=0.05)
    four = ppi_mean(
        np.repeat(judge[labelled], 4),
        np.repeat(human[labelled], 4),
        np.repeat(judge[100:], 4),
        alpha=0.05,
        clusters_labelled=[i // 4 for i in range(400)],
        clusters_unlabelled=[100 + i // 4 for i in range(800)],
    )
    assert four.estimate == pytest.approx(once.estimate)
    assert four.standard_error == pytest.approx(once.standard_error, rel=0.01)


@pytest.mark.parametrize(
    ("labelled", "unlabelled", "message"),
    [
        ([0, 0, 0, 0], [1, 2, 3], "1 cluster with labels"),
        ([0, 1, 2], [1, 2, 3], "cluster keys"),
        ([0, 1, 2, 3], None, "one part"),
        (None, [0, 1, 2], "one part"),
        ([0, 0, 1, 1], [2, 2, 2], "same mean"),
    ],
)
def test_clusters_that_do_not_fit(labelled: list[int] | None, unlabelled: list[int] | None, message: str) -> None:
    judge, human, others = np.array([0.0, 1, 1, 0]), np.array([0.0, 1, 1, 0]), np.array([1.0, 0.0, 0.5])
    with pytest.raises(UndefinedError, match=message):
        ppi_mean(judge, human, others, alpha=0.05, clusters_labelled=labelled, clusters_unlabelled=unlabelled)


@pytest.mark.parametrize("n", [50, 100, 150])
def test_measured_coverage(n: int) -> None:
    rng = np.random.default_rng(n)
    covered, runs = 0, 2_000
    for _ in range(runs):
        judge, human = sample(n, rng)
        others, _ = sample(200, rng)
        found = ppi_mean(judge, human, others, alpha=0.025)
        covered += found.lower <= 0.7 <= found.upper
    # Four standard errors of 2,000 runs.
    assert covered / runs == pytest.approx(0.95, abs=0.0195)


@settings(max_examples=30)
@given(LABELLED, OTHERS)
def test_bounded_scores_are_turned_and_permuted_at_will(
    labelled: list[tuple[float, float]], others: list[float]
) -> None:
    judge, human = (np.array(column) for column in zip(*labelled, strict=True))
    rest = np.array(others)
    one = ppi_bounded(judge, human, rest, alpha=0.05, floor=-1.0, ceiling=1.0)
    other = ppi_bounded(-judge[::-1], -human[::-1], -rest[::-1], alpha=0.05, floor=-1.0, ceiling=1.0)
    assert (one.lower, one.upper) == pytest.approx((-other.upper, -other.lower), abs=1e-9)
    assert one.p_negative is not None
    if np.ptp(human):
        assert other.p_negative == pytest.approx(1 - one.p_negative, abs=1e-9)


def test_a_judge_of_no_use_leaves_tangos_interval_of_the_labels() -> None:
    human = np.array([1.0] * 5 + [-1.0] * 9 + [0.0] * 66)
    wanted = tango(PairedCounts(better=5, worse=9, pairs=80), alpha=0.05)
    for judge, others in ((np.zeros(80), np.zeros(200)), (-human, np.tile([-1.0, 0.0, 1.0], 50)), (human, NONE)):
        found = ppi_bounded(judge, human, others, alpha=0.05, floor=-1.0, ceiling=1.0)
        assert (found.lower, found.estimate, found.upper) == pytest.approx(
            (wanted.lower, wanted.estimate, wanted.upper), abs=1e-9
        )
        assert found.p_negative == pytest.approx(wanted.p_negative)


def test_the_guarded_weight_is_that_of_two_more_cases_on_which_the_judge_is_upside_down() -> None:
    judge, human = np.array([1.0, 1, 0, 0, -1]), np.array([1.0, 0, 0, 0, -1])
    plain = ppi_weight(np.array([*judge, 1.0, -1.0]), np.array([*human, -1.0, 1.0]), 10**9) / (1 + 5 / 4)
    assert guarded_weight(judge, human, 4, floor=-1.0, ceiling=1.0) == pytest.approx(plain)
    assert guarded_weight(judge, human, 4, floor=-1.0, ceiling=1.0) < ppi_weight(judge, human, 4)
    assert guarded_weight(judge, human, 1, floor=-1.0, ceiling=1.0) == 0
    assert guarded_weight(np.ones(5), human, 9, floor=-1.0, ceiling=1.0) == 0
    many = np.tile(judge, 4000), np.tile(human, 4000)
    assert guarded_weight(*many, 9, floor=-1.0, ceiling=1.0) == pytest.approx(ppi_weight(*many, 9), rel=1e-3)


def test_few_labels_on_which_a_judge_is_right_do_not_prove_it_right() -> None:
    """It turns 2.5 % of the differences around, which 28 % of draws of 50 labels do not show: the textbook errs there."""
    rng = np.random.default_rng(11)
    textbook = guarded = 0
    for _ in range(300):
        kind = rng.choice(4, 400, p=[0.025, 0.06, 0.06, 0.855])
        human, judge = np.array([-1.0, -1, 1, 0])[kind], np.array([1.0, -1, 1, 0])[kind]
        truth = -0.025
        at = judge[:50], human[:50], judge[50:]
        guarded += ppi_bounded(*at, alpha=0.05, floor=-1.0, ceiling=1.0).lower <= truth
        residuals = human[:50] - ppi_weight(judge[:50], human[:50], 350) * judge[:50]
        textbook += bool(np.ptp(residuals) > 0) and ppi_mean(*at, alpha=0.05).lower <= truth
    assert guarded / 300 > 0.93
    assert textbook / 300 < 0.9


def test_labels_that_all_say_the_same_bound_what_stayed_unseen() -> None:
    u = unseen_share(80, alpha=0.05)
    found = ppi_bounded(np.zeros(80), np.zeros(80), np.zeros(200), alpha=0.05, floor=-1.0, ceiling=1.0)
    assert (found.lower, found.estimate, found.upper) == pytest.approx((-u, 0.0, u))


def test_bounded_scores_take_clusters() -> None:
    rng = np.random.default_rng(7)
    judge, human = sample(400, rng)
    keys = [i % 40 for i in range(400)]
    found = ppi_bounded(
        judge[:200],
        human[:200],
        judge[200:],
        alpha=0.05,
        floor=0.0,
        ceiling=1.0,
        clusters_labelled=keys[:200],
        clusters_unlabelled=keys[200:],
    )
    assert found.method == "PPI++, clusters: widest of random subsets, robust t and Hall's t"
    assert found.df == 39


@pytest.mark.parametrize("part", [0, 1, 2])
def test_scores_outside_their_range_are_refused(part: int) -> None:
    parts = [np.array([0.0, 0.5, 1.0]) for _ in range(3)]
    parts[part][1] = 1.5
    with pytest.raises(UndefinedError, match="outside"):
        ppi_bounded(*parts, alpha=0.05, floor=0.0, ceiling=1.0)
