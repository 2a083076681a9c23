"""Times of arrival: impossible ones are refused, and the others have the distribution that they are named after."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmgate.bench.workload.arrivals import due_times
from llmgate.bench.workload.load import Load
from llmgate.errors import UsageError
from llmgate.record.serving.trace import ArrivalKind, Arrivals

MANY = 20_000


def gaps(arrivals: Arrivals, requests: int = MANY) -> list[float]:
    return [b - a for a, b in pairwise(due_times(arrivals, requests))]


@pytest.mark.parametrize(
    ("arrivals", "says"),
    [
        (Arrivals(kind="poisson"), "rate is 0.0"),
        (Arrivals(kind="poisson", rate=math.nan), "rate is nan"),
        (Arrivals(kind="constant", rate=-1), "rate is -1"),
        (Arrivals(kind="gamma", rate=1, burstiness=0), "burstiness is 0"),
        (Arrivals(kind="gamma", rate=1, burstiness=math.inf), "burstiness is inf"),
        (Arrivals(kind="ramp", rate=1), "rate_from is 0.0"),
        (Arrivals(kind="ramp", rate=0, rate_from=1), "rate is 0"),
        (Arrivals(kind="constant", rate=1e-6), "would be due after 2500.0 hours"),
    ],
)
def test_impossible_arrivals_are_refused(arrivals: Arrivals, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        due_times(arrivals, 10)


def test_recorded_times_must_be_there_and_have_a_speed() -> None:
    with pytest.raises(UsageError, match="2 recorded times for 3 requests"):
        due_times(Arrivals(kind="trace"), 3, recorded_s=[0.0, 1.0])
    with pytest.raises(UsageError, match=r"speed is 0\.0"):
        due_times(Arrivals(kind="trace", speed=0.0), 1, recorded_s=[0.0])
    with pytest.raises(UsageError, match="0 requests have no times"):
        due_times(Arrivals(kind="constant", rate=1), 0)


def test_a_closed_loop_has_no_times() -> None:
    assert due_times(Arrivals(), 10) == ()


def test_recorded_times_begin_at_nothing_and_are_sped_up() -> None:
    assert due_times(Arrivals(kind="trace", speed=2), 3, recorded_s=[5.0, 6.0, 6.0, 9.0]) == (0.0, 0.5, 0.5)


def test_constant_arrivals_are_even() -> None:
    assert due_times(Arrivals(kind="constant", rate=4), 5) == (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize("rate", [0.5, 40.0])
def test_poisson_gaps_are_exponential(rate: float) -> None:
    found = gaps(Arrivals(kind="poisson", rate=rate, seed=1))
    assert stats.kstest(found, "expon", args=(0, 1 / rate)).pvalue > 0.01


@pytest.mark.parametrize("burstiness", [0.25, 0.5, 2.0, 16.0])
def test_gamma_gaps_have_the_shape_that_is_asked_for(burstiness: float) -> None:
    found = gaps(Arrivals(kind="gamma", rate=8.0, burstiness=burstiness, seed=1))
    assert fmean(found) == pytest.approx(1 / 8.0, rel=0.05)
    assert pstdev(found) / fmean(found) == pytest.approx(burstiness**-0.5, rel=0.05)
    assert stats.kstest(found, "gamma", args=(burstiness, 0, 1 / (8.0 * burstiness))).pvalue > 0.01


def test_a_burstiness_of_one_is_poisson() -> None:
    assert stats.kstest(gaps(Arrivals(kind="gamma", rate=2.0)), "expon", args=(0, 0.5)).pvalue > 0.01


@pytest.mark.parametrize(("low", "high"), [(1.0, 9.0), (9.0, 1.0), (3.0, 3.0)])
def test_a_ramp_changes_its_rate_evenly(low: float, high: float) -> None:
    found = gaps(Arrivals(kind="ramp", rate_from=low, rate=high, seed=2), MANY + 1)
    for tenth in range(10):
        part = found[tenth * MANY // 10 : (tenth + 1) * MANY // 10]
        assert 1 / fmean(part) == pytest.approx(low + (high - low) * (tenth + 0.5) / 10, rel=0.1)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["poisson", "gamma", "constant", "ramp"]),
    rate=st.floats(0.1, 1e4),
    rate_from=st.floats(0.1, 1e4),
    burstiness=st.floats(0.01, 100),
    seed=st.integers(0, 2**32),
    requests=st.integers(1, 200),
)
def test_times_fit_a_load_and_come_again(
    kind: ArrivalKind, rate: float, rate_from: float, burstiness: float, seed: int, requests: int
) -> None:
    arrivals = Arrivals(kind=kind, rate=rate, rate_from=rate_from, burstiness=burstiness, seed=seed)
    times = due_times(arrivals, requests)
    assert times == due_times(arrivals, requests)
    assert times[0] == 0.0
    assert not Load(requests=requests, concurrency=0, arrivals=arrivals, due_s=times).closed
    if kind != "ramp":
        assert times[-1] == pytest.approx((requests - 1) / rate), "the rate is the nominal one, not one by chance"


def test_seeds_differ() -> None:
    assert gaps(Arrivals(kind="poisson", rate=1, seed=1), 50) != gaps(Arrivals(kind="poisson", rate=1, seed=2), 50)
