"""Promotion: the registry's facts meet a decision taken again from the records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from llmgate.generate.identity import weights_digest
from llmgate.promote.registries import promote
from llmgate.session.decide.records import decide_folders

if TYPE_CHECKING:
    from llmgate.promote.promotion import Promotion

__all__ = ["promote_version"]


def promote_version(uri: str, alias: str, *, mlflow_uri: str | None = None) -> Promotion:
    """Set an alias, if a PASS verdict for exactly this version allows it.

    Args:
        uri: `models:/NAME/VERSION`.
        alias: The alias.
        mlflow_uri: Tracking server or store; None for MLFLOW_TRACKING_URI.

    Raises:
        PromotionRefusedError: With one sentence: why, and what to do.
        CannotRunError: If MLflow cannot be reached.
    """
    return promote(
        uri,
        alias,
        redecide=decide_folders,
        source_digest=source_digest,
        tracking_uri=mlflow_uri,
    )


def source_digest(source: str) -> str | None:
    """Digest of the weights at a version's source, None where they cannot be reached from here."""
    parts = urlsplit(source)
    if parts.scheme not in {"", "file"}:
        return None
    folder = Path(unquote(parts.path) if parts.scheme else source)
    return weights_digest(folder) if folder.is_dir() else None
