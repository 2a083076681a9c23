"""Promotion: the registry's facts meet a decision taken again from the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.attest.policy import load_policy
from llmgate.errors import UsageError
from llmgate.generate.sources.layout import loaded_of
from llmgate.generate.sources.local import models_root
from llmgate.promote.alias import CHAMPION
from llmgate.promote.registries import promote
from llmgate.record.artifact_store import local_path
from llmgate.record.weights import weights_digest
from llmgate.session.decide.records import decide_folders

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.promote.promotion import Promotion

__all__ = ["ask_for_refresh", "promote_version", "source_digest"]


def promote_version(
    uri: str,
    alias: str,
    *,
    accept: str | None = None,
    registry_policy: Path | None = None,
    mlflow_uri: str | None = None,
) -> Promotion:
    """Set an alias, if a PASS verdict for exactly this version allows it.

    Args:
        uri: `models:/NAME/VERSION`.
        alias: The alias.
        accept: Why a weaker policy than the champion's will do.
        registry_policy: The registry's policy file, by which the signed verdict is verified here; None if it is not at
            hand.
        mlflow_uri: Tracking server or store; None for MLFLOW_TRACKING_URI.

    Raises:
        UsageError: If the reason is empty.
        PolicyError: If the policy cannot be read.
        PromotionRefusedError: With one sentence: why, and what to do.
        CannotRunError: If MLflow cannot be reached.
    """
    if accept is not None and not accept.strip():
        raise UsageError("the reason is empty", where="--accept-policy-change", fix="Say why this policy will do")
    return promote(
        uri,
        alias,
        redecide=decide_folders,
        source_digest=source_digest,
        accept=accept,
        policy=load_policy(registry_policy) if registry_policy is not None else None,
        tracking_uri=mlflow_uri,
    )


def ask_for_refresh(promotion: Promotion) -> str:
    """What makes the next comparisons fair, where the run that earned the alias is what they would be made with."""
    alias = "" if promotion.alias == CHAMPION else f" --alias {promotion.alias}"
    again = f"llmgate champion refresh models:/{promotion.version.name}{alias} SUITES..."
    return f"its run was chosen because it passed, so luck is part of it: `{again}` makes the next comparisons fair"


def source_digest(source: str) -> str | None:
    """Digest of the weights at a version's source, None where they cannot be reached from here."""
    folder = local_path(source)
    # Of what MLflow calls a model, what a server loads of it: that is what the gate hashed.
    return weights_digest(loaded_of(folder, views=models_root)) if folder is not None and folder.is_dir() else None
