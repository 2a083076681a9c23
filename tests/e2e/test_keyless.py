"""Sigstore bundles, verified without network by the real library against the roots that it brings along.

One bundle is genuine: a PEP 740 attestation that GitHub Actions signed through the public Sigstore, as the source
distribution of `pypi-attestations` carries it for its own tests. Verdicts come from a Sigstore of the tests' own.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from support.extras import extra_python
from support.private_sigstore import PrivateSigstore
from support.promotions import make_manifest, redecide, write_record
from support.verdicts import registry_facts

from llmgate.session.decide.sign import statement_of_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.extra]

SOURCE = "pypi-attestations==0.0.30"
ATTESTATION = "pypi_attestations-0.0.19.tar.gz.publish.attestation"
IDENTITY = "https://github.com/trailofbits/pypi-attestations/.github/workflows/release.yml@refs/tags/v0.0.19"
ISSUER = "https://token.actions.githubusercontent.com"
NO_NETWORK = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
"""Whoever tries to reach Sigstore's servers fails at once."""
MANY = """
import json, sys
from pathlib import Path
from llmgate.errors import LlmgateError
from llmgate.session.commands.verdict.keyless import verified_payload
for place, identity, issuer in json.loads(Path(sys.argv[1]).read_text()):
    try:
        payload = verified_payload(
            Path(place).read_text(), identity=identity, issuer=issuer, trust_config=None, where="bundle"
        )
    except LlmgateError as error:
        print(f"{type(error).__name__}: {error.what}".splitlines()[0])
    else:
        print("verified:", json.loads(payload)["predicateType"], json.loads(payload)["subject"][0]["name"])
"""
"""Verifies many bundles in one process, a line for each."""
OURS = "https://ci.invalid/acme/support/gate.yml@refs/heads/main"
OUR_ISSUER = "https://issuer.invalid"


