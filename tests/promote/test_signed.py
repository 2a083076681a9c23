"""Signed verdicts in a registry that is not gated: what a client can hold against them, and going back by tags."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from support.promotions import digest_of
from support.verdicts import REGISTRY

from llmgate.attest.policy import parse_policy
from llmgate.errors import CannotRunError, PromotionRefusedError, UsageError
from llmgate.promote import tags
from llmgate.promote.attached import champion_facts, registry_facts
from llmgate.promote.registries import find_baseline

if TYPE_CHECKING:
    from pathlib import Path

    from support.signed_registry import SignedRegistry

KEY = "llmgate.attestation/champion"


def swap_record(signed: SignedRegistry, run: str, record: Path, folder: Path) -> None:
    """Exchange the record of a gate run for another one that is whole."""
    shutil.copytree(record, folder / "record")
    signed.plain.raw("log_artifacts", run, str(folder / "record"), "record")


def test_a_signed_verdict_changes_nothing_for_who_has_no_policy(signed: SignedRegistry) -> None:
    first = signed.crown()
    assert signed.open().gated(signed.name) is False
    second = signed.gate("v2", first)
    done = signed.plain.promote(second.uri)
    assert (done.changed, done.kept, done.signed) == (True, True, second.posted.digest)
    assert signed.open().mirror(signed.name, "champion") is None


def test_a_record_that_was_swapped_is_noticed_when_it_is_to_promote(signed: SignedRegistry, tmp_path: Path) -> None:
    first = signed.gate("v1", right=75)
    better = signed.plain.measure("v1", first.uri, right=99)
    (better / "decision.json").write_bytes((first.record / "decision.json").read_bytes())
    swap_record(signed, first.run, better, tmp_path)
    said = signed.refusal(first.uri)
    assert f"does not hold what the signed verdict {first.posted.digest[:12]} names" in said
    assert "the candidate's record is not the one that was signed for" in said


def test_a_copy_that_was_swapped_is_noticed_and_the_gate_run_itself_is_left(
    signed: SignedRegistry, tmp_path: Path
) -> None:
    first = signed.crown()
    key = f"{tags.EARNED}/champion"
    run = signed.facts(first.uri).tags[key].partition(" ")[0]
    worse = signed.plain.measure("v1", first.uri, right=71)
    swap_record(signed, run, worse, tmp_path)
    with pytest.raises(CannotRunError, match="was altered"):
        find_baseline(signed.name, into=tmp_path / "baseline", tracking_uri=signed.plain.uri)
    signed.raw("delete_model_version_tag", signed.name, "1", key)
    found = find_baseline(signed.name, into=tmp_path / "baseline", tracking_uri=signed.plain.uri)
    assert found.version.uri == first.uri


def test_the_policy_at_hand_is_asked_first(signed: SignedRegistry) -> None:
    policy = signed.keys.policy
    first = signed.gate("v1", role="stranger")
    assert "no key that counts for" in signed.refusal(first.uri, policy=policy)
    again = signed.gate("v1", uri=first.uri, role="gate")
    assert "the first verdict needs a key of its own. Sign it with" in signed.refusal(again.uri, policy=policy)
    signed.gate("v1", uri=first.uri)
    assert signed.plain.promote(first.uri, policy=policy).changed
    assert not signed.plain.promote(first.uri, policy=policy).changed
    second = signed.plain.create("v2")
    said = signed.refusal(second, policy=policy)
    assert "this version has no signed verdict for this alias. Run the gate with a signing key" in said
    other = replace(policy, registry="another")
    third = signed.gate("v3", first)
    assert f"the verdict is for the registry '{REGISTRY}'" in signed.refusal(third.uri, policy=other)
    assert signed.plain.promote(third.uri, policy=policy).changed


def test_a_policy_that_protects_other_models_says_nothing(signed: SignedRegistry) -> None:
    text = signed.keys.path.read_text(encoding="utf-8").replace("bot-*", "others-*")
    policy = parse_policy(text, where="policy", folder=signed.keys.folder)
    first = signed.gate("v1", role="stranger")
    assert signed.plain.promote(first.uri, policy=policy).changed


def test_an_override_needs_somebody_who_checks_it(signed: SignedRegistry) -> None:
    first = signed.crown()
    second = signed.gate("v2", first, right=60)
    facts = signed.facts(second.uri)
    champion = champion_facts(signed.facts(first.uri), "champion", None, gated=False)
    text = signed.keys.override(registry_facts(facts, "champion", REGISTRY), champion=champion)
    signed.open().post_verdict(facts, f"{KEY}/2", text)
    said = signed.refusal(second.uri)
    assert said.endswith("nobody has checked who signed it. Name the policy: --registry-policy FILE")
    forged = signed.keys.override(registry_facts(facts, "champion", REGISTRY), champion=champion, key="gate")
    signed.open().post_verdict(facts, f"{KEY}/3", forged)
    assert "may not sign an override" in signed.refusal(second.uri, policy=signed.keys.policy)
    signed.raw("delete_model_version_tag", signed.name, "2", f"{KEY}/3")
    done = signed.plain.promote(second.uri, policy=signed.keys.policy)
    assert (done.changed, done.binding) == (True, None)
    assert signed.plain.holder() == "2"


def test_back_by_the_notes_of_promotions(signed: SignedRegistry) -> None:
    first = signed.crown()
    second = signed.succeed(first, "v2")
    third = signed.succeed(second, "v3")
    now = datetime.now(UTC) + timedelta(minutes=1)
    back = signed.roll_back(clock=lambda: now)
    assert (back.version.uri, back.over.uri, back.weights, back.ledgered) == (second.uri, third.uri, True, False)
    assert back.lines() == ["held the alias before: by the versions' tags", "weights: unchanged"]
    status = signed.status()
    assert status.champion is not None
    assert (status.gated, status.ledgered, status.former) == (False, False, ("1",))
    assert (status.champion.how, status.champion.over, status.champion.reason) == ("rolled-back", "3", "it swears")
    assert status.champion.since == now.replace(microsecond=0)
    assert signed.roll_back().version.uri == first.uri
    with pytest.raises(PromotionRefusedError, match="nothing shows who held the alias before version 1"):
        signed.roll_back()


def test_what_does_not_hold_is_not_gone_back_to(signed: SignedRegistry) -> None:
    first = signed.crown()
    second = signed.succeed(first, "v2")
    source = signed.facts(first.uri).source
    signed.plain.contents[source] = digest_of("swapped")
    with pytest.raises(PromotionRefusedError, match="are not the weights by which version 1 held the alias"):
        signed.roll_back()
    signed.plain.contents[source] = digest_of("v1")
    signed.gate("v1", second, uri=first.uri, right=40)
    with pytest.raises(PromotionRefusedError, match="version 1 held the alias before, and has got FAIL of"):
        signed.roll_back()
    signed.plain.forget_what_earned_it(first.uri)
    signed.raw("delete_model_version_tag", signed.name, "1", KEY)
    for key in [key for key in signed.facts(first.uri).tags if key.startswith(KEY)]:
        signed.raw("delete_model_version_tag", signed.name, "1", key)
    with pytest.raises(PromotionRefusedError, match="nothing is kept of what earned version 1 the alias"):
        signed.roll_back()
    assert signed.plain.holder() == second.number


def test_a_former_champion_that_was_deleted(signed: SignedRegistry) -> None:
    signed.succeed(signed.crown(), "v2")
    signed.plain.raw("delete_model_version", signed.name, "1")
    with pytest.raises(PromotionRefusedError, match="nothing shows who held the alias before version 2"):
        signed.roll_back()


def test_there_is_nothing_to_go_back_from(signed: SignedRegistry) -> None:
    signed.plain.create("v1")
    with pytest.raises(PromotionRefusedError, match="nobody holds the alias, so there is nothing to roll back"):
        signed.roll_back()
    with pytest.raises(UsageError, match="the reason is empty"):
        signed.roll_back(reason=" \n")


def test_a_ledger_that_somebody_else_wrote(signed: SignedRegistry, tmp_path: Path) -> None:
    signed.crown()
    signed.raw("set_registered_model_tag", signed.name, "llmgate.ledger/champion", "[{}]")
    for ask in (
        signed.status,
        signed.roll_back,
        lambda: signed.gate("v2"),
        lambda: signed.plain.promote(f"models:/{signed.name}/1"),
        lambda: find_baseline(signed.name, into=tmp_path / "baseline", tracking_uri=signed.plain.uri),
    ):
        with pytest.raises(CannotRunError, match="the registry's ledger cannot be read") as caught:
            ask()
        assert caught.value.exit_code == 4
