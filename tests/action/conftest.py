"""The action's script as a module."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "action" / "run.py"


@pytest.fixture(scope="session")
def action_run() -> Any:
    """`action/run.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("action_run", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
