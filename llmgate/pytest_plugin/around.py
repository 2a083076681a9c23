"""What tests that run together need before and after pytest's turn with one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["Between", "ExplainedAsserts", "queued_items"]


class ExplainedAsserts:
    """Lets asserts be explained while pytest is between two items: it forgets how after each."""

    def __init__(self) -> None:
        from _pytest.assertion import util

        self._util: Any = util
        self._outside: Any = None
        self._kept: Any = None

    def enter(self, *, busy: bool) -> None:
        """Pytest begins with an item."""
        if not busy:
            self._outside = getattr(self._util, "_reprcompare", None)

    def keep(self) -> None:
        """Within an item: this is how it is done."""
        self._kept = getattr(self._util, "_reprcompare", None)

    def leave(self, *, busy: bool) -> None:
        """Pytest is done with an item."""
        if self._kept is not None:
            self._util._reprcompare = self._kept if busy else self._outside  # noqa: SLF001 - there is no other way


class Between:
    """What has to be done around all that pytest does for an item: a plugin.

    Args:
        explained: How asserts are explained.
        busy: Whether tests are set up that are not reported yet.
        close: Breaks them off.
    """

    def __init__(self, explained: ExplainedAsserts, *, busy: Callable[[], bool], close: Callable[[], None]) -> None:
        self._explained = explained
        self._busy = busy
        self._close = close

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Tests go on while pytest is between two items."""
        self._explained.enter(busy=self._busy())
        try:
            return (yield)
        finally:
            self._explained.leave(busy=self._busy())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave nothing set up."""
        self._close()


def queued_items(item: pytest.Item) -> list[pytest.Item] | None:
    """In a worker of xdist, what it is to run after the next item; None anywhere else."""
    if not hasattr(item.config, "workerinput"):
        return None
    try:
        worker: Any = next(p for p in item.config.pluginmanager.get_plugins() if type(p).__name__ == "WorkerInteractor")
        with worker.torun.lock() as queue:
            places = [place for place in queue if isinstance(place, int)]
        return [worker.session.items[place] for place in places]
    except (StopIteration, AttributeError, TypeError, LookupError):
        return []
