"""Where a model that checks ask lies on this machine: a folder, or the hub's cache. Nothing is downloaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from llmgate.errors import SuiteError

__all__ = ["find_folder", "is_on_hub"]

_SCHEME: Final = "hf://"
_HUB: Final = re.compile(r"hf://((?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*)(?:@([\w.-]+))?", re.ASCII)
_FORM: Final = "Write hf://OWNER/NAME or hf://OWNER/NAME@COMMIT"


def is_on_hub(named: str, *, where: str | None = None) -> bool:
    """Whether a model is named as the hub has it: whether it is in the cache shows only where it is needed.

    Raises:
        SuiteError: If it looks like it and cannot be read.
    """
    if not named.startswith(_SCHEME):
        return False
    if not _HUB.fullmatch(named):
        raise SuiteError(f"{named!r} is no model on the hub", where=where, fix=_FORM)
    return True


def find_folder(named: str, *, where: str | None = None) -> Path:
    """The folder of a model.

    Args:
        named: A folder, absolute or relative to the working directory, or `hf://OWNER/NAME`, of which the cache holds
            a copy; without a commit the one that its `main` was when it was fetched.
        where: `file:line` for messages.

    Raises:
        SuiteError: If there is none.
    """
    if is_on_hub(named, where=where):
        return _cached(named, where)
    path = Path(named).expanduser()
    if not _has_model(path):
        raise SuiteError(f"{named!r} is no folder with a model", where=where, fix="Nothing is fetched")
    return path.resolve()


def _has_model(path: Path) -> bool:
    # sentence-transformers keeps the configuration of a model of several modules in folders below.
    return (path / "config.json").is_file() or (path / "modules.json").is_file()


def _cached(named: str, where: str | None) -> Path:
    match = _HUB.fullmatch(named)
    repository, revision = match.groups() if match else (named, None)
    try:
        import huggingface_hub as hub  # noqa: PLC0415 - an extra, 0.4 s to import
    except ImportError as error:
        raise SuiteError(
            "models in the hub's cache need huggingface-hub", where=where, fix="pip install 'pytest-llmgate[data]'"
        ) from error
    try:
        path = Path(hub.snapshot_download(repository, revision=revision, local_files_only=True))
    except (OSError, ValueError) as error:
        raise SuiteError(
            f"{named} is not in the hub's cache, and nothing is fetched while a suite runs",
            where=where,
            fix=f"Fetch it once: hf download {repository}, or name a folder",
        ) from error
    if not _has_model(path):
        raise SuiteError(
            f"the hub's cache holds {named} only in part", where=where, fix=f"Fetch it: hf download {repository}"
        )
    return path
