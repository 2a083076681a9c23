"""Each refusal of a signed verdict, and what is granted."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.verdicts import Keys, again, digest_of, gate_statement, make_keys, registry_facts

from llmgate.attest.check import Holder, about, may_hold, open_verdict
from llmgate.attest.statement import ChampionFacts, bind
from llmgate.errors import AttestationError

if TYPE_CHECKING:
    from pathlib import Path

FACTS = registry_facts()
EARLIER = datetime(2026, 10, 1, tzinfo=UTC)
CHAMPION = ChampionFacts(version="1", created_at=EARLIER, verdict=digest_of("first"), weights=digest_of("v1"))
HOLDER = Holder(version="1", created_at=EARLIER, verdict=digest_of("first"), weights=digest_of("v1"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


def admit(
    keys: Keys, text: str, holder: Holder | None = HOLDER, *, later: timedelta = timedelta(), **facts: Any
) -> str:
    """All checks, as a registry makes them."""
    now = datetime.now(UTC) + later
    asked = again(FACTS, **facts)
    signed = open_verdict(text, policy=keys.policy, model=asked.model, now=now)
    about(signed.verdict, asked)
    rule = keys.policy.rule_for(asked.model)
    assert rule is not None
    return may_hold(signed, rule=rule, holder=holder, now=now)


def bound_now(statement: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A statement that is bound to the version."""
    return bind(
        statement,
        registry=FACTS,
        champion=CHAMPION,
        records={"candidate": "0" * 64, "baseline": None, "decision": "0" * 64},
        attempts=1,
        issued_at=now,
        expires_at=now + timedelta(days=1),
    )


def test_granted(keys: Keys) -> None:
    assert admit(keys, keys.verdict(FACTS, champion=CHAMPION)) == "promoted"
    assert admit(keys, keys.verdict(FACTS), None) == "bootstrapped"
    assert admit(keys, keys.override(FACTS, champion=CHAMPION)) == "overridden"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"outcome": "FAIL"}, "the verdict is FAIL"),
        ({"outcome": "INCONCLUSIVE"}, "the verdict is INCONCLUSIVE"),
        ({"outcome": "pass"}, "none of PASS, FAIL"),
        ({"key": "stranger"}, "no key that counts"),
        ({"key": "override"}, "may not sign a verdict"),
        ({"key": "bootstrap"}, "a bootstrap key only signs for the first"),
        ({"issued_at": datetime.now(UTC) + timedelta(hours=1)}, "still to come"),
        ({"lasts": timedelta(microseconds=2000)}, "expired at"),
        ({"lasts": timedelta(0)}, "expires before it was given"),
        ({"issued_at": datetime.now(UTC) - timedelta(days=31), "lasts": timedelta(days=90)}, "older than the 30 days"),
        ({"weights": None}, "nothing shows that it served the weights"),
        ({"suites": (("other", "1"),)}, "lacks the suite support"),
        ({"suites": ()}, "lacks the suite support"),
    ],
)
def test_refused(keys: Keys, told: dict[str, Any], why: str) -> None:
    with pytest.raises(AttestationError, match=why):
        admit(keys, keys.verdict(FACTS, champion=CHAMPION, **told), later=timedelta(seconds=1))


@pytest.mark.parametrize(
    "other",
    [
        {"id": "elsewhere"},
        {"workspace": "research"},
        {"model": "support-bot-2"},
        {"version": "3"},
        {"alias": "production"},
        {"source": "s3://bucket/v3"},
        {"created_at": FACTS.created_at + timedelta(milliseconds=1)},
    ],
)
def test_about_something_else(keys: Keys, other: dict[str, Any]) -> None:
    with pytest.raises(AttestationError, match="the verdict is (for|about)"):
        admit(keys, keys.verdict(FACTS, champion=CHAMPION), **other)


@pytest.mark.parametrize(
    ("champion", "holder"),
    [
        (None, HOLDER),
        (CHAMPION, None),
        (CHAMPION, Holder(version="3", created_at=EARLIER, verdict=HOLDER.verdict, weights=None)),
        (CHAMPION, Holder(version="1", created_at=FACTS.created_at, verdict=HOLDER.verdict, weights=None)),
        (CHAMPION, Holder(version="1", created_at=EARLIER, verdict=None, weights=None)),
        (CHAMPION, Holder(version="1", created_at=EARLIER, verdict=HOLDER.verdict, weights=digest_of("v0"))),
    ],
)
def test_stale(keys: Keys, champion: ChampionFacts | None, holder: Holder | None) -> None:
    with pytest.raises(AttestationError, match="compared with"):
        admit(keys, keys.verdict(FACTS, champion=champion, key="gate"), holder)
    with pytest.raises(AttestationError, match="compared with"):
        admit(keys, keys.override(FACTS, champion=champion), holder)


