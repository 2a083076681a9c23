"""Asks the process that holds the model's code. Part of the process that executes the tests."""

from __future__ import annotations

import builtins
import collections.abc
import sys
import types
from _thread import RLock
from typing import Any, NoReturn

from llmgate.score.code.stand_ins import SPLIT, Iterating, StandIn
from llmgate.score.code.wire import Link, LinkError, ValueReader, ValueWriter

__all__ = ["Client", "Refused"]

_NEVER_RAISED = (StopIteration, StopAsyncIteration, GeneratorExit, KeyboardInterrupt)
_DEEPEST_CLASS = 20
_MOST_YIELDED = 100_000


class Refused(BaseException):
    """The tests asked for what no stand-in does; the client knows why."""


class _Nothing:
    """The code has no such name."""


NOTHING = _Nothing()


class Client:
    """Asks the process that holds the code.

    Args:
        link: To that process.
        classes: Names that the tests use as classes.
        exceptions: Names that they use as exceptions.

    Attributes:
        fault: Outcome and reason, once the trial has failed or cannot be held; the tests cannot take it back.
        uses: How often something of the code was used.
        raised: The last exception that the code raised.
    """

    def __init__(self, link: Link, classes: list[str], exceptions: list[str]) -> None:
        self._link = link
        self._raising = frozenset(exceptions)
        self._classes = frozenset(classes)
        self.fault: tuple[str, str] | None = None
        self.uses = 0
        self.raised: BaseException | None = None
        self._number = 0
        self._one = RLock()
        self._exceptions: dict[str, type[BaseException]] = {}
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
        if isinstance(value, type) and issubclass(value, BaseException) and name not in self._raising:
            # Calling it would make an object here, which is true without the code having done anything.
            self.refuse("fail", f"{name} of the code is an exception")
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
        writer = ValueWriter(self._sent)
        try:
            asked = {
                "a": [writer.write(a) for a in args],
                "k": {k: writer.write(v) for k, v in (keywords or {}).items()},
            }
            with self._one:
                self._number = number = self._number + 1
                self._link.send({"n": number, "op": operation, **asked})
                while "call" in (reply := self._link.receive()):
                    self._call_back(reply)
                return self._answer(number, operation, reply, writer.numbered, role)
        except EOFError as error:
            if error is self.raised:
                raise
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
        try:
            sys.stdout.write(reply["out"])
        except ValueError as error:
            raise LinkError("a text that cannot be written") from error
        reader = ValueReader(lambda name, content: self._received(name, content, role), list(given))
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

    def _class(self, tree: Any, depth: int = 0) -> type[BaseException]:
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
        reader = ValueReader(lambda name, content: self._received(name, content, "value"))
        args = [reader.read(part) for part in raised["args"]]
        error = _made(kind, args, text)
        if kind.__name__ in self._exceptions:
            error.llmgate_text = text  # type: ignore[attr-defined]
        return error

    def _sent(self, value: Any) -> Any:
        if isinstance(value, StandIn):
            return {"h": object.__getattribute__(value, "_llmgate_number")}
        called = str(getattr(value, "__name__", ""))
        if isinstance(value, (type, types.BuiltinFunctionType)) and vars(builtins).get(called) is value:
            return {"builtin": called}
        if isinstance(value, (collections.abc.Iterator, collections.abc.MappingView)):
            return {"iterator": self._taken(value)}
        if callable(value) and not isinstance(value, type):
            self._callbacks.append(value)
            return {"k": len(self._callbacks) - 1}
        return self.refuse("error", f"the tests hand a {type(value).__name__} of their own to the code{SPLIT}")

    def _taken(self, values: Any) -> list[Any]:
        writer, taken = ValueWriter(self._sent), []
        for value in values:
            taken.append(writer.write(value))
            if len(taken) > _MOST_YIELDED:
                self.refuse(
                    "error", f"the tests hand an iterator of more than {_MOST_YIELDED} values to the code{SPLIT}"
                )
        return taken

    def _call_back(self, asked: dict[str, Any]) -> None:
        number = asked["call"]
        if type(number) is not int or not 0 <= number < len(self._callbacks):
            raise LinkError("what was not asked")
        reader = ValueReader(lambda name, content: self._received(name, content, "value"))
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
        self._link.send({"value": ValueWriter(self._sent).write(result)})


def _made(kind: type[BaseException], args: list[Any], text: str) -> BaseException:
    try:
        try:
            return kind(*args)
        except (TypeError, ValueError):
            error = kind.__new__(kind)
            error.args = (text,)
            return error
    except (TypeError, ValueError) as broken:
        raise LinkError("no exception") from broken


def _text_of(error: Any) -> str:
    text = error.__dict__.get("llmgate_text")
    return BaseException.__str__(error) if text is None else text


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
        if not name.startswith("__"):
            self._llmgate_client.refuse("error", f"the tests set {name} of the code{SPLIT}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        self._llmgate_client.refuse("error", f"the tests delete {name} of the code{SPLIT}")
