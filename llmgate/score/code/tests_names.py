"""Which names tests need of the model's code, and as what: decided by the tests alone."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import sys
import unittest
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "ASSERTS",
    "COMPARING",
    "SOLUTION",
    "NameScope",
    "bound_names",
    "classes_called",
    "exceptions_named",
    "is_solution",
    "last_name",
    "modules_read",
    "root",
    "roots",
    "used_names",
]

ASSERTS: Final = frozenset(name for name in dir(unittest.TestCase) if name.startswith("assert"))
"""Methods of a test case that assert something."""
COMPARING: Final = {"isclose": "math", "deepcopy": "copy", "Counter": "collections"}
"""What tests compare with, by the modules where it is ours: never what the code calls so."""
SOLUTION: Final = "solution"
"""The model's code as a module."""
_CLASS: Final = re.compile(r"_*[A-Z]\w*[a-z]\w*|_*[A-Z]")
_BUILTINS: Final = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class NameScope:
    """Names that a text binds at its top, and those that it takes from there without binding them."""

    bound: set[str]
    free: set[str]

    @classmethod
    def of(cls, texts: Iterable[str], examples: Iterable[str]) -> NameScope:
        """From texts that run in one module, one after another."""
        bound, taken = set[str](), set[str]()
        for text in (*texts, *examples):
            tables = [symtable.symtable(text, "<tests>", "exec")]
            for symbol in tables[0].get_symbols():
                if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
                    bound.add(symbol.get_name())
            while tables:
                table = tables.pop()
                tables += table.get_children()
                top = table.get_type() == "module"
                taken |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())}
        return cls(bound, {name for name in taken - bound if not (name.startswith("__") and name.endswith("__"))})


def bound_names(tree: ast.Module) -> set[str]:
    """Names that code binds at its top."""
    return NameScope.of([ast.unparse(tree)], []).bound


def used_names(scope: NameScope, bound: set[str], entry_point: str, sources: list[ast.Module]) -> set[str]:
    """Names that only the model's code can bring."""
    free = scope.free - bound
    named = free - (_BUILTINS - {entry_point}) - modules_read(sources, free - {entry_point})
    if named or entry_point or any(is_solution(node) for one in sources for node in ast.walk(one)):
        return named
    # `assert sum(10, 15) == 6`: where nothing else is called, it is the code's own.
    called = {
        n.func.id for one in sources for n in ast.walk(one) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    called &= free & _BUILTINS
    if len(called) > 1:
        raise SuiteError(
            f"the tests call only names that Python has as well: {', '.join(sorted(called))}",
            fix="Say which of them the answer defines: `entry_point:`",
        )
    return called


def modules_read(sources: list[ast.Module], free: set[str]) -> set[str]:
    """Modules of Python that tests read from and nobody imports: they rely on the answer for that."""
    nodes = [node for one in sources for node in ast.walk(one)]
    read = {n.value.id for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    called = {n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    return free & read & sys.stdlib_module_names - called


def classes_called(sources: list[ast.Module]) -> set[str]:
    """Names that tests use as classes: capital letters, and never called where only a plain value could stand.

    There are functions with such names, as `Diff(a, b) == 3`.
    """
    plain = set[str]()
    for node in (node for one in sources for node in ast.walk(one)):
        operands: list[ast.expr] = []
        if isinstance(node, (ast.Compare, ast.BinOp)):
            both = [node.left, *(node.comparators if isinstance(node, ast.Compare) else [node.right])]
            operands = [] if all(map(_made, both)) else both
        elif isinstance(node, ast.BoolOp):
            operands = node.values
        elif isinstance(node, ast.UnaryOp):
            operands = [node.operand]
        elif isinstance(node, ast.Assert):
            operands = [node.test]
        elif isinstance(node, ast.Call) and last_name(node.func) in ASSERTS:
            operands = node.args
        plain |= {_made(operand) for operand in operands}
    called = {_made(n) for one in sources for n in ast.walk(one) if isinstance(n, ast.expr)}
    return called - plain - {""}


def _made(node: ast.expr) -> str:
    """The name that is called here, if it is one of a class."""
    if isinstance(node, ast.Call) and _CLASS.fullmatch(last_name(node.func)):
        return last_name(node.func)
    return ""


def exceptions_named(sources: list[ast.Module]) -> Iterator[str]:
    """Names that tests catch, raise or expect to be raised."""
    for node in (node for one in sources for node in ast.walk(one)):
        kinds: list[ast.expr | None] = []
        if isinstance(node, ast.ExceptHandler):
            kinds = [node.type]
        elif isinstance(node, ast.Raise):
            kinds = [node.exc]
        elif isinstance(node, ast.Call) and last_name(node.func).startswith("assertRaises"):
            kinds = list(node.args[:1])
        for kind in kinds:
            yield from filter(
                None, map(last_name, kind.elts if isinstance(kind, ast.Tuple) else [kind] if kind else [])
            )


def is_solution(node: ast.AST) -> bool:
    """Whether something imports the code as a module."""
    if isinstance(node, ast.ImportFrom):
        return node.module == SOLUTION
    return isinstance(node, ast.Import) and any(alias.name == SOLUTION for alias in node.names)


def root(node: ast.AST) -> str:
    """The name at the beginning of `a.b[0].c()`, "" if it is none."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def roots(node: ast.expr) -> set[str]:
    """The same of a class, or of each in a tuple of them."""
    return {root(part) for part in (node.elts if isinstance(node, ast.Tuple) else [node])}


def last_name(node: ast.AST) -> str:
    """The name at the end of `a.b.c`, "" if it is none."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