def test_the_first_needs_a_key_of_its_own(keys: Keys) -> None:
    with pytest.raises(AttestationError, match="a key of its own"):
        admit(keys, keys.verdict(FACTS, key="gate"), None)


def test_an_override_needs_its_own_key_and_a_reason(keys: Keys) -> None:
    for role in ("gate", "bootstrap"):
        with pytest.raises(AttestationError, match="may not sign an override"):
            admit(keys, keys.override(FACTS, champion=CHAMPION, key=role))


def changed(text: str, field: str, value: Any) -> str:
    return json.dumps({**json.loads(text), field: value})


def test_no_envelope(keys: Keys) -> None:
    good = keys.verdict(FACTS, champion=CHAMPION)
    payload = base64.b64decode(json.loads(good)["payload"])
    twice = base64.b64encode(payload.replace(b'"_type"', b'"_type":1,"_type"', 1)).decode()
    flipped = base64.b64encode(payload.replace(b"PASS", b"FAIL", 1)).decode()
    bad = {
        "": "cannot be read",
        "[]": "no DSSE envelope",
        "{}": "no DSSE envelope",
        "[" * 50_000: "cannot be read",
        "x" * 60_001: "60,001 characters",
        changed(good, "payloadType", "text/plain"): "is expected",
        changed(good, "signatures", []): "1 to 16",
        changed(good, "signatures", [{"keyid": "x", "sig": "!"}]): "base64",
        changed(good, "signatures", [{"keyid": "x", "sig": ""}]): "no key that counts",
        changed(good, "payload", flipped): "the signature is not valid",
        changed(good, "payload", twice): "no key that counts",
        good.replace('"payloadType"', '"payloadType":"x","payloadType"'): "stands twice",
    }
    for text, why in bad.items():
        with pytest.raises(AttestationError, match=why):
            open_verdict(text, policy=keys.policy, model="support-bot", now=datetime.now(UTC))


@pytest.mark.parametrize("name", ["registry", "champion", "records", "attempts", "issuedAt", "expiresAt", "subjectIs"])
def test_every_field_that_binds_must_be_there(keys: Keys, name: str) -> None:
    now = datetime.now(UTC)
    statement = bound_now(gate_statement(), now)
    del statement["predicate"][name]
    with pytest.raises(AttestationError, match="missing"):
        admit(keys, keys.sign(statement))


def test_a_signed_key_twice_is_refused(keys: Keys, tmp_path: Path) -> None:
    """The signature holds, and the JSON has two meanings."""
    from llmgate.attest.envelope import envelope_text, read_envelope, sign_payload

    payload = read_envelope(keys.verdict(FACTS, champion=CHAMPION)).payload
    for old, new, why in (
        (b'"attempts":1', b'"attempts":1,"attempts":2', "twice"),
        (b'"attempts":1', b'"attempts":NaN', "no JSON"),
        (b'"attempts":1', b'"attempts":true', "whole number"),
        (b'"attempts":1', b'"attempts":0', "whole number"),
    ):
        text = envelope_text(sign_payload(payload.replace(old, new, 1), keys.signers["gate"]))
        with pytest.raises(AttestationError, match=why):
            admit(keys, text)


def test_a_policy_that_asks_for_less_needs_a_person(keys: Keys) -> None:
    statement = gate_statement()
    statement["predicate"]["weakerPolicy"] = ["margin of support::accuracy 0.03 -> 0.3"]
    now = datetime.now(UTC)
    bound = bound_now(statement, now)
    with pytest.raises(AttestationError, match=r"asks for less .*0.03 -> 0.3"):
        admit(keys, keys.sign(bound))
    signed = open_verdict(keys.sign(bound), policy=keys.policy, model="support-bot", now=now)
    rule = keys.policy.rule_for("support-bot")
    assert rule is not None
    assert may_hold(signed, rule=replace(rule, weaker_policy=True), holder=HOLDER, now=now) == "promoted"
    bound["predicate"]["weakerPolicy"] = "no list"
    with pytest.raises(AttestationError, match="no list of texts"):
        admit(keys, keys.sign(bound))


def test_one_good_signature_of_two_is_enough(keys: Keys) -> None:
    statement = gate_statement()
    now = datetime.now(UTC)
    bound = bound_now(statement, now)
    assert admit(keys, keys.sign(bound, "stranger", "gate")) == "promoted"
