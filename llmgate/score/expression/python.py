"""Evaluates small Python programs from their syntax tree, within a budget: nothing is compiled or run.

Operators and methods are those of Python's own texts, numbers, lists and mappings; which, stands here, and whatever
else a program uses is refused before the first answer is looked at.
"""

from __future__ import annotations

import ast
import operator
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError
from llmgate.score.expression.python_names import CALLS, ERRORS, KINDS, METHODS, MODULES, paid
from llmgate.score.expression.python_operators import COMPARISONS, OPERATORS
from llmgate.score.expression.scope import Jumped, Returned
from llmgate.score.expression.spending import Spending, ThrownError, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["UNDERSTOOD", "evaluate_python"]

_MAX_BITS: Final = 4096
"""Of a whole number: longer ones take time."""
_RAISED: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, re.error)
"""What operators and methods of Python raise for values that they cannot take."""


def evaluate_python(root: ast.AST, names: Mapping[str, object], spending: Spending) -> object:
    """What the body of a function returns.

    Args:
        root: The program.
        names: Its variables; they are changed if the program changes them.
        spending: Its budget.

    Raises:
        ThrownError: If the program raises.
        CannotRunError: If it needs too much.
    """
    program = _Program(dict(names), spending)
    try:
        for statement in getattr(root, "body", ()):
            program.run(statement)
    except Returned as returned:
        return returned.value
    except RecursionError as error:
        raise unknown("data nested too deeply") from error
    return None


