"""What time it is, in UTC, as records and decisions write it."""

from __future__ import annotations

from datetime import UTC, date, datetime

__all__ = ["timestamp", "today"]


def timestamp() -> str:
    """Now, ISO 8601, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def today() -> date:
    """The day in UTC: waivers end for everyone at the same moment."""
    return datetime.now(UTC).date()
