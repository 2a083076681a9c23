"""Where a run's record goes. Standard library only: pytest reads this before anything heavy is needed."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["default_out", "new_run_id"]


def new_run_id() -> str:
    """A run id that sorts by time and does not collide."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def default_out() -> Path:
    """A new folder for a run record."""
    return Path(".llmgate") / "runs" / new_run_id()
