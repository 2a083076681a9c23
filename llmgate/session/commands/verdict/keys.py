"""`llmgate verdict keygen`, and who signs."""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.attest.keys import COMMAND, COMMAND_KEY, KEY, PublicKey, generate, load_signer, public_key
from llmgate.attest.policy import KeyRole
from llmgate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.attest.keys import Signer

__all__ = ["KeyPair", "make_keys", "refuse_key_text", "signer_from"]

NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
PRIVATE: Final = re.compile(r"PRIVATE KEY")
ANOTHER: Final = "Or take `--out` with another name: the registry's policy can trust both keys until the old one ends"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A new key.

    Attributes:
        private: Its file, which the owner alone may read.
        public: The file for the registry's policy.
        key: The public key.
    """

    private: Path
    public: Path
    key: PublicKey

    def lines(self, role: KeyRole) -> list[str]:
        """What is to be done with both."""
        name = re.sub(r"[^A-Za-z0-9_-]", "-", self.private.stem)
        return [
            f"key id: {self.key.keyid}",
            f"private key: {self.private} (it signs; only you can read it, and it belongs into a secret store)",
            f"public key: {self.public} (it verifies, and everybody may have it)",
            "",
            f"Put {self.public.name} beside the registry's policy, and into its `keys:`",
            "",
            f"  {name}:",
            f"    file: {self.public.name}",
            f"    roles: [{role}]",
            "",
            *self.keeping(role),
        ]

    def keeping(self, role: KeyRole) -> list[str]:
        """Where the private key belongs: people keep those that CI must not have."""
        if role is not KeyRole.GATE:
            return [
                f"Keep {self.private} out of CI, where those who may sign as {role} find it and nobody else does, and",
                "name it with --signing-key. Whoever has it can promote past the gate.",
            ]
        return [
            f"Give the private key to your CI as the secret {KEY}, and delete the file:",
            "",
            f"  GitHub: gh secret set {KEY} < {self.private}",
            f"  GitLab: a protected, masked variable {KEY}, with what this prints:",
            f"          base64 -w0 {self.private}",
        ]


def make_keys(out: Path) -> KeyPair:
    """Make a key, and write OUT.pem and OUT.pub. Nothing is ever overwritten.

    Raises:
        UsageError: If one of the files is there, or cannot be written.
    """
    private, public = (out.with_name(f"{out.name}{ending}") for ending in (".pem", ".pub"))
    for path in (private, public):
        if path.exists() or path.is_symlink():
            raise UsageError("a key is never overwritten, and this file is there", where=str(path), fix=ANOTHER)
    private_pem, public_pem = generate()
    try:
        write_new(private, private_pem, mode=0o600)
        write_new(public, public_pem, mode=0o644)
    except OSError as error:
        raise UsageError(
            f"the key cannot be written ({error.strerror})",
            where=str(error.filename or out),
            fix="Name a folder that is there with --out, such as keys/ci",
        ) from error
    return KeyPair(private=private, public=public, key=public_key(public_pem))


def write_new(path: Path, text: str, *, mode: int) -> None:
    """Write a file that was not there."""
    with os.fdopen(os.open(path, NEW_FILE, mode), "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def refuse_key_text(option: str, value: str) -> None:
    """Refuse a private key where the name of its file belongs, without repeating it.

    Raises:
        UsageError: If it is one, as PEM or in base64.
    """
    try:
        decoded = base64.b64decode(value, validate=True).decode("ascii", "replace")
    except (binascii.Error, ValueError):
        decoded = ""
    if PRIVATE.search(value) or PRIVATE.search(decoded):
        raise UsageError(
            f"a private key stands on the command line, in {option}, where other users of this machine can read it; "
            "take it for known, and make another one",
            fix=f"Name its file, or leave it to the environment variable {KEY}",
        )


def signer_from(path: Path | None, environ: Mapping[str, str]) -> Signer:
    """Who signs: the file that was named, the environment's key, or its command.

    Raises:
        UsageError: If nobody does, or what was named cannot be used.
    """
    signer = load_signer(path, environ)
    if signer is None:
        raise UsageError(
            "nobody signs: no key is named",
            where="--signing-key",
            fix=f"Name a file, or set {KEY}, or {COMMAND} and {COMMAND_KEY}; `llmgate verdict keygen` makes a key",
        )
    return signer
