"""Workspaces are neither deleted nor pointed elsewhere with what is protected in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from mlflow.entities.workspace import Workspace, WorkspaceDeletionMode
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.store.workspace.abstract_store import AbstractStore
from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.workspace_context import WorkspaceContext
from support.gated_registry import MODEL, Registry

from llmgate.mlflow_server.policy_file import PolicyFile
from llmgate.mlflow_server.stores import DatabaseGate, gated
from llmgate.mlflow_server.workspaces import DatabaseWorkspaces, RemoteWorkspaces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.verdicts import Keys

MOVED = [WorkspaceDeletionMode.CASCADE, WorkspaceDeletionMode.SET_DEFAULT]


@pytest.fixture
def stores(database: str, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """The two stores of a server with workspaces."""
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    policy = PolicyFile(keys.path)
    workspaces = gated(DatabaseWorkspaces, SqlAlchemyStore, database, policy=policy)
    models = gated(DatabaseGate, WorkspaceAwareSqlAlchemyStore, database, policy=policy)
    for name in ("team", "other"):
        if name not in {known.name for known in workspaces.list_workspaces()}:
            workspaces.create_workspace(Workspace(name=name))
    yield workspaces, models
    models.engine.dispose()
    workspaces._engine.dispose()


def refused(act: Any) -> str:
    with pytest.raises(MlflowException) as caught:
        act()
    assert caught.value.error_code == "PERMISSION_DENIED"
    return str(caught.value)


def test_a_workspace_with_a_protected_model_stays(stores: tuple[Any, Any], keys: Keys) -> None:
    workspaces, models = stores
    with WorkspaceContext("team"):
        registry = Registry(store=models, keys=keys, workspace="team")
        registry.promote(registry.add())
    for mode in MOVED:
        text = refused(lambda mode=mode: workspaces.delete_workspace("team", mode))
        assert f"it holds the protected {MODEL}" in text
    assert "keeps its artifacts" in refused(
        lambda: workspaces.update_workspace(Workspace(name="team", default_artifact_root="s3://elsewhere"))
    )
    with pytest.raises(MlflowException, match="still contains"):
        workspaces.delete_workspace("team")
    workspaces.update_workspace(Workspace(name="team", description="fine"))
    workspaces.update_workspace(Workspace(name="team", description="fine", default_artifact_root=""))
    with WorkspaceContext("team"):
        assert registry.holder() == 1


def test_a_verdict_counts_in_its_own_workspace(stores: tuple[Any, Any], keys: Keys) -> None:
    _, models = stores
    with WorkspaceContext("team"):
        team = Registry(store=models, keys=keys, workspace="team")
        team.promote(team.add())
    with WorkspaceContext("default"):
        here = Registry(store=models, keys=keys)
        version = here.add()
        text = keys.verdict(Registry(store=models, keys=keys, workspace="team").facts(version))
        assert "for the workspace 'team'" in refused(lambda: here.put(version, text))
        assert here.holder() is None
        assert here.promote(version)


@pytest.mark.parametrize("mode", MOVED)
def test_a_workspace_without_protected_models_goes(stores: tuple[Any, Any], mode: Any) -> None:
    workspaces, models = stores
    with WorkspaceContext("other"):
        models.create_registered_model(f"free-{mode.value}")
        models.create_prompt(f"support-prompt-{mode.value}")
    workspaces.update_workspace(Workspace(name="other", default_artifact_root="s3://elsewhere"))
    workspaces.delete_workspace("other", mode)
    assert "other" not in {known.name for known in workspaces.list_workspaces()}


def test_of_a_workspace_on_another_server_only_an_empty_one_goes(keys: Keys) -> None:
    done: list[Any] = []

    class Remote(AbstractStore):
        """What MLflow's `RestWorkspaceStore` would send."""

        def list_workspaces(self) -> list[Workspace]:
            return []

        def delete_workspace(self, workspace_name: str, mode: Any = None) -> None:
            done.append((workspace_name, mode))

        def get_workspace(self, workspace_name: str) -> Workspace:
            return Workspace(name=workspace_name, default_artifact_root="s3://here")

        def update_workspace(self, workspace: Workspace) -> Workspace:
            done.append(workspace.default_artifact_root)
            return workspace

    store = gated(RemoteWorkspaces, Remote, policy=PolicyFile(keys.path))
    for mode in MOVED:
        assert "on another server" in refused(lambda mode=mode: store.delete_workspace("team", mode))
    assert "on another server" in refused(
        lambda: store.update_workspace(Workspace(name="team", default_artifact_root="s3://elsewhere"))
    )
    store.delete_workspace("team")
    store.update_workspace(Workspace(name="team", default_artifact_root="s3://here"))
    assert done == [("team", WorkspaceDeletionMode.RESTRICT), "s3://here"]
