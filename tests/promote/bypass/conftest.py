"""The servers that all attempts share; each attempt has a model of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bypass.servers import start_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.bypass.scene import Live


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Live]]:
    """By set-up and database; those of a database that is not installed are missing."""
    with start_all(tmp_path_factory.mktemp("bypass")) as running:
        yield running
