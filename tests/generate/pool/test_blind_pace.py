"""The number in flight by how long answers take, against a server of known room, in simulated time."""

from __future__ import annotations

import heapq
import random

import pytest

from llmgate.generate.pool.blind_pace import BlindPace


def simulate(
    pace: BlindPace, *, room: int, answers: int, seed: int = 0, spread: float = 0.5
) -> tuple[float, list[int]]:
    """A server that works on `room` requests at once, the others wait; as many as may be are in flight.

    Returns:
        Seconds until all answers are there, and the number after each.
    """
    draw, now, sent, seen = random.Random(seed), 0.0, 0, list[int]()
    free = [0.0] * room
    flying: list[tuple[float, float, int]] = []
    while sent < answers or flying:
        while sent < answers and len(flying) < pace.limit:
            tokens = draw.randint(int(20 * (1 - spread)), int(20 * (1 + spread)))
            begins = max(now, heapq.heappop(free))
            heapq.heappush(free, begins + 0.05 * tokens)
            heapq.heappush(flying, (begins + 0.05 * tokens, now, tokens))
            sent += 1
        in_flight = len(flying)
        now, began, tokens = heapq.heappop(flying)
        seen.append(pace.answered(now_s=now, latency_s=now - began, tokens=tokens, in_flight=in_flight))
    return now, seen


@pytest.mark.parametrize("room", [4, 16, 40, 100])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_about_as_fast_as_the_best_fixed_number(room: int, seed: int) -> None:
    fixed = BlindPace(start=room, most=room)
    best_s, _ = simulate(fixed, room=room, answers=8000, seed=seed)
    took_s, seen = simulate(BlindPace(start=16, most=256), room=room, answers=8000, seed=seed)
    assert took_s <= 1.15 * best_s
    # Far beyond the room, requests would only wait.
    assert max(seen[len(seen) // 2 :]) <= 3 * max(room, 16)


def test_the_most_is_never_passed() -> None:
    _, seen = simulate(BlindPace(start=16, most=24), room=100, answers=2000)
    assert max(seen) == 24


def test_a_number_that_limits_nothing_does_not_grow() -> None:
    pace = BlindPace(start=16, most=256)
    for second in range(1, 500):
        pace.answered(now_s=float(second), latency_s=1.0, tokens=10, in_flight=3)
    assert pace.limit == 16


def test_a_refusal_halves_it_and_those_sent_before_do_not_halve_it_again() -> None:
    pace = BlindPace(start=32, most=64)
    pace.answered(now_s=1.0, latency_s=1.0, tokens=1, in_flight=32)
    assert pace.refused(now_s=2.0, sent_s=1.5) == 16
    for _ in range(15):
        assert pace.refused(now_s=2.1, sent_s=1.6) == 16
    assert pace.refused(now_s=4.0, sent_s=3.0) == 8


def test_it_never_falls_below_one() -> None:
    pace = BlindPace(start=4, most=64)
    for second in range(10):
        pace.refused(now_s=float(second), sent_s=second - 0.1)
        pace.refused(now_s=second + 0.5, sent_s=second + 0.1)
    assert pace.limit == 1


def test_an_answer_without_a_time_breaks_nothing() -> None:
    pace = BlindPace(start=1, most=64)
    for _ in range(100):
        pace.answered(now_s=0.0, latency_s=0.0, tokens=0, in_flight=1)
    assert pace.limit == 1
