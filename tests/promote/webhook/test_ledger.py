"""An alias compared with what the server's ledger says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.attest.tags import ledger_key
from llmgate.promote.mirror import read_mirror
from llmgate.promote.webhook.ledger import ModelState, Standing, compare

START = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)


def event(name: str, version: str, minute: int) -> dict[str, Any]:
    at = (START + timedelta(minutes=minute)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"event": name, "version": version, "verdict": "a" * 64, "outcome": "PASS", "at": at, "attempt": 1}


def state(ledger: object, aliases: dict[str, str] | None = None, **known: Any) -> tuple[Standing, str | None]:
    tags = {} if ledger is None else {ledger_key("champion"): ledger if isinstance(ledger, str) else json.dumps(ledger)}
    model = ModelState(name="bot", aliases={} if aliases is None else aliases, tags=tags)
    found = compare(model, "champion", **known)
    assert "\n" not in str(found)
    return found.state, found.expected


EARNED = [event("verdict", "3", 3), event("promoted", "2", 2), event("verdict", "2", 1), event("bootstrapped", "1", 0)]


def test_the_holder_that_the_ledger_names_agrees() -> None:
    assert state(EARNED, {"champion": "2"}) == (Standing.AGREES, "2")


@pytest.mark.parametrize("kind", ["promoted", "bootstrapped", "overridden", "rolled-back"])
def test_all_ways_to_the_alias_count(kind: str) -> None:
    assert state([event(kind, "5", 9), *EARNED], {"champion": "5"}) == (Standing.AGREES, "5")
    assert state([event(kind, "5", 9), *EARNED], {"champion": "2"}) == (Standing.MOVED, "5")


def test_another_holder_moved_past_the_gate() -> None:
    assert state(EARNED, {"champion": "3"}) == (Standing.MOVED, "2")


def test_a_deleted_alias_moved_past_the_gate() -> None:
    assert state(EARNED, {}) == (Standing.MOVED, "2")
    assert state(EARNED, {"Champion": "2"}) == (Standing.MOVED, "2")


def test_a_holder_whom_nobody_let_in_moved_past_the_gate() -> None:
    assert state([event("verdict", "1", 0)], {"champion": "1"}) == (Standing.MOVED, None)
    assert state([], {"champion": "1"}) == (Standing.MOVED, None)


def test_nobody_on_either_side_agrees() -> None:
    assert state(None) == (Standing.AGREES, None)
    assert state([event("verdict", "1", 0)]) == (Standing.AGREES, None)


def test_a_holder_without_a_ledger_could_not_be_checked() -> None:
    assert state(None, {"champion": "1"}) == (Standing.UNCHECKED, None)


def test_a_mirror_that_does_not_reach_back_could_not_be_checked() -> None:
    full = [event("verdict", str(9 + minute), -minute) for minute in range(30)]
    assert state(full, {"champion": "1"}) == (Standing.UNCHECKED, None)
    assert state(full, {}) == (Standing.UNCHECKED, None)
    assert state([*full, event("promoted", "1", -40)], {"champion": "1"}) == (Standing.AGREES, "1")


@pytest.mark.parametrize("twin", ["Champion", "CHAMPION", "champi0n", "cham-pion", "сhampion"])
def test_an_alias_that_only_looks_like_it_moved_past_the_gate(twin: str) -> None:
    assert state(EARNED, {"champion": "2", twin: "9"}) == (Standing.MOVED, "2")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[1]",
        "[" * 100_000,
        json.dumps([{"event": "promoted", "version": "2"}]),
        json.dumps([{**event("promoted", "2", 0), "at": "2026-11-28T20:00:00"}]),
        json.dumps([{**event("promoted", "2", 0), "at": "yesterday"}]),
        json.dumps([{**event("promoted", "2", 0), "version": "2; rm"}]),
        json.dumps([{**event("promoted", "2", 0), "version": "2\n"}]),
        json.dumps([event("crowned", "2", 0)]),
        json.dumps([event("promoted", "2", 0)]) + " " * 100_000,
    ],
)
def test_a_mirror_that_cannot_be_read_could_not_be_checked(text: str) -> None:
    assert state(text, {"champion": "2"}) == (Standing.UNCHECKED, None)


def test_a_mirror_that_lost_what_was_seen_moved_past_the_gate() -> None:
    newest = read_mirror(json.dumps(EARNED[:1]), "champion").events[0]
    assert state(EARNED, {"champion": "2"}, known=newest)[0] is Standing.AGREES
    assert state([event("promoted", "3", 4), *EARNED], {"champion": "3"}, known=newest)[0] is Standing.AGREES
    assert state([event("promoted", "3", 4), *EARNED[1:]], {"champion": "3"}, known=newest)[0] is Standing.MOVED
    assert state(EARNED[1:], {"champion": "2"}, known=newest)[0] is Standing.MOVED
    assert state([], {}, known=newest)[0] is Standing.MOVED
    assert state(None, {"champion": "2"}, known=newest)[0] is Standing.MOVED
    assert state(None, {}, known=newest)[0] is Standing.MOVED


def test_a_mirror_in_which_newer_events_took_the_room_lost_nothing() -> None:
    newest = read_mirror(json.dumps(EARNED[:1]), "champion").events[0]
    later = [event("promoted", str(40 - minute), 40 - minute) for minute in range(30)]
    assert state(later, {"champion": "40"}, known=newest)[0] is Standing.AGREES
    older = [event("promoted", str(40 - minute), -minute) for minute in range(1, 30)]
    assert state(older, {"champion": "39"}, known=newest)[0] is Standing.MOVED


@given(
    st.lists(st.tuples(st.sampled_from(["promoted", "rolled-back", "verdict"]), st.integers(1, 9)), max_size=8),
    st.none() | st.integers(1, 9),
)
def test_it_agrees_only_with_the_last_one_who_got_it(story: list[tuple[str, int]], holder: int | None) -> None:
    events = [event(kind, str(version), minute) for minute, (kind, version) in enumerate(story)][::-1]
    moves = [version for kind, version in story if kind != "verdict"]
    expected = moves[-1] if moves else None
    aliases = {} if holder is None else {"champion": str(holder)}
    assert state(events, aliases)[0] is (Standing.AGREES if holder == expected else Standing.MOVED)
