"""Stand-ins for what is in the model's code, and the client that asks it. Part of the process that executes the tests."""

from __future__ import annotations

import builtins
import collections.abc
import sys
import types
from typing import Any, NoReturn

from llmgate.score.code.wire import Link, LinkError, Reader, Writer

__all__ = ["Client", "Refused"]

_SPLIT = "; let the tests compare plain values, or set `judged: inside`"
_PLAIN = {
    name
    for kind in (str, bytes, bytearray, int, float, complex, list, tuple, dict, set, frozenset, range)
    for name in dir(kind)
    if not name.startswith("_")
}
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
_NEVER_RAISED = (StopIteration, StopAsyncIteration, GeneratorExit, KeyboardInterrupt)
_DEEPEST_CLASS = 20
_MOST_YIELDED = 100_000


class Refused(BaseException):
    """The tests asked for what no stand-in does; the client knows why."""


class Client:
    """Asks the process that holds the code.

    Args:
        link: To that process.
        classes: Names that the tests use as classes.

    Attributes:
        fault: Outcome and reason, once the trial has failed or cannot be held; the tests cannot take it back.
        uses: How often something of the code was used.
        raised: The last exception that the code raised.
    """

    def __init__(self, link: Link, classes: list[str]) -> None:
        self._link = link
        self._classes = frozenset(classes)
        self.fault: tuple[str, str] | None = None
        self.uses = 0
        self.raised: BaseException | None = None
        self._number = 0
        self._exceptions: dict[str, type] = {}
        self._callbacks: list[Any] = []

    def refuse(self, outcome: str, reason: str) -> NoReturn:
        """Ends the trial."""
        self.fault = self.fault or (outcome, reason)
        raise Refused(reason)

    def load(self) -> None:
        """Has the code loaded.

        Raises:
            Refused: If it fails.
        """
        try:
            self.ask("load", ())
        except Refused:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the code raises
            if isinstance(error, SystemExit):
                self.refuse("fail", "the code ended before its tests did")
            self.refuse("fail", f"the code failed: {type(error).__name__}: {error}")

    def stand_ins(self, names: list[str]) -> dict[str, Any]:
        """What the code calls by these names, and `solution` for all of it as a module."""
        module = _Solution("solution")
        object.__setattr__(module, "_llmgate_client", self)
        sys.modules["solution"] = module
        found = {name: self.resolve(name) for name in names}
        return {name: value for name, value in found.items() if value is not NOTHING}

    def resolve(self, name: str) -> Any:
        """What the code calls by a name, `NOTHING` where it calls nothing so."""
        value = self.ask("name", (name,), role="class" if name in self._classes else "name")
        if value is not NOTHING and not isinstance(value, StandIn):
            self.uses += 1
        return value

    def ask(
        self, operation: str, args: tuple[Any, ...], keywords: dict[str, Any] | None = None, role: str = "value"
    ) -> Any:
        """What came of an operation over there.

        Args:
            operation: See `solution_side.py`.
            args: Its arguments.
            keywords: Its keyword arguments.
            role: What the answer is to the tests, if it is no plain value.

        Raises:
            Refused: If the other side is gone, or sends what is not allowed.
            BaseException: What the code raised.
        """
        if self.fault is not None:
            raise Refused
        self.uses += operation not in {"load", "name", "repr", "str"}
        writer = Writer(self._sent)
        try:
            asked = {
                "a": [writer.write(a) for a in args],
                "k": {k: writer.write(v) for k, v in (keywords or {}).items()},
            }
            self._number += 1
            number = self._number
            self._link.send({"n": number, "op": operation, **asked})
            while "call" in (reply := self._link.receive()):
                self._call_back(reply)
            return self._answer(number, operation, reply, writer.numbered, role)
        except EOFError:
            self.refuse("ended", "the code ended before its tests did")
        except LinkError as error:
            self.refuse("fail", f"the code answered with {error}")
        except (RecursionError, MemoryError) as error:
            if error is self.raised:
                raise
            self.refuse("fail", "the code answered with a value that is too large")

    def _answer(self, number: int, operation: str, reply: dict[str, Any], given: list[Any], role: str) -> Any:
        if type(reply.get("n")) is not int or reply["n"] != number or not isinstance(reply.get("out"), str):
            raise LinkError("what was not asked")
        if "refused" in reply:
            raise LinkError(str(reply["refused"])[:200])
        sys.stdout.write(reply["out"])
        reader = Reader(lambda name, content: self._received(name, content, role), list(given))
        back = reply.get("back")
        if not isinstance(back, list) or len(back) != len(given):
            raise LinkError("what was not asked")
        for one, content in zip(given, back, strict=True):
            reader.fill(one, content)
        if "raise" in reply:
            self.raised = self._exception(reply["raise"], operation)
            raise self.raised
        if operation == "name" and reply.get("found") is not True:
            return NOTHING
        return reader.read(reply.get("value"))

    def _received(self, name: str, content: Any, role: str) -> Any:
        if name == "raises":
            return self._class(content)
        if name != "h" or not isinstance(content, list) or [type(part) for part in content] != [int, str, str]:
            raise LinkError("no value")
        number, kind, called = content
        if kind == "coroutine":
            return self._awaited(StandIn(self, number, kind, called, role))
        cls = Iterating if kind in {"generator", "iterator"} else StandIn
        return cls(self, number, kind, called, role)

    async def _awaited(self, coroutine: StandIn) -> Any:
        return self.ask("await", (coroutine,))

    def _class(self, tree: Any, depth: int = 0) -> type:
        """A built-in exception, or a class that is called like one of the code's."""
        if isinstance(tree, str):
            kind = getattr(builtins, tree, None)
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise LinkError("no exception")
            return kind
        if depth > _DEEPEST_CLASS or not isinstance(tree, list) or len(tree) != 2 or not isinstance(tree[0], str):
            raise LinkError("no exception")
        name, bases = tree
        if name not in self._exceptions:
            made = [self._class(base, depth + 1) for base in bases][:8] or [Exception]
            try:
                self._exceptions[name] = type(name, tuple(dict.fromkeys(made)), {"__str__": _text_of})
            except (TypeError, ValueError) as error:
                raise LinkError("no exception") from error
        return self._exceptions[name]

    def _exception(self, raised: Any, operation: str) -> BaseException:
        if not isinstance(raised, dict) or not isinstance(raised.get("args"), list):
            raise LinkError("no exception")
        kind = self._class(raised.get("class"))
        text = str(raised.get("text"))[:2000]
        if issubclass(kind, _NEVER_RAISED) and not (operation == "next" and kind is StopIteration):
            # Raised here, it would end a loop of the tests as if all were well.
            self.refuse("fail", f"the code raised {kind.__name__}")
        reader = Reader(lambda name, content: self._received(name, content, "value"))
        args = [reader.read(part) for part in raised["args"]]
        try:
            error = kind(*args)
        except (TypeError, ValueError):
            error = kind.__new__(kind)
            error.args = (text,)
        if kind.__name__ in self._exceptions:
            error.llmgate_text = text  # type: ignore[attr-defined]
        return error

    def _sent(self, value: Any) -> Any:
        if isinstance(value, StandIn):
            return {"h": object.__getattribute__(value, "_llmgate_number")}
        if isinstance(value, type) and getattr(builtins, value.__name__, None) is value:
            return {"builtin": value.__name__}
        if isinstance(value, types.BuiltinFunctionType) and getattr(builtins, value.__name__, None) is value:
            return {"builtin": value.__name__}
        if isinstance(value, collections.abc.Iterator) or isinstance(value, collections.abc.MappingView):
            return {"iterator": self._taken(value)}
        if callable(value) and not isinstance(value, type):
            self._callbacks.append(value)
            return {"k": len(self._callbacks) - 1}
        self.refuse("error", f"the tests hand a {type(value).__name__} of their own to the code{_SPLIT}")

    def _taken(self, values: Any) -> list[Any]:
        writer, taken = Writer(self._sent), []
        for value in values:
            taken.append(writer.write(value))
            if len(taken) > _MOST_YIELDED:
                self.refuse(
                    "error", f"the tests hand an iterator of more than {_MOST_YIELDED} values to the code{_SPLIT}"
                )
        return taken

    def _call_back(self, asked: dict[str, Any]) -> None:
        number = asked["call"]
        if type(number) is not int or not 0 <= number < len(self._callbacks):
            raise LinkError("what was not asked")
        reader = Reader(lambda name, content: self._received(name, content, "value"))
        args, keywords = asked.get("a"), asked.get("k")
        if not isinstance(args, list) or not isinstance(keywords, dict):
            raise LinkError("what was not asked")
        values = [reader.read(part) for part in args]
        named = {name: reader.read(part) for name, part in keywords.items()}
        try:
            result = self._callbacks[number](*values, **named)
        except Exception as error:  # noqa: BLE001 - the code may catch it
            self._link.send({"raised": [type(error).__name__, str(error)[:2000]]})
            return
        self._link.send({"value": Writer(self._sent).write(result)})


