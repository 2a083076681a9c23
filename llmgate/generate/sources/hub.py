"""Models on the Hugging Face hub: a revision becomes a commit, and of its files what vLLM loads becomes a folder.

Files lie in the hub's own cache (HF_HOME), where other programs find them too. What vLLM gets is a folder of links to
exactly the files of `needed`, so that the digest of a commit is the same whatever else is in the cache. Each file is
held against what the hub says of it (SHA-256, or git's SHA-1 for small ones) before it is used.

A commit that was fetched once is never asked for again. A branch or a tag is asked for each time; without a network it
is what it was when it was fetched last, but only where somebody said that there is none: HF_HUB_OFFLINE=1.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError, LlmgateError, WeightsError
from llmgate.generate.sources.hub_errors import calls
from llmgate.generate.sources.hub_files import HubFile, needed, refuse_unloadable
from llmgate.generate.sources.layout import linked
from llmgate.generate.sources.listing import RemoteFile, checked
from llmgate.generate.sources.place import COMMIT
from llmgate.generate.sources.work import Counter, check_space, free_bytes, locked, run_jobs, told_bytes
from llmgate.record.disk import private_folder, read_regular, write_atomic
from llmgate.record.weights_hashing import hash_files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmgate.generate.sources.listing import Teller
    from llmgate.generate.sources.place import HubModel
    from llmgate.record.weights_cache import WeightsCache

__all__ = ["Snapshot", "hub_snapshot"]

VERSION: Final = 1
MAIN: Final = "main"
INSTALL: Final = "Install it with pip install 'pytest-llmgate[data]'"
MOST_BYTES: Final = 20_000_000
MOST_SMALL: Final = 200_000_000
"""Bytes of a file that git itself keeps; the hub takes larger ones into its large file storage only."""
TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A model at a commit.

    Attributes:
        folder: Of links to the files that vLLM loads.
        commit: 40 hexadecimal digits.
    """

    folder: Path
    commit: str


def hub_snapshot(
    place: HubModel,
    *,
    root: Path,
    code: bool,
    cache: WeightsCache | None,
    progress: Teller,
    free: Callable[[Path], int] = free_bytes,
) -> Snapshot:
    """Make a model of the hub lie on this machine.

    Args:
        place: The model.
        root: Where llmgate keeps its folders of links and what the hub said of files.
        code: Whether the code that the model brings along is wanted too, which nothing runs unasked.
        cache: Digests of files that were hashed before, None to read every byte.
        progress: Told what is done.
        free: Bytes that a folder's disk has left.

    Raises:
        CannotRunError: If it cannot be had, is not what the hub says it is, or is nothing that vLLM loads.
    """
    hub = _Hub(place, root=root, cache=cache, progress=progress)
    commit = hub.commit()
    files = hub.files(commit)
    chosen = needed(files, code=code)
    refuse_unloadable(files, chosen, place.text)
    home = root / "hub" / place.repo.replace("/", "--")
    try:
        with locked(home / "lock", progress, place.text):
            found = hub.fetch(commit, chosen, free)
            view = home / f"{commit}{'-code' if code else ''}" / place.name
            return Snapshot(folder=linked(found, view), commit=commit)
    except OSError as error:
        raise CannotRunError(
            f"the cache cannot be written ({error.strerror or error})", where=str(home), fix="Look at its rights"
        ) from error


