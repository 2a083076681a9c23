"""Work in an event loop that something outside may end: pytest that stops, a Ctrl-C."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from llmgate.session.progress import Progress

__all__ = ["run_async"]

HEARTBEAT_S: Final = 0.2

T = TypeVar("T")


def run_async(work: Coroutine[None, None, T], progress: Progress) -> T:
    """Run to the end, or until `progress.check` raises."""

    async def watched() -> T:
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=HEARTBEAT_S)
                progress.check()
        finally:
            task.cancel()
            await asyncio.wait({task})
        return await task

    return asyncio.run(watched())
