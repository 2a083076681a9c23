"""Is a model folder still what it was when it was hashed?

A folder is hashed, and then a server takes seconds to minutes to load it. Whatever was written to it in between may
be what is served under the digest of what was there before. So a folder is held against the file system's account of
it once the server is ready: device, inode, size and times of every file that counts, the links on the way to it, and
its folders. What looks different is read again. `ctime` counts as well as `mtime`, which every program can set to
what it was.

Refused is also what was touched and holds the same bytes: another file may have lain there while the server read. Only
another number of device or inode alone is none, for network file systems give the same file new ones.

What cannot be seen: a file system that does not keep times, and whoever may write to the machine's disk below it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from llmgate.errors import WeightsError
from llmgate.record.reach import open_regular
from llmgate.record.weights import WeightsManifest, differences, hash_weights, manifest_of
from llmgate.record.weights_cache import entry_key
from llmgate.record.weights_files import counted_files
from llmgate.record.weights_hashing import hash_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.weights_cache import WeightsCache
    from llmgate.record.weights_hashing import HashProgress

__all__ = ["HeldFolder", "changes", "check_held", "hold_folder"]

SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFolder:
    """A model folder as it was when it was hashed.

    Attributes:
        folder: Its absolute path, links not followed.
        manifest: What it held.
        keys: What the file system said of each file: see `entry_key`.
        young: Files that had been written so shortly before that their keys prove nothing.
        links: What it said of each link that is followed on the way to a file.
        folders: What it said of each folder with files: device and inode, last change of its entries, of anything.
    """

    folder: Path
    manifest: WeightsManifest
    keys: Mapping[str, str]
    young: frozenset[str]
    links: Mapping[str, str]
    folders: Mapping[str, tuple[str, int, int]]


def hold_folder(folder: Path, *, cache: WeightsCache | None = None, progress: HashProgress | None = None) -> HeldFolder:
    """Hash a folder and note how its files lie there.

    Args:
        folder: A model folder.
        cache: Digests of earlier times that may be believed.
        progress: Is told of the bytes.

    Raises:
        WeightsError: As `weights_manifest`.
    """
    place = Path(os.path.abspath(folder))  # noqa: PTH100 - links must not be followed yet
    hashed = hash_weights(place, cache=cache, progress=progress)
    try:
        # After the files: who swaps a link meanwhile leads to files with other keys.
        links, folders = _links(place, hashed), _folders(place, hashed)
    except OSError as error:
        raise WeightsError(
            f"the folder changed while it was read: {error}",
            where=str(folder),
            fix="Try again when nothing writes to it",
        ) from error
    return HeldFolder(
        folder=place,
        manifest=manifest_of(hashed),
        keys={name: each.key for name, each in hashed.items()},
        young=frozenset(name for name, each in hashed.items() if each.young),
        links=links,
        folders=folders,
    )


def changes(held: HeldFolder, *, progress: HashProgress | None = None) -> tuple[str, ...]:
    """What is not as it was, a line for each file; nothing if all is.

    Args:
        held: The folder as it was.
        progress: Is told of the bytes, if files have to be read again.

    Raises:
        WeightsError: If a file changes while it is read again.
    """
    folder = held.folder
    try:
        names = counted_files(folder)
        keys = {name: _key(folder / name) for name in names}
        doubtful = [name for name in names if keys[name] != held.keys.get(name) or name in held.young]
        known = {file.path: (file.size, file.sha256) for file in held.manifest.files}
        fresh = hash_files(folder, doubtful, progress=progress) if doubtful else []
        found = {name: known[name] for name in names if name not in doubtful}
        found |= {name: (each.size, each.sha256) for name, each in zip(doubtful, fresh, strict=True)}
        lines = list(differences(held.manifest, WeightsManifest.of(found)))
        lines += [
            f"{name}: the same bytes, but written, replaced or renamed since"
            for name in doubtful
            if found[name] == known.get(name) and _times(keys[name]) != _times(held.keys[name])
        ]
        return (*lines, *_ways_changed(held, names))
    except OSError as error:
        return (f"{error.filename or folder}: it cannot be read any more ({error.strerror or error})",)


def check_held(held: HeldFolder, *, progress: HashProgress | None = None) -> None:
    """Refuse a folder that is not as it was.

    Raises:
        WeightsError: With what changed.
    """
    lines = changes(held, progress=progress)
    if lines:
        more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        raise WeightsError(
            "the model changed on disk after it was hashed, so what was loaded is not known to be what was hashed: "
            f"{'; '.join(lines[:SHOWN])}{more}",
            where=str(held.folder),
            fix="Let nothing write to the folder while it is used (a download, a sync, a deployment that swaps links), "
            "or give a copy of it, and start again",
        )


def _key(path: Path) -> str:
    # Opened: a network file system asks its server then, where `stat` may answer from memory.
    with open_regular(path) as file:
        return entry_key(os.fstat(file.fileno()))


def _times(key: str) -> str:
    """Size and times of a key, without device and inode."""
    return key.split(":", 2)[2]


def _ways_changed(held: HeldFolder, names: tuple[str, ...]) -> Iterator[str]:
    """What changed on the way to the files."""
    links, folders = _links(held.folder, names), _folders(held.folder, names)
    for path in sorted(held.links.keys() | links.keys()):
        if held.links.get(path) != links.get(path):
            yield f"{path}: the link was replaced"
    for path, (identity, entries, anything) in held.folders.items():
        now = folders.get(path)
        # Entries that come and go change both times, and what counts of them was looked at one by one.
        if now is not None and now[0] == identity and now[1] == entries and now[2] != anything:
            yield f"{path}/: the folder was renamed, or its rights were changed"


def _links(folder: Path, names: Mapping[str, object] | tuple[str, ...]) -> dict[str, str]:
    """Every link that is followed on the way to the files, and what the file system says of it."""
    found: dict[str, str] = {}
    checked: set[Path] = set()
    for name in names:
        _follow(folder / name, found, checked)
    return found


def _follow(path: Path, found: dict[str, str], checked: set[Path]) -> None:
    """Note the links on one path, and on the paths to which they lead."""
    queue = [path]
    while queue:
        whole = queue.pop()
        for part in (*reversed(whole.parents), whole):
            if part in checked:
                continue
            checked.add(part)
            if part.is_symlink():
                status = part.lstat()
                found[str(part)] = f"{status.st_dev}:{status.st_ino}:{status.st_ctime_ns}"
                queue.append(Path(os.path.normpath(part.parent.resolve() / part.readlink())))


def _folders(folder: Path, names: Mapping[str, object] | tuple[str, ...]) -> dict[str, tuple[str, int, int]]:
    """The folders that hold the files, by their real paths."""
    found = {}
    below = {parent for name in names for parent in PurePosixPath(name).parents}
    for path in sorted({str((folder / parent).resolve()) for parent in below}):
        status = Path(path).stat()
        found[path] = (f"{status.st_dev}:{status.st_ino}", status.st_mtime_ns, status.st_ctime_ns)
    return found
