from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from llmgate.errors import UndefinedError
from llmgate.stats.multiplicity import holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_p_value_is_refused(p: float) -> None:
    with pytest.raises(UndefinedError):
        holm([0.5, p])


def test_no_tests_give_no_p_values() -> None:
    assert holm([]) == ()


def test_one_test_is_left_alone() -> None:
    assert holm([0.03]) == (0.03,)


@given(P_VALUES)
def test_agrees_with_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@given(P_VALUES)
def test_never_below_the_raw_p_value_and_in_the_same_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)
