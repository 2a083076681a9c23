"""Planned attempts against the figures they were explored with, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import UndefinedError
from llmgate.stats.planning.attempts import pass_by_attempt
from llmgate.stats.sequential.shares import attempt_shares
from llmgate.stats.sequential.spending import spending_bounds


@pytest.mark.parametrize(("first", "third"), [(0.870, 0.931), (0.485, 0.556)])
def test_the_figures_of_the_exploration(first: float, third: float) -> None:
    found = pass_by_attempt(first, attempts=3, reserve=0.1, alpha=0.05, correlation=0.5)
    assert found == pytest.approx(third, abs=0.012)


def test_simulated_attempts() -> None:
    rng = np.random.default_rng(16)
    runs, r, drift = 40_000, 0.3, 1.9
    steady, own = rng.normal(size=(runs, 1)), rng.normal(size=(runs, 3))
    means = math.sqrt(r) * steady + math.sqrt(1 - r) * np.cumsum(own, axis=1) / np.arange(1, 4)
    times = [1 / (r + (1 - r) / k) for k in (1, 2, 3)]
    z = (means + drift) * np.sqrt(times)
    bounds = spending_bounds(times, [0.05 * share for share in attempt_shares(3, reserve=0.1)])
    passes = z > np.array(bounds)
    found = pass_by_attempt(float(passes[:, 0].mean()), attempts=3, reserve=0.1, alpha=0.05, correlation=r)
    assert found == pytest.approx(passes.any(axis=1).mean(), abs=0.01)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 0.99), st.integers(1, 4), st.floats(0.02, 0.5), st.floats(0.0, 0.95))
def test_more_attempts_never_pass_less(first: float, attempts: int, reserve: float, r: float) -> None:
    fewer, more = (
        pass_by_attempt(first, attempts=k, reserve=reserve, alpha=0.05, correlation=r) for k in (attempts, attempts + 1)
    )
    assert first - 1e-9 <= fewer <= more + 1e-9 <= 1 + 1e-9


def test_without_a_reserve_the_first_is_the_only_one() -> None:
    assert pass_by_attempt(0.5, attempts=3, reserve=0.0, alpha=0.05, correlation=0.5) == 0.5
    assert pass_by_attempt(1.0, attempts=3, reserve=0.1, alpha=0.05, correlation=0.5) == 1.0
    with pytest.raises(UndefinedError):
        pass_by_attempt(1.5, attempts=3, reserve=0.1, alpha=0.05, correlation=0.5)
