"""Stand-ins for what is in the model's code. Part of the process that executes the tests."""

from __future__ import annotations

import types
from typing import Any, NoReturn, Protocol

from llmgate.score.code.wire import PLAIN

__all__ = ["SPLIT", "Asks", "Iterating", "StandIn"]

SPLIT = "; let the tests compare plain values, or set `judged: inside`"
_INSIDES = {
    "__code__",
    "__dict__",
    "__annotations__",
    "__closure__",
    "__globals__",
    "__defaults__",
    "__bases__",
    "__mro__",
}


class Asks(Protocol):
    """Who asks the process that holds the code."""

    @property
    def fault(self) -> tuple[str, str] | None:
        """Outcome and reason, once the trial has ended."""

    def ask(
        self, operation: str, args: tuple[Any, ...], keywords: dict[str, Any] | None = None, role: str = "value"
    ) -> Any:
        """What came of an operation over there."""

    def refuse(self, outcome: str, reason: str) -> NoReturn:
        """Ends the trial."""


def _forwarded(operation: str) -> Any:
    def method(self: StandIn, *args: Any) -> Any:
        if self._llmgate_role == "value":
            self._llmgate_refuse(f"use `{operation}` on it")
        return self._llmgate_client.ask(operation, (self, *args))

    return method


def _operator(operation: str) -> Any:
    """An operator, which learns the other operand: only between objects that the tests made, never with a plain value.

    Else `abs(result - 3) < 1` would be the result's own word.
    """

    def method(self: StandIn, *args: Any) -> Any:
        roles = {getattr(one, "_llmgate_role", "") if isinstance(one, StandIn) else "" for one in (self, *args)}
        if roles != {"made"}:
            self._llmgate_refuse(f"use `{operation.strip('_')}` on it")
        return self._llmgate_client.ask(operation, (self, *args))

    return method


def _refused(what: str) -> Any:
    def method(self: StandIn, *_: Any) -> Any:
        self._llmgate_refuse(what)

    return method


