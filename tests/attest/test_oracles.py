"""What others make of our envelopes and statements, and we of theirs: securesystemslib, in-toto's own classes, RFC 8032."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.protobuf.json_format import Parse, ParseError
from hypothesis import given
from hypothesis import strategies as st
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey
from support.verdicts import Keys, make_keys, registry_facts

from llmgate.attest.envelope import PAYLOAD_TYPE, envelope_text, pae, read_envelope, sign_payload, verified_by
from llmgate.attest.keys import generate, private_key, public_key, public_of
from llmgate.attest.statement import canonical, read_statement, svr_statement
from llmgate.errors import AttestationError

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.attest.keys import KeySigner

RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
]
"""Section 7.1, tests 1 to 3: secret key, public key, message, signature."""
SMALL_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]
"""All y coordinates of points of order 1, 2, 4 and 8, and two that are written too large; as libsodium refuses them."""


def of_seed(seed: str) -> KeySigner:
    pem = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return private_key(pem.decode(), where="test")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_rfc_8032(seed: str, public: str, message: str, signature: str) -> None:
    signer = of_seed(seed)
    data = bytes.fromhex(message)
    assert signer.public.key.public_bytes_raw().hex() == public
    assert signer.sign(data).hex() == signature
    assert signer.public.verify(data, bytes.fromhex(signature))
    assert not signer.public.verify(data + b"x", bytes.fromhex(signature))
    for place in (0, 31, 32, 63):
        changed = bytearray.fromhex(signature)
        changed[place] ^= 1
        assert not signer.public.verify(data, bytes(changed))
    for length in (0, 63, 65):
        assert not signer.public.verify(data, bytes.fromhex(signature)[:length].ljust(length, b"\0"))


def test_a_signature_has_one_form() -> None:
    """S and S + L are the same number modulo the group's order; RFC 8032 5.1.7 has only the smaller one."""
    order = 2**252 + 27742317777372353535851937790883648493
    seed, _, message, signature = RFC_8032[1]
    raw = bytes.fromhex(signature)
    second = (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    assert not of_seed(seed).public.verify(bytes.fromhex(message), raw[:32] + second)


def their_key(pem: str, keyid: str) -> SSlibKey:
    return SSlibKey(keyid, "ed25519", "ed25519", {"public": public_key(pem).key.public_bytes_raw().hex()})


def test_securesystemslib_verifies_ours(keys: Keys) -> None:
    text = keys.verdict(registry_facts())
    theirs = TheirEnvelope.from_dict(json.loads(text))
    signer = keys.signers["bootstrap"]
    accepted = theirs.verify([their_key(signer.public.pem, signer.keyid)], threshold=1)
    assert list(accepted) == [signer.keyid]
    assert theirs.payload == read_envelope(text).payload
    assert theirs.pae() == pae(PAYLOAD_TYPE, read_envelope(text).payload)
    other = keys.signers["gate"]
    with pytest.raises(VerificationError):
        theirs.verify([their_key(other.public.pem, signer.keyid)], threshold=1)


def test_two_of_our_signatures_reach_a_threshold_of_two(keys: Keys) -> None:
    payload = read_envelope(keys.verdict(registry_facts())).payload
    signers = [keys.signers[name] for name in ("gate", "bootstrap")]
    theirs = TheirEnvelope.from_dict(json.loads(envelope_text(sign_payload(payload, *signers))))
    assert len(theirs.verify([their_key(s.public.pem, s.keyid) for s in signers], threshold=2)) == 2


def test_we_verify_theirs(keys: Keys) -> None:
    signer = CryptoSigner.generate_ed25519()
    payload = read_envelope(keys.verdict(registry_facts())).payload
    theirs = TheirEnvelope(payload, PAYLOAD_TYPE, {})
    theirs.sign(signer)
    envelope = read_envelope(json.dumps(theirs.to_dict()))
    pem = signer.private_bytes
    ours = private_key(pem.decode(), where="theirs").public
    assert verified_by(envelope, [keys.signers["gate"].public, ours]) == (ours,)
    assert read_statement(envelope.payload, envelope.digest).registry == registry_facts()


@given(st.binary(max_size=300), st.text(max_size=40))
def test_both_sign_the_same_bytes(payload: bytes, kind: str) -> None:
    assert pae(kind, payload) == TheirEnvelope(payload, kind, {}).pae()


@given(st.binary(min_size=1, max_size=300))
def test_what_one_signs_the_other_verifies(payload: bytes) -> None:
    private, public = generate()
    signer = private_key(private, where="test")
    text = envelope_text(sign_payload(payload, signer))
    theirs = TheirEnvelope.from_dict(json.loads(text))
    assert theirs.verify([their_key(public, signer.keyid)], threshold=1)
    assert verified_by(read_envelope(json.dumps(theirs.to_dict())), [signer.public])


@pytest.mark.parametrize("sign", [0x00, 0x80])
@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_key_of_small_order_is_refused(point: str, sign: int) -> None:
    raw = bytearray.fromhex(point)
    raw[31] |= sign
    key = Ed25519PublicKey.from_public_bytes(bytes(raw))
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(AttestationError, match="signatures of anybody"):
        public_key(pem)


def test_why_a_key_of_small_order_is_refused() -> None:
    """One signature, made without any private key, on whatever one likes."""
    key = public_of(Ed25519PublicKey.from_public_bytes(bytes.fromhex(SMALL_ORDER[1])))
    assert key.verify(b"anything", bytes.fromhex(SMALL_ORDER[1]) + bytes(32))


def parsed(document: dict[str, Any]) -> Statement:
    """A statement as in-toto's own message has it: a field that it does not know is an error."""
    statement = Statement.copy_from_pb(Parse(json.dumps(document), StatementMessage()))
    statement.validate()
    return statement


def test_in_toto_reads_our_statements(keys: Keys) -> None:
    facts = registry_facts()
    for text in (keys.verdict(facts), keys.override(facts)):
        document = json.loads(read_envelope(text).payload)
        theirs = parsed(document)
        assert theirs.pb.predicate_type == document["predicateType"]
        assert dict(theirs.pb.subject[0].digest) == document["subject"][0]["digest"]
    envelope = read_envelope(keys.verdict(facts))
    svr = svr_statement(read_statement(envelope.payload, envelope.digest), verifier="urn:llmgate")
    assert parsed(json.loads(canonical(svr))).pb.subject[0].name == "support-bot"


def test_in_toto_refuses_what_is_no_statement(keys: Keys) -> None:
    document = json.loads(read_envelope(keys.verdict(registry_facts())).payload)
    changes: list[dict[str, Any]] = [{"_type": "x"}, {"subject": []}, {"predicateType": ""}, {"predicate": {}}]
    for changed in changes:
        with pytest.raises(ValueError, match=".+"):
            parsed(document | changed)
    with pytest.raises(ParseError):
        parsed(document | {"weather": "fine"})


def test_what_others_write_may_use_another_alphabet(keys: Keys) -> None:
    """DSSE allows base64 of either alphabet."""
    text = keys.verdict(registry_facts())
    values = json.loads(text)
    values["payload"] = values["payload"].replace("+", "-").replace("/", "_")
    values["signatures"][0]["sig"] = values["signatures"][0]["sig"].replace("+", "-").replace("/", "_")
    assert verified_by(read_envelope(json.dumps(values)), [keys.signers["bootstrap"].public])


def test_a_private_key_file_of_theirs_signs_for_us(tmp_path: Path) -> None:
    signer = CryptoSigner.generate_ed25519()
    (tmp_path / "key.pem").write_bytes(signer.private_bytes)
    ours = private_key((tmp_path / "key.pem").read_text(encoding="ascii"), where="theirs")
    assert ours.public.key.public_bytes_raw().hex() == signer.public_key.keyval["public"]
