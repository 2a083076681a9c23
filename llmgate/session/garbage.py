"""When to look for garbage: while a model is asked, and not while modules are imported, plans made and records read.

There is none then that would not go by itself, and to look for it again and again among all that is there took 20 to
40 ms of 230 for a decision on a thousand items, the last look at the process's end included.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["collected", "uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage; what is there at the end is never looked at again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


@contextmanager
def collected() -> Iterator[None]:
    """Within `uncollected`: look for garbage again, for work that takes long, but not among what is there already."""
    gc.freeze()
    gc.enable()
    try:
        yield
    finally:
        gc.disable()
