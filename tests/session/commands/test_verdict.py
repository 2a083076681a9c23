"""`llmgate verdict`: keys, signatures without a registry, what is shown, and what verifies."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner, Result
from support.promotions import digest_of, make_manifest, redecide, store_decision, write_record
from support.verdicts import make_keys, registry_facts

from llmgate.attest.envelope import Envelope, envelope_text, read_envelope, sign_payload
from llmgate.attest.keys import KEY, load_signer, public_key
from llmgate.attest.policy import load_policy
from llmgate.attest.statement import canonical, override_statement
from llmgate.cli import main
from llmgate.errors import AttestationError, UsageError
from llmgate.session.commands.verdict.keys import refuse_key_text
from llmgate.session.commands.verdict.sign import OVERRIDE_NAME, span
from llmgate.session.decide.attestation import REGISTRY_ID
from llmgate.session.decide.sign import ENVELOPE_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from support.verdicts import Keys

URI = "models:/support-bot/2"
TOLD = (
    *("--registry-id", "test-registry", "--offline", "--created-at", "2026-11-01T12:00:00.000Z"),
    *("--source", "s3://bucket/v2", "--workspace", "default"),
)
FIRST = ("--holder", "none")
SECOND = ("--holder", "1", "--holder-created-at", "2026-10-01T00:00:00.000Z", "--holder-verdict", digest_of("first"))


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        if name.startswith(("GITHUB_", "GITLAB_", "CI_", "LLMGATE_", "MLFLOW_")):
            monkeypatch.delenv(name)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path / "registry")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_record(tmp_path / "run", make_manifest("candidate", registry_uri=URI, weights="v2"))


def llmgate(*args: object, **more: Any) -> Result:
    return CliRunner().invoke(main, ["verdict", *(str(arg) for arg in args)], **more)


def sign(run: Path, keys: Keys, *more: object, role: str = "bootstrap", holder: tuple[str, ...] = FIRST) -> Result:
    return llmgate("sign", run, "--version", URI, "--signing-key", keys.folder / f"{role}.pem", *TOLD, *holder, *more)


def test_a_new_key(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    before = os.umask(0o000)
    try:
        done = llmgate("keygen", "--out", "keys/ci-2026", "--role", "override")
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    private, public = tmp_path / "keys" / "ci-2026.pem", tmp_path / "keys" / "ci-2026.pub"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    signer = load_signer(private, {})
    assert signer is not None
    assert public_key(public.read_text()).keyid == signer.keyid
    assert f"key id: {signer.keyid}" in done.output
    assert "PRIVATE KEY" not in done.output
    # What is printed is what a policy reads.
    lines = done.output.splitlines()
    start = lines.index("  ci-2026:")
    policy = {
        "version": 1,
        "registry": "r",
        "keys": yaml.safe_load("\n".join(lines[start : start + 3])),
        "protect": [{"models": ["*"], "suites": {"support": "*"}}],
    }
    (tmp_path / "keys" / "policy.yaml").write_text(yaml.safe_dump(policy))
    trusted = load_policy(tmp_path / "keys" / "policy.yaml").keys[0]
    assert trusted.key.keyid == signer.keyid
    assert {str(role) for role in trusted.roles} == {"override"}


@pytest.mark.parametrize("there", ["ci.pem", "ci.pub"])
def test_no_key_is_overwritten(tmp_path: Path, there: str) -> None:
    path, elsewhere = tmp_path / there, tmp_path / "elsewhere"
    for dangling in (False, True):
        if dangling:
            path.symlink_to(elsewhere)
        else:
            path.write_text("mine")
        done = llmgate("keygen")
        assert done.exit_code == 2
        assert "never overwritten" in done.output
        assert not elsewhere.exists()
        path.unlink()
        assert list(tmp_path.glob("ci.*")) == []


def test_a_key_in_a_folder_that_is_not_there() -> None:
    done = llmgate("keygen", "--out", "nowhere/ci")
    assert done.exit_code == 2
    assert "cannot be written" in done.output


def test_signed_shown_and_verified(run: Path, keys: Keys) -> None:
    done = sign(run, keys)
    assert done.exit_code == 0, done.output
    assert "signed: PASS for models:/support-bot/2 -> champion" in done.output
    shown = llmgate("show", run / ENVELOPE_NAME)
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert lines[0].startswith("NOT VERIFIED")
    assert all(len(line) <= 80 for line in lines)
    told = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith(" "))
    assert told["for"] == "support-bot v2 -> champion"
    assert told["weights"] == digest_of("v2")
    assert told["against"] == "nobody"
    assert told["verdict"] in done.output
    assert "support::accuracy (primary): PASS, 100.0" in shown.output
    verified = llmgate("verify", run / ENVELOPE_NAME, "--policy", keys.path, "--records", run)
    assert verified.exit_code == 0, verified.output
    assert verified.output.startswith("VERIFIED: signed by bootstrap-key")
    assert "NOT VERIFIED" not in verified.output
    assert "the one that was signed" in verified.output
    assert llmgate("verify", run / ENVELOPE_NAME, "--key", keys.folder / "bootstrap.pub").exit_code == 0


def test_json_is_the_statement(run: Path, keys: Keys) -> None:
    sign(run, keys)
    shown = json.loads(llmgate("show", run / ENVELOPE_NAME, "--json").output)
    assert shown == json.loads(read_envelope((run / ENVELOPE_NAME).read_text()).payload)
    assert shown["predicate"]["registry"]["createdAt"] == "2026-11-01T12:00:00.000Z"


def test_a_champion_that_is_told(tmp_path: Path, run: Path, keys: Keys) -> None:
    old = write_record(tmp_path / "old", make_manifest("old", registry_uri="models:/support-bot/1", weights="v1"))
    done = sign(run, keys, "--baseline", old, role="gate", holder=(*SECOND, "--holder-weights", digest_of("v1")))
    assert done.exit_code == 0, done.output
    predicate = json.loads(llmgate("show", run / ENVELOPE_NAME, "--json").output)["predicate"]
    assert predicate["champion"] == {
        "version": "1",
        "createdAt": "2026-10-01T00:00:00.000Z",
        "verdict": digest_of("first"),
        "weights": digest_of("v1"),
        "journal": redecide(run, old).champion_digest,
    }
    assert "v1, created 2026-10-01" in llmgate("show", run / ENVELOPE_NAME).output
    checked = llmgate("verify", run / ENVELOPE_NAME, "--policy", keys.path, "--records", run, "--baseline", old)
    assert checked.exit_code == 0, checked.output
    assert "So is the baseline" in checked.output


def test_the_baseline_that_was_noted_is_the_one_that_counts(tmp_path: Path, run: Path, keys: Keys) -> None:
    old = write_record(tmp_path / "old", make_manifest("old", registry_uri="models:/support-bot/1", weights="v1"))
    (run / "baseline.json").write_text(json.dumps({"folder": str(old), "uri": None}))
    assert sign(run, keys, role="gate", holder=SECOND).exit_code == 0
    predicate = json.loads(llmgate("show", run / ENVELOPE_NAME, "--json").output)["predicate"]
    assert predicate["championRun"] == "old"
    (run / "baseline.json").write_text("{")
    done = sign(run, keys, role="gate", holder=SECOND)
    assert done.exit_code == 4
    assert "note of the baseline cannot be read" in done.output


def test_the_decision_is_taken_again(run: Path, keys: Keys, tmp_path: Path) -> None:
    worse = write_record(tmp_path / "worse", make_manifest("w", registry_uri=URI, weights="v2"), right=10)
    store_decision(worse, redecide(run, None))
    (worse / "verdict.json").write_text('{"predicate": {"verdict": "PASS"}}')
    done = sign(worse, keys)
    assert done.exit_code == 0, done.output
    assert "signed: FAIL" in done.output
    assert not (worse / "svr.dsse.json").exists()


def test_swapped_records_are_noticed(run: Path, keys: Keys, tmp_path: Path) -> None:
    store_decision(run, redecide(run, None))
    sign(run, keys)
    envelope = tmp_path / "verdict.dsse.json"
    (run / ENVELOPE_NAME).rename(envelope)
    verify = ("verify", envelope, "--policy", keys.path, "--records")
    assert "So is the decision" in llmgate(*verify, run).output
    swapped = write_record(tmp_path / "swapped", make_manifest("candidate", registry_uri=URI, weights="v2"), right=99)
    done = llmgate(*verify, swapped)
    assert done.exit_code == 1
    assert "not the record that was signed" in done.output
    (run / "decision.json").write_text("{}")
    done = llmgate(*verify, run)
    assert done.exit_code == 1
    assert "not the decision that was signed" in done.output
    (run / "journal.jsonl").write_text("")
    assert llmgate(*verify, run).exit_code == 4
    assert llmgate(*verify, tmp_path / "nowhere").exit_code == 4
    (swapped / "decision.json").unlink(missing_ok=True)
    assert llmgate(*verify, swapped, "--baseline", swapped).exit_code == 1


def test_what_does_not_verify(run: Path, keys: Keys, tmp_path: Path) -> None:
    sign(run, keys, role="stranger")
    path = run / ENVELOPE_NAME
    done = llmgate("verify", path, "--policy", keys.path)
    assert done.exit_code == 1
    assert "no key that counts" in done.output
    assert llmgate("verify", path, "--key", keys.folder / "gate.pub").exit_code == 1
    assert llmgate("verify", path, "--key", keys.folder / "gate.pem").exit_code == 1
    assert llmgate("verify", path).exit_code == 2
    assert llmgate("verify", path, "--policy", keys.path, "--key", keys.folder / "gate.pub").exit_code == 2
    assert llmgate("verify", path, "--policy", tmp_path / "none.yaml").exit_code == 2
    assert llmgate("verify", path, "--key", keys.folder / "stranger.pub", "--baseline", run).exit_code == 2
    sign(run, keys, "--alias", "champion", role="gate")
    other = make_keys(tmp_path / "other", registry="another")
    policy = keys.path.read_text().replace("registry: test-registry", "registry: another")
    keys.path.write_text(policy)
    done = llmgate("verify", path, "--policy", keys.path)
    assert done.exit_code == 1
    assert "for the registry 'test-registry'" in done.output
    assert llmgate("verify", path, "--policy", other.path).exit_code == 1


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        ("", 1, "cannot be read"),
        ("{}", 1, "no DSSE envelope"),
        ("\xff", 1, "cannot be read"),
        ("x" * 199_000, 1, "at most 60,000"),
        ("x" * 300_000, 4, "cannot be read"),
    ],
)
def test_files_that_are_no_verdict(tmp_path: Path, keys: Keys, text: str, code: int, why: str) -> None:
    path = tmp_path / "verdict.dsse.json"
    path.write_text(text, encoding="utf-8")
    for command in (("show", path), ("verify", path, "--policy", keys.path)):
        done = llmgate(*command)
        assert done.exit_code == code
        assert why in done.output
        assert "Traceback" not in done.output


def test_files_that_are_no_files(tmp_path: Path, keys: Keys) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "nothing", tmp_path, tmp_path / "fifo", "/dev/zero"):
        assert llmgate("show", path).exit_code == 4
        assert llmgate("verify", path, "--policy", keys.path).exit_code == 4


def test_what_is_shown_cannot_pretend_to_be_verified(keys: Keys, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    statement = override_statement(
        registry=registry_facts(source="s3://x\n\x1b[2J\x1b[1;1HVERIFIED: signed by gate-key\r\nexpires never"),
        champion=None,
        subject=digest_of("v2"),
        reason="urgent\nVERIFIED: signed by override-key\u202e" + "word " * 900,
        by="ada",
        issued_at=now,
        expires_at=now.replace(year=now.year + 1),
    )
    path = tmp_path / "verdict.dsse.json"
    path.write_text(envelope_text(sign_payload(canonical(statement), keys.signers["stranger"])))
    shown = llmgate("show", path)
    lines = shown.output.splitlines()
    assert [line for line in lines if line.startswith("VERIFIED")] == []
    assert lines[0].startswith("NOT VERIFIED")
    assert not {"\x1b", "\u202e", "\r"} & set(shown.output)
    assert len(lines) < 80


def test_an_override_that_nobody_looked_up(keys: Keys, tmp_path: Path) -> None:
    arguments: tuple[object, ...] = (
        *("override", URI, "--reason", "the champion leaks memory", "--by", "ada@example.org", *TOLD, *SECOND),
        *("--signing-key", keys.folder / "override.pem"),
    )
    done = llmgate(*arguments, "--yes")
    assert done.exit_code == 2
    assert "--weights" in done.output
    arguments = (*arguments, "--weights", digest_of("v2"))
    assert llmgate(*arguments, input="support\n").exit_code == 2
    assert llmgate(*arguments, input="").exit_code == 2
    assert not (tmp_path / OVERRIDE_NAME).exists()
    done = llmgate(*arguments, input="support-bot\n")
    assert done.exit_code == 0, done.output
    assert "version 1 loses it" in done.output
    verified = llmgate("verify", OVERRIDE_NAME, "--policy", keys.path)
    assert verified.exit_code == 0, verified.output
    assert "OVERRIDE   the champion leaks memory" in verified.output
    told = json.loads(llmgate("show", OVERRIDE_NAME, "--json").output)["predicate"]
    lasted = datetime.fromisoformat(told["expiresAt"]) - datetime.fromisoformat(told["issuedAt"])
    assert lasted == span("4h")
    assert llmgate("verify", OVERRIDE_NAME, "--policy", keys.path, "--records", tmp_path).exit_code == 1
    # Another key's signature on it does not count.
    assert llmgate(*arguments, "--yes", "--signing-key", keys.folder / "gate.pem").exit_code == 0
    assert llmgate("verify", OVERRIDE_NAME, "--policy", keys.path).exit_code == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--registry-id", " "), "the registry has no name"),
        (("--created-at", "2026-11-01"), "--created-at"),
        (("--holder", "x"), "no version number"),
        (("--holder", "1"), "--holder-created-at"),
        (("--holder-verdict", digest_of("v")), "nobody holds the alias"),
        (("--weights", "ABC"), "no SHA-256"),
        (("--expires", "30"), "no time span"),
        (("--expires", "0d"), "no time span"),
        (("--version", "models:/support-bot@champion"), "exactly one version"),
        (("--post",), "--offline talks to no registry"),
        (("--signing-key", "nowhere.pem"), "the signing key cannot be read"),
    ],
)
def test_options_that_are_wrong(run: Path, keys: Keys, options: tuple[str, ...], why: str) -> None:
    done = sign(run, keys, *options)
    assert done.exit_code == 2, done.output
    assert why in done.output
    assert not (run / ENVELOPE_NAME).exists()


def test_facts_have_to_be_told(run: Path, keys: Keys) -> None:
    arguments = ("sign", run, "--version", URI, "--signing-key", keys.folder / "gate.pem", "--registry-id", "r")
    done = llmgate(*arguments, "--offline")
    assert done.exit_code == 2
    assert "--holder" in done.output
    done = llmgate(*arguments, "--source", "s3://x")
    assert done.exit_code == 2
    assert "Add --offline" in done.output
    assert "MLFLOW_TRACKING_URI" in llmgate(*arguments).output


def test_the_registry_and_the_key_from_the_environment(run: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REGISTRY_ID, "test-registry")
    monkeypatch.setenv(KEY, (keys.folder / "bootstrap.pem").read_text())
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-a")
    told = ("--offline", "--created-at", "2026-11-01T12:00:00.000Z", "--source", "s3://bucket/v2")
    done = llmgate("sign", run, "--version", URI, *told, *FIRST)
    assert done.exit_code == 0, done.output
    assert (
        json.loads(llmgate("show", run / ENVELOPE_NAME, "--json").output)["predicate"]["registry"]["workspace"]
        == "team-a"
    )
    monkeypatch.delenv(KEY)
    done = llmgate("sign", run, "--version", URI, *told, *FIRST)
    assert done.exit_code == 2
    assert "nobody signs" in done.output


def test_no_key_stands_on_the_command_line(run: Path, keys: Keys) -> None:
    pem = (keys.folder / "gate.pem").read_text()
    body = pem.splitlines()[1]
    done = llmgate("sign", run, "--version", URI, "--signing-key", pem, *TOLD, *FIRST)
    assert done.exit_code == 2
    assert "a private key stands on the command line" in done.output
    assert body not in done.output
    with pytest.raises(UsageError, match="private key") as refused:
        refuse_key_text("--signing-key", base64.b64encode(pem.encode()).decode())
    assert body not in str(refused.value)
    refuse_key_text("--signing-key", "ci.pem")


def test_nothing_is_signed_for_a_fork(run: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    event = tmp_path / "event.json"
    event.write_text(
        json.dumps(
            {
                "repository": {"full_name": "acme/support"},
                "pull_request": {"head": {"repo": {"full_name": "stranger/support"}}},
            }
        )
    )
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request_target")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    for done in (
        sign(run, keys),
        llmgate(
            *("override", URI, "--reason", "r", "--by", "b", "--weights", digest_of("v2"), "--yes", *TOLD, *FIRST),
            *("--signing-key", keys.folder / "override.pem"),
        ),
    ):
        assert done.exit_code == 1
        assert "nothing is signed for code of a fork" in done.output
    assert not (run / ENVELOPE_NAME).exists()


def test_a_signature_moved_to_other_bytes(run: Path, keys: Keys) -> None:
    sign(run, keys)
    envelope = read_envelope((run / ENVELOPE_NAME).read_text())
    forged = envelope.payload.replace(b'"version":"2"', b'"version":"3"')
    assert forged != envelope.payload
    text = envelope_text(Envelope(payload=forged, signatures=envelope.signatures))
    (run / ENVELOPE_NAME).write_text(text)
    done = llmgate("verify", run / ENVELOPE_NAME, "--policy", keys.path)
    assert done.exit_code == 1
    assert "the signature is not valid" in done.output
    with pytest.raises(AttestationError):
        read_envelope(text[:-1])


def test_the_help_teaches() -> None:
    told = llmgate("--help").output
    for command in ("keygen", "sign", "show", "verify", "override"):
        assert command in told
        assert llmgate(command, "--help").exit_code == 0


def test_a_bundle_is_shown_and_not_believed(run: Path, keys: Keys, tmp_path: Path) -> None:
    sign(run, keys)
    envelope = json.loads((run / ENVELOPE_NAME).read_text())
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps({"mediaType": "x", "dsseEnvelope": envelope}), encoding="utf-8")
    shown = llmgate("show", bundle)
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith("NOT VERIFIED")
    bundle.write_text(json.dumps({"dsseEnvelope": []}), encoding="utf-8")
    assert llmgate("show", bundle).exit_code == 1


def test_an_identity_without_its_issuer_is_none(run: Path, keys: Keys) -> None:
    sign(run, keys)
    for options in (
        ("--identity", "ada@example.org"),
        ("--issuer", "https://example.org"),
        ("--trust-config", "trust.json"),
        ("--identity", "ada@example.org", "--issuer", "https://example.org", "--policy", keys.path),
    ):
        done = llmgate("verify", run / ENVELOPE_NAME, *options)
        assert done.exit_code == 2
        assert "--identity together with --issuer" in done.output


def test_keyless_needs_its_library_and_no_key(run: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sigstore", None)
    told = ("sign", run, "--version", URI, *TOLD, *FIRST, "--keyless")
    done = llmgate(*told)
    assert done.exit_code == 4
    assert "pytest-llmgate[sigstore]" in done.output
    done = llmgate("verify", run / "seal.json", "--identity", "a", "--issuer", "b")
    assert done.exit_code == 4
    done = llmgate(*told, "--signing-key", keys.folder / "gate.pem")
    assert done.exit_code == 2
    assert "--keyless has no key" in done.output
