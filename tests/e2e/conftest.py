"""A real model, and a real server of it that several modules use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.servers import start_server

from llmgate.demo.models import fetch_champion
from llmgate.generate.server_command import ServerSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.generate.server import Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who uses the server for all comes first, and of these last the test that ends it: it takes 4 GB."""
    ender = "test_a_server_is_ended_in_order_and_identified"
    items.sort(key=lambda item: ("real_server" not in getattr(item, "fixturenames", ()), item.name == ender))


@pytest.fixture(scope="session")
def smollm2_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M-Instruct: the folder in LLMGATE_TEST_MODEL, or made once and kept in pytest's cache."""
    given = os.environ.get("LLMGATE_TEST_MODEL")
    if given:
        return Path(given)
    cache = request.config.cache
    return fetch_champion(cache.mkdir("llmgate-models") if cache is not None else tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def real_server(smollm2_dir: Path) -> Iterator[Server]:
    """SmolLM2, served for all tests that do not say how."""
    with start_server(ServerSpec(model=str(smollm2_dir), served_name="real")) as server:
        yield server
