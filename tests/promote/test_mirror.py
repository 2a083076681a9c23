"""What a gated registry shows of its ledger, as its server writes it, and as somebody else might."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.verdicts import digest_of

from llmgate.errors import AttestationError
from llmgate.mlflow_server.events import Held, History, PromotionRow, VerdictRow
from llmgate.mlflow_server.ledger import MIRROR_LIMIT, mirror
from llmgate.promote.mirror import Mirror, read_mirror
from llmgate.promote.webhook.ledger import NEARLY_FULL

AT = 1_764_360_866_123
"""Milliseconds since 1970."""


def held(version: int) -> Held:
    return Held(version=version, created=AT, verdict=digest_of(f"verdict {version}"), weights=digest_of(f"v{version}"))


def verdict(seq: int, version: int, *, outcome: str = "PASS", attempt: int = 1) -> VerdictRow:
    return VerdictRow(
        seq=seq,
        version=version,
        created=AT,
        alias="champion",
        digest=digest_of(f"verdict {version}") if attempt == 1 else digest_of(f"{version} {attempt}"),
        outcome=outcome,
        weights=digest_of(f"v{version}"),
        issued=AT,
        expires=AT + 1,
        attempt=attempt,
        signers="ci",
        at=AT + seq,
    )


def move(seq: int, to: int, over: int | None, event: Any = "promoted") -> PromotionRow:
    last = None if over is None else held(over)
    return PromotionRow(seq=seq, alias="champion", event=event, to=held(to), over=last, at=AT + seq)


def shown(*rows: VerdictRow | PromotionRow) -> Mirror:
    history = History(
        verdicts=tuple(row for row in rows if isinstance(row, VerdictRow)),
        promotions=tuple(row for row in rows if isinstance(row, PromotionRow)),
    )
    return read_mirror(mirror(history), "champion")


def test_what_the_server_writes_is_what_is_read() -> None:
    found = shown(verdict(1, 1), move(2, 1, None, "bootstrapped"), verdict(3, 2, outcome="FAIL", attempt=2))
    newest, moved, oldest = found.events
    assert (newest.event, newest.version, newest.outcome, newest.attempt) == ("verdict", "2", "FAIL", 2)
    assert (moved.event, moved.version, moved.over, moved.verdict) == ("bootstrapped", "1", None, oldest.verdict)
    assert moved.weights == digest_of("v1")
    assert (moved.at - oldest.at).microseconds == 1000
    assert found.holding == found.move_to("1") == moved
    assert found.move_to("2") is None
    assert found.earned == {moved.verdict}
    assert (found.attempts("2"), found.attempts("3")) == (2, 0)


def test_who_held_it_before() -> None:
    rows: list[VerdictRow | PromotionRow] = [
        verdict(1, 1),
        move(2, 1, None, "bootstrapped"),
        move(3, 2, 1),
        move(4, 3, 2),
    ]
    assert shown(*rows).former == ("2", "1")
    back = [*rows, move(5, 2, 3, "rolled-back")]
    assert shown(*back).former == ("1",)
    assert shown(*back, move(6, 4, 2)).former == ("2", "1")
    assert shown(*back, move(6, 1, 2, "rolled-back")).former == ()


def test_one_that_held_it_before_there_was_a_gate() -> None:
    assert shown(move(1, 7, 6)).former == ("6",)
    assert shown(move(1, 7, 6), move(2, 6, 7, "rolled-back")).former == ()


def test_many_verdicts_do_not_hide_who_holds_it() -> None:
    rows = [move(1, 1, None, "bootstrapped"), move(2, 2, 1), *(verdict(n, 3, attempt=n) for n in range(3, 90))]
    history = History(verdicts=tuple(rows[2:]), promotions=(rows[0], rows[1]))  # type: ignore[arg-type]
    text = mirror(history)
    found = read_mirror(text, "champion")
    assert NEARLY_FULL < len(text) <= MIRROR_LIMIT
    assert found.holding is not None
    assert (found.holding.version, found.former, found.attempts("3")) == ("2", ("1",), 89)
    assert [event.at for event in found.events] == sorted((event.at for event in found.events), reverse=True)


@pytest.mark.parametrize("letter", ["x", '"', "\n", "\0", "é", "\U0001f600"])
def test_a_mirror_that_left_something_out_is_nearly_full(letter: str) -> None:
    longest = PromotionRow(
        seq=10**9,
        alias="champion",
        event="bootstrapped",
        to=held(2**31 - 1),
        over=held(2**31 - 1),
        at=AT,
        reason=letter * 1000,
    )
    verdict_on_it = verdict(10**9 - 1, 2**31 - 1, outcome="INCONCLUSIVE")._replace(attempt=2**31 - 1)
    text = mirror(History(verdicts=(verdict_on_it._replace(digest=str(longest.to.verdict)),), promotions=(longest,)))
    moved = [event for event in read_mirror(text, "champion").events if event.moved]
    assert moved[0].reason.strip(letter) == ""
    assert len(json.dumps(json.loads(text)[0], separators=(",", ":"))) < MIRROR_LIMIT - NEARLY_FULL
    assert len(moved[0].reason) >= 45


GOOD: dict[str, Any] = {"event": "verdict", "version": "1", "at": "2026-11-28T20:14:26.123Z"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        '"verdict"',
        "[1]",
        "[" * 5_000,
        json.dumps([{**GOOD, "event": "crowned"}]),
        json.dumps([{**GOOD, "at": "yesterday"}]),
        json.dumps([{**GOOD, "version": ""}]),
        json.dumps([{**GOOD, "version": 1}]),
        json.dumps([{**GOOD, "attempt": 0}]),
        json.dumps([{**GOOD, "attempt": True}]),
        json.dumps([{**GOOD, "verdict": ["x"]}]),
        json.dumps([GOOD])[:-2] + ',"version":"2"}]',
        json.dumps([{**GOOD, "reason": "x" * 30_000}]),
    ],
)
def test_what_no_gated_server_writes(text: str) -> None:
    with pytest.raises(AttestationError):
        read_mirror(text, "champion")


def test_what_a_newer_server_may_add_is_left_alone() -> None:
    (event,) = read_mirror(json.dumps([{**GOOD, "by": "somebody"}]), "champion").events
    assert (event.version, event.verdict, event.attempt) == ("1", None, None)