class _Program:
    def __init__(self, names: dict[str, object], spending: Spending) -> None:
        self.names = names
        self.spending = spending

    def run(self, node: ast.stmt) -> None:
        self.spending.steps()
        _RUNNERS[type(node)](self, node)

    def give(self, node: ast.Return) -> None:
        raise Returned(None if node.value is None else self.value(node.value))

    def assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self.bind(target, value)

    def change(self, node: ast.AugAssign) -> None:
        if not isinstance(node.target, ast.Name):
            raise unknown("a change of something else than a name")
        before = self.look_up(node.target.id)
        self.names[node.target.id] = self.operate(node.op, before, self.value(node.value))

    def choose(self, node: ast.If) -> None:
        self.several(node.body if self.value(node.test) else node.orelse)

    def jump(self, node: ast.Break | ast.Continue) -> None:
        raise Jumped("continue" if isinstance(node, ast.Continue) else "break")

    def several(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.run(statement)

    def loop(self, node: ast.For) -> None:
        value = self.value(node.iter)
        # What is added to a list meanwhile belongs to the loop; other values cannot grow, or must not.
        for item in iter(value) if isinstance(value, list) else self.iterated(value):
            self.bind(node.target, item)
            try:
                self.several(node.body)
            except Jumped as jumped:
                if jumped.word == "break":
                    return
        self.several(node.orelse)

    def attempt(self, node: ast.Try) -> None:
        try:
            try:
                self.several(node.body)
            except ThrownError as error:
                handler = next((h for h in node.handlers if self.catches(h.type, error)), None)
                if handler is None:
                    raise
                if handler.name:
                    self.names[handler.name] = str(error)
                self.several(handler.body)
            else:
                self.several(node.orelse)
        finally:
            self.several(node.finalbody)

    def catches(self, kind: ast.expr | None, error: ThrownError) -> bool:
        if kind is None:
            return True
        if isinstance(kind, ast.Tuple):
            return any(self.catches(item, error) for item in kind.elts)
        name = kind.attr if isinstance(kind, ast.Attribute) else kind.id if isinstance(kind, ast.Name) else ""
        return error.kind in ERRORS.get(name, frozenset()) or name in {"Exception", "BaseException"}

    def bind(self, target: ast.expr, value: object) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            items = self.iterated(value)
            if len(items) != len(target.elts):
                raise ThrownError("too many or too few values to unpack", "ValueError")
            for part, item in zip(target.elts, items, strict=True):
                self.bind(part, item)
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value), self.value(target.slice)
            if not isinstance(owner, dict | list):
                raise ThrownError("what is changed has no items")
            self.put(owner, key, value)
        else:
            raise unknown("an assignment to something else than a name")

    def look_up(self, name: str) -> object:
        if name not in self.names:
            raise ThrownError(f"name {name!r} is not defined", "NameError")
        return self.names[name]

    def name(self, node: ast.Name) -> object:
        return KINDS[node.id] if node.id in KINDS and node.id not in self.names else self.look_up(node.id)

    def iterated(self, value: object) -> list[Any]:
        if not isinstance(value, str | list | tuple | dict | set | frozenset):
            raise ThrownError(f"{type(value).__name__!r} object is not iterable")
        self.spending.steps(len(value))
        return list(value)

    def guarded(self, function: Callable[..., object], *arguments: Any, **named: Any) -> Any:
        try:
            result = function(*arguments, **named)
        except _RAISED as error:
            raise ThrownError(str(error)[:200], type(error).__name__) from error
        except (OverflowError, MemoryError) as error:
            raise CannotRunError("the code makes a number or a text that is too large") from error
        if isinstance(result, int) and result.bit_length() > _MAX_BITS:
            raise CannotRunError("the code makes a number that is too large")
        if isinstance(result, str):
            self.spending.chars(len(result))
        return result

    def value(self, node: ast.expr) -> Any:
        self.spending.steps()
        return _EVALUATORS[type(node)](self, node)

    def display(self, node: ast.List | ast.Tuple | ast.Set) -> object:
        items: list[object] = []
        for part in node.elts:
            if isinstance(part, ast.Starred):
                items += self.iterated(self.value(part.value))
            else:
                items.append(self.value(part))
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        if kind is set:
            paid(self, items)
        return self.guarded(kind, items)

    def mapping(self, node: ast.Dict) -> dict[object, object]:
        result: dict[object, object] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:
                raise unknown("`**` in a mapping")
            self.put(result, self.value(key), self.value(item))
        return result

    def put(self, owner: Any, key: object, value: object) -> None:
        paid(self, key)
        self.guarded(operator.setitem, owner, key, value)

    def text(self, node: ast.JoinedStr) -> str:
        pieces: list[str] = []
        for part in node.values:
            if not isinstance(part, ast.FormattedValue):
                pieces.append(str(self.value(part)))
                continue
            value = self.value(part.value)
            spec = "".join(str(t.value) for t in getattr(part.format_spec, "values", []))
            if part.conversion == 114:
                value = self.guarded(repr, value)
            paid(self, value)
            pieces.append(self.guarded(format, value, spec))
        self.spending.chars(sum(map(len, pieces)))
        return "".join(pieces)

    def logic(self, node: ast.BoolOp) -> object:
        stop_at = isinstance(node.op, ast.Or)
        value: object = None
        for part in node.values:
            value = self.value(part)
            if bool(value) is stop_at:
                return value
        return value

    def unary(self, node: ast.UnaryOp) -> object:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return not value
        return self.guarded(operator.neg if isinstance(node.op, ast.USub) else operator.pos, value)

    def binary(self, node: ast.BinOp) -> object:
        return self.operate(node.op, self.value(node.left), self.value(node.right))

    def operate(self, sign: ast.operator, left: Any, right: Any) -> object:
        sizes = [len(x) for x in (left, right) if isinstance(x, str | list | tuple)]
        counts = [x for x in (left, right) if isinstance(x, int)]
        if isinstance(sign, ast.Mult) and sizes and counts:
            self.spending.chars(sizes[0] * max(counts[0], 0))
            self.spending.steps(sizes[0] * max(counts[0], 0) / 8)
        elif isinstance(sign, ast.Mod) and isinstance(left, str):
            raise unknown("`%` of a text")
        elif isinstance(sign, ast.Pow) and not all(isinstance(x, int | float) and abs(x) < 1000 for x in (left, right)):
            raise unknown("a power of numbers above 1000")
        self.spending.steps(sum(sizes) / 8)
        return self.guarded(OPERATORS[type(sign)], left, right)

    def compare(self, node: ast.Compare) -> object:
        left: Any = self.value(node.left)
        result: Any = True
        for sign, part in zip(node.ops, node.comparators, strict=True):
            right = self.value(part)
            paid(self, (left, right))
            result = self.guarded(COMPARISONS[type(sign)], left, right)
            if not result:
                return result
            left = right
        return result

    def conditional(self, node: ast.IfExp) -> object:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def subscript(self, node: ast.Subscript) -> object:
        owner = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            bounds = [
                None if b is None else self.value(b) for b in (node.slice.lower, node.slice.upper, node.slice.step)
            ]
            self.spending.steps(len(owner) / 8 if isinstance(owner, str | list | tuple) else 1)
            return self.guarded(operator.getitem, owner, self.guarded(slice, *bounds))
        return self.guarded(operator.getitem, owner, self.value(node.slice))

    def attribute(self, node: ast.Attribute) -> object:
        owner = node.value
        if isinstance(owner, ast.Name) and owner.id in MODULES and owner.id not in self.names:
            return MODULES[owner.id][node.attr]
        raise unknown(f"the attribute {node.attr!r}")

    def call(self, node: ast.Call) -> object:
        if isinstance(node.func, ast.Name) and node.func.id in {"any", "all"} and len(node.args) == 1:
            only = node.args[0]
            if isinstance(only, ast.GeneratorExp) and not node.keywords:
                return self.first_of(only, wanted=node.func.id == "any")
        arguments, named = self.given(node)
        function = node.func
        if isinstance(function, ast.Name):
            if function.id in self.names or function.id not in CALLS:
                raise unknown(f"a call of {function.id!r}")
            return self.guarded(CALLS[function.id], self, *arguments, **named)
        if not isinstance(function, ast.Attribute):
            raise unknown("a call of what is no name")
        return self.call_member(function, arguments, named)

    def given(self, node: ast.Call) -> tuple[list[Any], dict[str, Any]]:
        arguments: list[Any] = []
        for part in node.args:
            if isinstance(part, ast.Starred):
                arguments += self.iterated(self.value(part.value))
            else:
                arguments.append(self.value(part))
        if any(keyword.arg is None for keyword in node.keywords):
            raise unknown("`**` in a call")
        return arguments, {str(keyword.arg): self.value(keyword.value) for keyword in node.keywords}

    def call_member(self, function: ast.Attribute, arguments: list[Any], named: dict[str, Any]) -> object:
        module = function.value.id if isinstance(function.value, ast.Name) else ""
        if module in MODULES and module not in self.names:
            return self.guarded(MODULES[module][function.attr], self, *arguments, **named)
        owner = self.value(function.value)
        kinds = METHODS[function.attr]
        method = next((method for kind, method in kinds if isinstance(owner, kind)), None)
        if method is None:
            raise ThrownError(f"{type(owner).__name__!r} object has no attribute {function.attr!r}", "AttributeError")
        self.spending.steps(len(owner) / 16 if isinstance(owner, str | list | dict) else 1)
        return self.guarded(method, self, owner, *arguments, **named)

    def comprehension(self, node: ast.GeneratorExp | ast.ListComp | ast.SetComp) -> object:
        kept = dict(self.names)
        found = [self.value(node.elt) for _ in self.generated(node.generators)]
        self.names = kept
        if not isinstance(node, ast.SetComp):
            return found
        paid(self, found)
        return self.guarded(set, found)

    def first_of(self, node: ast.GeneratorExp, *, wanted: bool) -> bool:
        """`any` and `all` of a generator, which look no further than they must."""
        kept = dict(self.names)
        try:
            return (
                wanted
                if any(bool(self.value(node.elt)) is wanted for _ in self.generated(node.generators))
                else not wanted
            )
        finally:
            self.names = kept

    def mapping_comprehension(self, node: ast.DictComp) -> object:
        kept = dict(self.names)
        result: dict[object, object] = {}
        for _ in self.generated(node.generators):
            self.put(result, self.value(node.key), self.value(node.value))
        self.names = kept
        return result

    def generated(self, generators: list[ast.comprehension]) -> Iterator[None]:
        first, rest = generators[0], generators[1:]
        for item in self.iterated(self.value(first.iter)):
            self.bind(first.target, item)
            if all(self.value(test) for test in first.ifs):
                if rest:
                    yield from self.generated(rest)
                else:
                    yield


