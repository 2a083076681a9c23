"""Build a gated store from a URI, or say what is wrong with it.

Imports of single stores are late: one MLflow has no workspaces, another no read replica, and a gate needs one store.
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import UsageError
from llmgate.mlflow_server.policy_file import policy_file
from llmgate.mlflow_server.stores import DatabaseGate, RemoteGate, gated

if TYPE_CHECKING:
    from llmgate.mlflow_server.policy_file import PolicyFile

__all__ = ["registry_store", "workspace_store"]

DATABASE: Final = re.compile(r"(?:sqlite|postgresql|mysql|mssql)(?:\+\w+)?:", re.IGNORECASE)
REMOTE: Final = re.compile(r"https?:", re.IGNORECASE)
BACKEND: Final = "_MLFLOW_SERVER_FILE_STORE"
REPLICA: Final = "_MLFLOW_SERVER_READ_REPLICA_BACKEND_STORE"
"""As in `mlflow.server.constants`, which cannot be imported without the whole server."""


def registry_store(uri: str) -> Any:
    """The registry store of a URI, with the gate before it.

    Raises:
        UsageError: If nothing can be gated there.
        LlmgateError: If the policy, the database or the way that the server is started do not do.
    """
    policy = policy_file(os.environ)
    if workspaces_enabled():
        workspaces_are_guarded()
    if DATABASE.match(uri):
        return database_store(uri, policy)
    if REMOTE.match(uri):
        return remote_store(uri, policy)
    raise not_gated(uri)


def database_store(uri: str, policy: PolicyFile) -> Any:
    """A registry in a database."""
    base: type[Any]
    if workspaces_enabled():
        from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore

        base = WorkspaceAwareSqlAlchemyStore
    else:
        from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

        base = SqlAlchemyStore
    replica = os.environ.get(REPLICA)
    return gated(DatabaseGate, base, uri, policy=policy, **({"read_db_uri": replica} if replica else {}))


def remote_store(uri: str, policy: PolicyFile) -> Any:
    """A registry on another server."""
    from mlflow.store.model_registry.rest_store import RestStore
    from mlflow.utils.credentials import get_default_host_creds

    current = policy.current()
    if current.ledger is None:
        raise UsageError(
            "a registry on another server keeps no ledger",
            where=current.where,
            fix="Name a database for it: `ledger: sqlite:////var/lib/llmgate/ledger.db`",
        )
    return gated(RemoteGate, RestStore, partial(get_default_host_creds, uri), policy=policy, gate_ledger=current.ledger)


def workspace_store(uri: str) -> Any:
    """The workspace store of a URI, with a guard before it.

    Raises:
        UsageError: If nothing can be guarded there.
        LlmgateError: If the policy does not do.
    """
    from llmgate.mlflow_server.workspaces import DatabaseWorkspaces, RemoteWorkspaces

    policy = policy_file(os.environ)
    if DATABASE.match(uri):
        from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore

        return gated(DatabaseWorkspaces, SqlAlchemyStore, uri, policy=policy)
    if REMOTE.match(uri):
        from mlflow.store.workspace.rest_store import RestWorkspaceStore
        from mlflow.utils.credentials import get_default_host_creds

        return gated(RemoteWorkspaces, RestWorkspaceStore, partial(get_default_host_creds, uri), policy=policy)
    raise not_gated(uri)


def not_gated(uri: str) -> UsageError:
    """A store that cannot be gated; of the URI only what is no secret."""
    scheme, colon, _ = uri.partition(":")
    return UsageError(
        f"{scheme + colon if colon else uri!r} is no store that can be gated",
        fix="Use sqlite, postgresql, mysql, mssql, or the URL of another MLflow server",
    )


def workspaces_enabled() -> bool:
    """Whether this server has workspaces; older ones know none."""
    try:
        from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
    except ImportError:
        return False
    return bool(MLFLOW_ENABLE_WORKSPACES.get())  # type: ignore[no-untyped-call]


def workspaces_are_guarded() -> None:
    """Deleting a workspace moves or deletes its models past the registry's store, so its store has to be ours too.

    Raises:
        UsageError: If it is not.
    """
    from mlflow.tracking._workspace.registry import _get_workspace_store_registry
    from mlflow.utils.workspace_utils import get_workspace_store_uri, resolve_workspace_store_uri

    uri = get_workspace_store_uri() or os.environ.get(BACKEND) or resolve_workspace_store_uri()
    builder = _get_workspace_store_registry().get_store_builder(uri)  # type: ignore[no-untyped-call]
    if not getattr(builder, "llmgate_guard", False):
        raise UsageError(
            "workspaces are enabled, and their store is not guarded",
            fix="Start the server with --workspace-store-uri llmgate:URI too",
        )
