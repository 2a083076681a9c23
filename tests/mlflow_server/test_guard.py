"""What the gated store refuses, and what it leaves as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from support.gated_registry import MODEL, Registry, open_plain, open_store
from support.verdicts import again, make_keys

from llmgate.attest.statement import ChampionFacts
from llmgate.attest.tags import attestation_key, ledger_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.verdicts import Keys


def blocked(act: Callable[..., Any], *words: str) -> str:
    """The refusal's text."""
    with pytest.raises(MlflowException) as caught:
        act()
    text = str(caught.value)
    assert caught.value.error_code == "PERMISSION_DENIED", text
    assert text.startswith(("llmgate: promotion blocked: ", "llmgate: refused: ")), text
    assert "; " in text
    for word in words:
        assert word in text, text
    return text


def tag(key: str, value: str) -> Any:
    return ModelVersionTag(key, value)  # type: ignore[no-untyped-call]


def model_tag(key: str, value: str) -> Any:
    return RegisteredModelTag(key, value)  # type: ignore[no-untyped-call]


def test_a_version_becomes_champion_by_its_verdict_and_the_ledger_says_so(registry: Registry) -> None:
    first, second = registry.add(), registry.add()
    earned = registry.promote(first)
    assert registry.holder() == first
    digest = registry.promote(second)
    assert registry.holder() == second
    newest, verdict, *older = registry.events()
    assert (newest["event"], newest["version"], newest["over"], newest["verdict"]) == ("promoted", "2", "1", digest)
    assert (verdict["event"], verdict["outcome"], verdict["attempt"]) == ("verdict", "PASS", 1)
    assert [event["event"] for event in older] == ["bootstrapped", "verdict"]
    assert older[0]["verdict"] == earned


def test_without_a_verdict_the_alias_stays(registry: Registry) -> None:
    version = registry.add()
    text = blocked(lambda: registry.move(version), "no verdict of this version", "llmgate verdict sign")
    assert text.startswith(f"llmgate: promotion blocked: {MODEL} v1 -> champion: ")
    assert registry.holder() is None


@pytest.mark.parametrize("outcome", ["FAIL", "INCONCLUSIVE"])
def test_a_verdict_that_is_no_pass_is_kept_and_promotes_nothing(registry: Registry, outcome: str) -> None:
    registry.promote(registry.add())
    version = registry.add()
    registry.put(version, registry.verdict(version, outcome=outcome))
    blocked(lambda: registry.move(version), f"the verdict is {outcome}")
    assert registry.events()[0]["outcome"] == outcome
    assert registry.holder() == 1


