"""Which files of a model folder can shape what the model says.

An unknown kind of file counts: what a loader of tomorrow, or code that the folder brings along, reads from it is not
known here. Left out are only

- notes, which nothing loads: `*.md`, and README, LICENSE, NOTICE and COPYING as plain text, HTML or PDF,
- requirements.txt, unless it lies beside an MLmodel: MLflow installs what it says,
- traces of training, by the exact names that no loader takes for weights,
- `registered_model_meta`, which a download by MLflow adds beside an MLmodel,
- hidden files, unless their kind is one that holds weights or code: an index may name `.shard.safetensors`.

Symbolic links are followed, to files (the hub's cache keeps nothing else) and to folders.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from llmgate.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["WEIGHTS", "counted_files", "counted_names"]

WEIGHTS: Final = frozenset({".safetensors", ".bin", ".pt", ".pth", ".gguf", ".npz"})
"""Kinds of files that hold weights."""
CODE: Final = frozenset({".py", ".pyc", ".so", ".jinja"})
NOTES: Final = re.compile(r"(?i).*\.md|(?:readme|licen[cs]e|notice|copying)(?:[-_ ][^.]*)?(?:\.(?:txt|rst|html|pdf))?")
TRACES: Final = re.compile(
    r"trainer_state\.json|(?:all|train|eval)_results\.json|training_args\.bin|optimizer\.(?:pt|bin)|(?:scheduler|scaler)\.pt"
    r"|rng_state(?:_\d+)?\.pth|events\.out\.tfevents\..*"
)
"""Exact: vLLM loads every other `*.bin` and `*.pt`, whatever it is called.

Reference: `filter_files_not_needed_for_inference` in vLLM's weight_utils.py.
"""
REQUIREMENTS: Final = re.compile(r"(?i)requirements.*\.txt")
MLFLOW: Final = "MLmodel"
MLFLOW_ADDS: Final = "registered_model_meta"
"""Reference: `_add_registered_model_meta_file` in MLflow's models_artifact_repo.py, the only file that it adds."""
MOST_FILES: Final = 100_000


def counted_files(folder: Path) -> tuple[str, ...]:
    """The files that count, by their paths below the folder, with `/`, sorted.

    Args:
        folder: A model folder.

    Raises:
        WeightsError: If a name is not UTF-8, a link leads back to a folder above it, or there are too many files.
        OSError: If a folder cannot be read.
    """
    found: list[str] = []
    for name in _below(str(folder), "", above=(), hidden=False):
        found.append(name)
        if len(found) > MOST_FILES:
            raise WeightsError(
                f"it holds more than {MOST_FILES:,} files", where=str(folder), fix="Give the folder of one model"
            )
    return tuple(sorted(found))


def counted_names(names: Iterable[str]) -> tuple[str, ...]:
    """Of files that a server lists, those that count: of a folder that holds them all, `counted_files` says the same.

    Args:
        names: Paths below the folder, with `/`.
    """
    beside: dict[str, set[str]] = {}
    listed = list(names)
    for path in listed:
        folder, _, name = path.rpartition("/")
        beside.setdefault(folder, set()).add(name)
    found = []
    for path in listed:
        folder, _, name = path.rpartition("/")
        if _counts(name, beside[folder], hidden=any(part.startswith(".") for part in path.split("/"))):
            found.append(path)
    return tuple(sorted(found))


def _below(folder: str, prefix: str, *, above: tuple[tuple[int, int], ...], hidden: bool) -> Iterator[str]:
    status = os.stat(folder)  # noqa: PTH116 - a path of bytes that are no UTF-8 is reported below
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise WeightsError(
            "it is a link to a folder in which it lies, so this folder has no end", where=folder, fix="Remove the link"
        )
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    names = {entry.name for entry in entries}
    for entry in entries:
        secret = hidden or entry.name.startswith(".")
        if entry.is_dir():
            # What a hidden link leads to is either here under its own name, or somebody else's.
            if not (secret and entry.is_symlink()):
                _check_name(entry.name, folder)
                yield from _below(entry.path, f"{prefix}{entry.name}/", above=(*above, here), hidden=secret)
        elif _counts(entry.name, names, hidden=secret):
            _check_name(entry.name, folder)
            yield f"{prefix}{entry.name}"


def _counts(name: str, beside: set[str], *, hidden: bool) -> bool:
    """Whether a file counts, by its name and those of the files beside it."""
    if hidden:
        return os.path.splitext(name.lstrip("."))[1] in WEIGHTS | CODE  # noqa: PTH122 - of a name, not of a path
    if NOTES.fullmatch(name) or TRACES.fullmatch(name):
        return False
    if MLFLOW in beside:
        return name != MLFLOW_ADDS
    return not REQUIREMENTS.fullmatch(name)


def _check_name(name: str, folder: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise WeightsError(
            f"the name {os.fsencode(name)!r} is not UTF-8, so it cannot stand in a manifest",
            where=os.fsencode(folder).decode("utf-8", "replace"),
            fix="Rename the file",
        ) from error
