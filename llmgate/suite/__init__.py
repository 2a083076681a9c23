"""Suites: what is asked and what is checked, versioned and digested, before any model is asked.

`spec` reads a suite file, `cases` makes its cases, `code` is for suites whose cases are tests; asking and scoring live
above this room. The room itself can be called: `llmgate.suite("support", dataset=…)` declares a suite in code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """The package, which people call to declare a suite."""

    def __call__(self, name: str, **given: Any) -> Any:
        """A suite in code; see `llmgate.CodeSuite`."""
        from llmgate.suite.code.definition import CodeSuite  # noqa: PLC0415 - the room is imported by everybody

        caller = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001 - paths start beside the file that calls
        return CodeSuite(name, path=Path(caller or "suite.py").absolute(), **given)


sys.modules[__name__].__class__ = _Room