def test_an_older_pass_does_not_follow_a_newer_fail(registry: Registry) -> None:
    registry.promote(registry.add())
    version = registry.add()
    now = datetime.now(UTC)
    good = registry.verdict(version, issued_at=now - timedelta(hours=1))
    registry.put(version, good)
    registry.put(version, registry.verdict(version, outcome="FAIL"))
    for n in (1, 2, 9):
        blocked(lambda n=n: registry.put(version, good, n=n), "is not newer than the FAIL")
    registry.store.delete_model_version_tag(MODEL, str(version), attestation_key("champion"))
    blocked(lambda: registry.put(version, good), "is not newer than the FAIL")
    blocked(lambda: registry.move(version), "the newest verdict of this version (FAIL) is not in its tags")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"key": "stranger"}, "no key that counts"),
        ({"issued_at": datetime.now(UTC) - timedelta(days=40), "lasts": timedelta(days=10)}, "expired"),
        ({"issued_at": datetime.now(UTC) + timedelta(hours=1)}, "still to come"),
    ],
)
def test_a_verdict_that_does_not_verify_is_not_even_kept(registry: Registry, told: dict[str, Any], why: str) -> None:
    registry.promote(registry.add())
    version = registry.add()
    blocked(lambda: registry.put(version, registry.verdict(version, **told)), why)
    blocked(lambda: registry.move(version), "no verdict of this version")


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "staging"},
        {"workspace": "other"},
        {"model": "support-mini"},
        {"version": "1"},
        {"alias": "production"},
        {"source": "s3://elsewhere"},
        {"created_at": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_verdict_about_something_else_is_not_kept(registry: Registry, changed: dict[str, Any]) -> None:
    registry.promote(registry.add())
    version = registry.add()
    text = registry.keys.verdict(again(registry.facts(version), **changed), champion=registry.champion())
    blocked(lambda: registry.put(version, text), "the verdict is")


@pytest.mark.parametrize(
    "text", ["", "PASS", "{}", "null", '{"payload": "e30=", "payloadType": "x", "signatures": []}', "[" * 50_000]
)
def test_what_is_no_envelope_is_not_kept(on_sqlite: Registry, text: str) -> None:
    version = on_sqlite.add()
    blocked(lambda: on_sqlite.put(version, text), "set llmgate.attestation/champion")


def test_a_forged_envelope_is_not_kept(on_sqlite: Registry) -> None:
    version = on_sqlite.add()
    real = on_sqlite.verdict(version, outcome="FAIL")
    other = on_sqlite.verdict(version)
    swapped = real.replace(real.split('"payload":"')[1].split('"')[0], other.split('"payload":"')[1].split('"')[0])
    assert swapped != real
    blocked(lambda: on_sqlite.put(version, swapped), "not valid")


def test_a_verdict_is_no_use_once_the_champion_has_moved(registry: Registry) -> None:
    registry.promote(registry.add())
    slow, quick = registry.add(), registry.add()
    stale = registry.verdict(slow)
    registry.promote(quick)
    registry.put(slow, stale)
    blocked(lambda: registry.move(slow), "the alias has moved since")
    assert registry.holder() == quick


def test_a_verdict_made_without_a_champion_does_not_replace_one(registry: Registry) -> None:
    registry.promote(registry.add())
    version = registry.add()
    registry.put(version, registry.verdict(version, champion=None, key="gate"))
    blocked(lambda: registry.move(version), "compared with nobody")


def test_the_first_champion_needs_the_bootstrap_key_and_no_other_does(registry: Registry) -> None:
    first = registry.add()
    registry.put(first, registry.verdict(first, key="gate"))
    blocked(lambda: registry.move(first), "role bootstrap")
    registry.promote(first)
    second = registry.add()
    registry.put(second, registry.verdict(second, key="bootstrap"))
    blocked(lambda: registry.move(second), "role gate")


def test_the_policy_asks_for_suites_weights_and_freshness(registry: Registry) -> None:
    registry.promote(registry.add())
    version = registry.add()
    registry.put(version, registry.verdict(version, suites=(("other", "1"),)))
    blocked(lambda: registry.move(version), "lacks the suite support")
    registry.put(version, registry.verdict(version, weights=None))
    blocked(lambda: registry.move(version), "served the weights")
    third = registry.add()
    old = datetime.now(UTC) - timedelta(days=31)
    registry.put(third, registry.verdict(third, issued_at=old, lasts=timedelta(days=60)))
    blocked(lambda: registry.move(third), "older than the 30 days")


def test_an_override_promotes_with_its_reason_and_only_by_its_key(registry: Registry) -> None:
    registry.promote(registry.add())
    version = registry.add()
    registry.put(version, registry.verdict(version, outcome="FAIL"))
    facts, champion = registry.facts(version), registry.champion()
    blocked(lambda: registry.put(version, registry.keys.override(facts, champion=champion, key="gate")), "override")
    registry.put(version, registry.keys.override(facts, champion=champion))
    registry.move(version)
    newest = registry.events()[0]
    assert newest["event"] == "overridden"
    assert newest["reason"].startswith("ada@example.org: the champion leaks")


def test_setting_the_alias_to_its_holder_changes_nothing(registry: Registry) -> None:
    registry.promote(registry.add())
    before = registry.events()
    registry.move(1)
    assert registry.events() == before


def test_a_rollback_goes_to_the_previous_champion_once(registry: Registry) -> None:
    for _ in range(3):
        registry.promote(registry.add())
    blocked(lambda: registry.move(1), "the previous holder, version 2")
    registry.move(2)
    assert registry.holder() == 2
    assert registry.events()[0]["event"] == "rolled-back"
    blocked(lambda: registry.move(3), "a verdict promotes once")
    registry.move(1)
    assert registry.holder() == 1
    registry.promote(3, n=2)
    assert registry.holder() == 3


def test_a_rollback_is_refused_after_a_bad_verdict(registry: Registry) -> None:
    registry.promote(registry.add())
    registry.promote(registry.add())
    registry.put(1, registry.verdict(1, outcome="FAIL"), n=2)
    blocked(lambda: registry.move(1), "has got the verdict FAIL since")


def test_a_champion_from_before_the_gate_is_replaced_and_gone_back_to(database: str, keys: Keys) -> None:
    open_registry = Registry(store=open_plain(database), keys=keys)
    old = open_registry.add()
    open_registry.move(old)
    registry = Registry(store=open_store(database, keys.path), keys=keys)
    assert registry.champion() == ChampionFacts(version="1", created_at=registry.facts(old).created_at)
    new = registry.add()
    registry.promote(new)
    assert registry.events()[0]["over"] == "1"
    registry.move(old)
    assert registry.holder() == old
    registry.store.engine.dispose()


def test_an_alias_moved_past_the_gate_goes_back_or_needs_an_override(database: str, keys: Keys) -> None:
    registry = Registry(store=open_store(database, keys.path), keys=keys)
    registry.promote(registry.add())
    stranger, candidate = registry.add(), registry.add()
    past = Registry(store=open_plain(database), keys=keys)
    past.move(stranger)
    registry.put(candidate, registry.verdict(candidate))
    blocked(lambda: registry.move(candidate), "moved past the gate", "override")
    registry.move(1)
    assert registry.holder() == 1
    past.move(stranger)
    registry.put(candidate, registry.keys.override(registry.facts(candidate), champion=registry.champion()))
    registry.move(candidate)
    assert [event["event"] for event in registry.events()][:2] == ["overridden", "verdict"]
    registry.store.engine.dispose()


@pytest.mark.parametrize(
    "alias", ["Champion", "CHAMPION", "champi0n", "cham-pion", "сhampion", "ｃhampion", "chämpion"]
)
def test_names_that_look_like_a_protected_alias_are_refused(on_sqlite: Registry, alias: str) -> None:
    on_sqlite.promote(on_sqlite.add())
    version = on_sqlite.add()
    blocked(lambda: on_sqlite.move(version, alias=alias), "looks like the protected champion")
    text = on_sqlite.verdict(version, alias=alias)
    blocked(lambda: on_sqlite.put(version, text, alias=alias), "only looks like")


def test_a_look_alike_from_before_the_gate_can_be_removed(database: str, keys: Keys) -> None:
    past = Registry(store=open_plain(database), keys=keys)
    past.move(past.add(), alias="Champion")
    registry = Registry(store=open_store(database, keys.path), keys=keys)
    registry.store.delete_registered_model_alias(MODEL, "Champion")
    assert registry.holder(alias="Champion") is None
    blocked(lambda: registry.store.delete_registered_model_alias(MODEL, "Champion"), "protected")
    registry.store.engine.dispose()


def test_a_protected_alias_is_not_deleted(registry: Registry) -> None:
    registry.promote(registry.add())
    for alias in ("champion", "production"):
        blocked(lambda alias=alias: registry.store.delete_registered_model_alias(MODEL, alias), "protected")
    assert registry.holder() == 1


def test_a_protected_model_is_neither_renamed_nor_deleted(registry: Registry) -> None:
    registry.promote(registry.add())
    registry.add(model="other")
    store = registry.store
    blocked(lambda: store.rename_registered_model(MODEL, "other-2"), "the model is protected")
    blocked(lambda: store.rename_registered_model("other", "support-new"), "that name is protected")
    blocked(lambda: store.rename_registered_model("other", "SUPP0RT-new"), "that name is protected")
    blocked(lambda: store.delete_registered_model(MODEL), "the model is protected")
    store.rename_registered_model("other", "another")
    store.delete_registered_model("another")


def test_a_version_that_holds_or_held_the_alias_is_not_deleted(registry: Registry) -> None:
    registry.promote(registry.add())
    registry.promote(registry.add())
    never = registry.add()
    blocked(lambda: registry.store.delete_model_version(MODEL, "2"), "holds champion")
    blocked(lambda: registry.store.delete_model_version(MODEL, "1"), "held champion")
    registry.store.delete_model_version(MODEL, str(never))
    with pytest.raises(MlflowException, match="not found"):
        registry.move(never)


def test_what_earned_the_alias_is_frozen(registry: Registry) -> None:
    registry.promote(registry.add())
    registry.promote(registry.add())
    key = attestation_key("champion")
    for version in ("1", "2"):
        text = registry.store.get_model_version(MODEL, version).tags[key]
        blocked(lambda v=version: registry.store.delete_model_version_tag(MODEL, v, key), "earned a protected alias")
        blocked(lambda v=int(version): registry.put(v, registry.verdict(v)), "/champion/2")
        registry.put(int(version), text)
        assert registry.store.get_model_version(MODEL, version).tags[key] == text


@pytest.mark.parametrize(
    "key", ["llmgate.ledger/champion", "llmgate.ledger", "LLMGATE.LEDGER/x", "llmgate.lédger/champion"]
)
def test_the_ledgers_tags_are_the_servers(on_sqlite: Registry, key: str) -> None:
    on_sqlite.promote(on_sqlite.add())
    on_sqlite.add(model="other")
    store = on_sqlite.store
    for model in (MODEL, "other"):
        blocked(lambda m=model: store.set_registered_model_tag(m, model_tag(key, "[]")), "only the registry")
        blocked(lambda m=model: store.delete_registered_model_tag(m, key), "only the registry")
        blocked(lambda m=model: store.set_model_version_tag(m, "1", tag(key, "[]")), "only the registry")
        blocked(lambda m=model: store.delete_model_version_tag(m, "1", key), "only the registry")
    blocked(lambda: store.create_registered_model("new", [model_tag(key, "[]")]), "only the registry")
    blocked(lambda: store.set_prompt_tag(MODEL, key, "[]"), "only the registry")


@pytest.mark.parametrize(
    "key", ["LLMGATE.attestation/champion", "llmgate.attestation/champion ", "llmgate.attestation"]
)
def test_a_tag_that_some_databases_take_for_a_verdicts_is_refused(on_sqlite: Registry, key: str) -> None:
    on_sqlite.promote(on_sqlite.add())
    blocked(lambda: on_sqlite.store.set_model_version_tag(MODEL, "1", tag(key, "x")), "only looks like")


def test_a_copied_version_brings_no_verdict(registry: Registry) -> None:
    registry.promote(registry.add())
    copied = registry.store.copy_model_version(registry.store.get_model_version(MODEL, "1"), MODEL)
    assert not [key for key in copied.tags if key.startswith("llmgate.")]
    blocked(lambda: registry.move(int(copied.version)), "no verdict of this version")
    text = registry.store.get_model_version(MODEL, "1").tags[attestation_key("champion")]
    blocked(lambda: registry.put(int(copied.version), text), "the verdict is for the version")


def test_a_protected_model_does_not_become_a_prompt(registry: Registry) -> None:
    store = registry.store
    registry.promote(registry.add())
    prompt = "mlflow.prompt.is_prompt"
    blocked(lambda: store.set_registered_model_tag(MODEL, model_tag(prompt, "true")), "cannot become a prompt")
    blocked(lambda: store.delete_registered_model_tag(MODEL, prompt), "prompt")
    blocked(lambda: store.set_model_version_tag(MODEL, "1", tag(prompt, "true")), "prompt")
    blocked(lambda: registry.add(tags=[tag(prompt, "true")]), "prompt")
    blocked(lambda: store.create_registered_model("support-x", [model_tag(prompt, "TRUE")]), "makes no prompt")
    assert len(store.search_model_versions(f"name = '{MODEL}'")) == 1


def test_a_prompt_with_a_protected_name_holds_no_model(registry: Registry) -> None:
    store = registry.store
    store.create_prompt("support-prompt")
    version = store.create_prompt_version("support-prompt", "Answer {{question}}")
    store.set_prompt_alias("support-prompt", "champion", version.version)
    store.create_prompt_version("support-prompt", "Answer politely: {{question}}")
    store.set_prompt_alias("support-prompt", "champion", 2)
    assert store.get_prompt_version_by_alias("support-prompt", "champion").version == 2
    blocked(lambda: registry.add(model="support-prompt"), "it is a prompt")
    marked = [tag("mlflow.prompt.is_prompt", "true")]
    blocked(lambda: registry.add(model="support-prompt", tags=marked), "it is a prompt")
    store.delete_prompt_alias("support-prompt", "champion")
    store.delete_prompt_version("support-prompt", 1)
    store.delete_prompt("support-prompt")


def test_a_model_that_was_put_into_a_prompt_past_the_gate_needs_a_verdict(database: str, keys: Keys) -> None:
    past = open_plain(database)
    past.create_prompt("support-prompt")
    past.create_model_version("support-prompt", "s3://evil", tags=[tag("mlflow.prompt.is_prompt", "true")])
    registry = Registry(store=open_store(database, keys.path), keys=keys)
    blocked(lambda: registry.move(1, model="support-prompt"), "no verdict")
    registry.store.engine.dispose()


def test_what_is_not_protected_works_as_without_a_gate(registry: Registry) -> None:
    store = registry.store
    registry.add(model="other")
    registry.add(model="other")
    registry.move(1, model="other")
    registry.move(2, model="other")
    store.transition_model_version_stage("other", "2", "Production", archive_existing_versions=False)
    store.set_model_version_tag("other", "1", tag("llmgate.attestation/champion", "anything"))
    store.delete_model_version_tag("other", "1", "llmgate.attestation/champion")
    store.set_registered_model_tag("other", model_tag("team", "a"))
    store.delete_registered_model_alias("other", "champion")
    store.delete_model_version("other", "1")
    store.delete_registered_model("other")
    registry.promote(registry.add())
    registry.move(1, alias="canary")
    store.set_model_version_tag(MODEL, "1", tag("note", "fine"))
    store.set_model_version_tag(MODEL, "1", tag("llmgate.verdict", "PASS"))
    store.set_model_version_tag(MODEL, "1", tag("llmgate.attestation/canary", "anything"))
    store.update_model_version(MODEL, "1", "a description")
    store.update_registered_model(MODEL, "a description")
    store.delete_registered_model_alias(MODEL, "canary")
    assert store.get_model_version_by_alias(MODEL, "champion").version == 1
    assert [model.name for model in store.search_registered_models()] == [MODEL]


def test_what_mlflow_refuses_it_refuses_in_its_own_words(registry: Registry) -> None:
    store = registry.store
    with pytest.raises(MlflowException, match="Registered Model with name=support-bot not found"):
        registry.move(1)
    registry.add()
    with pytest.raises(MlflowException, match=r"Model Version \(name=support-bot, version=7\) not found"):
        registry.move(7)
    with pytest.raises(MlflowException, match="no version number"):
        store.set_registered_model_alias(MODEL, "champion", "seven")
    with pytest.raises(MlflowException, match="already exists"):
        store.create_registered_model(MODEL)
    with pytest.raises(MlflowException, match="Invalid Model Version stage"):
        store.transition_model_version_stage(MODEL, "1", "Live", archive_existing_versions=False)
    with pytest.raises(MlflowException):
        store.set_registered_model_alias(None, "champion", "1")


def test_version_numbers_are_read_before_they_are_looked_up(registry: Registry) -> None:
    registry.promote(registry.add())
    registry.add()
    for spelled in ("02", " 2 ", "+2", "٢", 2):
        blocked(lambda s=spelled: registry.store.set_registered_model_alias(MODEL, "champion", s), "v2 -> champion")


def test_a_recreated_version_does_not_inherit(database: str, keys: Keys) -> None:
    registry = Registry(store=open_store(database, keys.path), keys=keys)
    registry.promote(registry.add())
    text = registry.store.get_model_version(MODEL, "1").tags[attestation_key("champion")]
    past = open_plain(database)
    past.delete_registered_model(MODEL)
    registry.add()
    blocked(lambda: registry.put(1, text), "was deleted")
    blocked(lambda: registry.move(1), "no verdict of this version")
    registry.store.engine.dispose()


def test_the_tag_of_a_demoted_version_cannot_be_exchanged_for_a_way_back(database: str, keys: Keys) -> None:
    registry = Registry(store=open_store(database, keys.path), keys=keys)
    registry.promote(registry.add())
    registry.promote(registry.add())
    past = open_plain(database)
    past.set_model_version_tag(MODEL, "1", tag(attestation_key("champion"), "{}"))
    blocked(lambda: registry.move(1), "not in its tags any more")
    registry.store.engine.dispose()


def test_a_ledger_with_a_hole_promotes_nothing(registry: Registry) -> None:
    from sqlalchemy import text as sql

    registry.promote(registry.add())
    version = registry.add()
    registry.put(version, registry.verdict(version, outcome="FAIL"))
    registry.put(version, registry.verdict(version))
    with registry.store.engine.begin() as connection:
        connection.execute(sql("DELETE FROM llmgate_verdicts WHERE outcome = 'FAIL'"))
    blocked(lambda: registry.move(version), "the registry's ledger is damaged")


def test_nothing_changes_while_the_policy_cannot_be_read(new_database: Callable[[str], str], tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys")
    registry = Registry(store=open_store(new_database("sqlite"), keys.path), keys=keys)
    registry.promote(registry.add())
    registry.add(model="other")
    good = keys.path.read_text(encoding="utf-8")
    for bad in ("version: 2\n", "", good.replace("aliases", "alises"), None):
        if bad is None:
            keys.path.unlink()
        else:
            keys.path.write_text(bad, encoding="utf-8")
        for model in (MODEL, "other"):
            blocked(lambda m=model: registry.move(1, model=m, alias="canary"), "Mend".lower(), "policy")
        assert registry.holder() == 1
    keys.path.write_text(good, encoding="utf-8")
    registry.move(1, alias="canary")
    keys.path.write_text(good.replace("[champion, production]", "[champion, production, canary]"), encoding="utf-8")
    blocked(lambda: registry.store.delete_registered_model_alias(MODEL, "canary"), "protected")


def test_a_stage_is_held_to_the_same(registry: Registry) -> None:
    store, alias = registry.store, "stage:Production"
    for _ in range(3):
        registry.add()

    def transition(version: int, stage: str = "Production", *, archive: bool = True) -> None:
        store.transition_model_version_stage(MODEL, str(version), stage, archive_existing_versions=archive)

    def champion() -> ChampionFacts | None:
        staged = [v for v in store.search_model_versions(f"name = '{MODEL}'") if v.current_stage == "Production"]
        if not staged:
            return None
        version = max(int(v.version) for v in staged)
        moves = [event for event in registry.events(alias) if event["event"] != "verdict"]
        return ChampionFacts(
            version=str(version),
            created_at=registry.facts(version).created_at,
            verdict=moves[0]["verdict"],
            weights=moves[0]["weights"],
        )

    for spelled in ("Production", "production", "PRODUCTION"):
        blocked(lambda s=spelled: transition(1, s), "v1 -> stage:Production: no verdict")
    registry.put(1, registry.verdict(1, alias=alias, champion=None), alias=alias)
    transition(1)
    registry.put(2, registry.verdict(2, alias=alias, champion=champion()), alias=alias)
    blocked(lambda: transition(1, "Archived", archive=False), "is what the protected stage")
    blocked(lambda: store.delete_model_version(MODEL, "1"), "is in the stage Production")
    transition(2)
    assert store.get_model_version(MODEL, "1").current_stage == "Archived"
    blocked(lambda: transition(1, archive=False), "version 2 is in Production too")
    blocked(lambda: transition(3), "no verdict")
    transition(1)
    assert registry.events(alias)[0]["event"] == "rolled-back"
    blocked(lambda: store.delete_model_version(MODEL, "2"), "held stage:Production")
    transition(3, "Staging")
    transition(1)
    assert ledger_key(alias) == "llmgate.ledger/stage:Production"