class StandIn:
    """Something of the code that is no plain value: a function, a class, an object.

    Its role says how the tests came by it: `name`, by a name that they use; `class`, by one that they use as a class;
    `made`, by calling such a class; `value`, as a result, where only a plain value can be judged.
    """

    __slots__ = ("_llmgate_called", "_llmgate_client", "_llmgate_kind", "_llmgate_number", "_llmgate_role")

    def __init__(self, client: Asks, number: int, kind: str, called: str, role: str) -> None:
        values = {"client": client, "number": number, "kind": kind, "called": called, "role": role}
        for name, value in values.items():
            object.__setattr__(self, f"_llmgate_{name}", value)

    def _llmgate_refuse(self, what: str) -> None:
        if self._llmgate_role == "value":
            self._llmgate_client.refuse(
                "fail", f"the code returned {self._llmgate_named()}, no plain value, where the tests {what}"
            )
        self._llmgate_client.refuse("error", f"the tests {what}: {self._llmgate_named()} of the code{SPLIT}")

    def _llmgate_named(self) -> str:
        kind = {"generator": "a generator", "function": "a function", "module": "a module", "iterator": "an iterator"}
        if self._llmgate_kind == "class":
            return f"the class {self._llmgate_called}"
        return kind.get(self._llmgate_kind, f"an object of class {self._llmgate_called}")

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """What the code returns: a plain value of ours, or a stand-in."""
        role = "made" if self._llmgate_role == "class" else "value"
        return self._llmgate_client.ask("call", (self, *args), keywords, role)

    def __getattr__(self, name: str) -> Any:
        if name in _INSIDES:
            self._llmgate_client.refuse("error", f"the tests read {name} of the code's own{SPLIT}")
        if name == "__name__":
            return self._llmgate_called
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if self._llmgate_role == "value" and name in PLAIN:
            if self._llmgate_kind in {"generator", "iterator"}:
                raise AttributeError(name)
            self._llmgate_refuse(f"use `.{name}` of a plain value")
        return self._llmgate_client.ask("getattr", (self, name))

    def __setattr__(self, name: str, value: Any) -> None:
        if self._llmgate_kind in {"module", "function", "class"}:
            self._llmgate_client.refuse("error", f"the tests set {name} of {self._llmgate_named()} of the code{SPLIT}")
        self._llmgate_client.ask("setattr", (self, name, value))

    def __delattr__(self, name: str) -> None:
        self._llmgate_client.refuse("error", f"the tests delete {name} of {self._llmgate_named()} of the code{SPLIT}")

    def __iter__(self) -> Any:
        return self._llmgate_client.ask("iter", (self,))

    def __enter__(self) -> Any:
        return self._llmgate_client.ask("enter", (self,), role=self._llmgate_role)

    def __exit__(self, *_: object) -> None:
        self._llmgate_client.ask("exit", (self,))

    def __repr__(self) -> str:
        return self._llmgate_worded("repr")

    def __str__(self) -> str:
        return self._llmgate_worded("str")

    def _llmgate_worded(self, operation: str) -> str:
        if self._llmgate_role != "made" or self._llmgate_client.fault:
            return "<an object of the code>"
        text = self._llmgate_client.ask(operation, (self,))
        return text if type(text) is str else "<an object of the code>"

    def __len__(self) -> int:
        if self._llmgate_role == "value":
            # No fault, as `list(…)` asks it of every iterable, and takes this for a no.
            raise TypeError("an object of the code has no len()")
        length = self._llmgate_client.ask("len", (self,))
        return length if type(length) is int else len(None)  # type: ignore[arg-type]

    def __mro_entries__(self, _: object) -> None:
        self._llmgate_client.refuse("error", f"the tests make a class from {self._llmgate_named()} of the code{SPLIT}")

    __eq__ = __ne__ = _refused("compare it")
    __lt__ = __le__ = __gt__ = __ge__ = _refused("compare it")
    __hash__ = _refused("put it into a set or a dict")
    __bool__ = _refused("ask whether it is true")
    __contains__ = _refused("look for something in it")
    __instancecheck__ = __subclasscheck__ = _refused("ask what belongs to it")
    __int__ = __float__ = __complex__ = __index__ = __round__ = __abs__ = __bytes__ = _refused("make a number of it")
    __reduce_ex__ = __copy__ = __deepcopy__ = _refused("copy it")
    __getitem__, __setitem__, __delitem__ = map(_forwarded, ("getitem", "setitem", "delitem"))
    __add__, __sub__, __mul__, __matmul__ = map(_operator, ("add", "sub", "mul", "matmul"))
    __truediv__, __floordiv__, __mod__, __pow__ = map(_operator, ("truediv", "floordiv", "mod", "pow"))
    __and__, __or__, __xor__, __neg__ = map(_operator, ("and_", "or_", "xor", "neg"))
    __radd__ = __rsub__ = __rmul__ = __rmatmul__ = __rtruediv__ = __rfloordiv__ = _refused("reckon with it")
    __rmod__ = __rpow__ = __rand__ = __ror__ = __rxor__ = __divmod__ = __rdivmod__ = _refused("reckon with it")
    __lshift__ = __rshift__ = __rlshift__ = __rrshift__ = __pos__ = __invert__ = _refused("reckon with it")


class Iterating(StandIn):
    """A stand-in for an iterator."""

    __slots__ = ()

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """A generator's, where it is one, for tests that ask whether a function is lazy."""
        return types.GeneratorType if self._llmgate_kind == "generator" else Iterating

    def __iter__(self) -> Iterating:
        return self

    def __contains__(self, wanted: object) -> bool:
        return any(value is wanted or value == wanted for value in self)

    def __next__(self) -> Any:
        return self._llmgate_client.ask("next", (self,))
