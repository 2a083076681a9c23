"""Tests as a suite gives them, read before anything runs: what they use, what they assert, and what cannot be judged.

Tests are executed in a process of ours, where stand-ins take the places of what is in the model's code. Which names
those are is decided here, by the tests alone: code under test cannot lend them a name that they did not ask for.
"""

from __future__ import annotations

import ast
import builtins
import doctest
import marshal
import re
import symtable
import sys
import unittest
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType

__all__ = ["INSIDE", "TestsText", "read_tests"]

INSIDE: Final = (
    "Let the tests call the code and compare plain values, or set `judged: inside` (forgeable, cannot gate alone)"
)
_ASSERTS: Final = frozenset(name for name in dir(unittest.TestCase) if name.startswith("assert"))
_CLASS: Final = re.compile(r"_*[A-Z]\w*[a-z]\w*|_*[A-Z]")
_INSPECTS: Final = frozenset({"getsource", "getsourcelines", "signature", "getfullargspec", "getmembers", "getdoc"})
_PATCHES: Final = frozenset({"mock", "monkeypatch"})
_BUILTINS: Final = frozenset(dir(builtins))
_SOLUTION: Final = "solution"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestsText:
    """Tests that can be executed.

    Attributes:
        text: As written.
        code: The compiled tests, which count what they assert; empty where all of it is a doctest.
        before: What is executed before them, as written.
        before_code: The same, compiled.
        names: What the tests need of the model's code.
        classes: Names that they use as classes.
        modules: Modules of the standard library that they use without importing them.
        functions: Test functions, to be called.
        doctests: Texts with examples.
        entry_point: What `check` is handed, "" where there is none.
        check: Whether there is such a `check`, to be called.
        unittest: Whether there may be test cases.
    """

    __test__ = False

    text: str
    code: bytes
    before: str
    before_code: bytes
    names: tuple[str, ...]
    classes: tuple[str, ...]
    modules: tuple[str, ...]
    functions: tuple[str, ...]
    doctests: tuple[str, ...]
    entry_point: str
    check: bool
    unittest: bool


@lru_cache(maxsize=512)
def read_tests(text: str, *, before: str = "", entry_point: str = "", inside: bool = False) -> TestsText:
    """Reads tests.

    Args:
        text: Python: assertions, test functions, test cases, `check(candidate)`, or a session of doctest.
        before: Code that both the tests and the model's code come after.
        entry_point: The name in the model's code that `check` is handed.
        inside: Whether they run in the interpreter of the model's code, where nothing has to be split.

    Raises:
        SuiteError: If they test nothing, or cannot be judged from outside.
    """
    if entry_point and not entry_point.isidentifier():
        raise SuiteError(f"entry_point {entry_point[:40]!r} is no name of Python")
    session = text.lstrip().startswith(">>>")
    tree = ast.Module([], []) if session else _parsed(text, "tests")
    prelude = _parsed_before(before)
    doctests = (text,) if session else tuple(_docstrings(tree))
    examples = [example for one in doctests for example in _examples(one)]
    sources = [tree, *(_parsed(example.source, "doctest") for example in examples)]
    scope = _Scope.of([text] if not session else [], [example.source for example in examples])
    bound = scope.bound | (_bound(prelude) - {entry_point})
    check = "check" in scope.bound and not _called(tree, "check")
    used = _used(scope, bound, entry_point, sources)
    if not inside:
        _refuse_what_cannot_be_split(sources, used)
    if entry_point in scope.bound:
        raise SuiteError(f"the tests define {entry_point!r} themselves, which the code is to define")
    if check and not entry_point:
        raise SuiteError(
            "the tests define `check(candidate)`, and nobody calls it", fix="Name the function: `entry_point:`"
        )
    _refuse_what_tests_nothing(tree, examples, entry_point)
    imports_solution = any(_is_solution(node) for one in sources for node in ast.walk(one))
    if not (used or imports_solution or (check and entry_point)):
        raise SuiteError("the tests use nothing of the code", fix="Call what the answer defines")
    modules = scope.free & sys.stdlib_module_names - bound - {entry_point}
    names = used | ({entry_point} if entry_point else set())
    return TestsText(
        text=text,
        code=b"" if session else _compiled(_Counting().visit(tree), "<tests>"),
        before=before,
        before_code=_compiled(prelude, "<before>") if prelude.body else b"",
        names=tuple(sorted(names - modules)),
        classes=tuple(sorted(name for name in names if _CLASS.fullmatch(name))),
        modules=tuple(sorted(modules)),
        functions=tuple(_functions(tree)),
        doctests=doctests,
        entry_point=entry_point,
        check=check,
        unittest="unittest" in text,
    )


