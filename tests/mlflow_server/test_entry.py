"""A gated registry opens, or the process ends with one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from mlflow.server import constants
from mlflow.tracking._model_registry.registry import ModelRegistryStoreRegistry
from mlflow.tracking._workspace.registry import WorkspaceStoreRegistry
from support.gated_registry import MODEL, Registry, open_store
from support.gated_server import entry_points
from support.verdicts import make_keys

from llmgate.attest.policy import POLICY_VARIABLE
from llmgate.errors import CannotRunError
from llmgate.mlflow_quiet import quiet
from llmgate.mlflow_server import build as building
from llmgate.mlflow_server.entry import SCHEME, build, build_plain, build_plain_workspaces, build_workspaces
from llmgate.mlflow_server.ledger import create_tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.verdicts import Keys

HEAVY = ("numpy", "scipy", "pytest", "click", "aiohttp")


@pytest.fixture(autouse=True)
def policy(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
    """A server's environment."""
    monkeypatch.setenv(POLICY_VARIABLE, str(keys.path))
    for name in (building.BACKEND, building.REPLICA, "MLFLOW_ENABLE_WORKSPACES", "MLFLOW_WORKSPACE_STORE_URI"):
        monkeypatch.delenv(name, raising=False)


def ends(uri: str, *, builder: Callable[..., object] = build) -> str:
    with pytest.raises(SystemExit) as caught, quiet():
        builder(uri)
    text = str(caught.value)
    assert text.startswith("llmgate: the registry is not opened: ")
    assert "\n" not in text
    return text


def test_the_names_of_variables_are_those_of_mlflow() -> None:
    assert constants.READ_REPLICA_BACKEND_STORE_URI_ENV_VAR == building.REPLICA
    assert constants.BACKEND_STORE_URI_ENV_VAR == building.BACKEND


def test_the_scheme_opens_a_gated_database(new_database: Callable[[str], str]) -> None:
    for builder, prefix in ((build, SCHEME), (build_plain, "")):
        store = builder(prefix + new_database("sqlite"))
        assert type(store).__name__ == "GatedSqlAlchemyStore"
        store.create_registered_model(MODEL)
        store.engine.dispose()


def test_mlflow_finds_the_scheme_by_our_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(entry_points(tmp_path)))
    kinds: list[tuple[Any, Any]] = [(ModelRegistryStoreRegistry, build), (WorkspaceStoreRegistry, build_workspaces)]
    for kind, builder in kinds:
        registry = kind()
        registry.register_entrypoints()
        assert registry.get_store_builder("llmgate:postgresql+psycopg://u@h/db") is builder


@pytest.mark.parametrize("uri", ["file:///tmp/x", "./mlruns", "databricks", "llmgate:sqlite://", "oracle://h/db", ""])
def test_what_cannot_be_gated_is_not_opened(uri: str) -> None:
    assert "no store that can be gated" in ends(SCHEME + uri)
    assert "no store that can be gated" in ends(SCHEME + uri, builder=build_workspaces)


def test_a_password_is_not_printed() -> None:
    assert "hunter2" not in ends("llmgate:oracle://me:hunter2@db/x")


def test_without_a_policy_nothing_opens(
    new_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = SCHEME + new_database("sqlite")
    for value, says in (("", "without a policy"), (str(tmp_path / "gone"), "cannot be read"), (str(tmp_path), "read")):
        monkeypatch.setenv(POLICY_VARIABLE, value)
        assert says in ends(uri)
        assert says in ends(uri, builder=build_workspaces)
    monkeypatch.delenv(POLICY_VARIABLE)
    assert "LLMGATE_REGISTRY_POLICY" in ends(uri)


def test_another_server_needs_a_database_for_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "keeps no ledger" in ends("llmgate:http://127.0.0.1:9")
    keys = make_keys(tmp_path / "keys", more=f"ledger: sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv(POLICY_VARIABLE, str(keys.path))
    assert type(build("llmgate:http://127.0.0.1:9")).__name__ == "GatedRestStore"


def test_with_workspaces_their_store_has_to_be_guarded_too(
    new_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(entry_points(tmp_path)))
    monkeypatch.setattr("mlflow.tracking._workspace.registry._workspace_store_registry", None)
    uri = new_database("sqlite")
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    monkeypatch.setenv(building.BACKEND, uri)
    assert "--workspace-store-uri llmgate:" in ends(SCHEME + uri)
    monkeypatch.setenv("MLFLOW_WORKSPACE_STORE_URI", SCHEME + uri)
    store = build(SCHEME + uri)
    assert type(store).__name__ == "GatedWorkspaceAwareSqlAlchemyStore"
    assert store.supports_workspaces
    store.engine.dispose()


def test_builders_of_workspaces_are_known_as_ours() -> None:
    for builder in (build_workspaces, build_plain_workspaces):
        assert vars(builder) == {"llmgate_guard": True}


def test_a_ledger_of_another_version_is_not_opened(new_database: Callable[[str], str]) -> None:
    from sqlalchemy import create_engine, text

    uri = new_database("sqlite")
    engine = create_engine(uri)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE llmgate_verdicts (id INTEGER)"))
    with pytest.raises(CannotRunError, match="the table llmgate_verdicts lacks alias, at"):
        create_tables(engine)
    engine.dispose()
    assert "another version of llmgate made it" in ends(SCHEME + uri)


def test_a_read_replica_is_never_what_a_guard_reads(new_database: Callable[[str], str], keys: Keys) -> None:
    primary, replica = new_database("sqlite"), new_database("sqlite")
    store = open_store(primary, keys.path, read_db_uri=replica)
    plain = Registry(store=open_store(primary, keys.path), keys=keys)
    plain.promote(plain.add())
    plain.add()
    plain.put(2, plain.verdict(2))
    store.set_registered_model_alias(MODEL, "champion", "2")
    assert plain.holder() == 2
    assert store.search_registered_models() == []
    for each in (store, plain.store):
        each.engine.dispose()
    store.read_engine.dispose()


def test_loading_the_plugin_imports_nothing_that_mlflow_does_not(new_database: Callable[[str], str]) -> None:
    """A database server has no use for statistics, a test runner or a command line."""
    program = (
        "import json, sys, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "import llmgate.mlflow_server.entry as entry\n"
        "early = sorted(m for m in sys.modules if m.partition('.')[0] in {'mlflow', 'sqlalchemy', 'yaml', 'pydantic'})\n"
        "from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore\n"
        "from mlflow.store.model_registry.rest_store import RestStore\n"
        "from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore\n"
        "before = set(sys.modules)\n"
        "entry.build(sys.argv[1])\n"
        "entry.build_workspaces(sys.argv[1])\n"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "ours = {m for m in sys.modules if m.startswith('llmgate.')}\n"
        "print(json.dumps([early, sorted(new), sorted(ours)]))\n"
    )
    command = [sys.executable, "-c", program, SCHEME + new_database("sqlite")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=300)
    early, new, ours = json.loads(done.stdout.splitlines()[-1])
    assert early == []
    assert not set(HEAVY) & set(new)
    rooms = {name.split(".")[1] for name in ours}
    assert rooms == {"mlflow_server", "attest", "errors"}
