"""Promotion in a registry that is not MLflow, by a signed verdict and a policy file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.attest.policy import load_policy
from llmgate.errors import UsageError
from llmgate.promote.elsewhere.opened import open_elsewhere
from llmgate.promote.elsewhere.promotion import PromotedElsewhere, facts_to_sign, promote_elsewhere
from llmgate.record.disk import decoded, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.attest.statement import ChampionFacts, RegistryFacts

__all__ = ["elsewhere_facts", "promote_version_elsewhere"]


def promote_version_elsewhere(
    uri: str,
    alias: str,
    *,
    policy: Path | None,
    verdict: Path | None = None,
    verdicts_at: str | None = None,
) -> PromotedElsewhere:
    """Set an alias in another registry, if a signed verdict for exactly this version allows it.

    Args:
        uri: The version; `llmgate.promote.elsewhere.address.FORMS` has the forms.
        alias: The alias.
        policy: Whose signatures count, and what a verdict must have.
        verdict: The signed verdict; None for the one that was attached to the version last.
        verdicts_at: Where SageMaker and Vertex AI keep verdicts.

    Raises:
        UsageError: If the URI names no single version, or there is no policy.
        PromotionRefusedError: With one sentence: why, and what to do.
        CannotRunError: If the registry cannot be reached, or its client is not installed.
    """
    if policy is None:
        raise UsageError(
            "this registry checks nothing by itself, so a policy has to say whose verdicts count",
            where="--registry-policy",
            fix="Name the policy file, or set LLMGATE_REGISTRY_POLICY",
        )
    text = None
    if verdict is not None:
        fix = "Name the envelope that `llmgate verdict sign` wrote"
        text = decoded(read_bytes(verdict, fix=fix), str(verdict), fix=fix)
    rules = load_policy(policy)
    registry, address = open_elsewhere(uri, verdicts_at=verdicts_at)
    return promote_elsewhere(registry, address.model, address.version, alias=alias, policy=rules, envelope=text)


def elsewhere_facts(
    uri: str, alias: str, *, registry_id: str, verdicts_at: str | None = None
) -> tuple[RegistryFacts, ChampionFacts | None]:
    """What a verdict about a version in another registry has to name: the version, and who holds the alias.

    Args:
        uri: The version.
        alias: The alias that is asked for.
        registry_id: The registry id of the policy.
        verdicts_at: Where SageMaker and Vertex AI keep verdicts.

    Raises:
        UsageError: If the URI names no single version.
        CannotRunError: If the registry cannot be reached, or its client is not installed.
    """
    registry, address = open_elsewhere(uri, verdicts_at=verdicts_at)
    return facts_to_sign(registry, address.model, address.version, alias=alias, registry_id=registry_id)
