"""Where a run's record goes. Standard library only: pytest reads this before anything heavy is needed."""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["default_out", "new_run_id", "nothing_left_behind"]

_NO_RECORD: Final = frozenset({"aborted.txt", "baseline.json", "run.lock"})
"""What a folder holds whose run asked nothing, not even a server that could have said why."""


def new_run_id() -> str:
    """A run id that sorts by time and does not collide."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def default_out() -> Path:
    """A new folder for a run record."""
    return Path(".llmgate") / "runs" / new_run_id()


@contextmanager
def nothing_left_behind(out: Path) -> Iterator[None]:
    """Remove the folder of a run that ends with an error before it has asked anything, if it was not there before."""
    was_there = out.exists()
    try:
        yield
    except BaseException:
        with suppress(OSError):
            held = list(out.iterdir())
            if not was_there and {path.name for path in held} <= _NO_RECORD:
                for path in held:
                    path.unlink()
                out.rmdir()
        raise