class _Hub:
    """The hub's client, for one model."""

    def __init__(self, place: HubModel, *, root: Path, cache: WeightsCache | None, progress: Teller) -> None:
        try:
            self.library: Any = importlib.import_module("huggingface_hub")  # an extra, 0.4 s to import
            self.constants: Any = importlib.import_module("huggingface_hub.constants")
        except ImportError as error:
            raise CannotRunError("models of the hub need huggingface-hub", where=place.text, fix=INSTALL) from error
        self.place, self.root, self.cache, self.progress = place, root, cache, progress
        self.storage = Path(self.constants.HF_HUB_CACHE) / f"models--{place.repo.replace('/', '--')}"

    @property
    def offline(self) -> bool:
        """Whether somebody said that the hub is not to be asked."""
        return bool(self.constants.HF_HUB_OFFLINE)

    def commit(self) -> str:
        """What the revision means: now, or offline when it was fetched last."""
        if self.place.commit:
            return self.place.commit
        revision = self.place.revision or MAIN
        if self.offline:
            commit = self._cached_commit(revision)
            told = f"{self.place.text}: offline, so {revision!r} is what it was when it was fetched last: {commit}"
        else:
            with calls(self.place.text):
                commit = str(
                    self.library.HfApi().model_info(self.place.repo, revision=revision, timeout=TIMEOUT_S).sha
                )
            if not COMMIT.fullmatch(commit):
                raise CannotRunError("the hub does not say which commit this is", where=self.place.text)
            told = f"{self.place.text}: {revision!r} is commit {commit} now; hf://{self.place.repo}@{commit} stays with it"
        self.progress.stage(told)
        return commit

    def _cached_commit(self, revision: str) -> str:
        try:
            commit = read_regular(self.storage / "refs" / revision, limit=100).decode("ascii").strip()
        except (OSError, ValueError):
            commit = ""
        if not COMMIT.fullmatch(commit):
            raise CannotRunError(
                f"HF_HUB_OFFLINE is set, and the cache does not know which commit {revision!r} is",
                where=self.place.text,
                fix="Run it once with a network, name the commit, or copy the cache (HF_HOME) from a machine that has it",
            )
        return commit

    def files(self, commit: str) -> tuple[HubFile, ...]:
        """The files of a commit: as the hub said before, as it says now, or offline as its cache has them."""
        note = self.root / "hub" / self.place.repo.replace("/", "--") / f"{commit}.json"
        files = _read_note(note, commit)
        if not files:
            files = self._cached_files(commit) if self.offline else self._listed_files(commit)
            if not self.offline:
                private_folder(note.parent)
                listed = [[file.path, file.size, file.sha256, file.git_sha1] for file in files]
                content = {"version": VERSION, "commit": commit, "files": listed}
                write_atomic(note, json.dumps(content, indent=0).encode())
        checked((RemoteFile(path=file.path, size=file.size) for file in files), self.place.text)
        return files

    def _listed_files(self, commit: str) -> tuple[HubFile, ...]:
        with calls(self.place.text):
            info = self.library.HfApi().model_info(
                self.place.repo, revision=commit, files_metadata=True, timeout=TIMEOUT_S
            )
        if info.sha != commit:
            raise CannotRunError(f"the hub answers with another commit ({ascii(str(info.sha))[:60]})", where=self.place.text)
        files = []
        for each in info.siblings or ():
            large = getattr(each, "lfs", None)
            files.append(
                HubFile(
                    path=str(each.rfilename),
                    size=each.size,
                    sha256=str(large.sha256) if large else "",
                    git_sha1="" if large else str(each.blob_id or ""),
                )
            )
        return tuple(files)

    def _cached_files(self, commit: str) -> tuple[HubFile, ...]:
        """What the hub's cache holds of a commit. Its files are named by their digests, so these are known too."""
        snapshot = self.storage / "snapshots" / commit
        files = []
        for at, _, names in os.walk(snapshot):
            for name in names:
                path = Path(at, name)
                blob = path.resolve().name if path.is_symlink() else ""
                large, small = len(blob) == 64, len(blob) == 40
                files.append(
                    HubFile(
                        path=path.relative_to(snapshot).as_posix(),
                        sha256=blob if large else "",
                        git_sha1=blob if small else "",
                    )
                )
        if not files:
            raise CannotRunError(
                "HF_HUB_OFFLINE is set, and this commit is not in the cache",
                where=f"{self.place.text} ({commit})",
                fix="Run it once with a network, or copy the cache (HF_HOME) from a machine that has it",
            )
        self.progress.stage(f"{self.place.text}: offline, taking commit {commit} as the cache has it")
        return tuple(sorted(files, key=lambda file: file.path))

    def fetch(self, commit: str, chosen: Sequence[HubFile], free: Callable[[Path], int]) -> dict[str, Path]:
        """The real paths of files, each of which is what the hub says it is."""
        there = {file.path: path for file in chosen if (path := self._cached(file, commit)) is not None}
        bad = self._wrong([file for file in chosen if file.path in there], there)
        if bad:
            names = f"{ascii(bad[0].path)}{f' and {len(bad) - 1} more' if len(bad) > 1 else ''}"
            if self.offline:
                raise CannotRunError(
                    f"the cached copy of {names} is not what the hub has, and HF_HUB_OFFLINE is set",
                    where=self.place.text,
                    fix="Run it once with a network, which fetches it again",
                )
            self.progress.stage(f"the cached copy of {names} is not what the hub has: fetching it again")
        left = [file for file in chosen if file.path not in there or file in bad]
        if not left:
            return there
        if self.offline:
            raise CannotRunError(
                f"HF_HUB_OFFLINE is set, and the cache lacks {len(left)} of {len(chosen)} files, such as "
                f"{ascii(left[0].path)}",
                where=self.place.text,
                fix="Run it once with a network, or copy the cache (HF_HOME) from a machine that has it",
            )
        check_space(sum(file.size or 0 for file in left), self.storage, self.place.text, free=free)
        there |= self._download(commit, left, again={file.path for file in bad})
        wrong = self._wrong(left, there)
        if wrong:
            raise CannotRunError(
                f"{ascii(wrong[0].path)} arrived with other bytes than the hub says it has",
                where=self.place.text,
                fix="Try again; if it stays, something between the hub and here changes it",
            )
        return there

    def _cached(self, file: HubFile, commit: str) -> Path | None:
        path = self.storage / "snapshots" / commit / file.path
        try:
            return path.resolve(strict=True)
        except (OSError, RuntimeError):
            return None

    def _download(self, commit: str, files: Sequence[HubFile], *, again: set[str]) -> dict[str, Path]:
        total = sum(file.size or 0 for file in files)
        self.progress.stage(f"fetching {len(files)} files, {total / 1e6:,.0f} MB, from {self.place.text}")
        counter, found = Counter(), dict[str, Path]()
        bar, tell = _silent_bar(counter), told_bytes(self.progress, "fetched, MB:")

        def job(file: HubFile) -> Callable[[], None]:
            def fetch() -> None:
                with calls(self.place.text):
                    path = self.library.hf_hub_download(
                        self.place.repo,
                        file.path,
                        revision=commit,
                        force_download=file.path in again,
                        **bar,
                    )
                found[file.path] = Path(path).resolve(strict=True)

            return fetch

        largest = sorted(files, key=lambda file: -(file.size or 0))
        self.library.utils.disable_progress_bars()
        run_jobs([job(file) for file in largest], counter, lambda: tell(counter.done, total))
        return found

    def _wrong(self, files: Sequence[HubFile], there: dict[str, Path]) -> list[HubFile]:
        """The files whose bytes are not those that the hub says they have."""
        large = [file for file in files if file.sha256]
        tell = told_bytes(self.progress, "checked, MB:")
        try:
            hashed = hash_files(
                Path("/"), [str(there[file.path])[1:] for file in large], cache=self.cache, progress=tell
            ) if large else []
        except (OSError, WeightsError) as error:
            raise CannotRunError(
                f"the cache of the hub cannot be read ({error})", where=self.place.text, fix="Look at HF_HOME"
            ) from error
        if self.cache is not None:
            self.cache.save()
        wrong = [file for file, each in zip(large, hashed, strict=True) if each.sha256 != file.sha256]
        small = [file for file in files if file.git_sha1 and not file.sha256]
        return wrong + [file for file in small if _git_sha1(there[file.path]) != file.git_sha1]


