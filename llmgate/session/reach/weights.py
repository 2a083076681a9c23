"""Hashing a model folder for a person: which earlier digests are believed, and what is told meanwhile.

And holding a folder while a server loads it: what it loads has to be what was hashed.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from llmgate.errors import WeightsError
from llmgate.generate.held_weights import check_held, hold_folder
from llmgate.record.weights import weights_manifest
from llmgate.record.weights_cache import WeightsCache, cache_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from llmgate.generate.held_weights import HeldFolder
    from llmgate.record.weights import WeightsManifest
    from llmgate.record.weights_hashing import HashProgress
    from llmgate.session.progress import Progress

__all__ = ["SIGNING", "check_unchanged", "folder_digest", "hash_folder", "hold", "told", "usable_cache"]

SIGNING: Final = ("LLMGATE_SIGNING_KEY", "LLMGATE_SIGNING_COMMAND")
"""Who sets one of these signs what comes of it."""
HASHED_HERE: Final[dict[str, str]] = {}
"""A memo of this process: what it has hashed itself, by what the file system says of the file. It spares the second
reading of a folder that is started again, and proves as much as that would."""
QUICK_S: Final = 2.0
"""Work that ends sooner needs no bar."""
MEGABYTE: Final = 1_000_000


def hash_folder(folder: Path, progress: Progress, *, trust_cache: bool = False, proof: bool = False) -> WeightsManifest:
    """The manifest of a model folder.

    Args:
        folder: A model folder.
        progress: Is told of it if it takes long.
        trust_cache: Whether digests of earlier runs count even in CI, and where something will be signed.
        proof: Whether something rests on it at once, so that earlier digests only count if somebody says so.

    Raises:
        WeightsError: As `weights_manifest`.
    """
    cache = None if proof and not trust_cache else usable_cache(os.environ, trusted=trust_cache)
    return weights_manifest(folder, cache=cache, progress=told(progress, "hashed, MB:"))


def folder_digest(folder: Path) -> str:
    """The identity of a model folder, with every byte read that this process has not read before.

    Raises:
        WeightsError: As `weights_manifest`.
    """
    return weights_manifest(folder, cache=WeightsCache(None, memory=HASHED_HERE)).digest


def hold(folder: Path, digest: str | None, progress: Progress, *, trust_cache: bool = False) -> HeldFolder:
    """Note how a model's files lie before a server loads them.

    Args:
        folder: A model folder.
        digest: What it was identified by; None if it was not.
        progress: Is told if it has to be hashed again and that takes long.
        trust_cache: As for `hash_folder`.

    Raises:
        WeightsError: If it holds something else by now, or as `weights_manifest`.
    """
    cache = usable_cache(os.environ, trusted=trust_cache)
    held = hold_folder(folder, cache=cache, progress=told(progress, "hashed, MB:"))
    if digest is not None and held.manifest.digest != digest:
        raise WeightsError(
            f"its files changed since it was identified as {digest[:12]}…: it is {held.manifest.digest[:12]}… now",
            where=str(folder),
            fix="Start again when nothing writes to the folder",
        )
    return held


def check_unchanged(held: Iterable[HeldFolder], progress: Progress) -> None:
    """Refuse a server that may have loaded something else than was hashed.

    Args:
        held: All that it loaded, as it was before.
        progress: Is told if something has to be read again and that takes long.

    Raises:
        WeightsError: With what changed.
    """
    for folder in held:
        check_held(folder, progress=told(progress, "hashed again, MB:"))


def usable_cache(environ: Mapping[str, str], *, trusted: bool) -> WeightsCache:
    """The digests of earlier runs, and where they may not be believed those of this process alone.

    Whoever can write the cache can write any digest into it: in CI that is whatever ran there before. So it is used
    neither there nor where verdicts are signed, unless somebody says so by hand.

    Args:
        environ: Says where this is.
        trusted: Whether somebody said so.
    """
    foreign = not trusted and ("CI" in environ or any(map(environ.get, SIGNING)))
    return WeightsCache(None if foreign else cache_file(environ), memory=HASHED_HERE)


def told(progress: Progress, what: str, *, clock: Callable[[], float] = time.monotonic) -> HashProgress:
    """Progress in megabytes, for work that takes more than a moment."""
    began = clock()

    def tell(done: int, total: int) -> None:
        progress.check()
        if clock() - began >= QUICK_S:
            progress.count(what, done // MEGABYTE, total // MEGABYTE)

    return tell
