"""McNemar's tests against statsmodels, scipy and the published example."""

from __future__ import annotations

import math
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from llmgate.errors import UndefinedError
from llmgate.stats.mcnemar import mcnemar_exact, mcnemar_mid_p, mcnemar_power

COUNTS = st.integers(0, 300)


@given(COUNTS, COUNTS)
def test_exact_is_what_statsmodels_and_scipy_say(better: int, worse: int) -> None:
    theirs = float(mcnemar([[0, better], [worse, 0]], exact=True).pvalue)
    assert mcnemar_exact(better, worse) == pytest.approx(min(1.0, theirs), abs=1e-12)
    if better + worse:
        for alternative in ("less", "greater"):
            p = stats.binomtest(better, better + worse, alternative=alternative).pvalue
            assert mcnemar_exact(better, worse, alternative=alternative) == pytest.approx(p, abs=1e-12)


def test_the_published_mid_p() -> None:
    """Fagerland, Lydersen & Laake (2013), airway hyper-responsiveness: 1 and 7 discordant, exact 0.070, mid-p 0.039."""
    assert mcnemar_exact(1, 7) == pytest.approx(0.0703, abs=5e-5)
    assert mcnemar_mid_p(1, 7) == pytest.approx(0.0391, abs=5e-5)


@given(COUNTS, COUNTS)
def test_mid_p_leaves_out_half_of_what_was_seen(better: int, worse: int) -> None:
    seen = float(stats.binom.pmf(better, better + worse, 0.5))
    for alternative in ("less", "greater"):
        exact, mid = (f(better, worse, alternative=alternative) for f in (mcnemar_exact, mcnemar_mid_p))
        assert mid == pytest.approx(exact - seen / 2, abs=1e-12)
    assert mcnemar_mid_p(better, worse, alternative="less") + mcnemar_mid_p(
        better, worse, alternative="greater"
    ) == pytest.approx(1)
    assert mcnemar_mid_p(better, worse) <= mcnemar_exact(better, worse)


@given(COUNTS, COUNTS)
def test_swapping_the_roles(better: int, worse: int) -> None:
    for test in (mcnemar_exact, mcnemar_mid_p):
        assert test(better, worse) == test(worse, better)
        assert test(better, worse, alternative="less") == test(worse, better, alternative="greater")


@given(COUNTS, COUNTS)
def test_one_more_loss_is_more_evidence_of_a_loss(better: int, worse: int) -> None:
    for test in (mcnemar_exact, mcnemar_mid_p):
        assert test(better, worse + 1, alternative="less") <= test(better, worse, alternative="less")


def test_nothing_turned_is_no_evidence() -> None:
    assert mcnemar_exact(0, 0) == mcnemar_mid_p(0, 0) == 1


@pytest.mark.parametrize(("better", "worse"), [(-1, 3), (3, -1)])
def test_negative_counts(better: int, worse: int) -> None:
    for test in (mcnemar_exact, mcnemar_mid_p):
        with pytest.raises(UndefinedError, match="no counts"):
            test(better, worse)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 25),
    st.integers(0, 1000),
    st.floats(-1, 1),
    st.sampled_from(["two-sided", "less", "greater"]),
    st.booleans(),
)
def test_the_power_is_the_brute_force_sum(
    pairs: int, thousandths: int, tilt: float, alternative: Literal["two-sided", "less", "greater"], mid_p: bool
) -> None:
    discordance, test = thousandths / 1000, mcnemar_mid_p if mid_p else mcnemar_exact
    delta = tilt * discordance
    p_b, p_c = (discordance + delta) / 2, (discordance - delta) / 2
    wanted = sum(
        stats.multinomial.pmf([b, c, pairs - b - c], pairs, [p_b, p_c, 1 - p_b - p_c])
        for b in range(pairs + 1)
        for c in range(pairs - b + 1)
        if test(b, c, alternative=alternative) <= 0.05
    )
    power = mcnemar_power(
        delta=delta, discordance=discordance, pairs=pairs, alpha=0.05, alternative=alternative, mid_p=mid_p
    )
    assert power == pytest.approx(wanted, abs=1e-9)


def test_an_exact_test_errs_at_most_alpha_and_the_mid_p_is_closer() -> None:
    exact, mid = (
        mcnemar_power(delta=0.0, discordance=0.1, pairs=300, alpha=0.05, mid_p=mid_p) for mid_p in (False, True)
    )
    assert exact < mid < 0.051
    assert mid > 0.04


@pytest.mark.parametrize(
    "wrong",
    [
        {"pairs": 0},
        {"discordance": 1.1},
        {"discordance": math.nan},
        {"delta": 0.2},
        {"delta": math.nan},
        {"alpha": 0.0},
    ],
)
def test_no_such_power_exists(wrong: dict[str, float]) -> None:
    arguments: dict[str, float] = {"delta": 0.0, "discordance": 0.1, "pairs": 100, "alpha": 0.05}
    with pytest.raises(UndefinedError):
        mcnemar_power(**{**arguments, **wrong})  # type: ignore[arg-type]
