"""What allows a promotion in another registry, on a registry in memory: the clients have tests of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.shelf import MemoryRegistry, made
from support.verdicts import Keys, make_keys

from llmgate.attest.envelope import read_envelope
from llmgate.errors import CannotRunError, LlmgateError, PromotionRefusedError
from llmgate.promote.elsewhere.failures import AbsentError
from llmgate.promote.elsewhere.promotion import facts_to_sign, past_verdicts, promote_elsewhere

if TYPE_CHECKING:
    from llmgate.attest.statement import ChampionFacts, RegistryFacts
    from llmgate.promote.elsewhere.promotion import PromotedElsewhere

NAME = "support-bot"
PROTECT = """
  - models: ["support-*"]
    aliases: [champion, staging]
    suites: {support: "*"}
    max_age: 30d
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"), protect=PROTECT)


class World:
    """A registry where version 1 earned the alias, and version 2 wants it."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.registry = MemoryRegistry(versions={"1": made("1"), "2": made("2"), "3": made("3")})
        first, _ = self.facts("1")
        promote_elsewhere(
            self.registry, NAME, "1", alias="champion", policy=keys.policy, envelope=keys.verdict(first, weights="v1")
        )
        self.registry.calls.clear()

    def facts(self, version: str = "2") -> tuple[RegistryFacts, ChampionFacts | None]:
        policy = self.keys.policy
        return facts_to_sign(self.registry, NAME, version, alias="champion", registry_id=policy.registry)

    def verdict(self, version: str = "2", *, about: dict[str, Any] | None = None, **told: Any) -> str:
        facts, champion = self.facts(version)
        told = {"champion": champion, "weights": f"v{version}", **told}
        return self.keys.verdict(replace(facts, **(about or {})), **told)

    def promote(self, envelope: str | None = None, version: str = "2", alias: str = "champion") -> PromotedElsewhere:
        return promote_elsewhere(self.registry, NAME, version, alias=alias, policy=self.keys.policy, envelope=envelope)

    def refused(self, *words: str, envelope: str | None = None, **given: Any) -> None:
        with pytest.raises(PromotionRefusedError) as caught:
            self.promote(envelope, **given)
        for word in words:
            assert word in str(caught.value)
        assert caught.value.fix
        assert caught.value.where
        assert self.registry.holders == {"champion": "1"}
        assert "set_holder" not in self.registry.calls


@pytest.fixture
def world(keys: Keys) -> World:
    return World(keys)


def digest(text: str) -> str:
    return read_envelope(text).digest


def test_a_verdict_that_is_handed_over_is_attached_and_earns_the_alias(world: World) -> None:
    text = world.verdict()
    done = world.promote(text)
    assert (done.granted, done.verdict, done.keys) == ("promoted", digest(text), ("gate-key",))
    assert world.registry.calls == ["attach", "set_holder"]
    assert world.registry.holders == {"champion": "2"}
    assert world.registry.versions["2"].earned == {"champion": digest(text)}
    assert done.lines()[0] == "memory://support-bot/2 is now champion (was memory://support-bot/1)"
    assert "this client only" in done.lines()[-1]


def test_a_verdict_that_lies_there_will_do(world: World) -> None:
    text = world.verdict()
    world.registry.put("2", "champion", digest(text), text)
    assert world.promote().verdict == digest(text)


def test_who_holds_it_already_stays_and_what_was_left_undone_is_done(world: World) -> None:
    done = world.promote(version="1")
    assert done.granted is None
    assert done.lines()[0] == "memory://support-bot/1 already is champion"
    assert world.registry.calls == ["finish"]


def test_who_holds_it_without_a_verdict_is_told(world: World) -> None:
    world.registry.holders["champion"] = "3"
    done = world.promote(version="3")
    assert "nothing shows a verdict that earned it" in done.lines()


def test_the_first_needs_the_key_for_the_first(world: World) -> None:
    world.registry.holders.clear()
    facts, champion = world.facts()
    assert champion is None
    with pytest.raises(PromotionRefusedError, match="needs a key of its own"):
        world.promote(world.keys.verdict(facts, key="gate"))
    assert world.promote(world.keys.verdict(facts)).granted == "bootstrapped"


def test_an_override_is_one(world: World) -> None:
    facts, champion = world.facts()
    assert world.promote(world.keys.override(facts, champion=champion)).granted == "overridden"


def test_no_verdict(world: World) -> None:
    world.refused("this version has no verdict")


def test_a_forged_one(world: World) -> None:
    world.refused("no key that counts", envelope=world.verdict(key="stranger"))


def test_one_whose_payload_was_changed(world: World) -> None:
    good = world.verdict()
    bad = world.verdict(outcome="FAIL")
    import json

    mixed = json.loads(bad)
    mixed["payload"] = json.loads(world.verdict(about={"version": "3"}))["payload"]
    world.refused("signature is not valid", envelope=json.dumps(mixed))
    assert digest(good) != digest(bad)


@pytest.mark.parametrize(
    ("about", "word"),
    [
        ({"version": "3"}, "version '3'"),
        ({"model": "support-other"}, "model 'support-other'"),
        ({"id": "elsewhere"}, "registry 'elsewhere'"),
        ({"workspace": "us"}, "workspace 'us'"),
        ({"source": "s3://bucket/other"}, "weights at"),
        ({"created_at": datetime(2026, 1, 1, tzinfo=UTC)}, "was deleted"),
    ],
)
def test_one_about_something_else(world: World, about: dict[str, Any], word: str) -> None:
    world.refused(word, envelope=world.verdict(about=about))


def test_one_that_was_put_on_another_version(world: World) -> None:
    text = world.verdict("3")
    world.registry.put("2", "champion", digest(text), text)
    world.refused("version '3'")


def test_one_that_expired(world: World) -> None:
    old = datetime.now(UTC) - timedelta(days=40)
    world.refused("expired", envelope=world.verdict(issued_at=old))
    world.refused("older than the 30 days", envelope=world.verdict(issued_at=old, lasts=timedelta(days=90)))


@pytest.mark.parametrize("outcome", ["FAIL", "INCONCLUSIVE"])
def test_bad_news_is_kept_and_outdates_what_came_before(world: World, outcome: str) -> None:
    good = world.verdict(issued_at=datetime.now(UTC) - timedelta(hours=1))
    bad = world.verdict(outcome=outcome)
    world.refused(f"the verdict is {outcome}", envelope=bad)
    assert world.registry.calls == ["attach"]
    world.refused("a later verdict", outcome, envelope=good)
    world.refused(f"the verdict is {outcome}")
    assert world.registry.calls == ["attach"]


def test_bad_news_counts_whoever_signed_it(world: World) -> None:
    good = world.verdict(issued_at=datetime.now(UTC) - timedelta(hours=1))
    bad = world.verdict(outcome="FAIL", key="stranger")
    world.registry.put("2", "champion", digest(bad), bad)
    world.refused("a later verdict", "FAIL", envelope=good)


def test_a_verdict_about_another_version_outdates_nothing(world: World) -> None:
    other = world.verdict("3", outcome="FAIL")
    text = world.verdict(issued_at=datetime.now(UTC) - timedelta(hours=1))
    world.registry.put("2", "champion", digest(other), other)
    assert world.promote(text).granted == "promoted"


def test_what_lies_there_and_cannot_be_read_bars(world: World) -> None:
    world.registry.put("2", "champion", "0" * 64, "{}")
    world.refused("cannot be read", envelope=world.verdict())


def test_one_that_was_exchanged_after_it_was_attached(world: World) -> None:
    first, second = world.verdict(issued_at=datetime.now(UTC) - timedelta(hours=1)), world.verdict()
    world.registry.put("2", "champion", digest(first), second)
    world.refused("exchanged")


def test_a_pointer_to_nothing(world: World) -> None:
    world.registry.put("2", "champion", "0" * 64, "")
    world.registry.shelf.clear()
    world.refused("is gone")


def test_a_holder_that_moved_since_the_comparison(world: World) -> None:
    text = world.verdict()
    other = world.verdict("3")
    world.promote(other, version="3")
    world.registry.calls.clear()
    with pytest.raises(PromotionRefusedError, match="moved since"):
        world.promote(text)
    assert world.registry.holders == {"champion": "3"}
    assert not world.registry.calls


def test_a_holder_whose_earning_verdict_was_taken_away(world: World) -> None:
    text = world.verdict()
    world.registry.versions["1"] = replace(world.registry.versions["1"], earned={})
    world.refused("moved since", envelope=text)


def test_a_holder_set_by_hand_counts_as_one_without_a_verdict(world: World) -> None:
    world.registry.holders["champion"] = "3"
    facts, champion = world.facts()
    assert champion is not None
    assert (champion.version, champion.verdict) == ("3", None)
    assert world.promote(world.keys.verdict(facts, champion=champion)).granted == "promoted"


@pytest.mark.parametrize("at", ["attach", "set_holder"])
def test_a_holder_that_moves_while_it_is_checked(world: World, at: str) -> None:
    def steal(name: str) -> None:
        if name == at:
            world.registry.holders["champion"] = "3"

    text = world.verdict()
    world.registry.before = steal
    if at == "attach":
        with pytest.raises(PromotionRefusedError, match="moved while"):
            world.promote(text)
        assert world.registry.holders == {"champion": "3"}
    else:  # as in a registry without a lock: the last one wins, and is told who held it
        assert world.promote(text).version.version == "2"


def test_a_version_that_is_made_again_while_it_is_checked(world: World) -> None:
    def remake(name: str) -> None:
        moment = datetime(2026, 11, 20, tzinfo=UTC)
        world.registry.versions["2"] = replace(world.registry.versions["2"], created_at=moment)

    text = world.verdict()
    world.registry.before = remake
    world.refused("made again", envelope=text)


def test_another_promotion_that_wins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = world.registry.set_holder

    def lose(*given: Any, **named: Any) -> None:
        real(*given, **named)
        world.registry.holders["champion"] = "3"

    monkeypatch.setattr(world.registry, "set_holder", lose)
    with pytest.raises(PromotionRefusedError, match="another promotion won, version 3"):
        world.promote(world.verdict())


def test_a_failure_between_attaching_and_setting_can_be_repeated(world: World) -> None:
    text = world.verdict()

    def fail(name: str) -> None:
        if name == "set_holder":
            raise CannotRunError("the registry does not answer")

    world.registry.before = fail
    with pytest.raises(CannotRunError) as caught:
        world.promote(text)
    assert "The verdict is attached" in caught.value.__notes__[0]
    assert world.registry.holders == {"champion": "1"}
    world.registry.before = lambda _: None
    assert world.promote().verdict == digest(text)


@pytest.mark.parametrize(
    ("alias", "word"),
    [
        ("Champion", "looks like"),
        ("champi0n", "looks like"),
        ("сhampion", "looks like"),
        ("staging", "not here"),
        ("canary", "no rule"),
        ("latest", "reserved"),
        ("a b", "not an alias name"),
    ],
)
def test_aliases_that_are_none(world: World, alias: str, word: str) -> None:
    with pytest.raises(PromotionRefusedError, match=word):
        world.promote(world.verdict(), alias=alias)
    assert not world.registry.calls


def test_a_model_that_no_rule_is_about(world: World) -> None:
    with pytest.raises(PromotionRefusedError, match="no rule of .* is about the model 'other'"):
        promote_elsewhere(world.registry, "other", "2", alias="champion", policy=world.keys.policy)


def test_a_version_that_is_not_there_or_not_ready(world: World) -> None:
    with pytest.raises(AbsentError):
        world.promote(world.verdict(), version="9")
    world.registry.versions["2"] = replace(world.registry.versions["2"], ready=False)
    world.refused("not finished making", envelope=world.verdict())


def test_past_verdicts_come_in_the_order_of_time(world: World) -> None:
    hours = (1, 3, 2)
    for ago in hours:
        text = world.verdict(issued_at=datetime.now(UTC) - timedelta(hours=ago), outcome="FAIL")
        world.registry.put("2", "champion", digest(text), text)
    found = past_verdicts(world.registry, world.registry.versions["2"], "champion")
    assert [verdict.outcome for verdict in found] == ["FAIL"] * 3
    assert [verdict.issued_at for verdict in found] == sorted(verdict.issued_at for verdict in found)


def test_what_is_to_be_signed_names_the_champion_its_verdict_and_its_weights(world: World) -> None:
    facts, champion = world.facts()
    assert champion is not None
    assert champion.verdict == world.registry.versions["1"].earned["champion"]
    assert champion.weights is not None
    assert (facts.id, facts.version, facts.alias) == (world.keys.policy.registry, "2", "champion")


def test_every_refusal_is_ours(world: World) -> None:
    for text in ("", "{}", "null", "[]", '{"payload": 1}', "x" * 70_000, "\x00"):
        with pytest.raises(LlmgateError):
            world.promote(text)
    assert not world.registry.calls