def _parsed(text: str, what: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise SuiteError(f"the {what} cannot be parsed{line}: {type(error).__name__}: {error}") from error


def _parsed_before(before: str) -> ast.Module:
    """What stands before the code; where it ends in a head without a body, a body that does nothing."""
    try:
        return ast.parse(before)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _parsed(before.rstrip() + "\n    pass\n", "code in `before`")


def _compiled(tree: ast.Module, name: str) -> bytes:
    # The sandbox runs the same interpreter, so what is compiled here need not be compiled again for each answer.
    code: CodeType = compile(ast.fix_missing_locations(tree), name, "exec", dont_inherit=True)
    return marshal.dumps(code)


@dataclass(frozen=True, slots=True)
class _Scope:
    """Names that a text binds at its top, and those that it takes from there without binding them."""

    bound: set[str]
    free: set[str]

    @classmethod
    def of(cls, texts: Iterable[str], examples: Iterable[str]) -> _Scope:
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


def _bound(tree: ast.Module) -> set[str]:
    return _Scope.of([ast.unparse(tree)], []).bound


def _used(scope: _Scope, bound: set[str], entry_point: str, sources: list[ast.Module]) -> set[str]:
    """Names that only the model's code can bring."""
    free = scope.free - bound
    named = free - _BUILTINS - (sys.stdlib_module_names - {entry_point})
    if named or entry_point or any(_is_solution(node) for one in sources for node in ast.walk(one)):
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


def _is_solution(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == _SOLUTION
    return isinstance(node, ast.Import) and any(alias.name == _SOLUTION for alias in node.names)


def _refuse_what_cannot_be_split(sources: list[ast.Module], used: set[str]) -> None:
    for node in (node for one in sources for node in ast.walk(one)):
        what = ""
        if isinstance(node, ast.ClassDef):
            what = next((f"make a class from {ast.unparse(b)}" for b in node.bases if _root(b) in used), "")
        elif isinstance(node, ast.Call):
            called = _last(node.func)
            if called in _INSPECTS:
                what = f"call {called}"
            elif called in {"isinstance", "issubclass"} and len(node.args) > 1 and _roots(node.args[1]) & used:
                what = f"call {called} with a class of the code"
            elif called in {"setattr", "delattr"} and node.args and _root(node.args[0]) in {*used, _SOLUTION}:
                what = f"call {called} on the code"
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {alias.name for alias in node.names} | {(getattr(node, "module", None) or "").rpartition(".")[2]}
            what = f"use {min(names & _PATCHES)}" if names & _PATCHES else ""
        if what:
            raise SuiteError(
                f"the tests {what} (line {node.lineno}), for which they must be inside the code", fix=INSIDE
            )  # type: ignore[attr-defined]


def _root(node: ast.AST) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _roots(node: ast.expr) -> set[str]:
    return {_root(part) for part in (node.elts if isinstance(node, ast.Tuple) else [node])}


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _called(tree: ast.Module, name: str) -> bool:
    """Whether a name is used anywhere, so that somebody may call it."""
    return any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load) for n in ast.walk(tree))


