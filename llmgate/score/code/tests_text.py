"""Tests as a suite gives them, read before anything runs: what they use, what they assert, and what cannot be judged.

Tests are executed in a process of ours, where stand-ins take the places of what is in the model's code. Which names
those are is decided here, by the tests alone: code under test cannot lend them a name that they did not ask for.
"""

from __future__ import annotations

import ast
import doctest
import marshal
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError
from llmgate.score.code.tests_names import (
    ASSERTS,
    COMPARING,
    SOLUTION,
    NameScope,
    bound_names,
    classes_called,
    exceptions_named,
    is_solution,
    last_name,
    modules_read,
    root,
    roots,
    used_names,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

__all__ = ["INSIDE", "TestsText", "read_tests"]

INSIDE: Final = (
    "Let the tests call the code and compare plain values, or set `judged: inside` (forgeable, cannot gate alone)"
)
_INSPECTS: Final = frozenset({"getsource", "getsourcelines", "signature", "getfullargspec", "getmembers", "getdoc"})
_PATCHES: Final = frozenset({"mock", "monkeypatch"})


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
        exceptions: Names that they use as exceptions.
        modules: Modules of the standard library that they use without importing them, or `math.isclose` of one.
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
    exceptions: tuple[str, ...]
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
    scope = NameScope.of([text] if not session else [], [example.source for example in examples])
    bound = scope.bound | (bound_names(prelude) - {entry_point})
    check = "check" in scope.bound and not _called(tree, "check")
    used = used_names(scope, bound, entry_point, sources)
    helpers = used & COMPARING.keys() - {entry_point}
    used -= helpers if entry_point or used != helpers else set()
    exceptions = set(exceptions_named(sources))
    if not inside:
        _refuse_what_cannot_be_split(sources, used - exceptions)
    if entry_point in scope.bound:
        raise SuiteError(f"the tests define {entry_point!r} themselves, which the code is to define")
    if check and not entry_point:
        raise SuiteError(
            "the tests define `check(candidate)`, and nobody calls it", fix="Name the function: `entry_point:`"
        )
    _refuse_what_tests_nothing(tree, examples, entry_point)
    imports_solution = any(is_solution(node) for one in sources for node in ast.walk(one))
    if not (used or imports_solution or (check and entry_point)):
        raise SuiteError("the tests use nothing of the code", fix="Call what the answer defines")
    modules = modules_read(sources, scope.free - bound - {entry_point})
    names = used | ({entry_point} if entry_point else set())
    return TestsText(
        text=text,
        code=b"" if session else _compiled(_Counting().visit(tree), "<tests>"),
        before=before,
        before_code=_compiled(prelude, "<before>") if prelude.body else b"",
        names=tuple(sorted(names - modules)),
        classes=tuple(sorted(names & classes_called(sources))),
        exceptions=tuple(sorted(exceptions)),
        modules=tuple(sorted(modules | {f"{COMPARING[name]}.{name}" for name in helpers - used})),
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


def _refuse_what_cannot_be_split(sources: list[ast.Module], used: set[str]) -> None:
    for node in (node for one in sources for node in ast.walk(one)):
        what = ""
        if isinstance(node, ast.ClassDef):
            what = next((f"make a class from {ast.unparse(b)}" for b in node.bases if root(b) in used), "")
        elif isinstance(node, ast.Call):
            called = last_name(node.func)
            if called in _INSPECTS:
                what = f"call {called}"
            elif called in {"isinstance", "issubclass"} and len(node.args) > 1 and roots(node.args[1]) & used:
                what = f"call {called} with a class of the code"
            elif called in {"setattr", "delattr"} and node.args and root(node.args[0]) in {*used, SOLUTION}:
                what = f"call {called} on the code"
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {alias.name for alias in node.names} | {(getattr(node, "module", None) or "").rpartition(".")[2]}
            what = f"use {min(names & _PATCHES)}" if names & _PATCHES else ""
        if what:
            line = getattr(node, "lineno", 0)
            raise SuiteError(f"the tests {what} (line {line}), for which they must be inside the code", fix=INSIDE)


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
    bases = {root(base) for base in node.bases}
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
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASSERTS:
        return not all(map(_constant, [*node.args, *(keyword.value for keyword in node.keywords)]))
    return False


def _constant(node: ast.expr) -> bool:
    return not any(isinstance(part, (ast.Name, ast.Call, ast.Attribute, ast.Await)) for part in ast.walk(node))


class _Counting(ast.NodeTransformer):
    """Makes tests count what they assert, and leaves `from solution import *` to the names that they use."""

    def visit_Assert(self, node: ast.Assert) -> object:
        self.generic_visit(node)
        if not _asserts(node):
            return node
        count = ast.Expr(ast.Call(ast.Name("__llmgate_counted__", ast.Load()), [], []))
        return [node, ast.copy_location(count, node)]

    def visit_Call(self, node: ast.Call) -> object:
        if _asserts(node):
            counted = ast.Call(ast.Name("__llmgate_method__", ast.Load()), [node.func], [])
            node.func = ast.copy_location(counted, node.func)
            for part in (*node.args, *node.keywords):
                self.visit(part)
            return node
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> object:
        star = node.module == SOLUTION and any(alias.name == "*" for alias in node.names)
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
