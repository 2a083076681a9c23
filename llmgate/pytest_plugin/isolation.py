"""Several test items set up at once, each with function-scoped fixtures of its own.

pytest runs one item at a time, and two things of it hold the state of just one: a fixture's definition keeps the value
that it made last, and the stack of what is set up ends in the one item. So an item gets definitions of its own, and its
place on the stack is put aside while others are set up. Fixtures of wider scopes are shared, as ever.

What is used of pytest's private parts stands in this module. `differs` says where a pytest is made in another way; its
items then run one after another.
"""

# The state in question is private to pytest, and there is no other way to it.
# ruff: noqa: SLF001

from __future__ import annotations

import copy
import dataclasses
import inspect
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest
from _pytest.fixtures import FixtureDef, FixtureManager, FuncFixtureInfo
from _pytest.runner import SetupState, call_and_report, check_interactive_exception
from _pytest.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

__all__ = [
    "ALONE",
    "OwnFixtures",
    "Parking",
    "call_and_report",
    "check_interactive_exception",
    "differs",
    "give_own_fixtures",
    "parking",
    "shared_state",
]

ALONE: Final = frozenset(
    {
        # They change what belongs to the process, and put it back in the order in which they were made.
        "monkeypatch",
        "recwarn",
        # pytest allows one of them at a time, or keeps for one test at a time what they say.
        "capsys",
        "capsysbinary",
        "capteesys",
        "capfd",
        "capfdbinary",
        "caplog",
        "pytester",
        "testdir",
        # An event loop that is the current one of the thread (pytest-asyncio).
        "event_loop",
        "_function_scoped_runner",
        "_class_scoped_runner",
    }
)
"""Fixtures of which two cannot be set up at once."""
LOCK_S: Final = 60.0


def differs(item: pytest.Function) -> str:
    """What about this pytest is not as expected, seen by an item that is not set up; empty if nothing is."""
    session = item.session
    fields = {field.name for field in dataclasses.fields(FuncFixtureInfo)}
    expected = {
        "its stack of what is set up": type(session._setupstate) in {SetupState, Parking}
        and isinstance(session._setupstate.stack, dict),
        "its table of fixtures": {"name2fixturedefs", "names_closure", "argnames"} <= fields,
        "its manager of fixtures": {"argname", "node"}
        <= set(inspect.signature(FixtureManager.getfixturedefs).parameters),
        "its requests for fixtures": hasattr(pytest.Function, "_initrequest"),
    }
    what = next((what for what, is_so in expected.items() if not is_so), "")
    return what or ("" if takes_own_fixtures(item) else "where an item looks for its fixtures")


def takes_own_fixtures(item: pytest.Function) -> bool:
    """Whether an item asks the table that it was given."""
    info = item._fixtureinfo
    give_own_fixtures(item, threading.RLock(), lambda _: None)
    taken = getattr(item._request, "_arg2fixturedefs", None) is item._fixtureinfo.name2fixturedefs
    item._fixtureinfo = info
    item._initrequest()
    return taken


class Parking(SetupState):
    """The stack of what is set up, and the items that are set up although they are not on it."""

    def __init__(self, stack: dict[Any, Any]) -> None:
        super().__init__()
        self.stack = stack
        self._aside: dict[Any, Any] = {}

    def is_node_active(self, node: Any) -> bool:
        """Whether it is set up and not torn down yet."""
        return node in self._aside or node in self.stack

    def addfinalizer(self, finalizer: Callable[[], object], node: Any) -> None:
        """Have something done when the node is torn down."""
        if node in self._aside:
            self._aside[node][0].append(finalizer)
        else:
            super().addfinalizer(finalizer, node)

    def park(self, item: pytest.Item) -> None:
        """Put the item aside, so that another can be set up; nothing happens if its setup never got to it."""
        if item in self.stack:
            self._aside[item] = self.stack.pop(item)

    def unpark(self, item: pytest.Item) -> None:
        """Put it back on top; nothing happens if it is not aside."""
        if item in self._aside:
            self.stack[item] = self._aside.pop(item)


def parking(session: pytest.Session) -> Parking:
    """The session's stack, made one that items can be taken from."""
    state = session._setupstate
    if not isinstance(state, Parking):
        state = session._setupstate = Parking(state.stack)
    return state


