"""A model that lies on this machine, wherever it came from. Imports nothing: settings hold it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["LocalModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A model that lies on this machine.

    Attributes:
        folder: What vLLM loads.
        source: As the user named it; it holds no credentials.
        revision: What it was pinned to: a commit, an MLflow version with its run, the digest of a list of objects;
            "" for a folder.
        name: What requests call it where nobody says otherwise.
        registry_uri: `models:/NAME/VERSION`, where it is a registered version; None elsewhere.
    """

    folder: Path
    source: str
    revision: str = ""
    name: str = ""
    registry_uri: str | None = None
