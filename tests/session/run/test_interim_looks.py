"""The loop that asks in blocks: what is recorded, what is held back, and what is never asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.lines import Lines
from support.records import make_case, make_manifest, make_result, make_suite

from llmgate.errors import RecordError
from llmgate.record.order import case_order, plan_looks
from llmgate.record.run.files import cases_digest
from llmgate.record.run.rundir import RunDir
from llmgate.session.run.early_stopping import InterimMonitor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from llmgate.record.looks import LookPlan
    from llmgate.record.schema import CaseKey, CaseResult

CASES = tuple(make_case(f"c{i:02d}", repeats=2) for i in range(20))
OTHERS = tuple(make_case(f"o{i}", suite="other") for i in range(3))
PLAN = plan_looks(CASES, seed=0, fractions=(0.25, 0.5, 1.0))
ORDER = [case.case for case in case_order(CASES, seed=0)]


class Gate:
    """Says enough at one look, and remembers what it was shown."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.shown: list[tuple[int, frozenset[str]]] = []

    def __call__(self, plan: LookPlan, look: int, results: Mapping[CaseKey, CaseResult]) -> str:
        assert plan is PLAN
        self.shown.append((look, frozenset(key.case for key in results)))
        return "decided" if look == self.at else ""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    cases = (*CASES, *OTHERS)
    suites = (make_suite(cases=20), make_suite("other", cases=3))
    return RunDir.create(
        tmp_path / "run", make_manifest(cases_digest=cases_digest(cases), suites=suites, looks=(PLAN,)), cases
    )


async def ask_all(run: RunDir, monitor: InterimMonitor, pause: Callable[[CaseKey], float]) -> list[CaseKey]:
    """As `generate_answers` does it, four at a time."""
    slots, asked = asyncio.Semaphore(4), []

    async def one(key: CaseKey) -> None:
        looks = monitor.of(key)
        if looks is not None and not await looks.turn(key):
            return
        async with slots:
            asked.append(key)
            await asyncio.sleep(pause(key))
        (run.append if looks is None else looks.keep)(make_result(key.case, suite=key.suite, repeat=key.repeat))
        if looks is not None:
            await looks.done(key)

    todo = monitor.arranged(run.missing())
    await monitor.begin()
    async with asyncio.TaskGroup() as group:
        for key in todo:
            group.create_task(one(key))
    return asked


def cases_in(run: RunDir) -> set[str]:
    return {key.case for key in run.results if key.suite == "support"}


def test_a_run_that_goes_on_asks_everything_and_shows_each_look_its_block(run: RunDir) -> None:
    gate, lines = Gate(), Lines()
    asyncio.run(ask_all(run, InterimMonitor(run, [PLAN], gate, ahead=4, progress=lines), lambda _: 0.0))
    assert len(run.results) == 43
    assert gate.shown == [(1, frozenset(ORDER[:5])), (2, frozenset(ORDER[:10]))]
    assert lines.said == []
    record = run.seal(sealed_at="2026-11-27T00:00:00+00:00")
    assert record.seal is not None
    assert record.seal.stops == ()


@pytest.mark.parametrize(("at", "cases"), [(1, 5), (2, 10)])
def test_a_run_that_stops_records_exactly_the_first_blocks(run: RunDir, at: int, cases: int) -> None:
    lines = Lines()
    asked = asyncio.run(
        ask_all(
            run, InterimMonitor(run, [PLAN], Gate(at), ahead=4, progress=lines), lambda key: 0.001 * (len(key.case) % 3)
        )
    )
    assert cases_in(run) == set(ORDER[:cases])
    assert {key.case for key in run.results if key.suite == "other"} == {"o0", "o1", "o2"}
    assert run.missing() == []
    record = run.seal(sealed_at="2026-11-27T00:00:00+00:00")
    assert record.seal is not None
    (stop,) = record.seal.stops
    assert (stop.suite, stop.look, stop.reason) == ("support", at, "decided")
    beyond = len([key for key in asked if key.suite == "support"]) - 2 * cases
    assert beyond <= stop.discarded <= 4
    (said,) = lines.said
    assert said.startswith(f"support: stopped at look {at} of 3 (decided): {cases} of 20 cases asked, ")
    assert f"{2 * (20 - cases) - stop.discarded} generations saved" in said


def test_no_more_than_allowed_is_asked_ahead_of_a_look(run: RunDir) -> None:
    """One answer of the first block takes long; meanwhile the server gets at most four others."""
    slow = ORDER[0]
    gate = Gate(1)
    monitor = InterimMonitor(run, [PLAN], gate, ahead=4, progress=Lines())
    asked = asyncio.run(ask_all(run, monitor, lambda key: 0.2 if key.case == slow else 0.0))
    assert len([key for key in asked if key.suite == "support"]) == 10 + 4
    assert cases_in(run) == set(ORDER[:5])


def test_the_server_is_kept_busy_at_the_end_of_a_block(run: RunDir) -> None:
    slow = ORDER[0]
    monitor = InterimMonitor(run, [PLAN], Gate(), ahead=4, progress=Lines())
    asked = asyncio.run(ask_all(run, monitor, lambda key: 0.1 if key.case == slow else 0.0))
    assert len(asked) == len(set(asked)) == 43
    assert len(run.results) == 43


def test_a_resumed_run_takes_its_looks_from_what_is_there(run: RunDir) -> None:
    for case in ORDER[:10]:
        for repeat in range(2):
            run.append(make_result(case, repeat=repeat))
    gate = Gate(2)
    asked = asyncio.run(ask_all(run, InterimMonitor(run, [PLAN], gate, ahead=4, progress=Lines()), lambda _: 0.0))
    assert {key.suite for key in asked} == {"other"}
    # The first look has nothing to save: what comes after it is there.
    assert [look for look, _ in gate.shown] == [2]
    assert cases_in(run) == set(ORDER[:10])


def test_answers_beyond_a_look_keep_it_from_ending_the_run(run: RunDir) -> None:
    run.append(make_result(ORDER[-1]))
    gate = Gate(1)
    asyncio.run(ask_all(run, InterimMonitor(run, [PLAN], gate, ahead=4, progress=Lines()), lambda _: 0.0))
    assert gate.shown == []
    assert len(run.results) == 43


def test_an_error_in_a_look_ends_the_run_and_nothing_is_sealed(run: RunDir) -> None:
    def broken(plan: LookPlan, look: int, results: Mapping[CaseKey, CaseResult]) -> str:
        raise RecordError("broken")

    with pytest.raises(BaseExceptionGroup):
        asyncio.run(ask_all(run, InterimMonitor(run, [PLAN], broken, ahead=4, progress=Lines()), lambda _: 0.0))
    with pytest.raises(RecordError, match="planned answers are missing"):
        run.seal(sealed_at="2026-11-27T00:00:00+00:00")
