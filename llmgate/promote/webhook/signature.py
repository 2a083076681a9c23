"""Whether a delivery was signed with our secret, as MLflow 3.17 signs (mlflow/webhooks/delivery.py).

HMAC-SHA256 over `DELIVERY_ID.TIMESTAMP.BODY`; header `X-MLflow-Signature: v1,BASE64`. What is signed has no lengths in
it, so a delivery id with a full stop in it could move the boundaries: bytes of a body would become part of the id, and
text that somebody chose (a description, say) the body. That is why the id has an alphabet without it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.promote.webhook.refusal import DeliveryRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "DELIVERY_HEADER",
    "MAX_AGE_S",
    "MAX_AHEAD_S",
    "SIGNATURE_HEADER",
    "TIMESTAMP_HEADER",
    "SignedHead",
    "check_age",
    "check_signature",
    "read_head",
    "signature_of",
]

SIGNATURE_HEADER: Final = "X-MLflow-Signature"
TIMESTAMP_HEADER: Final = "X-MLflow-Timestamp"
DELIVERY_HEADER: Final = "X-MLflow-Delivery-Id"

MAX_AGE_S: Final = 300
"""MLflow stamps a delivery once and sends it at most four times within seconds."""
MAX_AHEAD_S: Final = 5
"""Whole seconds and two clocks. What lies further ahead would outlive the memory of what was seen."""
DELIVERY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
VERSION: Final = "v1"
MAC_BYTES: Final = 32
MAC_TEXT: Final = 44
"""Characters of 32 bytes in base64."""
CLOCK: Final = "Compare this machine's clock with that of the MLflow server"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """What the headers of a delivery say; nothing of it is known to be true.

    Attributes:
        delivery: The delivery's id.
        timestamp: When it was signed, text as it was signed.
        mac: The signature, 32 bytes.
    """

    delivery: str
    timestamp: str
    mac: bytes


def read_head(headers: Mapping[str, Sequence[str]]) -> SignedHead:
    """Read the three headers.

    Args:
        headers: By name as above, all values that came under it.

    Raises:
        DeliveryRefusedError: With 401, if one is absent, came twice, or has another form.
    """
    delivery = single(headers, DELIVERY_HEADER)
    timestamp = single(headers, TIMESTAMP_HEADER)
    signature = single(headers, SIGNATURE_HEADER)
    if not DELIVERY.fullmatch(delivery):
        raise DeliveryRefusedError(401, f"{DELIVERY_HEADER} is no delivery id")
    if not TIMESTAMP.fullmatch(timestamp):
        raise DeliveryRefusedError(401, f"{TIMESTAMP_HEADER} is no Unix time in seconds")
    return SignedHead(delivery=delivery, timestamp=timestamp, mac=read_mac(signature))


def single(headers: Mapping[str, Sequence[str]], name: str) -> str:
    """The value of a header that has to come exactly once."""
    values = headers.get(name, ())
    if len(values) == 1:
        return values[0]
    if not values and name == SIGNATURE_HEADER:
        raise DeliveryRefusedError(401, f"{name} is missing", fix="Give the webhook in MLflow the secret")
    raise DeliveryRefusedError(401, f"{name} is missing" if not values else f"{name} came {len(values)} times")


def read_mac(text: str) -> bytes:
    """The bytes of `v1,BASE64`, in the one spelling that MLflow writes."""
    version, comma, encoded = text.partition(",")
    if not comma or version != VERSION:
        raise DeliveryRefusedError(401, f"{SIGNATURE_HEADER} does not begin with {VERSION!r} and a comma")
    try:
        # The length first: a decoder is not fed megabytes. ASCII only: `b64decode` raises ValueError for the rest.
        mac = base64.b64decode(encoded, validate=True) if len(encoded) == MAC_TEXT else b""
    except (binascii.Error, ValueError):
        mac = b""
    if len(mac) != MAC_BYTES or base64.b64encode(mac).decode("ascii") != encoded:
        raise DeliveryRefusedError(401, f"{SIGNATURE_HEADER} holds no 32 bytes in base64")
    return mac


def check_age(head: SignedHead, now: float) -> None:
    """Refuse what was signed too long ago, or in the future.

    Args:
        head: What the headers say.
        now: Unix time in seconds.

    Raises:
        DeliveryRefusedError: With 401.
    """
    age = now - int(head.timestamp)
    if age > MAX_AGE_S:
        raise DeliveryRefusedError(401, f"it was signed more than {MAX_AGE_S} seconds ago", fix=CLOCK)
    if age < -MAX_AHEAD_S:
        raise DeliveryRefusedError(401, "it was signed in the future", fix=CLOCK)


def check_signature(head: SignedHead, body: bytes, secrets: Sequence[str]) -> None:
    """Refuse what none of the secrets signed. All are tried, whichever it was, in constant time each.

    Raises:
        DeliveryRefusedError: With 401; also where there is no secret at all.
    """
    good = False
    for secret in secrets:
        good |= bool(secret) and hmac.compare_digest(digest(secret, head.delivery, head.timestamp, body), head.mac)
    if not good:
        raise DeliveryRefusedError(
            401,
            "the signature does not fit",
            fix="The webhook in MLflow needs the secret that the receiver was given with --secret-env",
        )


def signature_of(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    """The header that MLflow sends with a delivery."""
    return f"{VERSION},{base64.b64encode(digest(secret, delivery, timestamp, body)).decode('ascii')}"


def digest(secret: str, delivery: str, timestamp: str, body: bytes) -> bytes:
    """HMAC-SHA256 over id, time and body, joined by full stops."""
    return hmac.new(secret.encode(), f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256).digest()
