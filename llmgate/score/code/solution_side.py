"""The process that holds the model's code: it loads the code, and does what it is asked over a pipe.

It knows neither tests nor verdict. Whatever the code does to this process, what comes out of it are plain values, which
another process compares. Run in the sandbox by `trial.py`.
"""

from __future__ import annotations

import builtins
import io
import operator
import os
import sys
import textwrap
import types
from typing import Any

from llmgate.score.code.wire import Link, LinkError, ValueReader, ValueWriter

__all__ = ["load", "serve"]

MOST_OBJECTS = 100_000
_MODULE = "solution"


def serve(job: dict[str, Any]) -> None:
    """Answers until nobody asks any more."""
    sys.argv = ["program"]
    server = _Server(Link(job["calls_fd"], job["replies_fd"]), job["output_bytes"])
    try:
        while True:
            message = server.link.receive()
            server.answer(message, job)
    except (EOFError, LinkError):
        pass
    os._exit(0)


def load(before: str, code: str) -> types.ModuleType:
    """The code as a module, after what stands before it: whole, or the rest of what was begun there.

    Raises:
        SyntaxError: If it is neither.
        BaseException: What the code raised.
    """
    module = types.ModuleType(_MODULE)
    sys.modules[_MODULE] = module
    begun = before.rstrip("\n") + "\n"
    ways = [[code]]
    if before.strip():
        indented = textwrap.indent(textwrap.dedent(code), "    ")
        ways = [[before, code], [begun + code], [begun + indented], [code]]
    first: SyntaxError | None = None
    for way in ways:
        try:
            compiled = [compile(source, "<code>", "exec", dont_inherit=True) for source in way]
        except (SyntaxError, ValueError) as error:
            first = first or (error if isinstance(error, SyntaxError) else SyntaxError(str(error)))
            continue
        for part in compiled:
            exec(part, module.__dict__)  # noqa: S102 - what this process is for
        return module
    raise first or SyntaxError("no code")


class _Output(io.TextIOBase):
    """What the code prints, kept for those who asked; too much of it is printed indeed, and so ends the process."""

    def __init__(self, most: int) -> None:
        self._kept: list[str] = []
        self._left = most

    def write(self, text: str) -> int:
        self._left -= len(text)
        if self._left < 0:
            os.write(1, text.encode("utf-8", "replace"))
        else:
            self._kept.append(text)
        return len(text)

    def taken(self) -> str:
        text = "".join(self._kept)
        self._kept.clear()
        return text


class _Server:
    def __init__(self, link: Link, output_bytes: int) -> None:
        self.link = link
        self._output = _Output(output_bytes)
        sys.stdout = self._output
        self._module: types.ModuleType | None = None
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}

    def answer(self, message: dict[str, Any], job: dict[str, Any]) -> None:
        """Does what a message asks, and says what came of it."""
        reader = ValueReader(self._arrived)
        args = [reader.read(item) for item in message["a"]]
        keywords = {name: reader.read(item) for name, item in message["k"].items()}
        given = list(reader.numbered)
        said: dict[str, Any] = {}
        try:
            if message["op"] == "load":
                self._module = load(job["before"], job["code"])
                result: Any = None
            elif message["op"] == "name":
                said["found"] = hasattr(self._module, args[0])
                result = getattr(self._module, args[0], None)
            else:
                result = _OPERATIONS[message["op"]](*args, **keywords)
        except BaseException as error:  # noqa: BLE001 - whatever the code raises is what came of it
            said["raise"], result = _raised(error, self._left), None
        writer = ValueWriter(self._left, given)
        try:
            said["back"] = [writer.content(one) for one in given[:]]
            said["value"] = writer.write(result)
        except (LinkError, RecursionError) as error:
            said = {"refused": str(error)[:200], "back": []}
        try:
            self.link.send({"n": message["n"], "out": self._output.taken(), **said})
        except LinkError as error:
            self.link.send({"n": message["n"], "out": "", "refused": str(error)})

    def _left(self, value: Any) -> Any:
        """What stands for an object of the code's own."""
        if isinstance(value, type) and issubclass(value, BaseException):
            return {"raises": _tree(value)}
        number = self._numbers.get(id(value))
        if number is None:
            if len(self._objects) >= MOST_OBJECTS:
                raise LinkError("too many objects")
            number = self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return {
            "h": [
                number,
                _kind(value),
                str(getattr(value if isinstance(value, type) else type(value), "__name__", ""))[:60],
            ]
        }

    def _arrived(self, name: str, content: Any) -> Any:
        if name == "h":
            return self._objects[content]
        if name == "k":
            return self._callback(content)
        if name == "iterator":
            reader = ValueReader(self._arrived)
            return iter([reader.read(item) for item in content])
        if name == "builtin":
            return getattr(builtins, content)
        raise LinkError(f"no {name[:20]}")

    def _callback(self, number: int) -> Any:
        def call(*args: Any, **keywords: Any) -> Any:
            writer = ValueWriter(self._left)
            asked = {"a": [writer.write(one) for one in args], "k": {k: writer.write(v) for k, v in keywords.items()}}
            self.link.send({"call": number, **asked})
            while True:
                message = self.link.receive()
                if "n" in message:
                    self.answer(message, {})
                elif "raised" in message:
                    kind = getattr(builtins, message["raised"][0], Exception)
                    raise kind(message["raised"][1])
                else:
                    return ValueReader(self._arrived).read(message["value"])

        return call


def _kind(value: Any) -> str:
    if isinstance(value, types.ModuleType):
        return "module"
    if isinstance(value, types.GeneratorType):
        return "generator"
    if isinstance(value, types.CoroutineType):
        return "coroutine"
    if isinstance(value, type):
        return "class"
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
        return "function"
    return "iterator" if hasattr(type(value), "__next__") else "object"


def _tree(kind: type) -> Any:
    """The name of a built-in exception; the name and the bases of another."""
    if getattr(builtins, kind.__name__, None) is kind:
        return kind.__name__
    bases = [_tree(base) for base in kind.__bases__ if issubclass(base, BaseException)]
    return [kind.__name__[:60], bases[:8]]


def _raised(error: BaseException, left: Any) -> dict[str, Any]:
    try:
        args = [ValueWriter(left).write(one) for one in error.args[:8]]
    except Exception:  # noqa: BLE001 - an argument that cannot be written is told as text
        args = []
    try:
        text = str(error)[:2000]
    except BaseException:  # noqa: BLE001 - its own doing
        text = ""
    return {"class": _tree(type(error)), "args": args, "text": text}


def _finish(awaitable: Any) -> Any:
    import asyncio  # noqa: PLC0415 - it costs 40 ms, and few need it

    async def wait() -> Any:
        return await awaitable

    return asyncio.run(wait())


_OPERATIONS: dict[str, Any] = {
    "call": lambda function, *args, **keywords: function(*args, **keywords),
    "getattr": getattr,
    "setattr": setattr,
    "iter": iter,
    "next": next,
    "len": len,
    "str": str,
    "repr": repr,
    "await": _finish,
    "enter": lambda manager: type(manager).__enter__(manager),
    "exit": lambda manager: type(manager).__exit__(manager, None, None, None),
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    **{
        name: getattr(operator, name)
        for name in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "neg")
    },
}