@pytest.fixture(scope="module")
def python() -> Path:
    return extra_python("sigstore")


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A genuine attestation, in the form of a bundle."""
    folder = tmp_path_factory.mktemp("source")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(folder)]
    subprocess.run([*command, SOURCE], check=True, timeout=300, stdin=subprocess.DEVNULL)
    (path,) = folder.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        (name,) = (name for name in archive.getnames() if name.endswith(f"/test/assets/{ATTESTATION}"))
        file = archive.extractfile(name)
        assert file is not None
        told = json.load(file)
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": told["verification_material"]["certificate"]},
            "tlogEntries": told["verification_material"]["transparency_entries"],
        },
        "dsseEnvelope": {
            "payload": told["envelope"]["statement"],
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": told["envelope"]["signature"]}],
        },
    }


def ran(python: Path, home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GITHUB_", "ACTIONS_", "CI", "GITLAB_"))
    }
    return subprocess.run(
        [str(python), *map(str, arguments)],
        env={**environment, **NO_NETWORK, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def llmgate(python: Path, home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return ran(python, home, "-c", "from llmgate.cli import main; main()", "verdict", *arguments)


def write(folder: Path, bundle: dict[str, Any], name: str = "bundle") -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(bundle), encoding="utf-8")
    return path


def outcomes(python: Path, folder: Path, asked: list[tuple[dict[str, Any], str, str]]) -> list[str]:
    """What becomes of each bundle, for this identity and issuer."""
    listed = [(str(write(folder, bundle, f"bundle-{i}")), *who) for i, (bundle, *who) in enumerate(asked)]
    (folder / "asked.json").write_text(json.dumps(listed), encoding="utf-8")
    done = ran(python, folder, "-c", MANY, folder / "asked.json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def forge(bundle: dict[str, Any]) -> None:
    """The same signature over another statement."""
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"0.0.19", b"0.0.99")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another statement": forge,
    "another signature": lambda b: b["dsseEnvelope"].update(signatures=[{"sig": base64.b64encode(bytes(70)).decode()}]),
    "no signature": lambda b: b["dsseEnvelope"].update(signatures=[]),
    "another type": lambda b: b["dsseEnvelope"].update(payloadType="text/plain"),
    "not in the log": lambda b: b["verificationMaterial"].update(tlogEntries=[]),
    "another time": lambda b: b["verificationMaterial"]["tlogEntries"][0].update(integratedTime="1"),
    "no certificate": lambda b: b["verificationMaterial"].pop("certificate"),
    "another media type": lambda b: b.update(mediaType="application/json"),
}


def test_a_genuine_bundle_and_what_others_make_of_it(python: Path, genuine: dict[str, Any], tmp_path: Path) -> None:
    asked = [(genuine, IDENTITY, ISSUER)]
    for change in CHANGES.values():
        changed = json.loads(json.dumps(genuine))
        change(changed)
        asked.append((changed, IDENTITY, ISSUER))
    asked += [
        (genuine, IDENTITY.replace("v0.0.19", "v0.0.20"), ISSUER),
        (genuine, "https://github.com/trailofbits/pypi-attestations", ISSUER),
        (genuine, IDENTITY, "https://gitlab.com"),
    ]
    first, *others = outcomes(python, tmp_path, asked)
    assert first == "verified: https://docs.pypi.org/attestations/publish/v1 pypi_attestations-0.0.19.tar.gz"
    names = [*CHANGES, "another tag", "the repository alone", "another issuer"]
    for name, outcome in zip(names, others, strict=True):
        assert outcome.startswith("AttestationError: the bundle does not verify: "), name


def test_a_genuine_bundle_of_something_else_is_no_verdict(
    python: Path, genuine: dict[str, Any], tmp_path: Path
) -> None:
    path = write(tmp_path, genuine)
    done = llmgate(python, tmp_path, "verify", path, "--identity", IDENTITY, "--issuer", ISSUER)
    assert done.returncode == 1
    assert "no verdict of llmgate" in done.stderr


def test_a_verdict_that_an_identity_signed(python: Path, tmp_path: Path) -> None:
    """Our own predicate, through a Sigstore of our own: a CA, a certificate log and a signature log."""
    run = write_record(tmp_path / "run", make_manifest("c", registry_uri="models:/support-bot/2", weights="v2"))
    payload = statement_of_run(
        run,
        redecide(run, None),
        baseline=None,
        registry=registry_facts(),
        champion=None,
        now=datetime.now(UTC),
        environ={},
    )
    ours, theirs = PrivateSigstore(), PrivateSigstore()
    path = write(tmp_path, ours.bundle(payload, identity=OURS, issuer=OUR_ISSUER))
    for name, sigstore in (("ours", ours), ("theirs", theirs)):
        (tmp_path / f"{name}.json").write_text(sigstore.trust_config(), encoding="utf-8")
    who = ("--identity", OURS, "--issuer", OUR_ISSUER)
    done = llmgate(python, tmp_path, "verify", path, *who, "--trust-config", "ours.json", "--records", run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("VERIFIED: signed by")
    assert "\nPASS " in done.stdout
    assert "the one that was signed" in done.stdout
    for options in ((*who, "--trust-config", "theirs.json"), who):
        done = llmgate(python, tmp_path, "verify", path, *options)
        assert done.returncode == 1
        assert "the bundle does not verify" in done.stderr


def test_trust_that_cannot_be_read(python: Path, genuine: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path, genuine)
    (tmp_path / "trust.json").write_text("{}", encoding="utf-8")
    options = ("--identity", IDENTITY, "--issuer", ISSUER, "--trust-config", "trust.json")
    assert llmgate(python, tmp_path, "verify", path, *options).returncode == 4


def test_nobody_signs_without_an_identity(python: Path, tmp_path: Path) -> None:
    manifest = make_manifest("c", registry_uri="models:/support-bot/2", weights="v2")
    run = write_record(tmp_path / "run", manifest)
    done = llmgate(
        python,
        tmp_path,
        *("sign", run, "--version", "models:/support-bot/2", "--registry-id", "r", "--keyless", "--offline"),
        *("--created-at", "2026-11-01T12:00:00.000Z", "--source", "s3://b/v2", "--holder", "none"),
    )
    assert done.returncode == 2
    assert "nothing here says who is signing" in done.stderr
    assert not (run / "verdict.sigstore.json").exists()
