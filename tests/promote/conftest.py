"""Live registries: tests use SQLite in this process, and those marked `over_http` a real `mlflow server` as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.gated_server import start_server

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = pytest.param("server", marks=[pytest.mark.e2e, pytest.mark.mlflow_server])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each kind of call goes over HTTP once; what is decided from the answers is the same on every transport."""
    if "registry" in metafunc.fixturenames:
        over_http = metafunc.definition.get_closest_marker("over_http") is not None
        metafunc.parametrize("registry", ["database", *([SERVER] if over_http else [])], indirect=True)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server with its own database; killed with all its workers afterwards."""
    # Webhooks to a receiver of a test; MLflow allows https and public addresses only, and looks for new ones once a minute.
    hooks = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_CACHE_TTL": "0",
    }
    with start_server(tmp_path_factory.mktemp("mlflow-server"), policy=None, environ=hooks) as server:
        yield server.url
