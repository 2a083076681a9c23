"""Sigstore bundles, verified without network by the real library against the roots that it brings along.

The bundles are genuine: PEP 740 attestations that GitHub Actions signed through the public Sigstore, as the source
distribution of `pypi-attestations` carries them for its own tests.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from support.extras import extra_python
from support.promotions import digest_of, make_manifest, write_record

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
PAYLOAD = """
import json, sys
from pathlib import Path
from llmgate.session.commands.verdict_keyless import verified_payload
text = Path(sys.argv[1]).read_text()
payload = verified_payload(text, identity=sys.argv[2], issuer=sys.argv[3], trust_config=None, where="bundle")
print(json.loads(payload)["predicateType"], json.loads(payload)["subject"][0]["name"])
"""


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


def write(folder: Path, bundle: dict[str, Any]) -> Path:
    path = folder / "bundle.json"
    path.write_text(json.dumps(bundle), encoding="utf-8")
    return path


def test_a_genuine_bundle_verifies_offline(python: Path, genuine: dict[str, Any], tmp_path: Path) -> None:
    done = ran(python, tmp_path, "-c", PAYLOAD, write(tmp_path, genuine), IDENTITY, ISSUER)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "https://docs.pypi.org/attestations/publish/v1",
        "pypi_attestations-0.0.19.tar.gz",
    ]
    assert done.stderr == ""


def test_a_genuine_bundle_of_something_else_is_no_verdict(
    python: Path, genuine: dict[str, Any], tmp_path: Path
) -> None:
    path = write(tmp_path, genuine)
    done = llmgate(python, tmp_path, "verify", path, "--identity", IDENTITY, "--issuer", ISSUER)
    assert done.returncode == 1
    assert "no verdict of llmgate" in done.stderr


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


@pytest.mark.parametrize("name", CHANGES)
def test_a_bundle_that_was_changed(python: Path, genuine: dict[str, Any], tmp_path: Path, name: str) -> None:
    changed = json.loads(json.dumps(genuine))
    CHANGES[name](changed)
    done = llmgate(python, tmp_path, "verify", write(tmp_path, changed), "--identity", IDENTITY, "--issuer", ISSUER)
    assert done.returncode == 1, done.stderr
    assert "the bundle does not verify" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("identity", "issuer"),
    [
        (IDENTITY.replace("v0.0.19", "v0.0.20"), ISSUER),
        ("https://github.com/trailofbits/pypi-attestations", ISSUER),
        (IDENTITY, "https://gitlab.com"),
    ],
)
def test_a_bundle_of_somebody_else(
    python: Path, genuine: dict[str, Any], tmp_path: Path, identity: str, issuer: str
) -> None:
    path = write(tmp_path, genuine)
    done = llmgate(python, tmp_path, "verify", path, "--identity", identity, "--issuer", issuer)
    assert done.returncode == 1
    assert "the bundle does not verify" in done.stderr


def test_an_identity_without_an_issuer_is_no_identity(python: Path, genuine: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path, genuine)
    for options in (("--identity", IDENTITY), ("--issuer", ISSUER)):
        done = llmgate(python, tmp_path, "verify", path, *options)
        assert done.returncode == 2
        assert "--identity together with --issuer" in done.stderr


def test_trust_that_cannot_be_read(python: Path, genuine: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path, genuine)
    (tmp_path / "trust.json").write_text("{}", encoding="utf-8")
    for config in ("trust.json", "nowhere.json"):
        options = ("--identity", IDENTITY, "--issuer", ISSUER, "--trust-config", config)
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
    assert digest_of("v2") not in done.stdout
    assert not (run / "verdict.sigstore.json").exists()
