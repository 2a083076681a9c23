"""The literal parts of a DeepEval test file, found by parsing; nothing of it is run."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.suite.importers.files import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmgate.suite.importers.result import Notebook

__all__ = ["read_python"]

_CASES: Final = frozenset({"LLMTestCase", "Golden"})
_METRICS: Final = frozenset({"GEval", "ArenaGEval"})
_NOT_NEEDED: Final = frozenset(
    {"model", "async_mode", "include_reason", "verbose_mode", "evaluation_params", "actual_output", "tools_called"}
)
_UNKNOWN: Final = object()


def read_python(
    path: Path, notes: Notebook
) -> tuple[list[tuple[Mapping[str, Any], str]], list[tuple[Mapping[str, Any], str]]]:
    """Cases and metrics that are written out in a Python file, with their lines; notes those that are computed.

    Raises:
        SuiteError: If it is no Python.
    """
    try:
        tree = ast.parse(read_text(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f"{path}:{line}" if line else str(path)
        raise SuiteError("this is not Python that can be parsed", where=where, fix="Name a test file") from error
    constants = module_constants(tree)
    cases: list[tuple[Mapping[str, Any], str]] = []
    metrics: list[tuple[Mapping[str, Any], str]] = []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        name = called(call)
        where = f"{path}:{call.lineno}"
        if name in _CASES:
            case = arguments(call, constants, where, notes)
            if isinstance(case.get("input"), str):
                cases.append((case, where))
            else:
                notes.lost(f"{name}: its input is computed, and code is not run", where)
        elif is_metric(name):
            given = arguments(call, constants, where, notes)
            metrics.append(({**given, "metric": name, "params": params(call)}, where))
        elif name in {"ConversationalTestCase", "ConversationalGolden", "MLLMTestCase"}:
            notes.lost(f"{name}: conversations and images are not carried over", where)
    note_scopes(tree, path, notes)
    return cases, metrics


def note_scopes(tree: ast.Module, path: Path, notes: Notebook) -> None:
    """Name that every case gets the metrics of all tests, where the tests of a file have different ones."""
    scopes: dict[str, int] = {}
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        if any(called(call) in _CASES for call in calls):
            own = sorted(ast.unparse(call) for call in calls if is_metric(called(call)))
            scopes.setdefault(repr(own), function.lineno)
    if len(scopes) > 1:
        where = f"{path}:{max(scopes.values())}"
        notes.lost("tests with metrics of their own: every case gets the metrics of all tests of the file", where)


def is_metric(name: str) -> bool:
    """Whether a call makes a metric."""
    return name in _METRICS or name.endswith("Metric")


def called(call: ast.Call) -> str:
    """The last part of what is called."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def module_constants(tree: ast.Module) -> dict[str, Any]:
    """Names at the top of the file that stand for literals."""
    constants: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = literal_value(node.value, constants)
            if value is not _UNKNOWN:
                constants[node.targets[0].id] = value
    return constants


def literal_value(node: ast.expr, constants: Mapping[str, Any]) -> Any:
    """The value of a literal or of a name that stands for one; `_UNKNOWN` if it is computed."""
    if isinstance(node, ast.Name):
        return constants.get(node.id, _UNKNOWN)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return _UNKNOWN


def arguments(call: ast.Call, constants: Mapping[str, Any], where: str, notes: Notebook) -> dict[str, Any]:
    """The keyword arguments of a call that are literals; notes those that matter and are not."""
    literals: dict[str, Any] = {}
    if call.args or any(keyword.arg is None for keyword in call.keywords):
        notes.lost(f"arguments of {called(call)} that have no name", where)
    for keyword in call.keywords:
        value = literal_value(keyword.value, constants)
        if keyword.arg is None or (value is _UNKNOWN and keyword.arg in _NOT_NEEDED):
            continue
        if value is _UNKNOWN:
            if keyword.arg != "input":
                notes.lost(f"{called(call)}: {keyword.arg} is computed, and code is not run", where)
            continue
        literals[keyword.arg] = value
    return literals


def params(call: ast.Call) -> list[str]:
    """The names of the `evaluation_params` of a metric, such as EXPECTED_OUTPUT."""
    for keyword in call.keywords:
        if keyword.arg == "evaluation_params":
            return [node.attr for node in ast.walk(keyword.value) if isinstance(node, ast.Attribute)]
    return []
