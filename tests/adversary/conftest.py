"""Every test here is an attempt to turn the gate green, or the honest twin that shows that it can be green at all.

A test that is no twin (`test_honest_…`) has to call `attempt` with what came of it, which fails if it is green.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.adversary import PROPERTY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.adversary import Ending

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that neither attempts anything nor says that it is honest."""
    for item in items:
        if item.path.parent == HERE and "attempt" not in getattr(item, "fixturenames", ()):
            function = item.nodeid.rpartition("::")[2]
            if not function.startswith("test_honest"):
                raise pytest.UsageError(f"{item.nodeid}: it attempts nothing; use `attempt`, or call it test_honest_…")


@pytest.fixture
def attempt(request: pytest.FixtureRequest) -> Iterator[Callable[[Ending], None]]:
    """Count an attempt in the summary, under the module's name, and fail if it ended green."""
    area = request.node.path.stem.removeprefix("test_")
    attempts: list[Ending] = []

    def count(ending: Ending) -> None:
        attempts.append(ending)
        request.node.user_properties.append((PROPERTY, (area, ending.green)))
        assert not ending.green, ending

    yield count
    assert attempts, "this test attempted nothing"
