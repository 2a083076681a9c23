"""A real model for real servers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmgate.demo.models import fetch_champion


@pytest.fixture(scope="session")
def smollm2_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M-Instruct: the folder in LLMGATE_TEST_MODEL, or made once and kept in pytest's cache."""
    given = os.environ.get("LLMGATE_TEST_MODEL")
    if given:
        return Path(given)
    cache = request.config.cache
    return fetch_champion(cache.mkdir("llmgate-models") if cache is not None else tmp_path_factory.mktemp("models"))
