"""MLflow's methods join the guard's transaction, and nobody else's."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from mlflow.exceptions import MlflowException
from support.gated_registry import MODEL, Registry, open_store

from llmgate.mlflow_server.session import JoinedSessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.verdicts import Keys


def test_what_is_called_inside_is_undone_together(on_sqlite: Registry) -> None:
    on_sqlite.add()
    store = on_sqlite.store

    def change_and_fail() -> None:
        with store.gate_sessions.write():
            store.update_registered_model(MODEL, "inside")
            assert store.get_registered_model(MODEL).description == "inside"
            raise MlflowException("enough")

    with pytest.raises(MlflowException, match="enough"):
        change_and_fail()
    assert store.get_registered_model(MODEL).description is None
    with store.gate_sessions.write() as outer, store.gate_sessions.write() as inner:
        assert inner is outer


def test_other_threads_and_other_stores_have_sessions_of_their_own(
    on_sqlite: Registry, new_database: Callable[[str], str], keys: Keys
) -> None:
    other = open_store(new_database("sqlite"), keys.path)
    seen: list[Any] = []

    def elsewhere() -> None:
        with on_sqlite.store.ManagedSessionMaker() as session:
            seen.append(session)

    with on_sqlite.store.gate_sessions.write() as mine:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        with other.ManagedSessionMaker() as session:
            seen.append(session)
        with on_sqlite.store.ManagedSessionMaker() as session:
            assert session is mine
    assert mine not in seen
    other.engine.dispose()


def test_an_older_mlflow_knows_nothing_of_read_only() -> None:
    from contextlib import contextmanager

    opened = []

    @contextmanager
    def maker() -> Any:
        opened.append(True)
        yield type("Session", (), {"flush": lambda _: None})()

    sessions = JoinedSessions(maker)
    with sessions.write(), sessions():
        pass
    assert opened == [True]
