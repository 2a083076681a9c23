"""Keys in files, in the environment, and behind commands: the ways they fail, and that no way tells a secret."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from support.promotions import make_manifest, write_record

from llmgate.attest import keys
from llmgate.attest.envelope import read_envelope, sign_payload, verified_by
from llmgate.attest.keys import COMMAND, COMMAND_KEY, KEY, generate, load_signer, private_key, public_key
from llmgate.cli import main
from llmgate.errors import AttestationError, LlmgateError, UsageError
from llmgate.session.decide.sign import ENVELOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    private, public = generate()
    (tmp_path / "key.pem").write_text(private, encoding="ascii")
    (tmp_path / "key.pub").write_text(public, encoding="ascii")
    return private, public


def script(folder: Path, text: str, *, name: str = "kms") -> str:
    """An executable, as an operator would name it."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return shlex.quote(str(path))


def by_command(folder: Path, command: str, **environ: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], COMMAND: command, COMMAND_KEY: str(folder / "key.pub"), **environ}


def openssl(folder: Path, key: str = "key.pem") -> str:
    """OpenSSL as a stand-in for the client of a KMS: what is to be signed comes in, base64 goes out."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return script(
        folder,
        f"""#!/bin/sh
set -e
cat > {folder}/message
openssl pkeyutl -sign -rawin -inkey {folder}/{key} -in {folder}/message | base64 -w0
""",
    )


def test_a_command_signs(tmp_path: Path, pair: tuple[str, str]) -> None:
    signer = load_signer(None, by_command(tmp_path, openssl(tmp_path)))
    assert signer is not None
    envelope = sign_payload(b'{"a":1}', signer)
    assert verified_by(envelope, [public_key(pair[1])])
    assert envelope.signatures[0].keyid == public_key(pair[1]).keyid
    # Ed25519 has one signature per key and message, whoever computes it.
    assert envelope.signatures == sign_payload(b'{"a":1}', private_key(pair[0], where="file")).signatures


def test_the_public_key_may_stand_in_the_environment(tmp_path: Path, pair: tuple[str, str]) -> None:
    environ = by_command(tmp_path, openssl(tmp_path)) | {COMMAND_KEY: pair[1]}
    signer = load_signer(None, environ)
    assert signer is not None
    assert len(signer.sign(b"data")) == 64


def test_a_command_with_another_key(tmp_path: Path, pair: tuple[str, str]) -> None:
    del pair
    (tmp_path / "other.pem").write_text(generate()[0], encoding="ascii")
    signer = load_signer(None, by_command(tmp_path, openssl(tmp_path, "other.pem")))
    assert signer is not None
    with pytest.raises(AttestationError, match="its public key does not verify"):
        signer.sign(b"data")


def printing(data: bytes) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(f'import sys; sys.stdout.buffer.write({data!r})')}"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (printing(b""), "does not verify"),
        (printing(b"\xff\xfe"), "did not print base64"),
        (printing(b"Signature: " + base64.b64encode(bytes(64))), "did not print base64"),
        (printing(base64.b64encode(bytes(64))), "does not verify"),
        (printing(base64.b64encode(bytes(63))), "does not verify"),
        (printing(base64.b64encode(bytes(40_000))), "does not verify"),
        ("false", "ended with 1: it said nothing"),
        ("llmgate-no-such-program", "the signing command failed"),
        ("/", "the signing command failed"),
        (f"{sys.executable} -c 'import os; os.kill(os.getpid(), 9)'", "ended with -9"),
    ],
)
def test_a_command_that_prints_junk(tmp_path: Path, pair: tuple[str, str], command: str, why: str) -> None:
    del pair
    signer = load_signer(None, by_command(tmp_path, command))
    assert signer is not None
    with pytest.raises(AttestationError, match=why):
        signer.sign(b"data")


def test_a_command_that_hangs(tmp_path: Path, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended together with what it started, which would hold the pipe open."""
    del pair
    monkeypatch.setattr(keys, "COMMAND_TIMEOUT_S", 0.5)
    command = script(tmp_path, f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/child\nsleep 60\n")
    signer = load_signer(None, by_command(tmp_path, command))
    assert signer is not None
    started = time.monotonic()
    with pytest.raises(AttestationError, match="timed out"):
        signer.sign(b"data")
    assert time.monotonic() - started < 10
    child = int((tmp_path / "child").read_text(encoding="ascii"))
    deadline = time.monotonic() + 5
    while alive(child):
        assert time.monotonic() < deadline, "what the command started goes on"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be asked for its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_command_that_prints_without_end(tmp_path: Path, pair: tuple[str, str]) -> None:
    del pair
    signer = load_signer(None, by_command(tmp_path, "yes"))
    assert signer is not None
    with pytest.raises(AttestationError, match="printed more than"):
        signer.sign(b"data")


def test_a_command_that_reads_nothing(tmp_path: Path, pair: tuple[str, str]) -> None:
    del pair
    signer = load_signer(None, by_command(tmp_path, "true"))
    assert signer is not None
    with pytest.raises(AttestationError, match="does not verify"):
        signer.sign(bytes(1_000_000))


def test_a_command_has_the_whole_environment(tmp_path: Path, pair: tuple[str, str]) -> None:
    """The client of a KMS needs its credentials; they are not taken from it, as they are from other programs."""
    del pair
    command = script(tmp_path, f"#!/bin/sh\nenv > {tmp_path}/env\nexit 3\n")
    environ = by_command(tmp_path, command, AWS_SECRET_ACCESS_KEY=SECRET, LLMGATE_API_KEY="sk-ours")
    signer = load_signer(None, environ)
    assert signer is not None
    with pytest.raises(AttestationError, match="ended with 3"):
        signer.sign(b"data")
    seen = (tmp_path / "env").read_text(encoding="utf-8").splitlines()
    assert {f"AWS_SECRET_ACCESS_KEY={SECRET}", "LLMGATE_API_KEY=sk-ours"} <= set(seen)


def test_what_a_command_says_when_it_fails_tells_no_secret(
    tmp_path: Path, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last line is quoted; what the environment calls a secret is taken out of it, as of all that is printed."""
    del pair
    run = write_record(tmp_path / "run", make_manifest("c", registry_uri="models:/support-bot/2", weights="v2"))
    for name in [*os.environ]:
        if name.startswith(("GITHUB_", "GITLAB_", "CI_", "LLMGATE_", "MLFLOW_")):
            monkeypatch.delenv(name)
    leaking = script(tmp_path, '#!/bin/sh\ncat >/dev/null\necho "denied for $AWS_SECRET_ACCESS_KEY" >&2\nexit 1\n')
    for name, value in by_command(tmp_path, leaking, AWS_SECRET_ACCESS_KEY=SECRET).items():
        monkeypatch.setenv(name, value)
    arguments = [
        *("verdict", "sign", str(run), "--version", "models:/support-bot/2", "--registry-id", "r", "--offline"),
        *("--created-at", "2026-11-01T12:00:00.000Z", "--source", "s3://b/v2", "--holder", "none"),
    ]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert "ended with 1: denied for" in done.output
    assert SECRET not in done.output
    assert not (run / ENVELOPE_NAME).exists()
    monkeypatch.setenv(COMMAND, openssl(tmp_path))
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert SECRET not in (run / ENVELOPE_NAME).read_text(encoding="utf-8")
    assert verified_by(
        read_envelope((run / ENVELOPE_NAME).read_text(encoding="utf-8").strip()),
        [public_key((tmp_path / "key.pub").read_text(encoding="ascii"))],
    )


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({KEY: "k", COMMAND: "c"}, "only one can sign"),
        ({COMMAND: "kms"}, "the public key of the signing command is not set"),
        ({COMMAND: "kms 'half", COMMAND_KEY: "key.pub"}, "cannot be used"),
        ({COMMAND: " ", COMMAND_KEY: "-----BEGIN"}, "the signing command is empty"),
        ({COMMAND: "kms", COMMAND_KEY: "/nowhere.pub"}, "cannot be used"),
        ({COMMAND: "kms", COMMAND_KEY: "-----BEGIN PUBLIC KEY-----"}, "no public key in PEM"),
        ({KEY: "not base64!"}, "no private key"),
        ({KEY: base64.b64encode(b"nothing").decode()}, "no private key"),
        ({KEY: "-----BEGIN PRIVATE KEY-----"}, "no private key"),
        ({KEY: "\0"}, "no private key"),
    ],
)
def test_environments_that_cannot_sign(environ: dict[str, str], why: str) -> None:
    with pytest.raises(LlmgateError, match=why):
        load_signer(None, environ)


def test_nobody_signs_where_nobody_is_named() -> None:
    assert load_signer(None, {}) is None
    assert load_signer(None, {KEY: "", COMMAND: ""}) is None


def test_a_key_in_the_environment(pair: tuple[str, str]) -> None:
    private, public = pair
    wanted = public_key(public).keyid
    for text in (private, f"\n{private}\n", base64.b64encode(private.encode()).decode(), private.replace("\n", "\r\n")):
        signer = load_signer(None, {KEY: text})
        assert signer is not None
        assert signer.keyid == wanted
        # Whoever prints a signer, as a traceback of some tools does, prints no key.
        assert "PRIVATE" not in repr(signer)
        assert private.splitlines()[1] not in repr(signer)


OTHER_KINDS: dict[str, Callable[[], ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey | x25519.X25519PrivateKey]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "Ed448": ed448.Ed448PrivateKey.generate,
    "X25519": x25519.X25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_no_other_kind_of_key(kind: str) -> None:
    key = OTHER_KINDS[kind]()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(UsageError, match="no Ed25519 key"):
        private_key(private, where="test")
    with pytest.raises(AttestationError, match="no Ed25519 key"):
        public_key(public)


def test_a_key_with_a_passphrase(pair: tuple[str, str], tmp_path: Path) -> None:
    locked = load_pem_private_key(pair[0].encode(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    (tmp_path / "locked.pem").write_bytes(locked)
    with pytest.raises(UsageError, match="without a passphrase"):
        load_signer(tmp_path / "locked.pem", {})


@pytest.mark.parametrize("name", ["key.pub", "nothing.pem", "."])
def test_files_that_are_no_private_key(tmp_path: Path, pair: tuple[str, str], name: str) -> None:
    del pair
    with pytest.raises(UsageError):
        load_signer(tmp_path / name, {})


def test_openssl_reads_our_keys(tmp_path: Path, pair: tuple[str, str]) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    told = subprocess.run(
        ["openssl", "pkey", "-in", str(tmp_path / "key.pem"), "-pubout"], capture_output=True, text=True, check=True
    )
    assert told.stdout == pair[1]
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", str(tmp_path / "key.pub"), "-pubout", "-outform", "DER"],
        capture_output=True,
        check=True,
    )
    hashed = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der.stdout, capture_output=True, check=True)
    assert hashed.stdout.decode().split()[0] == public_key(pair[1]).keyid