class _Nothing:
    """The code has no such name."""


NOTHING = _Nothing()


def _text_of(error: Any) -> str:
    text = error.__dict__.get("llmgate_text")
    return BaseException.__str__(error) if text is None else text


def _forwarded(operation: str) -> Any:
    def method(self: StandIn, *args: Any) -> Any:
        self._llmgate_plain(f"use `{operation.strip('_')}` on it")
        return self._llmgate_client.ask(operation, (self, *args))

    return method


def _reflected(operation: str) -> Any:
    def method(self: StandIn, other: Any) -> Any:
        self._llmgate_plain(f"use `{operation.strip('_')}` on it")
        return self._llmgate_client.ask(operation, (other, self))

    return method


def _refused(what: str) -> Any:
    def method(self: StandIn, *_: Any) -> NoReturn:
        self._llmgate_refuse(what)

    return method


class StandIn:
    """Something of the code that is no plain value: a function, a class, an object.

    Its role says how the tests came by it: `name`, by a name that they use; `class`, by one that they use as a class;
    `made`, by calling such a class; `value`, as a result, where only a plain value can be judged.
    """

    __slots__ = ("_llmgate_called", "_llmgate_client", "_llmgate_kind", "_llmgate_number", "_llmgate_role")

    def __init__(self, client: Client, number: int, kind: str, called: str, role: str) -> None:
        values = {"client": client, "number": number, "kind": kind, "called": called, "role": role}
        for name, value in values.items():
            object.__setattr__(self, f"_llmgate_{name}", value)

    def _llmgate_refuse(self, what: str) -> NoReturn:
        if self._llmgate_role == "value":
            self._llmgate_client.refuse(
                "fail", f"the code returned {self._llmgate_named()}, no plain value, where the tests {what}"
            )
        self._llmgate_client.refuse("error", f"the tests {what}: {self._llmgate_named()} of the code{_SPLIT}")

    def _llmgate_plain(self, what: str) -> None:
        """Refuses what could stand in for a comparison, where a plain value was due."""
        if self._llmgate_role == "value":
            self._llmgate_refuse(what)

    def _llmgate_named(self) -> str:
        kind = {"generator": "a generator", "function": "a function", "module": "a module", "iterator": "an iterator"}
        if self._llmgate_kind == "class":
            return f"the class {self._llmgate_called}"
        return kind.get(self._llmgate_kind, f"an object of class {self._llmgate_called}")

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        role = "made" if self._llmgate_role == "class" else "value"
        return self._llmgate_client.ask("call", (self, *args), keywords, role)

    def __getattr__(self, name: str) -> Any:
        if name in _INSIDES:
            self._llmgate_client.refuse("error", f"the tests read {name} of the code's own{_SPLIT}")
        if name == "__name__":
            return self._llmgate_called
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if self._llmgate_role == "value" and name in _PLAIN:
            self._llmgate_refuse(f"use `.{name}` of a plain value")
        return self._llmgate_client.ask("getattr", (self, name))

    def __setattr__(self, name: str, value: Any) -> None:
        if self._llmgate_kind in {"module", "function", "class"}:
            self._llmgate_client.refuse("error", f"the tests set {name} of {self._llmgate_named()} of the code{_SPLIT}")
        self._llmgate_client.ask("setattr", (self, name, value))

    def __delattr__(self, name: str) -> None:
        self._llmgate_client.refuse("error", f"the tests delete {name} of {self._llmgate_named()} of the code{_SPLIT}")

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

    def __mro_entries__(self, _: object) -> NoReturn:
        self._llmgate_client.refuse("error", f"the tests make a class from {self._llmgate_named()} of the code{_SPLIT}")

    __eq__ = __ne__ = _refused("compare it")
    __lt__ = __le__ = __gt__ = __ge__ = _refused("compare it")
    __hash__ = _refused("put it into a set or a dict")  # type: ignore[assignment]
    __bool__ = _refused("ask whether it is true")
    __contains__ = _refused("look for something in it")
    __instancecheck__ = __subclasscheck__ = _refused("ask what belongs to it")
    __int__ = __float__ = __complex__ = __index__ = __round__ = __abs__ = __bytes__ = _refused("make a number of it")
    __reduce_ex__ = __copy__ = __deepcopy__ = _refused("copy it")  # type: ignore[assignment]
    __len__ = _forwarded("len")
    __getitem__, __setitem__, __delitem__ = map(_forwarded, ("getitem", "setitem", "delitem"))
    __add__, __sub__, __mul__, __matmul__ = map(_forwarded, ("add", "sub", "mul", "matmul"))
    __truediv__, __floordiv__, __mod__, __pow__ = map(_forwarded, ("truediv", "floordiv", "mod", "pow"))
    __and__, __or__, __xor__, __neg__ = map(_forwarded, ("and_", "or_", "xor", "neg"))
    __radd__, __rsub__, __rmul__, __rmatmul__ = map(_reflected, ("add", "sub", "mul", "matmul"))
    __rtruediv__, __rfloordiv__, __rmod__, __rpow__ = map(_reflected, ("truediv", "floordiv", "mod", "pow"))
    __rand__, __ror__, __rxor__ = map(_reflected, ("and_", "or_", "xor"))


class Iterating(StandIn):
    """A stand-in for an iterator."""

    __slots__ = ()

    @property
    def __class__(self) -> type:  # type: ignore[override]
        """A generator's, where it is one, for tests that ask whether a function is lazy."""
        return types.GeneratorType if self._llmgate_kind == "generator" else Iterating

    def __iter__(self) -> Iterating:
        return self

    def __next__(self) -> Any:
        return self._llmgate_client.ask("next", (self,))


class _Solution(types.ModuleType):
    """The code as a module that the tests import."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = self._llmgate_client.resolve(name)
        if value is NOTHING:
            raise AttributeError(f"module 'solution' has no attribute {name!r}")
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if name.startswith("__"):
            return super().__setattr__(name, value)
        self._llmgate_client.refuse("error", f"the tests set {name} of the code{_SPLIT}")

    def __delattr__(self, name: str) -> None:
        self._llmgate_client.refuse("error", f"the tests delete {name} of the code{_SPLIT}")
