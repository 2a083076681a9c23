"""What test functions check, read from their source: known before anything runs, and part of the suite's digest."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Final

from llmgate.errors import SuiteError
from llmgate.suite.asserts import Json

__all__ = ["CHECK", "TestSource", "read_source"]

CHECK: Final = "check"
"""The method by which a test feeds metrics."""
MOST_HELPERS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSource:
    """What is known of test functions without running them.

    Attributes:
        digest: SHA-256 over the source of the functions and of what they use of their own modules.
        metrics: Names given to `case.check` as texts, in order.
        asserts: The asserts given to it that are literals, each with its metric.
        computed: Whether an assert is given that is no literal.
        plain: Whether a function has an `assert` statement.
    """

    digest: str
    metrics: tuple[str, ...]
    asserts: tuple[Mapping[str, Json], ...]
    computed: bool
    plain: bool


def read_source(functions: Iterable[Callable[..., Any]]) -> TestSource:
    """Read test functions, and the functions, classes and constants of their own modules that they use.

    Args:
        functions: The tests of one suite.

    Raises:
        SuiteError: If the source of one cannot be read.
    """
    texts: list[str] = []
    metrics: list[str] = []
    asserts: list[Mapping[str, Json]] = []
    computed = plain = False
    for function in functions:
        used = {name: (source, tree) for name, source, tree in _used(function)}
        texts += [f"{name}\n{source}" for name, (source, _) in sorted(used.items())]
        for _, tree in used.values():
            plain = plain or any(isinstance(node, ast.Assert) for node in ast.walk(tree))
            for metric, written, literal in _checks(tree):
                metrics += [metric] if metric else []
                asserts += [written] if written is not None else []
                computed = computed or not literal
    unique = {json.dumps(written, sort_keys=True, default=str): written for written in asserts}
    named = [*metrics, *(str(written["metric"]) for written in unique.values() if "metric" in written)]
    return TestSource(
        digest=hashlib.sha256("\n\n".join(texts).encode()).hexdigest(),
        metrics=tuple(dict.fromkeys(named)),
        asserts=tuple(unique.values()),
        computed=computed,
        plain=plain,
    )


def _used(function: Callable[..., Any]) -> Iterator[tuple[str, str, ast.AST]]:
    """A function and all of its module that it uses, directly or by others: name, source and tree."""
    todo: list[tuple[str, Any]] = [(function.__qualname__, inspect.unwrap(function))]
    seen: set[str] = set()
    while todo and len(seen) < MOST_HELPERS:
        name, thing = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        found = _source(name, thing, needed=len(seen) == 1)
        if found is None:
            continue
        source, tree = found
        yield name, source, tree
        scope = getattr(inspect.unwrap(function), "__globals__", {})
        module = scope.get("__name__")
        for used in sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}):
            if used in scope and _is_own(scope[used], module):
                todo.append((used, scope[used]))


def _is_own(thing: Any, module: str | None) -> bool:
    """Whether a name stands for something that the module itself says: its functions, classes and constants."""
    if isinstance(thing, FunctionType | type):
        return thing.__module__ == module
    return isinstance(thing, str | int | float | bool | list | tuple | dict | set | frozenset | None)


def _source(name: str, thing: Any, *, needed: bool) -> tuple[str, ast.AST] | None:
    """Source and tree of a function or class; a constant by its value."""
    if not isinstance(thing, FunctionType | type):
        return json.dumps(thing, sort_keys=True, default=_constant), ast.Module(body=[], type_ignores=[])
    try:
        text = textwrap.dedent(inspect.getsource(thing))
        return text, ast.parse(text)
    except (OSError, TypeError, SyntaxError) as error:
        if not needed:
            return None
        raise SuiteError(
            f"the source of {name} cannot be read, so nobody could tell what it checks",
            fix="Write the test in a file, not in a console",
        ) from error


def _constant(value: object) -> object:
    """A part of a constant that JSON does not know, the same in every process: sets have no order."""
    return sorted(map(repr, value)) if isinstance(value, set | frozenset) else repr(type(value))


def _checks(tree: ast.AST) -> Iterator[tuple[str | None, Mapping[str, Json] | None, bool]]:
    """Per call of `check`: the metric, the assert if it is a literal one, and whether all that matters is literal."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == CHECK):
            continue
        values = {keyword.arg: keyword.value for keyword in node.keywords}
        metric_node = node.args[0] if node.args else values.get("metric")
        value_node = node.args[1] if len(node.args) > 1 else values.get("value")
        metric = metric_node.value if isinstance(metric_node, ast.Constant) else None
        if not isinstance(metric, str):
            continue
        if not isinstance(value_node, ast.Dict):
            yield metric, None, True
            continue
        try:
            written = ast.literal_eval(value_node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            yield metric, None, False
            continue
        own = written.get("metric") if isinstance(written, dict) else None
        yield (None if own else metric), {**written, "metric": own or metric}, True
