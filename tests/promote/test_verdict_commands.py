"""`llmgate verdict` with a registry: what it looks up, what it signs, where it puts it, and what it says of it later."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.promotions import digest_of
from support.verdicts import Keys, make_keys

from llmgate.attest.envelope import read_envelope
from llmgate.attest.tags import attestation_key, ledger_key
from llmgate.cli import main
from llmgate.promote import tags
from llmgate.session.decide.sign import ENVELOPE_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from support.registry import Registry
    from support.signed_registry import SignedRegistry

ANY = """
  - models: ["bot-*"]
    aliases: [champion]
    suites: {support: "*"}
"""
TAG = attestation_key("champion")


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("GITHUB_", "GITLAB_", "CI_", "LLMGATE_", "MLFLOW_TRACKING_URI", "MLFLOW_WORKSPACE")):
            monkeypatch.delenv(name)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path / "keys", protect=ANY)


def llmgate(registry: Registry, *args: object, **more: Any) -> Result:
    return CliRunner().invoke(main, ["verdict", *map(str, args), "--mlflow-uri", registry.uri], **more)


def sign(registry: Registry, keys: Keys, uri: str, record: Path, *more: object, role: str = "gate") -> Result:
    key = keys.folder / f"{role}.pem"
    return llmgate(
        registry, "sign", record, "--version", uri, "--registry-id", "test-registry", "--signing-key", key, *more
    )


def predicate(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(read_envelope(path.read_text(encoding="utf-8").strip()).payload)["predicate"]
    return told


def tags_of(registry: Registry, uri: str) -> dict[str, str]:
    told: dict[str, str] = registry.raw("get_model_version", registry.name, uri.rsplit("/", 1)[1]).tags
    return told


def test_the_first_and_its_successor(registry: Registry, keys: Keys) -> None:
    first = registry.create("v1")
    old = registry.measure("v1", first)
    registry.log(old)
    done = sign(registry, keys, first, old, "--post", role="bootstrap")
    assert done.exit_code == 0, done.output
    assert f"posted: {first}, tag {TAG}" in done.output
    assert tags_of(registry, first)[TAG] == (old / ENVELOPE_NAME).read_text(encoding="utf-8").strip()
    told = predicate(old / ENVELOPE_NAME)
    version = registry.raw("get_model_version", registry.name, "1")
    assert told["registry"]["source"] == version.source
    assert told["registry"]["createdAt"].endswith(f"{version.creation_timestamp % 1000:03d}Z")
    assert told["champion"] is None
    checked = llmgate(registry, "verify", first, "--policy", keys.path, "--version", first)
    assert checked.exit_code == 0, checked.output
    assert "It may have champion now (bootstrapped)" in checked.output
    registry.raw("set_registered_model_alias", registry.name, "champion", "1")
    assert (
        "holds champion already" in llmgate(registry, "verify", first, "--policy", keys.path, "--version", first).output
    )

    second = registry.create("v2")
    new = registry.measure("v2", second)
    done = sign(registry, keys, second, new, "--baseline", old, "--post")
    assert done.exit_code == 0, done.output
    champion = predicate(new / ENVELOPE_NAME)["champion"]
    assert champion["version"] == "1"
    assert champion["verdict"] == read_envelope(tags_of(registry, first)[TAG]).digest
    assert champion["weights"] == digest_of("v1")
    checked = llmgate(registry, "verify", second, "--policy", keys.path, "--version", second)
    assert checked.exit_code == 0, checked.output
    assert "(promoted)" in checked.output
    # The alias moves, and the comparison is stale.
    registry.raw("delete_registered_model_alias", registry.name, "champion")
    stale = llmgate(registry, "verify", new / ENVELOPE_NAME, "--policy", keys.path, "--version", second)
    assert stale.exit_code == 1
    assert "nobody holds the alias" in stale.output
    # And it is no verdict for another version.
    other = llmgate(registry, "verify", new / ENVELOPE_NAME, "--policy", keys.path, "--version", first)
    assert other.exit_code == 1
    assert "for the version '2' and not for '1'" in other.output


def test_the_ledger_says_by_what_the_champion_holds_the_alias(registry: Registry, keys: Keys) -> None:
    first = registry.create("v1")
    old = registry.measure("v1", first)
    registry.raw("set_registered_model_alias", registry.name, "champion", "1")
    event = {
        "event": "bootstrapped", "version": "1", "verdict": digest_of("ledger"), "outcome": "PASS",
        "weights": digest_of("v1"), "over": None, "at": "2026-11-01T00:00:00.000Z", "attempt": 1,
    }  # fmt: skip
    registry.raw("set_registered_model_tag", registry.name, ledger_key("champion"), json.dumps([event]))
    second = registry.create("v2")
    new = registry.measure("v2", second)
    done = sign(registry, keys, second, new, "--baseline", old)
    assert done.exit_code == 0, done.output
    assert predicate(new / ENVELOPE_NAME)["champion"]["verdict"] == digest_of("ledger")
    assert "posted" not in done.output
    assert TAG not in tags_of(registry, second)
    # A baseline of other weights than the ledger knows is none.
    other = registry.measure("v0", None)
    done = sign(registry, keys, second, new, "--baseline", other)
    assert done.exit_code == 1
    assert "weights are not those of version 1" in done.output


def test_attempts_are_counted(registry: Registry, keys: Keys) -> None:
    uri = registry.create("v1")
    for attempt in (1, 2, 3):
        record = registry.measure("v1", uri, right=100 - attempt)
        assert sign(registry, keys, uri, record, "--post", role="bootstrap").exit_code == 0
        assert predicate(record / ENVELOPE_NAME)["attempts"] == attempt


def test_weights_that_the_version_does_not_have(registry: Registry, keys: Keys) -> None:
    uri = registry.create("v1")
    record = registry.measure("v1", uri)
    registry.raw("set_model_version_tag", registry.name, "1", tags.WEIGHTS_DIGEST, digest_of("v9"))
    done = sign(registry, keys, uri, record)
    assert done.exit_code == 1
    assert "not that of the weights that were measured" in done.output
    assert not (record / ENVELOPE_NAME).exists()


def test_versions_and_verdicts_that_are_not_there(registry: Registry, keys: Keys) -> None:
    uri = registry.create("v1")
    record = registry.measure("v1", uri)
    done = sign(registry, keys, f"models:/{registry.name}/7", record)
    assert done.exit_code == 4
    assert "no such model version" in done.output
    shown = llmgate(registry, "show", uri)
    assert shown.exit_code == 1
    assert "no signed verdict" in shown.output
    assert sign(registry, keys, uri, record, "--alias", "stage:Production").exit_code == 2


def test_the_newest_verdict_is_shown(registry: Registry, keys: Keys) -> None:
    uri = registry.create("v1")
    record = registry.measure("v1", uri)
    sign(registry, keys, uri, record, "--post", role="bootstrap")
    text = tags_of(registry, uri)[TAG]
    registry.raw("set_model_version_tag", registry.name, "1", attestation_key("champion", 2), text)
    worse = registry.measure("v1", uri, right=10)
    sign(registry, keys, uri, worse, "--post", role="bootstrap")
    shown = llmgate(registry, "show", uri)
    assert shown.exit_code == 0, shown.output
    assert "\nFAIL " in shown.output
    assert "older for this alias" in shown.output


def test_an_override_is_posted(registry: Registry, keys: Keys, tmp_path: Path) -> None:
    registry.crown("v1")
    uri = registry.create("v2")
    arguments = (
        *("override", uri, "--reason", "the champion leaks memory", "--by", "ada", "--registry-id", "test-registry"),
        *("--signing-key", keys.folder / "override.pem", "--out", tmp_path / "override.dsse.json"),
    )
    done = llmgate(registry, *arguments, "--yes")
    assert done.exit_code == 2
    assert "nothing tells which weights" in done.output
    done = llmgate(registry, *arguments, "--weights", digest_of("v2"), input=f"{registry.name}\n")
    assert done.exit_code == 0, done.output
    assert tags_of(registry, uri)[TAG] == (tmp_path / "override.dsse.json").read_text(encoding="utf-8").strip()
    checked = llmgate(registry, "verify", uri, "--policy", keys.path, "--version", uri)
    assert checked.exit_code == 0, checked.output
    assert "(overridden)" in checked.output
    # What the tags say will do where nothing better is known.
    registry.raw("set_model_version_tag", registry.name, "2", tags.WEIGHTS_DIGEST, digest_of("v2"))
    assert llmgate(registry, *arguments, "--yes").exit_code == 0


def test_a_gated_registry_takes_what_the_commands_sign(gated: SignedRegistry, bot_keys: Keys, tmp_path: Path) -> None:
    """Signed by one command and posted, the verdict moves the alias; nothing else does, an override excepted."""
    plain = gated.plain

    def promote(number: str) -> None:
        gated.raw("set_registered_model_alias", gated.name, "champion", number)

    first = plain.create("v1")
    old = plain.measure("v1", first)
    with pytest.raises(Exception, match="promotion blocked"):
        promote("1")
    assert sign(plain, bot_keys, first, old, "--post", role="bootstrap").exit_code == 0
    promote("1")

    second = plain.create("v2")
    new = plain.measure("v2", second)
    done = sign(plain, bot_keys, second, new, "--baseline", old, "--post")
    assert done.exit_code == 0, done.output
    checked = llmgate(plain, "verify", second, "--policy", bot_keys.path, "--version", second, "--records", new)
    assert checked.exit_code == 0, checked.output
    assert "It may have champion now (promoted)" in checked.output
    promote("2")
    assert (
        "holds champion already"
        in llmgate(plain, "verify", second, "--policy", bot_keys.path, "--version", second).output
    )

    # A FAIL that is signed later outdates nothing that was earned, and promotes nothing.
    third = plain.create("v3")
    worse = plain.measure("v3", third, right=10)
    assert sign(plain, bot_keys, third, worse, "--baseline", new, "--post").exit_code == 0
    with pytest.raises(Exception, match="the verdict is FAIL"):
        promote("3")
    checked = llmgate(plain, "verify", third, "--policy", bot_keys.path, "--version", third)
    assert checked.exit_code == 1
    assert "the verdict is FAIL" in checked.output
    # A stranger's signature is not even taken.
    done = sign(plain, bot_keys, third, worse, "--baseline", new, "--post", role="stranger")
    assert done.exit_code == 1
    assert "no key that counts" in done.output
    done = llmgate(
        plain,
        *("override", third, "--reason", "a drill", "--by", "ada", "--registry-id", "test-registry", "--yes"),
        *("--signing-key", bot_keys.folder / "override.pem", "--out", tmp_path / "override.dsse.json"),
    )
    assert done.exit_code == 0, done.output
    promote("3")
    assert plain.holder() == "3"
