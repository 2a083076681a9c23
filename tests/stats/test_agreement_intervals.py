"""Bounds of agreement against statsmodels, published examples, simulation and their own properties."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa

from llmgate.errors import UndefinedError
from llmgate.stats.agreement import cohen_kappa, gwet_ac1, krippendorff_alpha
from llmgate.stats.agreement_intervals import alpha_interval, gwet_interval, kappa_interval
from llmgate.stats.unseen import unseen_share

if TYPE_CHECKING:
    from llmgate.stats.interval import Interval

PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=4, max_size=60)
ABSTRACTORS = [("E", "E")] * 13 + [("A", "A")] * 20 + [("A", "N")] * 7 + [("N", "A")] * 4 + [("N", "N")] * 56


def rng() -> np.random.Generator:
    return np.random.default_rng(20261125)


def raters(n: int, agree: float, generator: np.random.Generator) -> list[tuple[int, int]]:
    one = generator.integers(0, 3, size=n)
    other = np.where(generator.random(n) < agree, one, generator.integers(0, 3, size=n))
    return list(zip(one.tolist(), other.tolist(), strict=True))


def of(name: str, pairs: Any, **given_: Any) -> Interval:
    if name == "κ":
        return kappa_interval(pairs, **given_)
    if name == "AC1":
        return gwet_interval(pairs, **given_)
    settled: dict[str, Any] = {"rng": rng(), "resamples": 999} | given_
    return alpha_interval(pairs, **settled)


@given(PAIRS)
def test_kappas_error_is_what_statsmodels_says(pairs: list[tuple[str, str]]) -> None:
    table = np.zeros((3, 3))
    for one, other in pairs:
        table["abc".index(one), "abc".index(other)] += 1
    try:
        found = kappa_interval(pairs, alpha=0.025)
    except UndefinedError:
        assume(False)
    # Their standard error of κ under independence is 0/0 where one rater does not distinguish; it is not used here.
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        theirs = cohens_kappa(table)
    assert found.estimate == pytest.approx(theirs.kappa)
    assert found.standard_error == pytest.approx(max(0.0, theirs.var_kappa) ** 0.5, abs=1e-7)


def test_the_published_errors_of_kappa_and_ac1() -> None:
    """Gwet's three categories by two abstractors (irrCAC, `cont3x3abstractors`).

    AC1 0.84933 with bounds 0.76358 to 0.93508 and κ 0.796 with 0.68 to 0.91, both from t with 99 degrees of freedom;
    for a table irrCAC divides by n where `gwet_interval` divides by n − 1.
    """
    t = stats.t.ppf(0.975, 99)
    ac1, kappa = gwet_interval(ABSTRACTORS, alpha=0.025), kappa_interval(ABSTRACTORS, alpha=0.025)
    assert ac1.estimate == pytest.approx(0.84933, abs=5e-6)
    assert ac1.standard_error == pytest.approx((0.93508 - 0.76358) / 2 / t * math.sqrt(100 / 99), abs=1e-5)
    assert kappa.estimate == pytest.approx(0.796, abs=5e-4)
    assert kappa.standard_error == pytest.approx((0.91 - 0.68) / 2 / t, abs=2e-3)


@pytest.mark.parametrize("name", ["κ", "AC1", "α"])
@pytest.mark.parametrize(("n", "agree"), [(150, 0.6), (150, 0.9), (60, 0.8)])
def test_measured_coverage(name: str, n: int, agree: float) -> None:
    """All three figures are `agree` for raters that agree by will on this share, else by chance, on even categories."""
    generator = rng()
    covered, runs = 0, 400
    for _ in range(runs):
        found = of(name, raters(n, agree, generator), alpha=0.025)
        covered += found.lower <= agree <= found.upper
    # Four standard errors of 400 runs below; bounds for what stayed unseen may cover more.
    assert covered / runs >= 0.95 - 0.044


@pytest.mark.parametrize("name", ["κ", "AC1", "α"])
def test_the_bootstrap_of_single_items_agrees_with_the_formula(name: str) -> None:
    pairs = raters(400, 0.7, rng())
    boot = of(name, pairs, alpha=0.05, clusters=range(400), rng=rng(), resamples=4_000)
    plain = kappa_interval(pairs, alpha=0.05)
    assert (boot.lower, boot.upper) == pytest.approx((plain.lower, plain.upper), abs=0.012)
    assert boot.method.endswith("of items")


@pytest.mark.parametrize("name", ["κ", "AC1", "α"])
def test_items_four_times_over_say_no_more_than_once(name: str) -> None:
    pairs = raters(100, 0.7, rng())
    once = of(name, pairs, alpha=0.05, clusters=range(100), rng=rng(), resamples=4_000)
    keys = [i // 4 for i in range(400)]
    four = of(name, [pair for pair in pairs for _ in range(4)], alpha=0.05, clusters=keys, rng=rng(), resamples=4_000)
    assert (four.lower, four.upper) == pytest.approx((once.lower, once.upper), abs=0.02)
    assert four.method.endswith("of clusters")


@pytest.mark.parametrize("name", ["κ", "AC1", "α"])
@pytest.mark.parametrize("clustered", [False, True])
def test_a_judge_that_always_agreed_is_not_certain(name: str, clustered: bool) -> None:
    pairs = [(i % 2, i % 2) for i in range(150)]
    more = {"clusters": range(150), "rng": rng(), "resamples": 999} if clustered else {}
    found = of(name, pairs, alpha=0.05, **more)
    assert found.estimate == found.upper == 1
    assert found.lower == pytest.approx(1 - 2 * unseen_share(150, alpha=0.05))


@settings(max_examples=40, deadline=None)
@given(PAIRS, st.sampled_from(["κ", "AC1", "α"]), st.booleans())
def test_bounds_hold_the_figure_and_grow_with_certainty(
    pairs: list[tuple[str, str]], name: str, clustered: bool
) -> None:
    figure = {"κ": cohen_kappa, "AC1": gwet_ac1, "α": krippendorff_alpha}[name]
    try:
        value = figure(pairs)
    except UndefinedError:
        assume(False)
    more = {"clusters": [i // 2 for i in range(len(pairs))]} if clustered else {}
    narrow, wide = (
        of(name, pairs, alpha=alpha, **more | ({"rng": rng(), "resamples": 299} if clustered else {}))
        for alpha in (0.1, 0.02)
    )
    assert narrow.estimate == wide.estimate == pytest.approx(value)
    assert -1 <= wide.lower <= narrow.lower <= narrow.estimate <= narrow.upper <= wide.upper <= 1


@example([("a", "b")] * 4 + [("a", "c")], "AC1")
@given(PAIRS, st.sampled_from(["κ", "AC1"]))
def test_swapping_the_raters_changes_nothing(pairs: list[tuple[str, str]], name: str) -> None:
    try:
        one = of(name, pairs, alpha=0.05)
    except UndefinedError:
        assume(False)
    other = of(name, [(b, a) for a, b in reversed(pairs)], alpha=0.05)
    assert (one.lower, one.upper) == pytest.approx((other.lower, other.upper))


def test_the_same_generator_gives_the_same_bounds() -> None:
    pairs = raters(80, 0.5, rng())
    assert alpha_interval(pairs, alpha=0.05, rng=rng()) == alpha_interval(pairs, alpha=0.05, rng=rng())


def test_items_with_one_rating_are_left_out_of_alpha_with_their_cluster() -> None:
    full = [(a, b, None) for a, b in raters(60, 0.5, rng())]
    lone = [*full, *[("x", None, None)] * 5]
    one = alpha_interval(full, alpha=0.05, rng=rng(), clusters=range(60))
    other = alpha_interval(lone, alpha=0.05, rng=rng(), clusters=[*range(60), 9, 9, 70, 71, 72])
    assert one.estimate == other.estimate
    assert (one.lower, one.upper) == pytest.approx((other.lower, other.upper))


@pytest.mark.parametrize("name", ["κ", "AC1", "α"])
def test_few_items_with_a_rare_category_still_have_bounds(name: str) -> None:
    """Most resamples hold one category only and so have no figure: they count against the bounds."""
    pairs = [("a", "a")] * 11 + [("b", "b")]
    found = of(name, pairs, alpha=0.05, clusters=range(12), rng=rng(), resamples=500)
    assert found.lower == -1
    assert found.upper == 1


def test_no_left_out_item_has_a_figure() -> None:
    found = kappa_interval([("a", "a"), ("b", "b")], alpha=0.05, clusters=[0, 1], rng=rng(), resamples=50)
    assert (found.lower, found.upper) == (-1, 1)


@pytest.mark.parametrize("name", ["κ", "AC1", "α"])
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"clusters": [0] * 6}, "1 cluster"),
        ({"clusters": [0, 1]}, "cluster keys"),
        ({"clusters": range(6), "resamples": 0}, "0 resamples"),
        ({"alpha": 0.7}, "alpha"),
    ],
)
def test_what_cannot_be_resampled(name: str, more: dict[str, Any], message: str) -> None:
    pairs = [(1, 1), (2, 2), (1, 2), (2, 1), (1, 1), (2, 2)]
    with pytest.raises(UndefinedError, match=message):
        of(name, pairs, **{"alpha": 0.05, "rng": rng()} | more)


def test_clusters_need_a_generator() -> None:
    for interval in (kappa_interval, gwet_interval):
        with pytest.raises(UndefinedError, match="generator"):
            interval([(1, 1), (2, 2), (1, 2)], alpha=0.05, clusters=[0, 1, 2])


def test_one_item_has_no_spread() -> None:
    with pytest.raises(UndefinedError, match="one item"):
        gwet_interval([(1, 2)], alpha=0.05)


def test_what_has_no_figure_has_no_bounds() -> None:
    for pairs in ([], [(1, 1), (1, 1)], [(1, None), (1, 2)]):
        for interval in (kappa_interval, gwet_interval):
            with pytest.raises(UndefinedError):
                interval(pairs, alpha=0.05)
    with pytest.raises(UndefinedError):
        alpha_interval([], alpha=0.05, rng=rng())
