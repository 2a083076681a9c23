"""Every method of the installed MLflow's stores is overridden by the gate, or here with why it is harmless."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from mlflow.store.model_registry.rest_store import RestStore
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.store.workspace.rest_store import RestWorkspaceStore
from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore as WorkspaceStore

from llmgate.mlflow_server.guard import Gate
from llmgate.mlflow_server.workspaces import DatabaseWorkspaces, RemoteWorkspaces

READS = "reads only"
SELF = "calls methods of the store that are guarded"
TEXT = "changes a description, which no alias and no stage depends on"
HOOK = "tells others of what happened, and changes no model"
TRACES = "writes into the tracking store: traces, runs and logged models"
HARMLESS = {
    "get_registered_model": READS,
    "search_registered_models": READS,
    "get_latest_versions": READS,
    "get_model_version": READS,
    "get_model_version_by_alias": READS,
    "get_model_version_download_uri": READS,
    "search_model_versions": READS,
    "get_prompt": READS,
    "get_prompt_version": READS,
    "get_prompt_version_by_alias": READS,
    "search_prompts": READS,
    "search_prompt_versions": READS,
    "supports_workspaces": READS,
    "get_webhook": READS,
    "list_webhooks": READS,
    "list_webhooks_by_event": READS,
    "update_registered_model": TEXT,
    "update_model_version": TEXT,
    "copy_model_version": SELF,
    "create_prompt": SELF,
    "create_prompt_version": SELF,
    "delete_prompt": SELF,
    "delete_prompt_alias": SELF,
    "delete_prompt_tag": SELF,
    "delete_prompt_version": SELF,
    "delete_prompt_version_tag": SELF,
    "set_prompt_alias": SELF,
    "set_prompt_tag": SELF,
    "set_prompt_version_tag": SELF,
    "link_prompt_version_to_model": TRACES,
    "link_prompt_version_to_run": TRACES,
    "link_prompts_to_trace": TRACES,
    "create_webhook": HOOK,
    "update_webhook": HOOK,
    "delete_webhook": HOOK,
    "test_webhook": HOOK,
}
WORKSPACES_HARMLESS = {
    "list_workspaces": READS,
    "get_workspace": READS,
    "get_default_workspace": READS,
    "resolve_artifact_root": READS,
    "resolve_trace_archival_config": READS,
    "create_workspace": "makes an empty one",
}


def methods(store: Any) -> set[str]:
    """What can be called on a store."""
    return {name for name, _ in inspect.getmembers_static(store) if not name.startswith("_")}


@pytest.mark.parametrize("store", [SqlAlchemyStore, WorkspaceAwareSqlAlchemyStore, RestStore])
def test_every_method_of_a_registry_store_is_guarded_or_harmless(store: Any) -> None:
    guarded = {name for name in vars(Gate) if not name.startswith(("_", "gate_"))}
    known = guarded | HARMLESS.keys()
    fields = {"CREATE_MODEL_VERSION_RETRIES", "get_host_creds"}
    assert methods(store) - known - fields == set(), "a new method: guard it, or say why it is harmless"
    assert guarded <= methods(store)
    assert not guarded & HARMLESS.keys()


@pytest.mark.parametrize(
    ("guard", "store"), [(DatabaseWorkspaces, WorkspaceStore), (RemoteWorkspaces, RestWorkspaceStore)]
)
def test_every_method_of_a_workspace_store_is_guarded_or_harmless(guard: Any, store: Any) -> None:
    guarded = {name for name in vars(guard) if not name.startswith(("_", "gate_"))}
    assert guarded == {"delete_workspace", "update_workspace"}
    assert methods(store) - guarded - WORKSPACES_HARMLESS.keys() == set()


@pytest.mark.parametrize("name", sorted(name for name, why in HARMLESS.items() if why is SELF))
def test_methods_for_prompts_go_through_the_guards(name: str) -> None:
    for store in (SqlAlchemyStore, RestStore):
        source = inspect.getsource(getattr(store, name))
        called = {guard for guard in vars(Gate) if f"self.{guard}(" in source}
        assert called, source
        assert "ManagedSessionMaker" not in source
        assert "_call_endpoint" not in source
