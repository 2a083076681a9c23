"""Two promotions at once, and processes that die in the middle: one champion, and the old one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.gated_races import POINTS, racers
from support.gated_registry import Registry, open_store

if TYPE_CHECKING:
    from support.verdicts import Keys

PROCESSES = 8
ROUNDS = 50
KILLS = 20


def test_of_two_versions_that_eight_processes_promote_at_once_one_wins_each_time(database: str, keys: Keys) -> None:
    registry = Registry(store=open_store(database, keys.path), keys=keys)
    registry.promote(registry.add())
    winners: list[int] = []
    with racers(database, keys.path, PROCESSES) as others:
        for _ in range(ROUNDS):
            pair = registry.add(), registry.add()
            for version in pair:
                registry.put(version, registry.verdict(version))
            told = others.run([pair[i % 2] for i in range(PROCESSES)])
            won = {version for version, text in told if not text}
            assert len(won) == 1, told
            # Those who asked for the winner changed nothing or set it; all others were told why not.
            assert all("the alias has moved since" in text for version, text in told if version not in won), told
            assert registry.holder() in won
            winners += won
    assert all_moves(registry) == ["1", *map(str, winners)]
    registry.store.engine.dispose()


def all_moves(registry: Registry) -> list[str]:
    """The versions that became champion, by the ledger's table."""
    from sqlalchemy import text

    with registry.store.engine.connect() as connection:
        rows = connection.execute(text("SELECT version FROM llmgate_promotions ORDER BY seq"))
        return [str(version) for (version,) in rows]


def test_a_process_that_dies_between_verifying_and_writing_leaves_the_old_champion(database: str, keys: Keys) -> None:
    registry = Registry(store=open_store(database, keys.path), keys=keys)
    registry.promote(registry.add())
    version = registry.add()
    registry.put(version, registry.verdict(version))
    before = registry.events()
    with racers(database, keys.path, 0) as others:
        for kill in range(KILLS):
            others.kill(version, POINTS[kill % len(POINTS)])
            assert registry.holder() == 1
            assert registry.events() == before
            assert all_moves(registry) == ["1"]
    registry.move(version)
    assert registry.holder() == version
    registry.store.engine.dispose()
