"""Which tags are the server's, which hold verdicts, and which versions are prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.attest.envelope import read_envelope
from llmgate.attest.names import skeleton
from llmgate.attest.tags import ATTESTATION, LEDGER, attestation_alias
from llmgate.errors import AttestationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.mlflow_server.events import StoredVersion

__all__ = ["digest_of", "envelopes", "holds_verdict", "is_ledger", "is_prompt_tag", "is_prompt_version"]

PROMPT_TAG: Final = "mlflow.prompt.is_prompt"
PLACEHOLDERS: Final = frozenset({"prompt-template", "dummy-source"})
"""What MLflow writes where the source of a model would be: a prompt has none."""


def is_ledger(key: str) -> bool:
    """Whether a tag is the server's, or some database takes it for one: MySQL compares without case and accents."""
    return skeleton(key).startswith(skeleton(LEDGER))


def holds_verdict(key: str) -> bool:
    """Whether a tag holds a verdict, or looks as if it did."""
    return skeleton(key).startswith(skeleton(ATTESTATION))


def is_prompt_tag(key: str) -> bool:
    """Whether a tag makes a prompt of a model."""
    return skeleton(key) == skeleton(PROMPT_TAG)


def is_prompt_version(facts: StoredVersion) -> bool:
    """Whether a version is text and not a model: it says so, and there is nothing that could be loaded."""
    return facts.tags.get(PROMPT_TAG) == "true" and facts.source in PLACEHOLDERS


def digest_of(text: str) -> str | None:
    """The digest of what an envelope holds, None if it is no envelope."""
    try:
        return read_envelope(text).digest
    except AttestationError:
        return None


def envelopes(tags: Mapping[str, str], alias: str) -> dict[str, str]:
    """The envelopes among a version's tags that are for an alias, by digest."""
    found = {digest_of(text): text for key, text in tags.items() if attestation_alias(key) == alias}
    return {digest: text for digest, text in found.items() if digest is not None}