def _silent_bar(counter: Counter) -> dict[str, Any]:
    """The argument by which hf_hub_download counts bytes for us; nothing where it takes none."""
    import inspect  # noqa: PLC0415 - only a download needs it

    download = importlib.import_module("huggingface_hub").hf_hub_download
    if "tqdm_class" not in inspect.signature(download).parameters:
        return {}
    tqdm: Any = importlib.import_module("tqdm.auto").tqdm

    def init(self: Any, *args: Any, **options: Any) -> None:
        tqdm.__init__(self, *args, **{**options, "disable": True})

    def update(_: Any, count: float | None = 1) -> None:
        counter.add(int(count or 0))

    return {"tqdm_class": type("SilentBar", (tqdm,), {"__init__": init, "update": update})}


def _git_sha1(path: Path) -> str:
    """What git calls a file of these bytes; "" if it cannot be read."""
    try:
        data = read_regular(path, limit=MOST_SMALL)
    except OSError:
        return ""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _read_note(path: Path, commit: str) -> tuple[HubFile, ...]:
    """What the hub said of a commit's files before; nothing where that cannot be read."""
    try:
        note = json.loads(read_regular(path, limit=MOST_BYTES))
        if (note["version"], note["commit"]) != (VERSION, commit):
            return ()
        return tuple(
            HubFile(path=str(name), size=None if size is None else int(size), sha256=str(sha256), git_sha1=str(sha1))
            for name, size, sha256, sha1 in note["files"]
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError, LlmgateError):
        return ()
