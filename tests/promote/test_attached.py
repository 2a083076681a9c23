"""Signed verdicts in a version's tags: which are its own, by which it holds an alias, where the next one goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.verdicts import REGISTRY, Keys, digest_of, make_keys

from llmgate.attest.envelope import read_envelope
from llmgate.attest.statement import ChampionFacts
from llmgate.promote import tags
from llmgate.promote.attached import (
    attached_verdicts,
    attempts_so_far,
    champion_facts,
    held_by,
    keys_to_post,
    registry_facts,
)
from llmgate.promote.mirror import Mirror, MirrorEvent
from llmgate.promote.target import PastVerdict, VersionFacts

NOW = datetime.now(UTC).replace(microsecond=0)
CREATED = NOW - timedelta(days=2)
KEY = "llmgate.attestation/champion"
OTHER = ChampionFacts(version="1", created_at=CREATED)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


def version(told: dict[str, str] | None = None, **given: Any) -> VersionFacts:
    facts = {"name": "support-bot", "version": "2", "source": "s3://bucket/v2", "created_at": CREATED}
    return VersionFacts(**{**facts, "tags": told or {}, **given})


def verdict(
    keys: Keys, *, hours: float = 1, about: VersionFacts | None = None, alias: str = "champion", **told: Any
) -> str:
    facts = registry_facts(about or version(), alias, REGISTRY)
    return keys.verdict(facts, champion=OTHER, issued_at=NOW - timedelta(hours=hours), **told)


def digest(text: str) -> str:
    return read_envelope(text).digest


def moved(text: str | None, to: str = "2", event: str = "promoted") -> MirrorEvent:
    return MirrorEvent(
        event=event, version=to, at=NOW, verdict=text and digest(text), weights=digest_of("v2"), over="1"
    )


def mirror(*events: MirrorEvent) -> Mirror:
    return Mirror(alias="champion", events=events)


def test_only_its_own_count_and_the_newest_comes_first(keys: Keys) -> None:
    older, newer = verdict(keys, hours=3), verdict(keys, hours=1, outcome="FAIL")
    told = {
        KEY: older,
        f"{KEY}/2": newer,
        f"{KEY}/3": "no envelope",
        f"{KEY}/4": verdict(keys, about=version(version="3")),
        f"{KEY}/5": verdict(keys, about=version(created_at=CREATED - timedelta(days=1))),
        f"{KEY}/6": verdict(keys, about=version(name="support-other")),
        f"{KEY}/7": verdict(keys, about=version(workspace="other")),
        f"{KEY}/8": verdict(keys, alias="production"),
        "llmgate.attestation/production": verdict(keys, alias="production"),
    }
    found = attached_verdicts(version(told), "champion")
    assert [one.key for one in found] == [f"{KEY}/2", KEY]
    assert [one.verdict.outcome for one in found] == ["FAIL", "PASS"]


def test_the_ledger_says_which_verdict_it_holds_the_alias_by(keys: Keys) -> None:
    older, newer = verdict(keys, hours=3), verdict(keys, hours=1)
    told = version({KEY: older, f"{KEY}/2": newer})
    held = held_by(told, "champion", mirror(moved(older)))
    assert held.digest == digest(older)
    assert held.attached is not None
    assert (held.attached.key, held.weights) == (KEY, digest_of("v2"))
    gone = held_by(version({f"{KEY}/2": newer}), "champion", mirror(moved(older)))
    assert (gone.digest, gone.attached) == (digest(older), None)


def test_a_ledger_that_does_not_know_it_knows_no_verdict(keys: Keys) -> None:
    told = version({KEY: verdict(keys)})
    assert held_by(told, "champion", mirror(moved(verdict(keys), to="7"))).digest is None
    assert held_by(told, "champion", None, gated=True).digest is None
    assert held_by(told, "champion", mirror(moved(None))).digest is None


def test_without_a_ledger_it_is_the_last_one_before_the_promotion(keys: Keys) -> None:
    fail, earned, later = (
        verdict(keys, hours=9, outcome="FAIL"),
        verdict(keys, hours=5),
        verdict(keys, hours=1),
    )
    told = {KEY: fail, f"{KEY}/2": earned, f"{KEY}/3": later}
    assert held_by(version(told), "champion", None).digest == digest(later)
    noted = told | {tags.PROMOTED_AT: (NOW - timedelta(hours=3)).isoformat(), tags.PROMOTED_ALIAS: "champion"}
    assert held_by(version(noted), "champion", None, gated=False).digest == digest(earned)
    assert held_by(version({KEY: fail}), "champion", None).digest is None
    # The note has whole seconds, and a promotion may follow its verdict within one.
    at_once = verdict(keys, hours=-0.9 / 3600)
    same_second = {KEY: at_once, tags.PROMOTED_AT: NOW.isoformat(), tags.PROMOTED_ALIAS: "champion"}
    assert held_by(version(same_second), "champion", None).digest == digest(at_once)


def test_a_champion_in_the_words_of_a_verdict(keys: Keys) -> None:
    text = verdict(keys)
    facts = champion_facts(version({KEY: text}), "champion", mirror(moved(text)), gated=True)
    expected = ChampionFacts(version="2", created_at=CREATED, verdict=digest(text), weights=digest_of("v2"))
    assert facts == expected
    stranger = champion_facts(version({KEY: text}), "champion", None, gated=True)
    assert stranger == ChampionFacts(version="2", created_at=CREATED)


def test_attempts_are_the_most_that_anybody_counted(keys: Keys) -> None:
    past = tuple(PastVerdict(run=f"r{n}", verdict="FAIL", ended_at=NOW) for n in range(3))
    assert attempts_so_far(version(), "champion", None) == 0
    assert attempts_so_far(version({KEY: verdict(keys)}), "champion", None) == 1
    assert attempts_so_far(version({KEY: verdict(keys)}), "champion", None, past) == 3
    seen = MirrorEvent(event="verdict", version="2", at=NOW, attempt=5)
    assert attempts_so_far(version(), "champion", mirror(seen, seen), past) == 5


def test_where_the_next_one_goes(keys: Keys) -> None:
    text = verdict(keys)
    assert keys_to_post(version(), "champion", None) == (KEY,)
    assert keys_to_post(version({KEY: text}), "champion", None) == (KEY, f"{KEY}/2")
    assert keys_to_post(version({KEY: text}), "champion", mirror(moved(text))) == (f"{KEY}/2",)
    assert keys_to_post(version({KEY: text}, aliases=frozenset({"champion"})), "champion", None) == (f"{KEY}/2",)
    earned = {KEY: text, f"{tags.EARNED}/champion": "run sha256:"}
    assert keys_to_post(version(earned), "champion", None) == (f"{KEY}/2",)
    both = {KEY: text, f"{KEY}/2": verdict(keys, hours=0.5)}
    assert keys_to_post(version(both), "champion", mirror(moved(text))) == (f"{KEY}/2", f"{KEY}/3")


def test_an_override_is_no_gate_verdict(keys: Keys) -> None:
    text = keys.override(registry_facts(version(), "champion", REGISTRY), champion=OTHER)
    (one,) = attached_verdicts(version({KEY: text}), "champion")
    assert (one.verdict.kind, one.verdict.outcome) == ("override", "OVERRIDE")
