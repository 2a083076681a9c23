"""The search for the largest load: what it refuses, what it proves, and that it ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import UsageError
from llmgate.gate.serving.knee import Holding, Knee, LoadRuns, Search, holding, knee_step, most_loads
from llmgate.record.serving.policy import ServingPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 500.0
TTFT = ServingPolicy(suite="bench", metric="p95_ttft_ms", margin=None, max=LIMIT)
FAST = ServingPolicy(suite="bench", metric="output_throughput", margin=None, min=100.0)
WIGGLE = (0.99, 1.0, 1.012)


def search(**changes: object) -> Search:
    arguments: dict[str, object] = {"levels": (TTFT,), "least": 1, "most": 256, "whole": True} | changes
    return Search(**arguments)  # type: ignore[arg-type]


def runs(load: float, ttft_ms: float, *, spread: tuple[float, ...] = WIGGLE) -> LoadRuns:
    return LoadRuns(load=load, figures=tuple({"p95_ttft_ms": ttft_ms * factor} for factor in spread))


def found(where: Search, ttft_of: Callable[[float], LoadRuns], *, limit: int = 60) -> tuple[Knee, list[float]]:
    """Search to the end, as the driver does: one run at a time."""
    measured: dict[float, LoadRuns] = {}
    order: list[float] = []
    for _ in range(limit * where.runs):
        step = knee_step(where, tuple(measured.values()))
        if isinstance(step, Knee):
            return step, order
        whole = ttft_of(step)
        so_far = measured.get(step, LoadRuns(load=step))
        if so_far.runs == 0:
            order.append(step)
        take = so_far.runs + 1
        measured[step] = LoadRuns(
            load=step, figures=whole.figures[:take], invalid=whole.invalid[:take], failed=min(whole.failed, take)
        )
    pytest.fail("the search does not end")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"levels": ()}, "no service level"),
        ({"levels": (ServingPolicy(suite="s", metric="p95_ttft_ms"),)}, "no service level"),
        ({"least": 0}, "loads from 0"),
        ({"least": 9, "most": 8}, "loads from 9 to 8"),
        ({"most": math.inf}, "loads from 1 to inf"),
        ({"least": 1.5}, "whole numbers"),
        ({"runs": 2}, "2 runs of a load give no bounds"),
    ],
)
def test_what_cannot_be_searched(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        search(**changes)


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (runs(1, 400), Holding.HOLDS),
        (runs(1, 600), Holding.MISSES),
        (runs(1, 499), Holding.UNDECIDED),
        (runs(1, 501), Holding.UNDECIDED),
        (runs(1, 499, spread=(1.0, 1.0, 1.0)), Holding.HOLDS),
        (runs(1, 501, spread=(1.0, 1.0, 1.0)), Holding.MISSES),
        (runs(1, LIMIT, spread=(1.0, 1.0, 1.0)), Holding.HOLDS),
        (runs(1, 100, spread=(1.0, 1.01)), Holding.UNDECIDED),
        (runs(1, 100, spread=(0.1, 1.0, 4.9)), Holding.UNDECIDED),
        (LoadRuns(load=1, figures=(*runs(1, 100).figures[:2], {})), Holding.UNDECIDED),
        (LoadRuns(load=1, figures=runs(1, 100).figures, failed=1), Holding.MISSES),
        (LoadRuns(load=1, invalid=("the client was slow",) * 3), Holding.UNDECIDED),
    ],
)
def test_a_load_is_decided_by_bounds_over_its_runs(measured: LoadRuns, verdict: Holding) -> None:
    assert holding(measured, search()) is verdict


def test_every_level_has_to_hold() -> None:
    both = search(levels=(TTFT, FAST))

    def of(ttft: float, throughput: float) -> LoadRuns:
        return LoadRuns(
            load=1,
            figures=tuple({"p95_ttft_ms": ttft * f, "output_throughput": throughput * f} for f in WIGGLE),
        )

    assert holding(of(400, 200), both) is Holding.HOLDS
    assert holding(of(400, 50), both) is Holding.MISSES
    assert holding(of(400, 100), both) is Holding.UNDECIDED
    assert holding(of(600, 100), both) is Holding.MISSES
    assert holding(of(400, 0), both) is Holding.MISSES, "nothing per second is no throughput"


def test_the_knee_of_a_sharp_bend() -> None:
    knee, order = found(search(), lambda load: runs(load, 100 if load <= 37 else 2000))
    assert (knee.load, knee.above, knee.misses, knee.undecided) == (37, 38, 38, ())
    assert order == [1, 2, 4, 8, 16, 32, 64, 48, 40, 36, 38, 37]
    assert knee.reason == "37 holds and 38 misses"


def test_undecided_loads_are_named_and_not_believed() -> None:
    knee, _ = found(search(), lambda load: runs(load, 100 if load < 30 else 500 if load < 60 else 900))
    assert knee.load == 29
    assert knee.above == 30
    assert (knee.misses, knee.undecided) == (None, (30, 32)), "nothing was measured that misses"
    assert "30 is undecided, and more runs might tell" in knee.reason


def test_bounds_of_the_search() -> None:
    assert found(search(), lambda load: runs(load, 100))[0].load == 256
    assert "the largest load that was asked for, 256, holds" in found(search(), lambda load: runs(load, 100))[0].reason
    knee, order = found(search(least=4), lambda load: runs(load, 900))
    assert (knee.load, knee.above, order) == (None, 4, [4])
    assert knee.reason == "the smallest load that was asked for, 4, misses"
    assert found(search(least=7, most=7), lambda load: runs(load, 100))[1] == [7]
    assert found(search(least=5, most=12), lambda load: runs(load, 100))[1] == [5, 10, 12]


def test_failed_requests_end_a_load_at_once() -> None:
    def of(load: float) -> LoadRuns:
        return runs(load, 100) if load < 8 else LoadRuns(load=load, failed=1)

    knee, _ = found(search(), of)
    assert (knee.load, knee.misses) == (7, 8)


def test_a_load_that_cannot_be_measured_ends_the_search() -> None:
    def of(load: float) -> LoadRuns:
        return runs(load, 100) if load < 100 else LoadRuns(load=load, invalid=("the client was slow",) * 3)

    knee, order = found(search(), of)
    assert (knee.load, knee.above, knee.misses, knee.undecided) == (64, 128, None, (128,))
    assert knee.reason == "64 holds; 128 could not be measured: the client was slow"
    assert order[-1] == 128
    none, _ = found(search(least=100), of)
    assert (none.load, none.reason) == (None, "100 could not be measured: the client was slow")


@settings(max_examples=200)
@given(
    bend=st.floats(0.3, 400),
    least=st.integers(1, 20),
    span=st.integers(0, 300),
    whole=st.booleans(),
    count=st.integers(3, 5),
)
def test_the_answer_is_proven_near_and_cheap(bend: float, least: int, span: int, whole: bool, count: int) -> None:
    where = search(least=least, most=least + span, whole=whole, runs=count)
    spread = tuple(1 + 0.001 * k for k in range(count))
    promised = most_loads(where, ())
    knee, order = found(where, lambda load: runs(load, 100 if load <= bend else 2000, spread=spread))
    assert len(order) == len(set(order)), "no load twice"
    assert all(where.least <= load <= where.most for load in order)
    assert len(order) <= promised + 2
    if bend < least:
        assert knee.load is None
    elif bend >= where.most:
        assert knee.load == where.most
    else:
        assert knee.load is not None
        assert knee.above is not None
        assert knee.load <= bend < knee.above
        assert knee.above - knee.load <= max(1.0, 0.05 * knee.load) if whole else knee.above <= 1.07 * knee.load


@settings(max_examples=100)
@given(data=st.data())
def test_it_ends_whatever_the_server_does(data: st.DataObject) -> None:
    kinds = st.sampled_from([100.0, 499.0, 2000.0, -1.0, -2.0])
    memo: dict[float, float] = {}

    def of(load: float) -> LoadRuns:
        kind = memo.setdefault(load, data.draw(kinds))
        if kind == -1.0:
            return LoadRuns(load=load, failed=1)
        return LoadRuns(load=load, invalid=("late",) * 3) if kind == -2.0 else runs(load, kind)

    where = search(whole=data.draw(st.booleans()))
    knee, _ = found(where, of)
    if knee.load is not None:
        assert memo[knee.load] == 100.0
    assert knee.above is None or memo[knee.above] != 100.0
