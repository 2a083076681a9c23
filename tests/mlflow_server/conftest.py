"""Gated registries in this process, each with a database of its own: SQLite, and PostgreSQL where it is installed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, inspect, text
from support.gated_registry import Registry, open_plain, open_store
from support.postgres import find_programs, start_cluster
from support.verdicts import make_keys

from llmgate.mlflow_quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.postgres import Cluster
    from support.verdicts import Keys

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A key per role, and the policy that trusts them."""
    return make_keys(tmp_path_factory.mktemp("keys") / "policy")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty registry; MLflow's migrations take seconds, copying takes none."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    make_tables(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of this run."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with start_cluster(programs) as started:
        yield started


@pytest.fixture(scope="session")
def postgresql(cluster: Cluster) -> str:
    """A registry on PostgreSQL; tests take turns in it."""
    uri = cluster.create("registry")
    make_tables(uri)
    return uri


def empty(uri: str) -> None:
    """Leave nothing in a registry on PostgreSQL but its tables."""
    engine = create_engine(uri)
    with engine.begin() as connection:
        ours = [name for name in inspect(connection).get_table_names() if name.startswith("llmgate_")]
        connection.execute(text(f"TRUNCATE {', '.join(['registered_models', *ours])} CASCADE"))
    engine.dispose()


def make_tables(uri: str) -> None:
    """MLflow's tables."""
    with quiet():
        open_plain(uri).engine.dispose()


@pytest.fixture
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Makes an empty registry of a kind, and gives its URI."""
    made = 0

    def make(kind: str) -> str:
        nonlocal made
        made += 1
        if kind == "sqlite":
            path = tmp_path / f"registry-{made}.db"
            shutil.copy(request.getfixturevalue("sqlite_template"), path)
            return f"sqlite:///{path}"
        uri: str = request.getfixturevalue("postgresql")
        empty(uri)
        return uri

    return make


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    """The URI of an empty registry."""
    return new_database(request.param)


@pytest.fixture
def registry(database: str, keys: Keys) -> Iterator[Registry]:
    """A gated store."""
    store = open_store(database, keys.path)
    yield Registry(store=store, keys=keys)
    store.engine.dispose()


@pytest.fixture
def on_sqlite(new_database: Callable[[str], str], keys: Keys) -> Iterator[Registry]:
    """A gated store on SQLite, for what no database has a part in."""
    store = open_store(new_database("sqlite"), keys.path)
    yield Registry(store=store, keys=keys)
    store.engine.dispose()
