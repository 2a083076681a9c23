"""Ed25519 keys: made, read, named, and asked to sign, be it by a file, the environment or a KMS command.

Reference: RFC 8032 (Ed25519), RFC 8410 (its PKCS #8 and SubjectPublicKeyInfo forms).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import selectors
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from llmgate.errors import AttestationError, UsageError

__all__ = [
    "COMMAND",
    "COMMAND_KEY",
    "KEY",
    "CommandSigner",
    "KeySigner",
    "PublicKey",
    "Signer",
    "generate",
    "load_signer",
    "public_key",
]

KEY: Final = "LLMGATE_SIGNING_KEY"
"""Environment variable: a private key, PEM or the base64 of PEM."""
COMMAND: Final = "LLMGATE_SIGNING_COMMAND"
"""Environment variable: a command that reads what is to be signed and prints the signature in base64."""
COMMAND_KEY: Final = "LLMGATE_SIGNING_PUBLIC_KEY"
"""Environment variable: the public key of that command, PEM, or a file that holds it."""
SIGNATURE_BYTES: Final = 64
COMMAND_TIMEOUT_S: Final = 60.0
COMMAND_BYTES: Final = 65_536
POLL_S: Final = 0.1
FIELD: Final = 2**255 - 19
ORDER_8: Final = 2707385501144840649318225287225658788936804267575313519463743609750303402022
SMALL_ORDER: Final = frozenset({0, 1, FIELD - 1, ORDER_8, FIELD - ORDER_8})
"""The y coordinates of the eight points whose order divides 8. As a public key each verifies signatures that anybody
can make; RFC 8032 leaves it to implementations to refuse them, and OpenSSL does not."""
MAKE = "Make a key with `llmgate verdict keygen`"


@dataclass(frozen=True, slots=True, eq=False)
class PublicKey:
    """A key that verifies.

    Attributes:
        keyid: SHA-256 of its SubjectPublicKeyInfo, in hexadecimal.
        pem: The same key as PEM.
    """

    key: Ed25519PublicKey = field(repr=False)
    keyid: str
    pem: str = field(repr=False)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether this key signed these bytes."""
        try:
            self.key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


class Signer(Protocol):
    """Somebody who signs."""

    @property
    def public(self) -> PublicKey:
        """The key that verifies what it signs."""

    @property
    def keyid(self) -> str:
        """The id of that key."""

    def sign(self, data: bytes) -> bytes:
        """64 bytes over the data.

        Raises:
            AttestationError: If the signature cannot be had.
        """


@dataclass(frozen=True, slots=True, eq=False)
class KeySigner:
    """Signs with a private key in memory."""

    private: Ed25519PrivateKey = field(repr=False)
    public: PublicKey

    @property
    def keyid(self) -> str:
        """The id of its public key."""
        return self.public.keyid

    def sign(self, data: bytes) -> bytes:
        """Sign."""
        return self.private.sign(data)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommandSigner:
    """Signs by a command, such as the client of a key management service; the private key stays there.

    Attributes:
        command: Words of the command; what is to be signed goes to its standard input.
        public: Its public key, by which each signature is tried before it is used.
        environ: The environment of the command.
    """

    command: tuple[str, ...]
    public: PublicKey
    environ: Mapping[str, str] = field(repr=False)

    @property
    def keyid(self) -> str:
        """The id of its public key."""
        return self.public.keyid

    def sign(self, data: bytes) -> bytes:
        """Sign."""
        where = f"{COMMAND} ({self.command[0]})"
        code, out, err = carried_out(self.command, data, self.environ, where)
        if code:
            last = err.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise AttestationError(f"the signing command ended with {code}: {last[0]}", where=where)
        try:
            signature = base64.b64decode(out.strip(), validate=True)
        except binascii.Error as error:
            raise AttestationError("the signing command did not print base64", where=where) from error
        if len(signature) != SIGNATURE_BYTES or not self.public.verify(data, signature):
            raise AttestationError(
                "the signing command printed a signature that its public key does not verify",
                where=where,
                fix=f"Set {COMMAND_KEY} to the public key of the key that signs, which must be Ed25519",
            )
        return signature


