"""The identity of a model: a manifest of its files, and the digest of that manifest.

The digest is the SHA-256 of the compact JSON list of `{"path", "sha256", "size"}` of all files that count, sorted by
path. It is what a verdict is about, and what is compared where the model is promoted and served.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import WeightsError
from llmgate.record.weights_files import WEIGHTS, counted_files
from llmgate.record.weights_hashing import hash_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from llmgate.record.weights_cache import WeightsCache
    from llmgate.record.weights_hashing import Hashed, HashProgress

__all__ = [
    "MANIFEST_NAME",
    "WeightsFile",
    "WeightsManifest",
    "differences",
    "hash_weights",
    "manifest_of",
    "read_manifest",
    "weights_digest",
    "weights_manifest",
]

MANIFEST_NAME: Final = "weights.json"
"""The manifest's file, beside the verdict about it."""
VERSION: Final = 1
SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFile:
    """One file of a model.

    Attributes:
        path: Below the model folder, with `/`.
        size: Bytes.
        sha256: Of its bytes, 64 hexadecimal digits.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsManifest:
    """All files of a model that count.

    Attributes:
        files: Sorted by path.
    """

    files: tuple[WeightsFile, ...]

    @property
    def digest(self) -> str:
        """The identity of the model, 64 hexadecimal digits."""
        entries = [{"path": file.path, "sha256": file.sha256, "size": file.size} for file in self.files]
        canonical = json.dumps(entries, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def to_json(self) -> str:
        """The manifest as a file, which `read_manifest` reads: a line for each file's fields, for people's eyes."""
        files = [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in self.files]
        return json.dumps({"version": VERSION, "digest": self.digest, "files": files}, indent=1) + "\n"

    @classmethod
    def of(cls, files: dict[str, tuple[int, str]]) -> Self:
        """A manifest of sizes and digests by path."""
        return cls(
            files=tuple(
                WeightsFile(path=path, size=size, sha256=sha256) for path, (size, sha256) in sorted(files.items())
            )
        )


def weights_manifest(
    folder: Path | str,
    *,
    threads: int | None = None,
    cache: WeightsCache | None = None,
    progress: HashProgress | None = None,
) -> WeightsManifest:
    """Hash the files of a model folder that can shape what the model says; see `weights_files` for which.

    Args:
        folder: A model folder. Symbolic links in it are followed.
        threads: How many files are hashed at once; default: as many as this process may use cores.
        cache: Digests of earlier times; None to read every byte. The caller decides whether they may be believed.
        progress: Is told how many bytes are done and how many there are, five times a second, in this thread.

    Raises:
        WeightsError: If it is no folder, holds no weights, a file cannot be read or named, is no regular file, or
            anything changed meanwhile.
    """
    return manifest_of(hash_weights(Path(folder), threads=threads, cache=cache, progress=progress))


def hash_weights(
    folder: Path,
    *,
    threads: int | None = None,
    cache: WeightsCache | None = None,
    progress: HashProgress | None = None,
) -> dict[str, Hashed]:
    """The files of which `weights_manifest` makes the manifest, by their paths below the folder, sorted.

    Args:
        folder: A model folder.
        threads: As for `weights_manifest`.
        cache: As for `weights_manifest`.
        progress: As for `weights_manifest`.

    Raises:
        WeightsError: As `weights_manifest`.
    """
    if not folder.is_dir():
        raise WeightsError("there is no such model folder", where=str(folder), fix="Correct the path")
    try:
        names = counted_files(folder)
        if not any(PurePosixPath(name).suffix in WEIGHTS for name in names):
            raise WeightsError(
                "the folder holds no weights, so it has no identity", where=str(folder), fix="Give a model folder"
            )
        hashed = hash_files(folder, names, threads=threads, cache=cache, progress=progress)
        if counted_files(folder) != names:
            raise WeightsError(
                "files were added or removed while the folder was read",
                where=str(folder),
                fix="Try again when nothing writes to it",
            )
    except OSError as error:
        raise WeightsError(
            f"a model file cannot be read: {error}", where=str(folder), fix="Check its permissions, or copy it again"
        ) from error
    if cache is not None:
        cache.save()
    return dict(zip(names, hashed, strict=True))


def manifest_of(hashed: Mapping[str, Hashed]) -> WeightsManifest:
    """The manifest of files that were hashed."""
    return WeightsManifest.of({name: (each.size, each.sha256) for name, each in hashed.items()})


def weights_digest(folder: Path | str) -> str:
    """The identity of a model folder: the digest of its manifest, with every byte read.

    Returns:
        64 hexadecimal digits.

    Raises:
        WeightsError: As `weights_manifest`.
    """
    return weights_manifest(folder).digest


def read_manifest(text: str | bytes, *, where: str = MANIFEST_NAME) -> WeightsManifest:
    """Read a manifest that `to_json` wrote.

    Args:
        text: The file's content.
        where: What it is, for messages.

    Raises:
        WeightsError: If it is none, is of another version, or its digest is not that of its files.
    """
    try:
        content: Any = json.loads(text)
        if not isinstance(content, dict) or content.get("version") != VERSION:
            raise ValueError(f"it is no manifest of version {VERSION}")
        files: dict[str, tuple[int, str]] = {}
        for entry in content["files"]:
            path, size, sha256 = entry["path"], entry["size"], entry["sha256"]
            if not _well_formed(path, size, sha256) or path in files:
                raise ValueError(f"the entry {entry!r:.200} is malformed or there twice")
            files[path] = (size, sha256)
        manifest = WeightsManifest.of(files)
        if manifest.digest != content["digest"]:
            raise ValueError("its digest is not that of its files")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"it is no manifest of weights that can be used ({error!s:.300})",
            where=where,
            fix="Take the weights.json that the gate run wrote",
        ) from error
    return manifest


def _well_formed(path: object, size: object, sha256: object) -> bool:
    if not isinstance(path, str) or not isinstance(sha256, str) or isinstance(size, bool) or not isinstance(size, int):
        return False
    inside = bool(path) and not path.startswith("/") and not {"", ".", ".."} & set(path.split("/"))
    return inside and size >= 0 and SHA256.fullmatch(sha256) is not None


def differences(expected: WeightsManifest, found: WeightsManifest) -> tuple[str, ...]:
    """What differs between two manifests, a line for each file; nothing if they are the same.

    Args:
        expected: What should be there.
        found: What is there.
    """
    wanted = {file.path: file for file in expected.files}
    there = {file.path: file for file in found.files}
    places: dict[str, str] = {}
    for file in expected.files:
        places.setdefault(file.sha256, file.path)
    lines = []
    for path in sorted(wanted.keys() | there.keys()):
        if path not in there:
            lines.append(f"{path}: missing")
        elif path not in wanted:
            lines.append(f"{path}: added{_as_of(there[path], places)}")
        elif there[path] != wanted[path]:
            size, due = there[path].size, wanted[path].size
            said = f"{size:,} bytes as expected, but other contents" if size == due else f"{size:,} bytes, not {due:,}"
            lines.append(f"{path}: {said}{_as_of(there[path], places)}")
    return tuple(lines)


def _as_of(file: WeightsFile, places: dict[str, str]) -> str:
    """Which file's contents these are, if another's."""
    other = places.get(file.sha256)
    return f", those of {other}" if other is not None and other != file.path else ""
