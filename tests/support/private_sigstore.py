"""A Sigstore of one's own, as small as it can be: a CA, a certificate log and a signature log with one entry each.

It makes bundles and the trust configuration that verifies them, from the formats' descriptions: RFC 5280 and 6962 for the
certificate and its log, the C2SP signed note for the checkpoint, sigstore's bundle 0.3 and trusted root 0.1.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from llmgate.attest.envelope import PAYLOAD_TYPE, pae

__all__ = ["PrivateSigstore"]

ISSUER_OID = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
SCT_OID = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
LONG = timedelta(days=3650)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def der_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Its SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """A signature."""
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def b64(data: bytes) -> str:
    """Base64 as text."""
    return base64.b64encode(data).decode("ascii")


def in_24_bits(data: bytes) -> bytes:
    """Data with its length in three bytes before it."""
    return struct.pack("!I", len(data))[1:] + data


def in_16_bits(data: bytes) -> bytes:
    """The same with two."""
    return struct.pack("!H", len(data)) + data


def octets(data: bytes) -> bytes:
    """A DER octet string of at most 255 bytes."""
    return b"\x04" + (bytes([len(data)]) if len(data) < 128 else b"\x81" + bytes([len(data)])) + data


@dataclass(kw_only=True)
class PrivateSigstore:
    """The three keys, and what they sign."""

    authority: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    certificate_log: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    signature_log: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    root: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        """Make the root certificate."""
        now = datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private")])
        self.root = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.authority.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - LONG)
            .not_valid_after(now + LONG)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage(key_cert_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.authority.public_key()), critical=False)
            .sign(self.authority, hashes.SHA256())
        )

    def trust_config(self) -> str:
        """What verifies the bundles: a `ClientTrustConfig`."""
        valid = {"start": "2020-01-01T00:00:00Z"}
        logs = [
            {
                "baseUrl": "https://log.invalid",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": b64(der_of(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid},
                "logId": {"keyId": b64(hashlib.sha256(der_of(key)).digest())},
            }
            for key in (self.signature_log, self.certificate_log)
        ]
        authority = {
            "subject": {"organization": "private", "commonName": "private"},
            "uri": "https://ca.invalid",
            "certChain": {"certificates": [{"rawBytes": b64(self.root.public_bytes(Encoding.DER))}]},
            "validFor": valid,
        }
        trusted = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": logs[:1],
            "certificateAuthorities": [authority],
            "ctlogs": logs[1:],
            "timestampAuthorities": [],
        }
        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [],
            "oidcUrls": [],
            "rekorTlogUrls": [],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [],
            "tsaConfig": {"selector": "ANY"},
        }
        media = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
        return json.dumps({"mediaType": media, "trustedRoot": trusted, "signingConfig": signing})

    def bundle(self, payload: bytes, *, identity: str, issuer: str) -> dict[str, Any]:
        """A statement that this identity signed, just now."""
        key = new_key()
        certificate = self.certificate(key, identity=identity, issuer=issuer)
        signature = signed(key, pae(PAYLOAD_TYPE, payload))
        envelope = {"payload": b64(payload), "payloadType": PAYLOAD_TYPE, "signatures": [{"sig": b64(signature)}]}
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [self.entry(payload, signature, certificate, envelope)],
            },
            "dsseEnvelope": envelope,
        }

    def certificate(self, key: ec.EllipticCurvePrivateKey, *, identity: str, issuer: str) -> x509.Certificate:
        """A certificate of ten minutes, with the certificate log's promise inside."""
        now = datetime.now(UTC).replace(microsecond=0)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(minutes=5))
            .add_extension(usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key()), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=True)
            .add_extension(x509.UnrecognizedExtension(ISSUER_OID, issuer.encode()), critical=False)
        )
        before = builder.sign(self.authority, hashes.SHA256())
        promise = octets(in_16_bits(in_16_bits(self.promise(before.tbs_certificate_bytes, now))))
        return builder.add_extension(x509.UnrecognizedExtension(SCT_OID, promise), critical=False).sign(
            self.authority, hashes.SHA256()
        )

    def promise(self, tbs: bytes, now: datetime) -> bytes:
        """The certificate log's signed timestamp over a precertificate, RFC 6962 section 3.2."""
        milliseconds = int(now.timestamp() * 1000)
        entry = hashlib.sha256(der_of(self.authority)).digest() + in_24_bits(tbs)
        data = struct.pack("!BBQH", 0, 0, milliseconds, 1) + entry + struct.pack("!H", 0)
        signature = signed(self.certificate_log, data)
        log_id = hashlib.sha256(der_of(self.certificate_log)).digest()
        # Version 1, no extensions, SHA-256 (4) with ECDSA (3).
        return b"\0" + log_id + struct.pack("!QH", milliseconds, 0) + bytes([4, 3]) + in_16_bits(signature)

    def entry(
        self, payload: bytes, signature: bytes, certificate: x509.Certificate, envelope: dict[str, Any]
    ) -> dict[str, Any]:
        """The signature log's only entry: its promise, and the proof that it is the only one."""
        body = canonical(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(canonical(envelope)).hexdigest()},
                    "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
                    "signatures": [
                        {"signature": b64(signature), "verifier": b64(certificate.public_bytes(Encoding.PEM))}
                    ],
                },
            }
        )
        log_id = hashlib.sha256(der_of(self.signature_log)).digest()
        seconds = int(datetime.now(UTC).timestamp())
        told = {"body": b64(body), "integratedTime": seconds, "logID": log_id.hex(), "logIndex": 0}
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"log.invalid\n1\n{b64(root)}\n"
        checkpoint = f"{note}\n— log.invalid {b64(log_id[:4] + signed(self.signature_log, note.encode()))}\n"
        return {
            "logIndex": "0",
            "logId": {"keyId": b64(log_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": b64(signed(self.signature_log, canonical(told)))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": checkpoint},
            },
            "canonicalizedBody": b64(body),
        }


def canonical(value: object) -> bytes:
    """Canonical JSON of what has plain keys and no fractions."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def usage(*, key_cert_sign: bool = False, digital_signature: bool = False) -> x509.KeyUsage:
    """What a key may be used for."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
