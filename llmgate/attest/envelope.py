"""Dead Simple Signing Envelope: bytes, their type, and who signed both.

Reference: DSSE 1.0.2 (secure-systems-lab/dsse), envelope.md and protocol.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from llmgate.attest.tags import MAX_ENVELOPE
from llmgate.errors import AttestationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.attest.keys import PublicKey, Signer

__all__ = [
    "PAYLOAD_TYPE",
    "REMEMBERED",
    "Envelope",
    "Signature",
    "envelope_text",
    "pae",
    "parse_json",
    "read_envelope",
    "sign_payload",
    "verified_by",
]

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_SIGNATURES: Final = 16
REMEMBERED: Final = 64
"""Envelopes, statements and signatures that are not worked out anew: a verdict is put on a version and soon used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature. `keyid` is a hint and proves nothing."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What was signed, and the signatures.

    Attributes:
        payload: The bytes that were signed.
        signatures: At least one.
        payload_type: How they are to be read; it is signed too.
    """

    payload: bytes
    signatures: tuple[Signature, ...]
    payload_type: str = PAYLOAD_TYPE

    @property
    def digest(self) -> str:
        """SHA-256 of the payload, in hexadecimal: the name of the verdict, whoever else signs it later."""
        return hashlib.sha256(self.payload).hexdigest()


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that a signature covers: type and payload, each with its length before it."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_payload(payload: bytes, *signers: Signer) -> Envelope:
    """Sign bytes.

    Args:
        payload: A statement's canonical JSON.
        signers: At least one.
    """
    message = pae(PAYLOAD_TYPE, payload)
    return Envelope(
        payload=payload, signatures=tuple(Signature(keyid=signer.keyid, sig=signer.sign(message)) for signer in signers)
    )


def verified_by(envelope: Envelope, keys: Iterable[PublicKey]) -> tuple[PublicKey, ...]:
    """Which of these keys signed it. Key ids are hints: the key that one names is tried first, and then all others."""
    message = pae(envelope.payload_type, envelope.payload)
    known = {key.keyid: key for key in keys}
    signed: set[str] = set()
    for signature in envelope.signatures:
        hinted = known.get(signature.keyid)
        first = () if hinted is None else (hinted,)
        tried = (*first, *(key for key in known.values() if key is not hinted))
        found = next((key for key in tried if verifies(key, message, signature.sig)), None)
        if found is not None:
            signed.add(found.keyid)
    return tuple(key for key in known.values() if key.keyid in signed)


@lru_cache(maxsize=REMEMBERED)
def verifies(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether a key signed a message. Whether the key counts is another question, and asked each time."""
    return key.verify(message, signature)


def envelope_text(envelope: Envelope) -> str:
    """The envelope as JSON, on one line.

    Raises:
        AttestationError: If it is longer than every registry can keep.
    """
    values = {
        "payload": base64.b64encode(envelope.payload).decode("ascii"),
        "payloadType": envelope.payload_type,
        "signatures": [
            {"keyid": signature.keyid, "sig": base64.b64encode(signature.sig).decode("ascii")}
            for signature in envelope.signatures
        ],
    }
    text = json.dumps(values, separators=(",", ":"))
    if len(text) > MAX_ENVELOPE:
        raise AttestationError(
            f"the signed verdict has {len(text):,} characters, and a registry keeps {MAX_ENVELOPE:,}",
            fix="Gate fewer metrics in one run, or split the suites into several runs",
        )
    return text


@lru_cache(maxsize=REMEMBERED)
def read_envelope(text: str) -> Envelope:
    """Read an envelope. Nothing in it is believed yet.

    Raises:
        AttestationError: If it is none, or one that could be read in two ways.
    """
    if len(text) > MAX_ENVELOPE:
        raise AttestationError(f"the envelope has {len(text):,} characters, at most {MAX_ENVELOPE:,} are read")
    values = parse_json(text, "the envelope")
    if not isinstance(values, dict) or not {"payload", "payloadType", "signatures"} <= values.keys():
        raise AttestationError("this is no DSSE envelope", fix="Make one with `llmgate verdict sign`")
    if values["payloadType"] != PAYLOAD_TYPE:
        raise AttestationError(f"the envelope holds {values['payloadType']!r}, and {PAYLOAD_TYPE} is expected")
    listed = values["signatures"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_SIGNATURES:
        raise AttestationError(f"the envelope must have 1 to {MAX_SIGNATURES} signatures")
    return Envelope(payload=decode64(values["payload"]), signatures=tuple(map(read_signature, listed)))


def read_signature(entry: object) -> Signature:
    """One entry of `signatures`."""
    if not isinstance(entry, dict) or not isinstance(entry.get("keyid", ""), str):
        raise AttestationError("a signature in the envelope cannot be read")
    return Signature(keyid=entry.get("keyid", ""), sig=decode64(entry.get("sig")))


def decode64(value: object) -> bytes:
    """Base64 as DSSE has it, standard or URL-safe."""
    if not isinstance(value, str):
        raise AttestationError("the envelope lacks base64 where it should have some")
    try:
        return base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise AttestationError(f"the envelope holds base64 that cannot be read ({error})") from error


def parse_json(text: str | bytes, what: str) -> Any:
    """JSON that has one meaning: no key twice, no NaN, no bottomless nesting.

    Raises:
        AttestationError: If it is anything else.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            raise ValueError("a key stands twice in one object")
        return values

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise AttestationError(f"{what} cannot be read ({error})") from error
