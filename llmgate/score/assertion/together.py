"""What is asked at once, and what is asked once for many cases, as the steps that a judge derives from a criterion.

A memo lives as long as the models that hold it, one run. It is no module's state and no check's: prepared checks are
remembered across runs, and what one judge said must not be taken for another one's word.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence

__all__ = ["Memo", "all_of"]

T = TypeVar("T")


class Memo:
    """Remembers results by key, for concurrent callers in one event loop.

    Callers that come while a result is on its way wait for it. If it fails, all of them fail, and the next caller
    tries again. A caller that is cancelled does not take the work away from the others.
    """

    __slots__ = ("_results", "_running")

    def __init__(self) -> None:
        self._results: dict[Hashable, object] = {}
        self._running: dict[Hashable, asyncio.Task[object]] = {}

    async def once(self, key: Hashable, make: Callable[[], Coroutine[object, object, T]]) -> T:
        """The result for this key, made by the first caller.

        Args:
            key: What the result depends on, all of it.
            make: Makes the result.
        """
        if key not in self._results:
            if key not in self._running:
                task: asyncio.Task[object] = asyncio.ensure_future(make())
                self._running[key] = task
                task.add_done_callback(lambda done: self._finish(key, done))
            return cast("T", await asyncio.shield(self._running[key]))
        return cast("T", self._results[key])

    def _finish(self, key: Hashable, task: asyncio.Task[object]) -> None:
        self._running.pop(key, None)
        # Asking for the exception also marks it as seen, where every caller was cancelled.
        if not task.cancelled() and task.exception() is None:
            self._results[key] = task.result()


async def all_of(work: Sequence[Awaitable[T]]) -> list[T]:
    """Awaits everything at once; the first failure is raised only after all have ended, so that none goes on alone."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
