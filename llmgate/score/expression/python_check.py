"""Whether a Python program uses only what is evaluated here: said when a suite is read."""

from __future__ import annotations

import ast
import re
from types import EllipsisType

from llmgate.errors import SuiteError
from llmgate.score.expression.python import UNDERSTOOD
from llmgate.score.expression.python_names import CALLS, ERRORS, KINDS, METHODS, MODULES
from llmgate.suite.program.tree import MAX_CODE_CHARS, MAX_DEPTH, MAX_NODES

__all__ = ["python_program", "python_uses"]

_SPEC = re.compile(r",?(?:\.[0-9]{1,2})?[fd%]?")


def python_program(code: str) -> ast.AST:
    """The program that promptfoo makes of a text: one line is an expression, several are the body of a function.

    Raises:
        SuiteError: If it is not Python, or uses what is not evaluated here.
    """
    if len(code) > MAX_CODE_CHARS:
        raise SuiteError(f"the code has more than {MAX_CODE_CHARS:,} characters")
    if "\n" in code:
        indent = re.search(r"^(?!\s*$)\s+", code, re.MULTILINE)
        step = indent[0] if indent else "    "
        body = "\n".join(f"{step}{line}" for line in code.split("\n"))
    else:
        body = f"    return {code}"
    try:
        function = ast.parse(f"def main(output, context):\n{body}\n").body[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SuiteError(
            f"the code is not Python as promptfoo reads it, so that it fails for every answer: {error}"[:200]
        ) from error
    if not isinstance(function, ast.FunctionDef):
        raise SuiteError("the code is not the body of a function")
    parts = list(ast.walk(function))
    if len(parts) > MAX_NODES or _depth(function) > MAX_DEPTH:
        raise SuiteError("the code is too large or nested too deeply")
    _refuse_unknown(function)
    return function


def python_uses(root: ast.AST, name: str) -> bool:
    """Whether a program looks at a variable."""
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(root))


def _depth(root: ast.AST) -> int:
    deepest, level = 0, [root]
    while level:
        deepest += 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return deepest


def _imported(root: ast.AST) -> frozenset[str]:
    return frozenset(alias.name for node in ast.walk(root) if isinstance(node, ast.Import) for alias in node.names)


class _Names:
    """What a program declares, imports and calls."""

    def __init__(self, function: ast.FunctionDef) -> None:
        parts = list(ast.walk(function))
        self.modules = _imported(function) | {"json"}
        self.stored = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        self.stored |= {part.name for part in parts if isinstance(part, ast.ExceptHandler) and part.name}
        self.callees = {id(part.func) for part in parts if isinstance(part, ast.Call)}
        self.owners = {id(part.value) for part in parts if isinstance(part, ast.Attribute)}


def _refuse_unknown(function: ast.FunctionDef) -> None:
    names = _Names(function)
    for part in ast.walk(function):
        if isinstance(part, ast.Import):
            if any(alias.name not in MODULES or alias.asname for alias in part.names):
                raise _missing(f"`import {part.names[0].name}`")
        elif isinstance(part, ast.Attribute):
            _refuse_attribute(part, names)
        elif isinstance(part, ast.Name):
            _refuse_name(part, names)
        elif isinstance(part, ast.FormattedValue):
            _refuse_format(part)
        elif isinstance(part, ast.Constant) and isinstance(part.value, bytes | complex | EllipsisType):
            raise _missing("bytes and complex numbers")
        elif type(part) not in UNDERSTOOD:
            raise _missing(f"a {type(part).__name__.lower()}")


def _refuse_attribute(part: ast.Attribute, names: _Names) -> None:
    owner = part.value
    module = owner.id if isinstance(owner, ast.Name) and owner.id not in names.stored else None
    if module not in MODULES:
        if id(part) not in names.callees or part.attr not in METHODS:
            raise _missing(f"the attribute `{part.attr}`")
    elif module not in names.modules:
        raise SuiteError(f"the code uses {module!r} without importing it, so that it fails for every answer")
    elif part.attr not in MODULES[module]:
        raise _missing(f"`{module}.{part.attr}`")


def _refuse_name(part: ast.Name, names: _Names) -> None:
    if part.id in names.stored | {"output", "context"}:
        return
    called = id(part) in names.callees
    allowed = CALLS.keys() if called else ERRORS.keys() | KINDS.keys()
    if part.id not in allowed and not (part.id in MODULES and id(part) in names.owners):
        raise _missing(f"the name {part.id!r}")


def _refuse_format(part: ast.FormattedValue) -> None:
    texts = part.format_spec.values if isinstance(part.format_spec, ast.JoinedStr) else []
    if not all(isinstance(text, ast.Constant) and _SPEC.fullmatch(str(text.value)) for text in texts):
        raise _missing("that format of a number")


def _missing(what: str) -> SuiteError:
    return SuiteError(f"the code uses {what}, which is not evaluated here", fix="Write the check with other types")
