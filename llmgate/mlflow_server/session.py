"""Verify and write in one transaction: MLflow's methods join the session that a guard has opened."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["JoinedSessions", "join_sessions"]


class JoinedSessions:
    """Takes the place of a store's `ManagedSessionMaker`.

    Outside of a guard it is what it replaced. Inside of `write()` it hands out the session that is open already and
    leaves commit, rollback and the translation of errors to whoever opened it; so what MLflow's own method writes
    belongs to the transaction in which the guard has looked.

    Args:
        maker: The store's own `ManagedSessionMaker`.
    """

    def __init__(self, maker: Callable[..., AbstractContextManager[Any]]) -> None:
        self.maker = maker
        # `read_only` came with MLflow 3.14; before that a session is for writing whatever one says.
        self.writing = {"read_only": False} if "read_only" in inspect.signature(maker).parameters else {}
        # One per store: a store that is built while another one's guard runs has a database of its own.
        self.held: ContextVar[Any] = ContextVar("llmgate_session", default=None)

    @contextmanager
    def __call__(self, *arguments: Any, **named: Any) -> Iterator[Any]:
        """A session, as `ManagedSessionMaker` gives it."""
        session = self.held.get()
        if session is None:
            with self.maker(*arguments, **named) as own:
                yield own
            return
        yield session
        # What follows in the same transaction has to see it, and a conflict belongs to the method that made it.
        session.flush()

    @contextmanager
    def write(self) -> Iterator[Any]:
        """Open the session that all that is called inside joins, on the primary database and never on a replica."""
        if (session := self.held.get()) is not None:
            yield session
            return
        with self.maker(**self.writing) as own:
            token = self.held.set(own)
            try:
                yield own
            finally:
                self.held.reset(token)


def join_sessions(store: Any) -> JoinedSessions:
    """Let the methods of one of MLflow's stores join the session of a guard."""
    sessions = JoinedSessions(store.ManagedSessionMaker)
    store.ManagedSessionMaker = sessions
    return sessions
