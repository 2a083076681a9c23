"""Two one-sided tests against statsmodels, scipy, a published rule of thumb and their own properties."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from llmgate.errors import UndefinedError
from llmgate.stats.clusters.rule import cluster_interval
from llmgate.stats.equivalence import equivalence_chance, equivalence_pairs, paired_equivalence
from llmgate.stats.unseen import unseen_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

VALUES = st.lists(st.floats(-2, 2).map(lambda x: round(x, 3)), min_size=2, max_size=40)


def spread(values: list[float]) -> NDArray[np.float64]:
    assume(len(set(values)) > 1)
    return np.array(values)


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(UndefinedError, match="margin"):
        paired_equivalence(np.array([0.1, 0.2]), margin=margin, alpha=0.05)


@pytest.mark.parametrize("values", [[], [0.1], [0.2, 0.2, 0.2], [0.1, math.nan], [0.1, math.inf]])
def test_no_answer_without_spread_or_numbers(values: list[float]) -> None:
    with pytest.raises(UndefinedError):
        paired_equivalence(np.array(values), margin=0.2, alpha=0.05)


@pytest.mark.parametrize("values", [[], [0.1, math.nan], [0.1, 3.0]])
def test_a_reach_does_not_heal_what_is_no_evidence(values: list[float]) -> None:
    with pytest.raises(UndefinedError):
        paired_equivalence(np.array(values), margin=0.2, alpha=0.05, reach=1.0)


@given(values=VALUES, margin=st.floats(0.01, 2))
def test_it_agrees_with_statsmodels_and_scipy(values: list[float], margin: float) -> None:
    x = spread(values)
    found = paired_equivalence(x, margin=margin, alpha=0.05)
    p, _, _ = DescrStatsW(x).ttost_mean(-margin, margin)
    assert found.p_equivalent == pytest.approx(p, rel=1e-6, abs=1e-12)
    assert found.p_changed == pytest.approx(stats.ttest_1samp(x, 0.0).pvalue, rel=1e-6, abs=1e-12)
    assert found.equivalent == (p < 0.05)


@given(values=VALUES, margin=st.floats(0.01, 2), reach=st.sampled_from([None, 2.5]))
def test_longer_and_shorter_are_treated_alike(values: list[float], margin: float, reach: float | None) -> None:
    x = spread(values)
    there = paired_equivalence(x, margin=margin, alpha=0.05, reach=reach)
    back = paired_equivalence(-x, margin=margin, alpha=0.05, reach=reach)
    assert back.interval.lower == pytest.approx(-there.interval.upper, abs=1e-12)
    assert back.p_changed == pytest.approx(there.p_changed, abs=1e-12)
    assert back.p_equivalent == pytest.approx(there.p_equivalent, abs=1e-12)
    assert back.equivalent == there.equivalent


@given(values=VALUES, margin=st.floats(0.01, 2))
def test_a_wider_margin_never_takes_equivalence_away(values: list[float], margin: float) -> None:
    x = spread(values)
    narrow, wide = (paired_equivalence(x, margin=m, alpha=0.05) for m in (margin, 1.5 * margin))
    assert wide.equivalent or not narrow.equivalent


@given(values=VALUES)
def test_a_reach_only_makes_less_certain(values: list[float]) -> None:
    x = spread(values)
    plain = paired_equivalence(x, margin=0.2, alpha=0.05)
    bound = paired_equivalence(x, margin=0.2, alpha=0.05, reach=3.0)
    assert bound.interval.lower <= plain.interval.lower
    assert bound.interval.upper >= plain.interval.upper
    assert bound.p_changed >= plain.p_changed


def test_equal_answers_say_no_more_than_what_stayed_unseen() -> None:
    for n, equivalent in ((50, False), (200, True)):
        found = paired_equivalence(np.zeros(n), margin=math.log(1.2), alpha=0.05, reach=math.log(100))
        assert found.interval.upper == pytest.approx(unseen_share(n, alpha=0.05) * math.log(100))
        assert found.interval.lower == -found.interval.upper
        assert (found.p_changed, found.p_equivalent, found.equivalent) == (1.0, None, equivalent)


def test_clusters_take_their_own_rule() -> None:
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(12), 5)
    x = rng.normal(size=12)[clusters] + 0.1 * rng.normal(size=60)
    found = paired_equivalence(x, margin=0.5, alpha=0.05, clusters=clusters)
    assert found.interval == cluster_interval(x, clusters, alpha=0.05, floor=-math.inf, ceiling=math.inf)
    alone = paired_equivalence(x, margin=0.5, alpha=0.05)
    assert found.interval.upper - found.interval.lower > 1.5 * (alone.interval.upper - alone.interval.lower)


def test_both_errors_are_as_announced() -> None:
    """10,000 comparisons each: equivalence at the margin, and change at 0, in 5 % of them (3 σ of simulation)."""
    rng = np.random.default_rng(11)
    n, margin, runs = 40, 0.3, 10_000
    error = 3 * math.sqrt(0.05 * 0.95 / runs)
    at_margin = changed = 0
    for row in rng.normal(size=(runs, n)) * 0.5:
        at_margin += paired_equivalence(row + margin, margin=margin, alpha=0.05).equivalent
        changed += paired_equivalence(row, margin=margin, alpha=0.05).p_changed <= 0.05
    assert at_margin / runs == pytest.approx(0.05, abs=error)
    assert changed / runs == pytest.approx(0.05, abs=error)


@pytest.mark.parametrize(
    "bad", [{"standard_error": 0.0}, {"df": 0}, {"margin": 0.0}, {"reach": 0.0}, {"pairs": 0}, {"alpha": 0.5}]
)
def test_no_chance_follows_from_no_numbers(bad: dict[str, float]) -> None:
    good = {"delta": 0.0, "standard_error": 0.1, "df": 9, "margin": 0.3, "alpha": 0.05, "pairs": 10, "reach": 2.0}
    with pytest.raises(UndefinedError):
        equivalence_chance(**{**good, **bad})  # type: ignore[arg-type]
    with pytest.raises(UndefinedError):
        equivalence_pairs(variance=-1.0, margin=0.3, alpha=0.05, reach=2.0)


@pytest.mark.parametrize(
    ("n", "delta", "reach"), [(20, 0.0, 2.0), (60, 0.0, 2.0), (60, 0.15, 2.0), (60, 0.3, 2.0), (60, 0.0, 6.0)]
)
def test_the_chance_is_that_of_a_simulation(n: int, delta: float, reach: float) -> None:
    """5,000 comparisons each, 4 σ of simulation and a hundredth for the approximation of χ²."""
    rng = np.random.default_rng(n)
    runs, sigma, margin = 5_000, 0.6, 0.3
    draws = np.clip(rng.normal(delta, sigma, size=(runs, n)), -reach, reach)
    found = np.mean([paired_equivalence(x, margin=margin, alpha=0.05, reach=reach).equivalent for x in draws])
    chance = equivalence_chance(
        delta=delta, standard_error=sigma / math.sqrt(n), df=n - 1, margin=margin, alpha=0.05, pairs=n, reach=reach
    )
    assert found == pytest.approx(chance, abs=0.01 + 4 * math.sqrt(max(chance * (1 - chance), 0.001) / runs))


def test_the_number_of_pairs_has_the_power_that_was_asked_for() -> None:
    n = equivalence_pairs(variance=0.36, margin=0.3, alpha=0.05, reach=2.0)
    assert n == math.ceil((1.6449 + 1.2816) ** 2 * 0.36 / 0.09)
    chance = equivalence_chance(
        delta=0.0, standard_error=0.6 / math.sqrt(n), df=n - 1, margin=0.3, alpha=0.05, pairs=n, reach=2.0
    )
    assert chance == pytest.approx(0.8, abs=0.06)
    few = equivalence_pairs(variance=0.0, margin=0.18, alpha=0.05, reach=3.0)
    assert unseen_share(few, alpha=0.05) * 3.0 < 0.18 <= unseen_share(few - 1, alpha=0.05) * 3.0
