"""Standard errors: against statsmodels, and undefined where there is no spread to see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.regression.linear_model import OLS

from llmgate.errors import UndefinedError
from llmgate.stats.standard_error import clustered_standard_error, standard_error


@given(st.integers(0, 10_000), st.integers(2, 60))
def test_it_is_that_of_a_regression_on_a_constant(seed: int, n: int) -> None:
    values = np.random.default_rng(seed).normal(size=n)
    assert standard_error(values) == pytest.approx(OLS(values, np.ones(n)).fit().bse[0])
    assert standard_error(values) == pytest.approx(values.std(ddof=1) / np.sqrt(n))


@given(st.integers(0, 10_000), st.integers(2, 10))
def test_whole_clusters_are_the_unit(seed: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(groups), rng.integers(groups, size=40)])
    values = rng.normal(size=len(codes)) + rng.normal(size=groups)[codes]
    # The factor (n − 1)/(n − p) of statsmodels is 1 with a constant alone.
    fit = OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": codes})
    assert clustered_standard_error(values, codes) == pytest.approx(fit.bse[0])


def test_equal_values_have_none_and_clusters_of_one_change_nothing() -> None:
    assert standard_error(np.full(7, 0.25)) == 0.0
    values = np.array([0.0, 1.0, 1.0, 0.5])
    assert clustered_standard_error(values, np.arange(4)) == pytest.approx(standard_error(values))


def test_it_needs_two_of_something() -> None:
    with pytest.raises(UndefinedError, match="1 values have no spread"):
        standard_error(np.ones(1))
    with pytest.raises(UndefinedError, match="1 clusters have no spread"):
        clustered_standard_error(np.ones(3), np.zeros(3, dtype=np.int64))
    with pytest.raises(UndefinedError, match="0 clusters have no spread"):
        clustered_standard_error(np.ones(0), np.zeros(0, dtype=np.int64))
