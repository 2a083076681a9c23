"""The ledger's tables and the tag that shows them."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, inspect

from llmgate.mlflow_server.events import Held, History, PromotionRow, VerdictRow
from llmgate.mlflow_server.ledger import (
    CATALOGUE,
    MIRROR_LIMIT,
    RECENT_PROMOTIONS,
    RECENT_VERDICTS,
    Ledger,
    create_tables,
    mirror,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORKERS = 6


def verdict(seq: int, *, outcome: str = "PASS", version: int = 1) -> VerdictRow:
    return VerdictRow(
        seq=seq,
        version=version,
        created=1_000,
        alias="champion",
        digest=f"{seq:064x}",
        outcome=outcome,
        weights=None,
        issued=seq,
        expires=10**12,
        attempt=seq,
        signers="ci",
        at=seq,
    )


def promotion(seq: int, to: int, over: int | None = None) -> PromotionRow:
    def held(version: int) -> Held:
        return Held(version=version, created=1_000, verdict=f"{version:064x}", weights=None)

    return PromotionRow(
        seq=seq,
        alias="champion",
        event="overridden",
        to=held(to),
        over=None if over is None else held(over),
        at=seq,
        reason="é" * 1000,
    )


def test_several_workers_make_the_tables_at_once(database: str) -> None:
    failed: list[BaseException] = []
    ready = threading.Barrier(WORKERS)

    def start() -> None:
        engine = create_engine(database)
        try:
            ready.wait()
            create_tables(engine)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)
        finally:
            engine.dispose()

    engine = create_engine(database)
    CATALOGUE.drop_all(engine)
    workers = [threading.Thread(target=start) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failed == []
    assert set(CATALOGUE.tables) <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_rows_come_back_as_they_were_and_a_hole_is_seen(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/ledger.db")
    create_tables(engine)
    with engine.begin() as connection:
        ledger = Ledger(connection.execute, "default", "m")
        first, moved, last = verdict(1), promotion(2, 1, over=7), verdict(3, outcome="FAIL")
        history = ledger.add_verdict(ledger.history("champion"), first)
        history = ledger.add_promotion(history, moved)
        history = ledger.add_verdict(history, last)
        assert history == ledger.history("champion")
        assert history == History(verdicts=(first, last), promotions=(moved,), last=3, whole=True)
        assert ledger.history("other") == History(last=3)
        assert Ledger(connection.execute, "team", "m").history("champion") == History()
        assert ledger.held(7, 1_000) == ("champion",)
        assert ledger.held(7, 1_001) == ()
        connection.execute(CATALOGUE.tables["llmgate_promotions"].delete())
        assert not ledger.history("champion").whole
        # Another alias of the model has lost its neighbour too.
        assert not ledger.history("other").whole
    engine.dispose()


def test_the_tag_shows_the_newest_events_that_fit() -> None:
    history = History(
        verdicts=tuple(verdict(seq) for seq in range(1, 60, 2)),
        promotions=tuple(promotion(seq, 1, over=2) for seq in range(2, 60, 2)),
    )
    shown = mirror(history)
    assert len(shown) <= MIRROR_LIMIT
    events = json.loads(shown)
    assert [event["event"] for event in events[:2]] == ["verdict", "overridden"]
    assert events[0]["at"] == "1970-01-01T00:00:00.059Z"
    assert len(events) < 59
    assert json.loads(mirror(History())) == []
    assert json.loads(mirror(history, limit=10)) == []


def test_names_that_differ_in_case_are_others(new_database: Callable[[str], str]) -> None:
    engine = create_engine(new_database("sqlite"))
    create_tables(engine)
    with engine.begin() as connection:
        ledger = Ledger(connection.execute, "default", "m")
        ledger.add_verdict(ledger.history("Champion"), verdict(1))
        assert ledger.history("Champion").verdicts == ()
        assert len(ledger.history("champion").verdicts) == 1
    engine.dispose()


def test_only_the_newest_rows_are_read_and_a_hole_is_seen_all_the_same(database: str) -> None:
    engine = create_engine(database)
    create_tables(engine)
    with engine.begin() as connection:
        ledger = Ledger(connection.execute, "default", "many")
        for seq in range(1, 120, 2):
            ledger.add_verdict(History(), verdict(seq, version=seq))
            ledger.add_promotion(History(), promotion(seq + 1, seq, over=seq - 2 if seq > 1 else None))
        everything, recent = ledger.history("champion"), ledger.recent("champion")
        assert (recent.last, recent.whole, recent.since) == (120, True, everything.promotions[-RECENT_PROMOTIONS].seq)
        assert recent.verdicts == everything.verdicts[-RECENT_VERDICTS:]
        assert recent.promotions == everything.promotions[-RECENT_PROMOTIONS:]
        assert ledger.recent("other") == ledger.history("other")
        # What the tag shows is the same by the part and by the whole.
        assert ledger.shown(recent, "champion") == mirror(recent) == mirror(everything)
        for seq in range(121, 130):
            ledger.add_verdict(History(), verdict(seq, version=7))
        late = ledger.recent("champion")
        assert ledger.shown(late, "champion") == mirror(ledger.history("champion"))
        table = CATALOGUE.tables["llmgate_verdicts"]
        connection.execute(table.delete().where(table.c.model == "many", table.c.seq == 1))
        assert not ledger.recent("champion").whole
        connection.rollback()
    engine.dispose()


def test_few_rows_are_the_whole_history(database: str) -> None:
    engine = create_engine(database)
    create_tables(engine)
    with engine.begin() as connection:
        ledger = Ledger(connection.execute, "default", "few")
        for seq in range(1, 7, 2):
            ledger.add_verdict(History(), verdict(seq, version=seq))
            ledger.add_promotion(History(), promotion(seq + 1, seq, over=None))
            assert ledger.recent("champion") == ledger.history("champion")
        connection.rollback()
    engine.dispose()
