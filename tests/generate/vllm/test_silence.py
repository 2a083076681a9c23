"""What counts as hung, and what is only slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.generate.vllm.silence import Glance, Silence
from llmgate.generate.vllm.tree import ServerTask

if TYPE_CHECKING:
    from collections.abc import Iterable

STEP_S = 1.0


def tasks(*, api_s: float = 1.0, engine_s: float = 1.0, api: str = "S", engine: str = "S") -> tuple[ServerTask, ...]:
    return (
        ServerTask(pid=1, title="the API server", state=api, cpu_s=api_s, began=1),
        ServerTask(pid=2, title="VLLM::EngineCore", state=engine, cpu_s=engine_s, began=1),
    )


def look(at_s: float, *, tokens: float | None = 5.0, asked: bool = False, **how: Any) -> Glance:
    return Glance(
        at_s=at_s,
        answered=tokens is not None,
        counters=None if tokens is None else {"vllm:generation_tokens_total": tokens},
        load=1.0,
        asked=asked,
        tasks=tasks(**how),
    )


def watch(looks: Iterable[Glance], *, limit_s: float = 10.0, busy_limit_s: float = 100.0) -> tuple[float, str] | None:
    """When it counts as hung, and how."""
    silence = Silence(limit_s=limit_s, busy_limit_s=busy_limit_s, step_s=STEP_S)
    for each in looks:
        if (told := silence.note(each)) is not None:
            return each.at_s, told
    return None


def seconds(last: int) -> Iterable[float]:
    return map(float, range(last + 1))


def test_an_engine_that_was_stopped() -> None:
    found = watch(look(at, engine="T", api_s=at) for at in seconds(200))
    assert found is not None
    at, told = found
    assert at == 10.0
    assert "it answers /metrics, but no token came for 10 s" in told
    assert "VLLM::EngineCore (process 2) was stopped by a signal (SIGSTOP)" in told
    assert "API server" not in told


def test_an_engine_that_waits_for_ever() -> None:
    found = watch(look(at, engine="D") for at in seconds(200))
    assert found is not None
    assert "VLLM::EngineCore (process 2) was waiting in the kernel" in found[1]


def test_an_api_server_that_was_stopped_while_its_engine_has_nothing_to_do() -> None:
    looks = (look(at, tokens=None if at else 5.0, api="T") for at in seconds(200))
    found = watch(looks)
    assert found is not None
    assert "it answers nothing, not even /metrics, for 10 s" in found[1]
    assert "the API server (process 1) was stopped" in found[1]


def test_an_api_server_that_waits_for_ever() -> None:
    found = watch(look(at, tokens=None if at else 5.0) for at in seconds(200))
    assert found is not None
    assert "the API server (process 1) was waiting, and computed nothing" in found[1]


def test_one_long_step_on_a_processor_is_no_hang() -> None:
    assert watch(look(at, engine_s=at) for at in seconds(99)) is None


def test_a_server_too_busy_to_answer_is_no_hang() -> None:
    assert watch(look(at, tokens=None, engine_s=at * 0.2) for at in seconds(99)) is None
    assert watch(look(at, tokens=None, api_s=at * 0.2) for at in seconds(99)) is None


def test_processes_need_not_be_looked_at_where_there_is_progress() -> None:
    def bare(at: float) -> Glance:
        return Glance(at_s=at, answered=True, counters={"a": at}, load=1.0, asked=False, tasks=())

    silence = Silence(limit_s=10.0, busy_limit_s=100.0, step_s=STEP_S)
    assert [silence.note(bare(at)) for at in seconds(5)] == [None] * 6
    # What they had computed until then is no work on what comes after.
    found = [silence.note(look(5.0 + at, engine_s=50.0)) for at in seconds(10)]
    assert found[0] is None
    assert "no token came" in str(found[-1])


def test_an_answer_to_our_looks_is_no_work() -> None:
    """An API server that answers them takes time of the processor, and its engine does nothing."""
    found = watch(look(at, api_s=at) for at in seconds(200))
    assert found is not None
    assert found[0] == 10.0


def test_an_engine_that_computes_and_brings_nothing_about_for_ever() -> None:
    found = watch(look(at, engine_s=at) for at in seconds(200))
    assert found is not None
    assert found[0] == 100.0
    assert "although its processes compute" in found[1]


def test_a_stopped_worker_is_not_hidden_by_others_that_wait_for_it_busily() -> None:
    worker = ServerTask(pid=3, title="VLLM::Worker_TP1", state="T", cpu_s=1.0, began=1)
    looks = (
        Glance(at_s=at, answered=True, counters={"a": 1.0}, load=2.0, asked=False, tasks=(*tasks(engine_s=at), worker))
        for at in seconds(200)
    )
    found = watch(looks)
    assert found is not None
    assert found[0] == 10.0
    assert "VLLM::Worker_TP1 (process 3) was stopped" in found[1]
    assert "EngineCore" not in found[1]


@pytest.mark.parametrize("every", [1, 9])
def test_progress_now_and_then_is_enough(every: int) -> None:
    assert watch(look(at, tokens=at // every) for at in seconds(200)) is None


def test_an_answer_to_our_own_question_is_progress() -> None:
    assert watch(look(at, asked=at % 8 == 0) for at in seconds(200)) is None


def test_a_server_that_tells_no_counters_is_judged_by_our_own_questions() -> None:
    def mute(at: float, *, asked: bool) -> Glance:
        return Glance(at_s=at, answered=True, counters=None, load=None, asked=asked, tasks=tasks())

    assert watch(mute(at, asked=at % 8 == 0) for at in seconds(200)) is None
    assert watch(mute(at, asked=False) for at in seconds(200)) is not None


def test_the_time_in_which_we_did_not_run_either_does_not_count() -> None:
    assert watch([look(0.0), look(1.0), look(3601.0), look(3602.0)]) is None


@given(st.lists(st.tuples(st.floats(0.1, 3.0), st.booleans(), st.booleans()), max_size=60))
def test_no_hang_before_its_time(steps: list[tuple[float, bool, bool]]) -> None:
    """Whatever happens, a server is called hung only after as much silence as it was given."""
    silence, at, since, tokens = Silence(limit_s=10.0, busy_limit_s=50.0, step_s=STEP_S), 0.0, 0.0, 0.0
    silence.note(look(at, tokens=tokens))
    for step, moved, answers in steps:
        at += step
        tokens += moved
        told = silence.note(look(at, tokens=tokens if answers else None))
        if moved and answers:
            since = at
        if told is not None:
            assert at - since >= 10.0 - 1e-6