def _functions(tree: ast.Module) -> Iterator[str]:
    """Test functions that the text does not call itself.

    Raises:
        SuiteError: If one takes arguments, which only a test runner of a library could give.
    """
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test"):
            if _called(tree, node.name):
                continue
            arguments = node.args
            if len(arguments.posonlyargs) + len(arguments.args) > len(arguments.defaults):
                raise SuiteError(f"the test function {node.name!r} takes arguments", fix="Write it without fixtures")
            yield node.name


def _refuse_what_tests_nothing(tree: ast.Module, examples: list[doctest.Example], entry_point: str) -> None:
    if any(example.want for example in examples):
        return
    reached = _reached(tree, entry_point)
    if any(_asserts(node) for part in reached for node in ast.walk(part)):
        return
    if any(_asserts(node) for node in ast.walk(tree)):
        raise SuiteError(
            "the tests assert something only where nothing calls it",
            fix="Call it, or name it test_…: functions and methods that are called so are executed",
        )
    raise SuiteError(
        "the tests assert nothing about the code", fix="Write assertions that compare what the code returns"
    )


def _reached(tree: ast.Module, entry_point: str) -> list[ast.AST]:
    """The statements that are executed, or may be: a function or class that nothing names is not."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    waiting = [node for node in tree.body if isinstance(node, kinds)]
    reached: list[ast.AST] = [node for node in tree.body if not isinstance(node, kinds)]
    named = {n.id for part in reached for n in ast.walk(part) if isinstance(n, ast.Name)}
    while True:
        more = [node for node in waiting if node.name in named or _is_run(node, tree, entry_point)]
        if not more:
            return reached
        waiting = [node for node in waiting if node not in more]
        reached += more
        named |= {n.id for part in more for n in ast.walk(part) if isinstance(n, ast.Name)}


def _is_run(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, tree: ast.Module, entry_point: str) -> bool:
    """Whether it is executed without being named anywhere."""
    if not isinstance(node, ast.ClassDef):
        return node.name.startswith("test") or (node.name == "check" and bool(entry_point))
    bases = {_root(base) for base in node.bases}
    others = [one for one in tree.body if isinstance(one, ast.ClassDef) and one.name in bases]
    methods = [
        part.name
        for one in (node, *others)
        for part in one.body
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return bool(bases) and any(name.startswith("test") for name in methods)


def _asserts(node: ast.AST) -> bool:
    """Whether it asserts something that is not settled already."""
    if isinstance(node, ast.Assert):
        return not _constant(node.test)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ASSERTS:
        return not all(map(_constant, [*node.args, *(keyword.value for keyword in node.keywords)]))
    return False


def _constant(node: ast.expr) -> bool:
    return not any(isinstance(part, (ast.Name, ast.Call, ast.Attribute, ast.Await)) for part in ast.walk(node))


class _Counting(ast.NodeTransformer):
    """Makes tests count what they assert, and leaves `from solution import *` to the names that they use."""

    def visit_Assert(self, node: ast.Assert) -> object:  # noqa: N802 - named by `ast`
        self.generic_visit(node)
        if not _asserts(node):
            return node
        count = ast.Expr(ast.Call(ast.Name("__llmgate_counted__", ast.Load()), [], []))
        return [node, ast.copy_location(count, node)]

    def visit_Call(self, node: ast.Call) -> object:  # noqa: N802 - named by `ast`
        if _asserts(node):
            counted = ast.Call(ast.Name("__llmgate_method__", ast.Load()), [node.func], [])
            node.func = ast.copy_location(counted, node.func)
            for part in (*node.args, *node.keywords):
                self.visit(part)
            return node
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> object:  # noqa: N802 - named by `ast`
        star = node.module == _SOLUTION and any(alias.name == "*" for alias in node.names)
        return ast.copy_location(ast.Pass(), node) if star else node


def _docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            text = ast.get_docstring(node)
            if text and ">>>" in text:
                yield text


def _examples(text: str) -> list[doctest.Example]:
    try:
        return doctest.DocTestParser().get_examples(text)
    except ValueError as error:
        raise SuiteError(f"the doctest cannot be read: {error}") from error
