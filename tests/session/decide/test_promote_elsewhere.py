"""`llmgate promote` with the URI of another registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.promotions import POLICY, digest_of, make_manifest, write_record
from support.shelf import MemoryRegistry, made
from support.verdict_registry import PROTECT
from support.verdicts import Keys, make_keys

from llmgate.cli import main
from llmgate.errors import CannotRunError
from llmgate.promote.elsewhere.address import parse_address
from llmgate.promote.elsewhere.promotion import facts_to_sign
from llmgate.promote.registries import open_registry
from llmgate.session.decide import promote_elsewhere as door

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

URI = "hf://acme/support-bot@2"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path / "keys", protect=PROTECT)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> MemoryRegistry:
    memory = MemoryRegistry(versions={"2": made("2", model="acme/support-bot")})
    monkeypatch.setattr(door, "open_elsewhere", lambda uri, verdicts_at=None: (memory, parse_address(uri)))  # noqa: ARG005
    monkeypatch.delenv("LLMGATE_REGISTRY_POLICY", raising=False)
    return memory


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["promote", *map(str, arguments)])


def verdict(keys: Keys, registry: MemoryRegistry, folder: Path, outcome: str = "PASS") -> Path:
    facts, champion = facts_to_sign(
        registry, "acme/support-bot", "2", alias="champion", registry_id=keys.policy.registry
    )
    path = folder / "verdict.dsse.json"
    path.write_text(keys.verdict(facts, champion=champion, outcome=outcome), encoding="utf-8")
    return path


def test_a_verdict_in_a_file_promotes(keys: Keys, registry: MemoryRegistry, tmp_path: Path) -> None:
    done = run(URI, "--registry-policy", keys.path, "--verdict", verdict(keys, registry, tmp_path))
    assert done.exit_code == 0, done.output
    assert "memory://support-bot/2 is now champion" in done.output
    assert "checked by this client only" in done.output
    assert registry.holders == {"champion": "2"}


def test_a_refusal_exits_with_1(keys: Keys, registry: MemoryRegistry, tmp_path: Path) -> None:
    done = run(URI, "--registry-policy", keys.path, "--verdict", verdict(keys, registry, tmp_path, outcome="FAIL"))
    assert done.exit_code == 1
    assert "the verdict is FAIL" in " ".join(done.output.split())
    assert not registry.holders


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((URI,), "--registry-policy"),
        (("hf://acme/support-bot", "--registry-policy", "nowhere.yaml"), "nowhere.yaml"),
        ((URI, "--registry-policy", "nowhere.yaml", "--verdict", "no-such-file"), "no-such-file"),
        ((URI, "--accept-policy-change", "because"), "--accept-policy-change"),
        (("models:/support-bot/2", "--verdict", "x"), "--verdict"),
        (("models:/support-bot/2", "--verdicts-at", "s3://x"), "--verdicts-at"),
    ],
)
def test_what_does_not_go_together(registry: MemoryRegistry, arguments: tuple[str, ...], word: str) -> None:
    done = run(*arguments)
    assert done.exit_code in {2, 4}, done.output
    assert word in "".join(done.output.split())
    assert not registry.calls


def test_the_policy_may_stand_in_the_environment(
    keys: Keys, registry: MemoryRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMGATE_REGISTRY_POLICY", str(keys.path))
    assert run(URI, "--verdict", verdict(keys, registry, tmp_path)).exit_code == 0


def test_gate_runs_are_not_kept_there() -> None:
    with pytest.raises(CannotRunError, match="keeps no gate runs") as caught:
        open_registry("sagemaker://eu-west-1/support-bot/7")
    assert "llmgate promote" in str(caught.value)


def test_a_run_is_signed_for_another_registry(
    keys: Keys, registry: MemoryRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.versions["2"] = made("2", model="acme/support-bot")
    out = write_record(tmp_path / "run", make_manifest("run", policy=POLICY), right=100)
    monkeypatch.delenv("LLMGATE_SIGNING_KEY", raising=False)
    command = ["verdict", "sign", str(out), "--version", URI, "--registry-id", keys.policy.registry]
    command += ["--signing-key", str(keys.folder / "bootstrap.pem")]
    untied = CliRunner().invoke(main, command)
    assert untied.exit_code == 1
    assert "nothing ties the weights" in " ".join(untied.output.split())
    command += ["--weights", digest_of("weights")]
    refused = CliRunner().invoke(main, [*command, "--post"])
    assert refused.exit_code == 2, refused.output
    assert "only MLflow takes a verdict before it promotes" in " ".join(refused.output.split())
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    promoted = run(URI, "--registry-policy", keys.path, "--verdict", out / "verdict.dsse.json")
    assert promoted.exit_code == 0, promoted.output
    assert registry.holders == {"champion": "2"}
