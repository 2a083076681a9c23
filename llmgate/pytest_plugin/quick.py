"""Cases that are answered, evaluated and not worth a word, reported without what pytest does around the code of a test.

Such a case runs no code. Its three phases with their capturing and logging are half of what an item costs, so its three
reports are handed on as they would come out of them. That is done only where nobody could tell the difference: where no
plugin but pytest's own and those listed here takes part in the phases, nothing marks the case, and the next item shares
its file. Every other case goes the usual way, and so do all gates.
"""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["QuickCases", "QuickItem", "report_quickly"]

PHASES: Final = (
    "pytest_runtest_setup",
    "pytest_runtest_call",
    "pytest_runtest_teardown",
    "pytest_runtest_makereport",
)
NO_PART: Final = frozenset({"_pytest", "_hypothesis_pytestplugin", "anyio", "llmgate", "xdist"})
"""Packages whose plugins do nothing in the phases of an item that is no function."""
SHOWN: Final = ("setupshow", "setuponly", "setupplan", "usepdb", "trace")
"""Options that show or stop at phases."""
QUICK: pytest.StashKey[QuickCases] = pytest.StashKey()


def report_quickly(config: pytest.Config) -> None:
    """Report cases so from now on, where that may be."""
    if QUICK not in config.stash:
        quick = config.stash[QUICK] = QuickCases(config)
        # Without a name, which `-p no:NAME` could block.
        config.pluginmanager.register(quick)


class QuickItem(pytest.Item):
    """An item that can say whether it passed before it is run."""

    @abstractmethod
    def passed_already(self) -> bool:
        """Whether it would pass at once, with nothing to tell."""


class QuickCases:
    """See the module's text.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._shown = any(getattr(config.option, name, False) for name in SHOWN)
        self._plugins = -1
        self._alone = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Report a case, or leave it to pytest."""
        if not isinstance(item, QuickItem) or not self._may(item, nextitem) or not item.passed_already():
            return None
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        call = pytest.CallInfo.from_call(_nothing, when="call")
        report = pytest.TestReport.from_item_and_call(item, call)
        before, after = copy(report), copy(report)
        before.when, after.when = "setup", "teardown"
        for one in (before, report, after):
            hook.pytest_runtest_logreport(report=one)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _may(self, item: QuickItem, nextitem: pytest.Item | None) -> bool:
        """Whether nobody has anything to do with the phases of this item."""
        # The last of a file tears down what was set up for it.
        if self._shown or nextitem is None or nextitem.parent is not item.parent:
            return False
        return next(item.iter_markers(), None) is None and self._is_alone()

    def _is_alone(self) -> bool:
        """Whether no plugin takes part that could; looked at again when there are others than before."""
        plugins = len(self._config.pluginmanager.get_plugins())
        if plugins != self._plugins:
            self._plugins = plugins
            self._alone = NO_PART.issuperset(_packages_in_phases(self._config))
        return self._alone


def _packages_in_phases(config: pytest.Config) -> Iterable[str]:
    for phase in PHASES:
        for found in getattr(config.hook, phase).get_hookimpls():
            yield str(getattr(found.function, "__module__", "")).partition(".")[0]


def _nothing() -> None:
    """What such a case runs."""
