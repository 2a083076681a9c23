"""What the plugin keeps with pytest's configuration. Nothing heavy is imported before the first suite file is met."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llmgate.pytest_plugin.controller import PytestRun

__all__ = ["FATAL", "LEFT_OUT", "RUN", "pytest_run"]

RUN: pytest.StashKey[PytestRun] = pytest.StashKey()
"""Set when the first suite file is met, and never in runs without one."""
FATAL: pytest.StashKey[str] = pytest.StashKey()
"""Why no suite can be run at all."""
LEFT_OUT: pytest.StashKey[tuple[str, ...]] = pytest.StashKey()
"""What lies in the named folders and is not run, in words."""


def pytest_run(config: pytest.Config) -> PytestRun:
    """The gate run of this pytest run, made when it is first needed.

    Raises:
        UsageError: If the options are wrong.
    """
    if RUN not in config.stash:
        from llmgate.pytest_plugin.controller import PytestRun

        run = config.stash[RUN] = PytestRun(config)
        # Without a name, which `-p no:NAME` could block.
        config.pluginmanager.register(run.tests)
    return config.stash[RUN]