class OwnFixtures(dict[str, Any]):
    """The fixtures that one item can ask for, by name; those of its own scope are its own.

    Args:
        item: Whose.
        shared: The definitions that all items of a function share.
        ask_alone: Called before the item gets a fixture of which two cannot be set up at once.
    """

    def __init__(self, item: pytest.Function, shared: Mapping[str, Any], ask_alone: Callable[[str], None]) -> None:
        super().__init__(shared)
        self._item = item
        self._own: dict[str, Any] = {}
        self._ask_alone = ask_alone

    def copy(self) -> OwnFixtures:
        """Itself: pytest 8 gives each request a copy."""
        return self

    def get(self, name: str, default: Any = None) -> Any:
        """The definitions of this name, from the furthest to the closest."""
        if name in ALONE:
            self._ask_alone(name)
        if name not in self._own:
            shared = super().get(name)
            if shared is None:
                shared = self._item.session._fixturemanager.getfixturedefs(name, self._item)
            if shared is None:
                return default
            self._own[name] = own_definitions(self._item, name, shared)
        return self._own[name]


def own_definitions(item: pytest.Function, name: str, shared: Sequence[FixtureDef[Any]]) -> Sequence[FixtureDef[Any]]:
    """The same definitions, those that live as long as the item without any state."""
    asked: Any = getattr(item, "callspec", None)
    scope = asked._arg2scope.get(name) if asked is not None and name in asked.params else None
    return [own(fixture) if lives_with(item, scope or fixture._scope) else fixture for fixture in shared]


def lives_with(item: pytest.Function, scope: Scope) -> bool:
    """Whether what has this scope is torn down with the item: outside of classes, what is a class's is, too."""
    return scope is Scope.Function or (scope is Scope.Class and item.getparent(pytest.Class) is None)


def own(fixture: FixtureDef[Any]) -> FixtureDef[Any]:
    """A definition without a value, nor anything to be done at its end."""
    mine = copy.copy(fixture)
    # Assigned to the dictionary: they are final, for everyone but pytest.
    mine.__dict__.update(cached_result=None, _finalizers=[])
    return mine


def give_own_fixtures(item: pytest.Function, lock: Any, ask_alone: Callable[[str], None]) -> None:
    """Let an item that is not set up yet have function-scoped fixtures that no other item sees.

    Args:
        item: The item.
        lock: A reentrant lock, held while a fixture is made: tests may ask for further ones from another thread.
        ask_alone: See `OwnFixtures`.
    """
    info = item._fixtureinfo
    shared = info.name2fixturedefs
    if isinstance(shared, OwnFixtures):  # a second run of the same item
        shared = dict(shared)
    item._fixtureinfo = dataclasses.replace(info, name2fixturedefs=OwnFixtures(item, shared, ask_alone))
    item._initrequest()
    request = item._request
    ask = request.getfixturevalue

    def one_at_a_time(argname: str) -> Any:
        __tracebackhide__ = True
        if not lock.acquire(timeout=LOCK_S):
            pytest.fail(f"the fixture {argname!r} was not to be had within {LOCK_S:.0f} s: another is being set up")
        try:
            return ask(argname)
        finally:
            lock.release()

    request.__dict__["getfixturevalue"] = one_at_a_time


def shared_state(item: pytest.Function) -> Hashable | None:
    """What items must have in common to be set up at the same time; None if this one must be alone.

    The collectors above them, which have setups of their own, and the parameters of fixtures of wider scopes: another
    parameter means that pytest tears the fixture down.
    """
    if not ALONE.isdisjoint(item.fixturenames):
        return None
    wide: list[tuple[str, object]] = []
    asked: Any = getattr(item, "callspec", None)
    for name in asked.params if asked is not None else ():
        defined = {fixture._scope for fixture in item._fixtureinfo.name2fixturedefs.get(name, ())}
        scope = asked._arg2scope[name]
        if scope is Scope.Function and defined <= {Scope.Function}:
            continue
        if defined - {scope}:
            return None  # a fixture that others may depend on lives shorter here than it says
        wide.append((name, asked.indices[name]))
    return tuple(map(id, parents(item))), tuple(wide)


def parents(item: pytest.Item) -> Iterable[object]:
    """The collectors above it."""
    return item.listchain()[:-1]
