"""The number in flight by what a server says of itself."""

from __future__ import annotations

import pytest

from llmgate.generate.pool.pace import HOLD, PATIENCE, ServerLoad, ServerPace, added


class Batch:
    """A server that runs so many at once, as seen by who keeps as many in flight as may be."""

    def __init__(self, room: int, *, pace: ServerPace) -> None:
        self.room, self.pace, self.preemptions = room, pace, 0.0

    def look(self, *, in_flight: int | None = None, cache: float = 0.1) -> int:
        sent = self.pace.limit if in_flight is None else in_flight
        running = min(sent, self.room)
        load = ServerLoad(running=running, waiting=sent - running, preemptions=self.preemptions, cache=cache)
        return self.pace.look(load, in_flight=sent)


def test_it_doubles_while_nothing_waits_up_to_the_most() -> None:
    batch = Batch(1000, pace=ServerPace(start=16, most=100))
    assert [batch.look() for _ in range(5)] == [32, 64, 100, 100, 100]


def test_a_start_above_the_most_is_the_most() -> None:
    assert ServerPace(start=16, most=4).limit == 4


@pytest.mark.parametrize("room", [1, 8, 20, 48, 100])
def test_it_settles_above_the_room_that_there_is_and_below_twice_of_it(room: int) -> None:
    batch = Batch(room, pace=ServerPace(start=16, most=256))
    for _ in range(400):
        batch.look()
    seen = [batch.look() for _ in range(200)]
    assert min(seen) >= min(room, 256)
    assert max(seen) <= max(2 * room, 2)


def test_it_does_not_grow_where_something_else_limits() -> None:
    batch = Batch(1000, pace=ServerPace(start=16, most=256))
    assert batch.look(in_flight=10) == 16
    assert batch.pace.look(ServerLoad(running=5, waiting=0), in_flight=16) == 16
    assert batch.look(cache=0.95) == 16


def test_a_burst_that_waits_for_a_moment_lowers_nothing() -> None:
    pace = ServerPace(start=16, most=16)
    for waiting in (16, 16, 16, 0) * 5:
        pace.look(ServerLoad(running=16 - waiting, waiting=waiting), in_flight=16)
    assert pace.limit == 16


def test_what_waits_longer_lowers_it_to_what_runs_and_by_half_at_most() -> None:
    pace = ServerPace(start=64, most=64)
    for _ in range(PATIENCE):
        pace.look(ServerLoad(running=31, waiting=33), in_flight=64)
    assert pace.limit == 46
    pace = ServerPace(start=64, most=64)
    for _ in range(PATIENCE):
        pace.look(ServerLoad(running=2, waiting=62), in_flight=64)
    assert pace.limit == 32


def test_that_a_few_wait_is_wanted_and_half_of_what_runs_is_left_alone() -> None:
    pace = ServerPace(start=32, most=64)
    for _ in range(100):
        pace.look(ServerLoad(running=21, waiting=11), in_flight=32)
    assert pace.limit == 32


def test_preemptions_halve_it_once_until_the_server_has_seen_it() -> None:
    batch = Batch(1000, pace=ServerPace(start=64, most=64))
    batch.preemptions = 7.0
    assert batch.look() == 64, "what was preempted before says nothing"
    batch.preemptions = 8.0
    assert batch.look() == 32
    for _ in range(HOLD - 1):
        batch.preemptions += 1
        assert batch.look() == 32
    batch.preemptions += 1
    assert batch.look() == 16


def test_afterwards_it_grows_slowly() -> None:
    batch = Batch(1000, pace=ServerPace(start=64, most=64))
    batch.look()
    batch.preemptions = 1.0
    batch.look()
    seen = [batch.look() for _ in range(HOLD + 10)]
    assert all(0 <= after - before <= 4 for before, after in zip([32, *seen], seen, strict=False))
    assert seen[-1] > 32


def test_a_counter_that_went_back_is_a_server_that_started_again() -> None:
    batch = Batch(1000, pace=ServerPace(start=16, most=64))
    batch.preemptions = 5.0
    batch.look()
    batch.preemptions = 0.0
    assert batch.look() >= 32


def test_refusals_for_the_rate_halve_it_and_it_never_falls_below_one() -> None:
    pace = ServerPace(start=2, most=64)
    for _ in range(5):
        pace.refused()
        for _ in range(HOLD + 1):
            pace.look(ServerLoad(running=0, waiting=0), in_flight=0)
    assert pace.limit == 1


def test_the_load_of_several_servers() -> None:
    both = added(
        [ServerLoad(running=3, waiting=1, preemptions=2, cache=0.5), ServerLoad(running=4, waiting=0, cache=0.9)]
    )
    assert both == ServerLoad(running=7, waiting=1, preemptions=2, cache=0.9)
