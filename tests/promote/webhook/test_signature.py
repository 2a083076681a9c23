"""Who may give orders: whoever has the secret, now, once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.promote.webhook.refusal import DeliveryRefusedError
from llmgate.promote.webhook.signature import (
    DELIVERY_HEADER,
    MAX_AGE_S,
    MAX_AHEAD_S,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    SignedHead,
    check_age,
    check_signature,
    read_head,
    signature_of,
)

SECRET = "a-secret-that-is-long-enough"
BODY = b'{"entity": "model_version"}'
DELIVERY = str(uuid.uuid4())
NOW = 1_764_360_000


def head_of(**changed: object) -> SignedHead:
    values: dict[str, list[str]] = {
        DELIVERY_HEADER: [DELIVERY],
        TIMESTAMP_HEADER: [str(NOW)],
        SIGNATURE_HEADER: [signature_of(SECRET, DELIVERY, str(NOW), BODY)],
    }
    for name, value in changed.items():
        key = {"delivery": DELIVERY_HEADER, "timestamp": TIMESTAMP_HEADER, "signature": SIGNATURE_HEADER}[name]
        values[key] = value if isinstance(value, list) else [str(value)]
    return read_head(values)


def refused(match: str, **changed: object) -> None:
    with pytest.raises(DeliveryRefusedError, match=match) as caught:
        head_of(**changed)
    assert caught.value.status == 401


def test_what_was_signed_holds() -> None:
    check_signature(head_of(), BODY, [SECRET])


def test_it_is_the_signature_that_the_installed_mlflow_makes() -> None:
    pytest.importorskip("mlflow")
    from llmgate.mlflow_quiet import quiet

    with quiet():
        from mlflow.webhooks import constants
        from mlflow.webhooks.delivery import _generate_hmac_signature
    text = '{"name": "\\u00e9 {}"}'
    assert signature_of(SECRET, DELIVERY, "17", text.encode()) == _generate_hmac_signature(SECRET, DELIVERY, "17", text)
    assert constants.WEBHOOK_SIGNATURE_HEADER == SIGNATURE_HEADER
    assert constants.WEBHOOK_TIMESTAMP_HEADER == TIMESTAMP_HEADER
    assert constants.WEBHOOK_DELIVERY_ID_HEADER == DELIVERY_HEADER


@pytest.mark.parametrize(
    ("secrets", "body"),
    [
        (["another-secret-that-is-long"], BODY),
        ([SECRET], BODY + b" "),
        ([SECRET], b""),
        ([], BODY),
        ([""], BODY),
        ([SECRET[:-1]], BODY),
    ],
)
def test_another_secret_or_body_is_refused(secrets: list[str], body: bytes) -> None:
    with pytest.raises(DeliveryRefusedError, match="does not fit") as caught:
        check_signature(head_of(), body, secrets)
    assert caught.value.status == 401


def test_an_empty_secret_signs_nothing() -> None:
    with pytest.raises(DeliveryRefusedError):
        check_signature(head_of(signature=signature_of("", DELIVERY, str(NOW), BODY)), BODY, [""])


def test_both_secrets_count_while_they_are_changed() -> None:
    for secrets in (["the-new-secret-is-long-too", SECRET], [SECRET, "the-new-secret-is-long-too"]):
        check_signature(head_of(), BODY, secrets)


@pytest.mark.parametrize("other", [{"delivery": str(uuid.uuid4())}, {"timestamp": NOW + 1}])
def test_id_and_time_are_signed(other: dict[str, object]) -> None:
    with pytest.raises(DeliveryRefusedError, match="does not fit"):
        check_signature(head_of(**other), BODY, [SECRET])


def test_the_boundaries_between_id_time_and_body_cannot_be_moved() -> None:
    # A delivery whose body holds text that somebody chose, `.TIME.{…}`: signed as a whole, it could be cut anew.
    chosen = b'{"entity": "model_version"}'
    body = b'{"description": "x.' + str(NOW).encode() + b"." + chosen + b'"}'
    told = signature_of(SECRET, DELIVERY, str(NOW), body)
    cut = f'{DELIVERY}.{NOW}.{{"description": "x'
    assert told == signature_of(SECRET, cut, str(NOW), chosen + b'"}'), "the bytes are the same"
    refused("no delivery id", delivery=cut, signature=told)
    refused("no delivery id", delivery=f"{DELIVERY}.1", signature=told)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"signature": []}, "is missing"),
        ({"delivery": []}, "is missing"),
        ({"timestamp": []}, "is missing"),
        ({"signature": ["v1,a", "v1,b"]}, "came 2 times"),
        ({"delivery": ["a", "a"]}, "came 2 times"),
        ({"delivery": ""}, "no delivery id"),
        ({"delivery": "a" * 65}, "no delivery id"),
        ({"delivery": "a b"}, "no delivery id"),
        ({"delivery": "a\n"}, "no delivery id"),
        ({"timestamp": "-1"}, "no Unix time"),
        ({"timestamp": "1.5"}, "no Unix time"),
        ({"timestamp": "1e9"}, "no Unix time"),
        ({"timestamp": "\u0661"}, "no Unix time"),
        ({"timestamp": "9" * 13}, "no Unix time"),
        ({"timestamp": "5\n"}, "no Unix time"),
        ({"timestamp": ""}, "no Unix time"),
    ],
)
def test_headers_of_another_form_are_refused(changed: dict[str, object], match: str) -> None:
    refused(match, **changed)


GOOD = signature_of(SECRET, DELIVERY, str(NOW), BODY)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "does not begin"),
        (GOOD.removeprefix("v1,"), "does not begin"),
        (GOOD.replace("v1", "v2"), "does not begin"),
        (GOOD.replace("v1,", "v1;"), "does not begin"),
        ("V1," + GOOD[3:], "does not begin"),
        ("v1,", "no 32 bytes"),
        (GOOD[:-1], "no 32 bytes"),
        (GOOD[:-4], "no 32 bytes"),
        (GOOD[:20], "no 32 bytes"),
        (GOOD + "=", "no 32 bytes"),
        (GOOD + " " + GOOD, "no 32 bytes"),
        ("v1, " + GOOD[3:], "no 32 bytes"),
        ("v1," + "*" * 44, "no 32 bytes"),
        ("v1," + "é" * 44, "no 32 bytes"),
        ("v1," + "A" * 10_000_000, "no 32 bytes"),
        ("v1," + hashlib.sha256(b"").hexdigest(), "no 32 bytes"),
    ],
    # The signature is of a secret that is made anew in each process.
    ids=range(16),
)
def test_signatures_of_another_form_are_refused(text: str, match: str) -> None:
    refused(match, signature=text)


def test_another_spelling_of_the_same_bytes_is_refused() -> None:
    # The last character before the padding has two bits that no byte uses.
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = GOOD[:-2] + letters[letters.index(GOOD[-2]) ^ 1] + "="
    assert base64.b64decode(other[3:]) == base64.b64decode(GOOD[3:])
    refused("no 32 bytes", signature=other)


@given(st.text(max_size=80))
def test_no_text_is_read_as_a_signature_but_the_one_form(text: str) -> None:
    for candidate in (text, f"v1,{text}"):
        try:
            head = head_of(signature=candidate)
        except DeliveryRefusedError:
            pass
        else:
            assert candidate == "v1," + base64.b64encode(head.mac).decode()
            assert len(head.mac) == 32


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_a_mac_holds_only_if_it_is_the_right_one(mac: bytes, body: bytes) -> None:
    head = head_of(signature="v1," + base64.b64encode(mac).decode())
    assert head.mac == mac
    right = hmac.new(SECRET.encode(), f"{DELIVERY}.{NOW}.".encode() + body, hashlib.sha256).digest()
    if mac != right:
        with pytest.raises(DeliveryRefusedError):
            check_signature(head, body, [SECRET])
    check_signature(head_of(signature="v1," + base64.b64encode(right).decode()), body, [SECRET])


@pytest.mark.parametrize("seconds", [MAX_AGE_S, 0, -MAX_AHEAD_S])
def test_what_is_young_is_taken(seconds: float) -> None:
    check_age(head_of(), NOW + seconds)


@pytest.mark.parametrize(
    ("now", "match"),
    [
        (NOW + MAX_AGE_S + 0.1, "more than 300 seconds ago"),
        (NOW + 10**9, "more than 300 seconds ago"),
        (NOW - MAX_AHEAD_S - 0.1, "in the future"),
        (0.0, "in the future"),
    ],
)
def test_the_old_and_the_future_are_refused(now: float, match: str) -> None:
    with pytest.raises(DeliveryRefusedError, match=match) as caught:
        check_age(head_of(), now)
    assert caught.value.status == 401


def test_the_time_of_another_century_is_refused() -> None:
    with pytest.raises(DeliveryRefusedError, match="in the future"):
        check_age(head_of(timestamp="9" * 12), time.time())
