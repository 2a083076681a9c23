"""Hashing a model folder for a person: which earlier digests are believed, and what is told meanwhile."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from llmgate.record.weights import weights_manifest
from llmgate.record.weights_cache import WeightsCache, cache_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from llmgate.record.weights import WeightsManifest
    from llmgate.record.weights_hashing import HashProgress
    from llmgate.session.progress import Progress

__all__ = ["SIGNING", "hash_folder", "told", "usable_cache"]

SIGNING: Final = ("LLMGATE_SIGNING_KEY", "LLMGATE_SIGNING_COMMAND")
"""Who sets one of these signs what comes of it."""
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


def usable_cache(environ: Mapping[str, str], *, trusted: bool) -> WeightsCache | None:
    """The digests of earlier runs, None where they may not be believed.

    Whoever can write the cache can write any digest into it: in CI that is whatever ran there before. So it is used
    neither there nor where verdicts are signed, unless somebody says so by hand.

    Args:
        environ: Says where this is.
        trusted: Whether somebody said so.
    """
    if not trusted and ("CI" in environ or any(map(environ.get, SIGNING))):
        return None
    file = cache_file(environ)
    return WeightsCache(file) if file else None


def told(progress: Progress, what: str, *, clock: Callable[[], float] = time.monotonic) -> HashProgress:
    """Progress in megabytes, for work that takes more than a moment."""
    began = clock()

    def tell(done: int, total: int) -> None:
        progress.check()
        if clock() - began >= QUICK_S:
            progress.count(what, done // MEGABYTE, total // MEGABYTE)

    return tell
