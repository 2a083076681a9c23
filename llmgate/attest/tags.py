"""The tags by which a registry keeps signed verdicts and shows its ledger."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "ATTESTATION",
    "LEDGER",
    "MAX_ENVELOPE",
    "STAGE",
    "attestation_alias",
    "attestation_key",
    "ledger_key",
]

ATTESTATION: Final = "llmgate.attestation"
"""On a version, with the alias behind a slash: the DSSE envelope of its verdict."""
LEDGER: Final = "llmgate.ledger"
"""On a model, with the alias behind a slash: the last events of the registry's ledger. Written by the server alone."""
STAGE: Final = "stage:"
"""What stands before a stage where an alias is expected: `stage:Production`."""
MAX_ENVELOPE: Final = 60_000
"""Characters of an envelope. MLflow takes 100,000, a TEXT column of MySQL 65,535 bytes."""
KEY: Final = re.compile(re.escape(ATTESTATION) + r"/(?P<alias>[^/]+)(?:/(?P<n>[2-9]|[1-9]\d{1,3}))?")


def attestation_key(alias: str, n: int = 1) -> str:
    """The tag of the `n`-th verdict by which a version asks for an alias; earlier ones that earned it stay for good."""
    return f"{ATTESTATION}/{alias}" if n == 1 else f"{ATTESTATION}/{alias}/{n}"


def attestation_alias(key: str) -> str | None:
    """The alias that a tag's verdict is for, None if the tag holds no verdict."""
    match = KEY.fullmatch(key)
    return match["alias"] if match else None


def ledger_key(alias: str) -> str:
    """The tag in which a server shows the last events of an alias."""
    return f"{LEDGER}/{alias}"
