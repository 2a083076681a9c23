"""A policy that could be read in two ways, or protects nothing, is refused; so is every misspelt word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from support.verdicts import make_keys

from llmgate.attest.policy import Rollback, load_policy, parse_policy
from llmgate.attest.tags import attestation_alias, attestation_key
from llmgate.errors import PolicyError

if TYPE_CHECKING:
    from pathlib import Path


def test_reads(tmp_path: Path) -> None:
    policy = make_keys(tmp_path).policy
    rule = policy.rule_for("support-bot")
    assert rule is not None
    assert (rule.max_age, rule.rollback, rule.weights) == (timedelta(days=30), Rollback.PREVIOUS, True)
    assert policy.rule_for("other") is None
    assert rule.protects("champion")
    assert rule.protects("stage:Production")
    assert not rule.protects("stage:Staging")
    assert not rule.protects("shadow")


@pytest.mark.parametrize("name", ["Support-Bot", "supp0rt-bot", "suppоrt-bot", "SUPPORT bot", "support_bot"])
def test_models_that_look_protected_are(tmp_path: Path, name: str) -> None:
    assert make_keys(tmp_path).policy.rule_for(name) is not None


@pytest.mark.parametrize(
    "alias", ["Champion", "CHAMPION", "сhampion", "champi0n", "cham-pion", "champion_", "chаmpiοn", "çhampion"]
)
def test_aliases_that_look_protected_are(tmp_path: Path, alias: str) -> None:
    rule = make_keys(tmp_path).policy.rule_for("support-bot")
    assert rule is not None
    assert rule.protects(alias)
    assert rule.look_alike(alias) == "champion"
    assert rule.look_alike("champion") is None
    assert rule.look_alike("shadow") is None


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("version: 1", "version: 2", "version"),
        ("registry: test-registry", "", "registry"),
        ("protect:", "protected:", "protected: unknown key. Did you mean protect?"),
        ("max_age: 30d", "max_age: 30", "write an age"),
        ("max_age: 30d", "max_age: 0d", "write an age"),
        ("max_age: 30d", "maxage: 30d", "unknown key. Did you mean max_age?"),
        ("roles: [gate]", "roles: [admin]", "gate"),
        ("roles: [gate]", "roles: []", "at least 1"),
        ("roles: [gate]", "roles: [gate]\n    not_after: soon", "write a date"),
        ("roles: [gate]", "roles: [gate]\n    not_after: 2026-01-01T00:00:00", "needs a zone"),
        ("file: gate.pub", "file: gone.pub", "cannot be read"),
        ("file: gate.pub", "file: bootstrap.pub", "under two names"),
        ("file: gate.pub", "file: gate.pem", "no public key"),
        ("file: gate.pub", "pem: nonsense", "no public key"),
        ("file: gate.pub", "file: gate.pub\n    pem: x", "`file` or `pem`"),
        ('models: ["support-*"]', "models: []", "at least 1"),
        ('models: ["support-*"]', 'models: ["support-[ab]"]', "pattern"),
        ("aliases: [champion, production]\n    stages: [Production]", "aliases: []", "protects nothing"),
        ('suites: {support: "*"}', "suites: {}", "at least 1"),
        ("version: 1", "version: 1\nversion: 1", "stands twice"),
        ("version: 1", "!!python/object/apply:os.system [x]", "no YAML"),
    ],
)
def test_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    keys = make_keys(tmp_path)
    text = keys.path.read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(PolicyError) as caught:
        parse_policy(text.replace(old, new, 1), where="policy.yaml", folder=tmp_path)
    assert why in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "gone.yaml")


def test_a_key_counts_only_in_its_time_and_for_its_models(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    text = keys.path.read_text(encoding="utf-8").replace(
        "roles: [gate]",
        "roles: [gate]\n    models: [support-bot]\n    not_before: 2026-01-01\n    not_after: 2027-01-01",
    )
    (key,) = (k for k in parse_policy(text, where="p", folder=tmp_path).keys if k.name == "gate-key")
    assert key.trusted("support-bot", datetime(2026, 1, 1, tzinfo=UTC))
    assert not key.trusted("support-bot", datetime(2025, 12, 31, 23, 59, tzinfo=UTC))
    assert not key.trusted("support-bot", datetime(2027, 1, 1, tzinfo=UTC))
    assert not key.trusted("Support-Bot", datetime(2026, 6, 1, tzinfo=UTC))


def test_tags() -> None:
    assert attestation_alias(attestation_key("champion")) == "champion"
    assert attestation_alias(attestation_key("champion", 2)) == "champion"
    for key in (
        "llmgate.attestation",
        "llmgate.attestation/",
        "llmgate.attestation/a/1",
        "llmgate.attestation/a/b",
        "x",
    ):
        assert attestation_alias(key) is None
