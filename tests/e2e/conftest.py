"""A real model, and a real server of it that several modules use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import parent as parent_script
from support.servers import OwnedServer

from llmgate.demo.models import fetch_champion

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who uses the server for all comes first, and of these last the test that ends it: it takes 4 GB."""
    ender = "test_a_killed_owner_leaves_no_engine"
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
def real_server(smollm2_dir: Path) -> Iterator[OwnedServer]:
    """SmolLM2, served for all tests that do not say how."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, parent_script.__file__, "real", str(smollm2_dir), "", ""]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            word, pid, _, url, *flags = owner.stdout.readline().split()
            assert word == "ready"
            yield OwnedServer(owner=owner, pid=int(pid), url=url, flags=tuple(flags))
        finally:
            owner.kill()