_EVALUATORS: Final[Mapping[type[ast.expr], Callable[..., Any]]] = MappingProxyType(
    {
        ast.Constant: lambda _, node: node.value,
        ast.Name: _Program.name,
        ast.JoinedStr: _Program.text,
        ast.List: _Program.display,
        ast.Tuple: _Program.display,
        ast.Set: _Program.display,
        ast.Dict: _Program.mapping,
        ast.BoolOp: _Program.logic,
        ast.UnaryOp: _Program.unary,
        ast.BinOp: _Program.binary,
        ast.Compare: _Program.compare,
        ast.IfExp: _Program.conditional,
        ast.Subscript: _Program.subscript,
        ast.Attribute: _Program.attribute,
        ast.Call: _Program.call,
        ast.GeneratorExp: _Program.comprehension,
        ast.ListComp: _Program.comprehension,
        ast.SetComp: _Program.comprehension,
        ast.DictComp: _Program.mapping_comprehension,
    }
)
_RUNNERS: Final[Mapping[type[ast.stmt], Callable[..., object]]] = MappingProxyType(
    {
        ast.Return: _Program.give,
        ast.Assign: _Program.assign,
        ast.AugAssign: _Program.change,
        ast.If: _Program.choose,
        ast.For: _Program.loop,
        ast.Try: _Program.attempt,
        ast.Expr: lambda program, node: program.value(node.value),
        ast.Break: _Program.jump,
        ast.Continue: _Program.jump,
        ast.Import: lambda *_: None,
        ast.Pass: lambda *_: None,
    }
)
UNDERSTOOD: Final = frozenset(
    {
        *_EVALUATORS,
        *OPERATORS,
        *COMPARISONS,
        *(ast.FunctionDef, ast.arguments, ast.arg, ast.Load, ast.Store, ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd),
        *_RUNNERS,
        *(ast.alias, ast.ExceptHandler, ast.FormattedValue, ast.Slice, ast.Starred, ast.keyword),
        *(ast.comprehension, ast.Name, ast.Constant),
    }
)
"""Parts of a syntax tree that are evaluated."""
