"""McNemar's mid-p test against scipy and the published example."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from llmgate.errors import UndefinedError
from llmgate.stats.mcnemar import mcnemar_mid_p

COUNTS = st.integers(0, 300)


def test_the_published_mid_p() -> None:
    """Fagerland, Lydersen & Laake (2013), airway hyper-responsiveness: 1 and 7 discordant, mid-p 0.039."""
    assert mcnemar_mid_p(1, 7) == pytest.approx(0.0391, abs=5e-5)


@given(COUNTS, COUNTS)
def test_mid_p_leaves_out_half_of_what_was_seen(better: int, worse: int) -> None:
    pairs = better + worse
    seen = float(stats.binom.pmf(better, pairs, 0.5))
    less = stats.binomtest(better, pairs, alternative="less").pvalue if pairs else 1.0
    greater = stats.binomtest(better, pairs, alternative="greater").pvalue if pairs else 1.0
    expected = 2 * min(less - seen / 2, greater - seen / 2)
    assert mcnemar_mid_p(better, worse) == pytest.approx(expected, abs=1e-12)


@given(COUNTS, COUNTS)
def test_swapping_the_roles(better: int, worse: int) -> None:
    assert mcnemar_mid_p(better, worse) == mcnemar_mid_p(worse, better)


@given(COUNTS, COUNTS)
def test_one_more_loss_among_losses_is_more_evidence(better: int, worse: int) -> None:
    few, many = sorted((better, worse))
    assert mcnemar_mid_p(few, many + 1) <= mcnemar_mid_p(few, many)


def test_nothing_turned_is_no_evidence() -> None:
    assert mcnemar_mid_p(0, 0) == 1


@pytest.mark.parametrize(("better", "worse"), [(-1, 3), (3, -1)])
def test_negative_counts(better: int, worse: int) -> None:
    with pytest.raises(UndefinedError, match="no counts"):
        mcnemar_mid_p(better, worse)