def carried_out(
    command: tuple[str, ...], data: bytes, environ: Mapping[str, str], where: str
) -> tuple[int, bytes, bytes]:
    """Run a command, with a limit to its time and to what it prints; what it started ends with it.

    Returns:
        Exit code, output, errors.

    Raises:
        AttestationError: If it cannot be started, takes too long, or prints too much.
    """
    deadline = time.monotonic() + COMMAND_TIMEOUT_S
    # A file, not a pipe: a command that does not read cannot hold us up.
    with tempfile.TemporaryFile() as given:
        given.write(data)
        given.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own command
                command,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environ),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise AttestationError(f"the signing command failed: {error}", where=where) from error
    with process:
        try:
            out, err = printed(process, deadline, where)
            return process.wait(max(0.0, deadline - time.monotonic())), out, err
        except subprocess.TimeoutExpired as error:
            raise AttestationError(
                f"the signing command timed out after {COMMAND_TIMEOUT_S:g} seconds", where=where
            ) from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def printed(process: subprocess.Popen[bytes], deadline: float, where: str) -> tuple[bytes, bytes]:
    """What a process prints until it ends, on both streams; what it leaves behind may hold them open for longer."""
    streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
    kept = {stream.fileno(): bytearray() for stream in streams}
    with selectors.DefaultSelector() as selector:
        for fd in kept:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map():
            ended = process.poll() is not None
            ready = selector.select(0 if ended else POLL_S)
            if ended and not ready:
                break
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(process.args, COMMAND_TIMEOUT_S)
            for key, _ in ready:
                piece = os.read(key.fd, COMMAND_BYTES)
                if not piece:
                    selector.unregister(key.fd)
                kept[key.fd] += piece
                if len(kept[key.fd]) > COMMAND_BYTES:
                    raise AttestationError(
                        f"the signing command printed more than {COMMAND_BYTES:,} bytes", where=where
                    )
    out, err = (bytes(kept[stream.fileno()]) for stream in streams)
    return out, err


def generate() -> tuple[str, str]:
    """A new key.

    Returns:
        The private key (PKCS #8) and the public key (SubjectPublicKeyInfo), as PEM.
    """
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    return pem, public_of(private.public_key()).pem


def public_key(pem: str, *, where: str | None = None) -> PublicKey:
    """Read a public key.

    Raises:
        AttestationError: If it is no Ed25519 public key in PEM.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, TypeError) as error:
        raise AttestationError("this is no public key in PEM", where=where, fix=MAKE) from error
    if not isinstance(key, Ed25519PublicKey):
        raise AttestationError("this is no Ed25519 key, and no other kind is accepted", where=where, fix=MAKE)
    if (int.from_bytes(key.public_bytes_raw(), "little") % 2**255) % FIELD in SMALL_ORDER:
        raise AttestationError("this is a key that verifies signatures of anybody", where=where, fix=MAKE)
    return public_of(key)


def public_of(key: Ed25519PublicKey) -> PublicKey:
    """A public key with its name."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    return PublicKey(key, hashlib.sha256(der).hexdigest(), pem)


def private_key(text: str, *, where: str) -> KeySigner:
    """Read a private key, PEM or the base64 of PEM.

    Raises:
        UsageError: If it is none. The text itself is not repeated.
    """
    pem = text.strip().encode()
    if b"-----BEGIN" not in pem:
        try:
            pem = base64.b64decode(pem, validate=True)
        except binascii.Error:
            pem = b""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise UsageError("this is no private key without a passphrase in PEM", where=where, fix=MAKE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("this is no Ed25519 key, and no other kind is accepted", where=where, fix=MAKE)
    return KeySigner(key, public_of(key.public_key()))


def load_signer(path: Path | None, environ: Mapping[str, str]) -> Signer | None:
    """Who signs: the file that was named, else the environment's key, else its command, else nobody.

    Args:
        path: A private key's file.
        environ: The environment; a command inherits it.

    Raises:
        UsageError: If a key is named and cannot be used, or more than one way is named in the environment.
    """
    if path is not None:
        try:
            return private_key(path.read_text(encoding="utf-8"), where=str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("the signing key cannot be read", where=str(path), fix=MAKE) from error
    key, command = environ.get(KEY), environ.get(COMMAND)
    if key and command:
        raise UsageError("both are set, and only one can sign", where=f"{KEY}, {COMMAND}", fix="Unset one of them")
    if key:
        return private_key(key, where=KEY)
    return command_signer(command, environ) if command else None


def command_signer(command: str, environ: Mapping[str, str]) -> CommandSigner:
    """The signer that a command line is."""
    told = environ.get(COMMAND_KEY, "")
    if not told:
        raise UsageError("the public key of the signing command is not set", where=COMMAND_KEY)
    try:
        words = tuple(shlex.split(command))
        pem = told if "-----BEGIN" in told else Path(told).read_text(encoding="utf-8")
    except (ValueError, OSError) as error:
        raise UsageError(f"the signing command cannot be used: {error}", where=f"{COMMAND}, {COMMAND_KEY}") from error
    if not words:
        raise UsageError("the signing command is empty", where=COMMAND)
    return CommandSigner(command=words, public=public_key(pem, where=COMMAND_KEY), environ=environ)
