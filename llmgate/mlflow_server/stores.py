"""The gate before each of MLflow's stores: a database, with workspaces or without, and a server that is elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, MetaData, String, Table, create_engine, event, insert, select, update
from sqlalchemy.exc import IntegrityError

from llmgate.attest.tags import ledger_key
from llmgate.mlflow_server.guard import Gate
from llmgate.mlflow_server.ledger import CATALOGUE, Ledger, create_tables
from llmgate.mlflow_server.session import join_sessions
from llmgate.mlflow_server.view import DatabaseView, RemoteView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.mlflow_server.case import LockedModel
    from llmgate.mlflow_server.policy_file import PolicyFile
    from llmgate.mlflow_server.view import View

__all__ = ["DatabaseGate", "RemoteGate", "gated"]

DEFAULT_WORKSPACE = "default"
BUSY_TIMEOUT_S = 20


def gated(gate: Any, base: type[Any], *arguments: Any, policy: PolicyFile, **named: Any) -> Any:
    """A store of MLflow's with the gate before it.

    Args:
        gate: The class that fits the kind of store, such as `DatabaseGate`.
        base: MLflow's store.
        arguments: Of the store.
        policy: The registry's policy.
        named: Of the store, or of the gate.
    """
    return type(f"Gated{base.__name__}", (gate, base), {})(*arguments, gate_policy=policy, **named)


class DatabaseGate(Gate):
    """Before MLflow's `SqlAlchemyStore`: what is verified and what is written is one transaction."""

    gate_atomic = True

    def __init__(self, *arguments: Any, gate_policy: PolicyFile, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.gate_policy = gate_policy
        create_tables(self.engine)
        self.gate_sessions = join_sessions(self)

    def gate_workspace(self) -> str:
        """The workspace of this request; before workspaces came, all was in the default one."""
        active = getattr(self, "_get_active_workspace", None)
        return str(active()) if active is not None else DEFAULT_WORKSPACE

    def gate_mirror(self, case: LockedModel, alias: str, shown: str) -> None:
        """Show the last events where clients can read them."""
        if not isinstance(case.view, DatabaseView):
            super().gate_mirror(case, alias, shown)
            return
        case.view.write_tag(ledger_key(alias), shown)

    @contextmanager
    def gate_transaction(self, workspace: str, name: str) -> Iterator[tuple[View, Ledger]]:
        """A transaction of the registry's own database, which MLflow's methods join."""
        with self.gate_sessions.write() as session:
            # The session's own connection: the ORM's way to it costs more than the statements.
            connection = session.connection()
            view = DatabaseView(connection=connection, workspace=workspace, name=name)
            yield view, Ledger(connection.execute, workspace, name)


def lock_table() -> tuple[MetaData, Table]:
    """Where the rows of a registry that is elsewhere cannot be locked, these stand for them."""
    catalogue = MetaData()
    for table in CATALOGUE.tables.values():
        table.to_metadata(catalogue)
    locks = Table(
        "llmgate_locks",
        catalogue,
        Column("workspace", String(63), primary_key=True),
        Column("model", String(256), primary_key=True),
        Column("taken", String(8), nullable=False),
    )
    return catalogue, locks


LOCKED_CATALOGUE, LOCKS = lock_table()


class RemoteGate(Gate):
    """Before MLflow's `RestStore`: the registry is on another server, and the ledger in a database of its own.

    What is written there cannot be undone with the ledger's transaction. It is written last, so a process that dies
    before leaves the alias where it was; one that dies in between leaves an alias that the ledger does not know, which
    is refused until it goes back or an override says otherwise.
    """

    gate_atomic = False

    def __init__(self, *arguments: Any, gate_policy: PolicyFile, gate_ledger: str, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.gate_policy = gate_policy
        self.gate_engine = create_engine(gate_ledger)
        if self.gate_engine.dialect.name == "sqlite":
            event.listen(self.gate_engine, "connect", patient)
        create_tables(self.gate_engine, LOCKED_CATALOGUE)

    def gate_version(self, number: int) -> str:
        """A version's number as the protocol has it."""
        return str(number)

    def gate_workspace(self) -> str:
        """The workspace of this request."""
        # MLflow before 3.10 has no workspaces, nor this module.
        try:
            from mlflow.utils.workspace_context import get_request_workspace  # noqa: PLC0415
        except ImportError:
            return DEFAULT_WORKSPACE
        return str(get_request_workspace() or DEFAULT_WORKSPACE)

    @contextmanager
    def gate_transaction(self, workspace: str, name: str) -> Iterator[tuple[View, Ledger]]:
        """A transaction of the ledger's database."""
        self.gate_lock_row(workspace, name)
        with self.gate_engine.begin() as connection:

            def touch() -> None:
                mine = (LOCKS.c.workspace == workspace) & (LOCKS.c.model == name)
                connection.execute(update(LOCKS).where(mine).values(taken=LOCKS.c.taken))

            view = RemoteView(
                get_model=super().get_registered_model,
                get_version=super().get_model_version,
                search=super().search_model_versions,
                touch=touch,
                name=name,
            )
            yield view, Ledger(connection.execute, workspace, name)

    def gate_lock_row(self, workspace: str, name: str) -> None:
        """Make the row that stands for a model, unless it is there."""
        mine = (LOCKS.c.workspace == workspace) & (LOCKS.c.model == name)
        with self.gate_engine.connect() as connection:
            if connection.execute(select(LOCKS.c.model).where(mine)).first() is not None:
                return
        try:
            with self.gate_engine.begin() as connection:
                connection.execute(insert(LOCKS).values(workspace=workspace, model=name, taken=""))
        except IntegrityError:
            # Another process made it in between.
            return


def patient(connection: Any, _record: Any) -> None:
    """SQLite waits for who holds the database, as MLflow's own sessions do."""
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
