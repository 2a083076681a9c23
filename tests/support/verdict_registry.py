"""What every registry of `llmgate.promote.elsewhere` must do, run by each through its own client library."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.attest.envelope import read_envelope
from llmgate.errors import CannotRunError, PromotionRefusedError
from llmgate.promote.elsewhere.failures import AbsentError
from llmgate.promote.elsewhere.promotion import PromotedElsewhere, facts_to_sign, past_verdicts, promote_elsewhere
from support.verdicts import Keys, make_keys

if TYPE_CHECKING:
    from llmgate.promote.elsewhere.contract import RegisteredVersion, VerdictRegistry

__all__ = ["PROTECT", "RegistryContract", "Tried", "keys"]

PROTECT = """
  - models: ["*"]
    aliases: [champion]
    suites: {support: "*"}
    max_age: 30d
"""


class Tried:
    """A registry with two versions of a model, and the keys of a policy.

    Attributes:
        registry: Through its real client.
        model: The model.
        first: The version that becomes champion first.
        second: The one after it.
    """

    def __init__(self, registry: VerdictRegistry, model: str, first: str, second: str, keys: Keys) -> None:
        self.registry, self.model, self.first, self.second, self.keys = registry, model, first, second, keys

    def verdict(self, version: str, **told: Any) -> str:
        facts, champion = facts_to_sign(
            self.registry, self.model, version, alias="champion", registry_id=self.keys.policy.registry
        )
        return self.keys.verdict(facts, **{"champion": champion, "weights": version, **told})

    def promote(self, version: str, envelope: str | None = None) -> PromotedElsewhere:
        return promote_elsewhere(
            self.registry, self.model, version, alias="champion", policy=self.keys.policy, envelope=envelope
        )

    def crowned(self) -> str:
        """The first version gets the alias. Returns the digest of its verdict."""
        done = self.promote(self.first, self.verdict(self.first))
        assert done.granted == "bootstrapped"
        assert done.verdict is not None
        return done.verdict

    def holder(self) -> RegisteredVersion | None:
        return self.registry.holder(self.model, "champion")

    def held_by(self) -> str | None:
        holder = self.holder()
        return None if holder is None else holder.version


@pytest.fixture(scope="session")
def keys() -> Keys:
    return make_keys(Path(tempfile.mkdtemp(prefix="llmgate-keys-")), protect=PROTECT)


class RegistryContract:
    """Inherited by the tests of each client, which bring a fixture `tried`."""

    def test_nobody_holds_it_and_then_the_first_does(self, tried: Tried) -> None:
        assert tried.holder() is None
        digest = tried.crowned()
        holder = tried.holder()
        assert holder is not None
        assert (holder.version, holder.earned, holder.holds >= {"champion"}) == (
            tried.first,
            {"champion": digest},
            True,
        )

    def test_facts_stay_the_same_while_verdicts_and_aliases_come_and_go(self, tried: Tried) -> None:
        before = tried.registry.version(tried.model, tried.first)
        tried.crowned()
        after = tried.registry.version(tried.model, tried.first)
        for name in ("uri", "workspace", "model", "version", "source", "created_at", "ready"):
            assert getattr(before, name) == getattr(after, name), name
        assert before.ready
        assert before.source
        assert before.created_at.tzinfo is not None
        assert before.created_at.microsecond % 1000 == 0

    def test_the_second_takes_it_from_the_first(self, tried: Tried) -> None:
        tried.crowned()
        done = tried.promote(tried.second, tried.verdict(tried.second))
        assert (done.granted, tried.held_by()) == ("promoted", tried.second)
        assert done.over is not None
        assert done.over.version == tried.first
        first = tried.registry.version(tried.model, tried.first)
        assert "champion" not in first.holds
        assert tried.promote(tried.second).granted is None

    def test_a_verdict_comes_back_as_it_was_attached(self, tried: Tried) -> None:
        text = tried.verdict(tried.second)
        digest = read_envelope(text).digest
        for _ in range(2):
            version = tried.registry.version(tried.model, tried.second)
            tried.registry.attach(version, "champion", digest, text)
        version = tried.registry.version(tried.model, tried.second)
        assert version.attached == {"champion": digest}
        assert dict(tried.registry.envelopes(version, "champion")) == {digest: text}
        other = tried.registry.version(tried.model, tried.first)
        assert (dict(tried.registry.envelopes(other, "champion")), dict(other.attached)) == ({}, {})

    def test_an_attached_verdict_promotes(self, tried: Tried) -> None:
        text = tried.verdict(tried.first)
        version = tried.registry.version(tried.model, tried.first)
        tried.registry.attach(version, "champion", read_envelope(text).digest, text)
        assert tried.promote(tried.first).granted == "bootstrapped"

    def test_no_verdict_a_forged_one_and_one_of_the_other_version(self, tried: Tried) -> None:
        digest = tried.crowned()
        for envelope, words in (
            (None, "has no verdict"),
            (tried.verdict(tried.second, key="stranger"), "no key that counts"),
            (tried.verdict(tried.first), "version"),
        ):
            with pytest.raises(PromotionRefusedError, match=words):
                tried.promote(tried.second, envelope)
        holder = tried.holder()
        assert holder is not None
        assert (holder.version, holder.earned) == (tried.first, {"champion": digest})

    def test_bad_news_outdates_an_older_pass(self, tried: Tried) -> None:
        tried.crowned()
        good = tried.verdict(tried.second, issued_at=datetime.now(UTC) - timedelta(hours=1))
        bad = tried.verdict(tried.second, outcome="FAIL")
        with pytest.raises(PromotionRefusedError, match="the verdict is FAIL"):
            tried.promote(tried.second, bad)
        with pytest.raises(PromotionRefusedError, match="a later verdict"):
            tried.promote(tried.second, good)
        version = tried.registry.version(tried.model, tried.second)
        assert [one.outcome for one in past_verdicts(tried.registry, version, "champion")] == ["FAIL"]
        assert tried.held_by() == tried.first

    def test_a_holder_that_moved_since_the_comparison(self, tried: Tried) -> None:
        old = tried.verdict(tried.second)  # against nobody
        tried.crowned()
        with pytest.raises(PromotionRefusedError, match="compared with nobody"):
            tried.promote(tried.second, old)
        assert tried.held_by() == tried.first

    def test_a_version_that_is_not_there(self, tried: Tried) -> None:
        absent = {"v": "v99", "h": "f" * 40}.get("h" if len(tried.first) == 40 else tried.first[0], "99")
        with pytest.raises(AbsentError) as caught:
            tried.registry.version(tried.model, absent)
        assert isinstance(caught.value, CannotRunError)
        assert caught.value.fix

    def test_a_large_verdict(self, tried: Tried) -> None:
        text = tried.verdict(tried.second, suites=tuple((f"suite-{n}", "1.0.0") for n in range(180)))
        assert 40_000 < len(text) < 60_000
        version = tried.registry.version(tried.model, tried.second)
        digest = read_envelope(text).digest
        tried.registry.attach(version, "champion", digest, text)
        assert tried.registry.envelopes(version, "champion")[digest] == text
