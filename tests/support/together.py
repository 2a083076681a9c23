"""A project whose async tests run together: what the door of a code suite does, in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["CONFTEST", "write_project"]

CONFTEST = """
import asyncio
import inspect
import json
import os
import threading
from pathlib import Path

import pytest
from llmgate.pytest_plugin.concurrent import Ahead, leave_to_us

WINDOW = int(os.environ.get("WINDOW", "32"))
FLYING = 0
PEAK = 0


class Loop:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def start(self, item):
        arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
        return asyncio.run_coroutine_threadsafe(self.run(item.obj, arguments), self.loop)

    async def run(self, function, arguments):
        global FLYING, PEAK
        FLYING += 1
        PEAK = max(PEAK, FLYING)
        try:
            await function(**arguments)
        finally:
            FLYING -= 1

    def close(self):
        async def end():
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        asyncio.run_coroutine_threadsafe(end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def ours(obj):
    return inspect.iscoroutinefunction(obj) and not getattr(obj, "plain", False)


def pytest_pycollect_makeitem(collector, name, obj):
    if ours(obj):
        leave_to_us(obj)


def group_of(item):
    return getattr(item, "originalname", None) if ours(getattr(item, "function", None)) else None


def pytest_collection_finish(session):
    session.config.loop = Loop()
    session.config.peak = lambda: PEAK
    session.config.ahead = Ahead(
        session.items, group_of=group_of, start=session.config.loop.start, window=WINDOW
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    return True if item.config.ahead.protocol(item, nextitem) else None


def pytest_unconfigure(config):
    if hasattr(config, "loop"):
        config.loop.close()
        worker = getattr(config, "workerinput", {}).get("workerid", "main")
        Path(config.rootpath, f"peak-{worker}.json").write_text(json.dumps([PEAK, FLYING]))
"""


def write_project(pytester: pytest.Pytester, tests: str, *, conftest: str = "") -> None:
    """Write a conftest and a module of tests."""
    pytester.makeconftest(CONFTEST + conftest)
    pytester.makepyfile(test_it=tests)
