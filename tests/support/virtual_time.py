"""An event loop whose time passes only when all its tasks wait."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["run_virtually"]

T = TypeVar("T")


class _Impatient(selectors.SelectSelector):
    """Does not wait, but moves the clock on by as much."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._impatient = _Impatient()
        super().__init__(self._impatient)

    def time(self) -> float:
        return self._impatient.now


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run it; `asyncio.sleep` takes no time, and the time is that of the running loop."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(work)
