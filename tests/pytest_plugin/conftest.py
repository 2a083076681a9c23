"""Sessions here are those of an engineer at a desk, wherever the tests themselves run."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI, a session that leaves its gates out fails."""
    monkeypatch.delenv("CI", raising=False)
