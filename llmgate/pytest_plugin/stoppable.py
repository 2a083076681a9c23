"""Progress of a run that pytest may end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmgate.errors import CannotRunError
from llmgate.session.progress import LineProgress

if TYPE_CHECKING:
    import threading

__all__ = ["StoppableProgress", "StoppedError"]


class StoppedError(CannotRunError):
    """pytest ended before the run did."""


class StoppableProgress(LineProgress):
    """Progress that ends the run when pytest has ended."""

    def __init__(self, stop: threading.Event, write: Any) -> None:
        super().__init__(write)
        self._stop_event = stop

    def stage(self, text: str) -> None:
        """Write a line, unless the run is to end."""
        self.check()
        super().stage(text)

    def check(self) -> None:
        """End the run when pytest has ended."""
        if self._stop_event.is_set():
            raise StoppedError("pytest ended before the run was complete", fix="Add --llmgate-resume to go on")
