"""What a user named as a model → a folder of this machine, where it came from, and what it was pinned to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import UsageError
from llmgate.generate.sources.place import Folder, read_place

if TYPE_CHECKING:
    from llmgate.session.progress import Progress
    from llmgate.session.settings.typed import Settings

__all__ = ["LocalModel", "local_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A model that lies on this machine.

    Attributes:
        folder: What vLLM loads.
        source: As the user named it; it holds no credentials.
        revision: What it was pinned to: a commit, an MLflow version with its run, the digest of a list of objects;
            "" for a folder.
        name: What requests call it where nobody says otherwise.
    """

    folder: Path
    source: str
    revision: str = ""
    name: str = ""


def local_model(settings: Settings, text: str, progress: Progress) -> LocalModel:
    """Make a model lie on this machine: fetch it, unless it was fetched before.

    Calling it again for the same text is cheap, and gives the same folder.

    Args:
        settings: Name the registry.
        text: A folder, or a place as `llmgate.generate.sources.place` reads it.
        progress: Told about what is fetched.

    Raises:
        UsageError: If the text names no place.
        CannotRunError: If it cannot be had.
    """
    place = read_place(text)
    if not isinstance(place, Folder):
        raise UsageError("models are taken from folders only, so far", where=text, fix="Give a model folder")
    folder = Path(place.path).expanduser()
    return LocalModel(folder=folder.resolve(), source=text, name=place.name or folder.resolve().name)
