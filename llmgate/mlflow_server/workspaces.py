"""The workspace store that refuses: deleting a workspace moves or deletes its models past the registry's store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow.entities.workspace import WorkspaceDeletionMode
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel, SqlRegisteredModelTag
from mlflow.store.workspace.abstract_store import AbstractStore
from sqlalchemy import select, update

from llmgate.errors import PolicyError
from llmgate.mlflow_server import refusal
from llmgate.mlflow_server.session import join_sessions
from llmgate.mlflow_server.tagged import PROMPT_TAG

if TYPE_CHECKING:
    from llmgate.attest.policy import RegistryPolicy
    from llmgate.mlflow_server.policy_file import PolicyFile

__all__ = ["DatabaseWorkspaces", "RemoteWorkspaces", "WorkspaceGuard"]


# What `super()` finds is the store behind the guard.
Store: Any = AbstractStore


class WorkspaceGuard(Store):  # type: ignore[misc]
    """Goes before a workspace store of MLflow's, as `Gate` goes before a registry's."""

    def __init__(self, *arguments: Any, gate_policy: PolicyFile, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.gate_policy = gate_policy

    def gate_current(self) -> RegistryPolicy:
        """The policy.

        Raises:
            MlflowException: If it cannot be used just now; then nothing may change.
        """
        try:
            return self.gate_policy.current()
        except PolicyError as error:
            raise refusal.refused("change the workspaces", str(error), "Mend the policy file of this server") from error


class DatabaseWorkspaces(WorkspaceGuard):
    """Before MLflow's `SqlAlchemyStore` of workspaces."""

    def __init__(self, *arguments: Any, gate_policy: PolicyFile, **named: Any) -> None:
        super().__init__(*arguments, gate_policy=gate_policy, **named)
        self.gate_sessions = join_sessions(self)

    def delete_workspace(self, workspace_name: str, mode: Any = WorkspaceDeletionMode.RESTRICT) -> None:
        """Refused with the models of a workspace, if one of them is protected."""
        policy = self.gate_current()
        if mode == WorkspaceDeletionMode.RESTRICT:
            super().delete_workspace(workspace_name, mode)
            return
        with self.gate_sessions.write() as session:
            if protected := protected_models(session, workspace_name, policy):
                raise refusal.refused(
                    f"delete the workspace {workspace_name} with its models",
                    f"it holds the protected {', '.join(protected)}",
                    "take them out of the registry's policy if they shall be protected no more",
                )
            super().delete_workspace(workspace_name, mode)

    def update_workspace(self, workspace: Any) -> Any:
        """Refused where the files of protected models would be looked for elsewhere."""
        policy = self.gate_current()
        root = workspace.default_artifact_root
        if root is None:
            return super().update_workspace(workspace)
        with self.gate_sessions.write() as session:
            now = self.get_workspace(workspace.name).default_artifact_root
            if (root or None) != now and (protected := protected_models(session, workspace.name, policy)):
                raise refusal.refused(
                    f"change where the workspace {workspace.name} keeps its artifacts",
                    f"it holds the protected {', '.join(protected)}",
                    "make a new workspace for new models",
                )
            return super().update_workspace(workspace)


class RemoteWorkspaces(WorkspaceGuard):
    """Before MLflow's `RestWorkspaceStore`: which models are there, only the other server knows."""

    def delete_workspace(self, workspace_name: str, mode: Any = WorkspaceDeletionMode.RESTRICT) -> None:
        """Refused unless the other server refuses what is not empty."""
        self.gate_current()
        if mode != WorkspaceDeletionMode.RESTRICT:
            raise refusal.refused(
                f"delete the workspace {workspace_name} with its models",
                "its registry is on another server, and what it holds may be protected",
                "empty it first, and delete it in the mode RESTRICT",
            )
        super().delete_workspace(workspace_name, mode)

    def update_workspace(self, workspace: Any) -> Any:
        """Refused where files would be looked for elsewhere."""
        self.gate_current()
        root = workspace.default_artifact_root
        if root is not None and (root or None) != self.get_workspace(workspace.name).default_artifact_root:
            raise refusal.refused(
                f"change where the workspace {workspace.name} keeps its artifacts",
                "its registry is on another server, and what it holds may be protected",
                "make a new workspace for new models",
            )
        return super().update_workspace(workspace)


def protected_models(session: Any, workspace: str, policy: RegistryPolicy) -> list[str]:
    """The protected models of a workspace, locked; prompts are none."""
    models, tags = SqlRegisteredModel, SqlRegisteredModelTag
    session.execute(
        update(models)
        .where(models.workspace == workspace)
        .values(last_updated_time=models.last_updated_time)
        .execution_options(synchronize_session=False)
    )
    prompts = {
        name
        for name, key, value in session.execute(
            select(tags.name, tags.key, tags.value).where(tags.workspace == workspace, tags.key == PROMPT_TAG)
        )
        if (key, value) == (PROMPT_TAG, "true")
    }
    names = session.execute(select(models.name).where(models.workspace == workspace)).scalars()
    return sorted(name for name in names if name not in prompts and policy.rule_for(name) is not None)
