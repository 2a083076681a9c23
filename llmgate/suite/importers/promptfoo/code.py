"""promptfoo's asserts and transforms that are code → asserts of ours, by the code's syntax tree. Nothing is run.

What another type says exactly becomes that type; everything else that is understood becomes an `expression`, which
evaluates the same code with bounds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.suite.program import tree
from llmgate.suite.program.check import javascript_program, uses
from llmgate.suite.program.javascript import parse_expression, parse_program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.suite.asserts import Json

__all__ = ["LANGUAGES", "is_boolean", "obstacle_of_code", "sees_data", "transform_of", "translated"]

LANGUAGES: Final = frozenset({"javascript", "python"})
_NAMED: Final = {"trim": "trim", "toLowerCase": "lower", "toUpperCase": "upper"}
_CHAIN: Final = re.compile(rf"output((?:\.(?:{'|'.join(_NAMED)})\(\))+);?")
_TEMPLATE: Final = re.compile(r"\{\{|\{%|\{#")
_COMPARISONS: Final = frozenset({"===", "!==", "==", "!=", "<", ">", "<=", ">=", "in"})
_QUESTIONS: Final = frozenset(
    {*("includes", "startsWith", "endsWith", "test", "some", "every", "has", "isArray", "hasOwnProperty", "hasOwn")}
    | {"isInteger", "isFinite", "isNaN"}
)
_NO_RESULT: Final = frozenset(
    {*("match", "toLowerCase", "toUpperCase", "trim", "split", "slice", "join", "replace", "toString", "filter", "map")}
)
_OF_TEXTS: Final = frozenset(
    [
        "length",
        "at",
        "charAt",
        "charCodeAt",
        "codePointAt",
        "concat",
        "endsWith",
        "includes",
        "indexOf",
        "lastIndexOf",
        "localeCompare",
        "match",
        "matchAll",
        "normalize",
        "padEnd",
        "padStart",
        "repeat",
        "replace",
        "replaceAll",
        "search",
        "slice",
        "split",
        "startsWith",
        "substr",
        "substring",
        "toLowerCase",
        "toString",
        "toUpperCase",
        "trim",
        "trimEnd",
        "trimStart",
        "valueOf",
        "toLocaleLowerCase",
        "toLocaleUpperCase",
    ]
)
_SURE: Final = re.compile(r"(?:[ -#%-'+,\-/-Z_-z{}|$^]|\\[dws.*+?()\[\]{}|/^$-]|[()*?]|\[[^\]\\^]+\])+")
"""Patterns whose meaning does not depend on how many units an emoji has: ASCII, no dot, no class of all others."""


def obstacle_of_code(written: Mapping[str, Any]) -> str | None:
    """Why code cannot even be read, None if it is text that may be.

    Args:
        written: An assert whose type is in `LANGUAGES`.
    """
    code = written.get("value")
    if not isinstance(code, str) or not code.strip():
        return f"its code is no text ({code!r})"[:100]
    if code.startswith(("file://", "package:")):
        return f"its code stands in a file, which is not read ({code[:80]})"
    return None


def translated(language: str, code: str, *, structured: bool = False) -> dict[str, Json]:
    """The type and value of the assert that says what code says; it may still use what `expression` refuses.

    Args:
        language: `javascript` or `python`.
        code: As written.
        structured: Whether the code sees data, and not the answer's text.

    Raises:
        SuiteError: If it is not understood, or promptfoo fails it whatever the answer is.
    """
    if language == "python":
        return {"type": "expression", "value": code, "config": {"language": "python"}}
    whole: dict[str, Json] = {"type": "expression", "value": code}
    if _TEMPLATE.search(code):
        return whole  # the code of a case is known when its variables are
    root = _expression(code)
    ends = returned(parse_program(code)) if root is None and "\n" in code.rstrip() else [root]
    if ends and all(end is not None and _is_no_result(end) for end in ends):
        raise SuiteError(
            "it gives a text or a list, and promptfoo fails whatever is not true, false, a number or "
            "{pass, score, reason}"
        )
    return (None if structured or root is None else _as_type(root)) or whole


def returned(root: tree.Node) -> list[tree.Node | None]:
    """What the body of a function may return, None where nothing; its inner functions left out."""
    found: list[tree.Node | None] = []
    waiting: list[tree.Node] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tree.ReturnNode):
            found.append(node.value)
        elif not isinstance(node, tree.FunctionNode):
            waiting += tree.children(node)
    return found


def is_boolean(code: str) -> bool:
    """Whether a JavaScript expression gives true or false and nothing else, so that a threshold says nothing."""
    root = None if _TEMPLATE.search(code) else _expression(code)
    return root is not None and _is_boolean(root)


def sees_data(language: str, code: str) -> bool:
    """Whether code takes members of the output that no text has, so that it is written for data."""
    if language == "python":
        return bool(re.search(r"\boutput(?:\.(?:get|items|keys|values)\(|\[['\"])", code))
    try:
        root = None if _TEMPLATE.search(code) else parse_program(code) if "\n" in code.rstrip() else _expression(code)
    except SuiteError:
        return False
    return root is not None and any(map(_takes_data, tree.nodes(root)))


def _takes_data(node: tree.Node) -> bool:
    if (
        not isinstance(node, tree.MemberNode)
        or node.owner != tree.NameNode("output")
        or not isinstance(node.key, tree.LiteralNode)
    ):
        return False
    return isinstance(node.key.value, str) and node.key.value not in _OF_TEXTS


def transform_of(code: Any, language: str = "javascript") -> list[Json] | None:
    """The named transforms that code stands for: entries of `transform:` in a suite.

    Args:
        code: promptfoo's `transform`: an expression, or the body of a function.
        language: The language it is written in.

    Returns:
        None for code that is not understood or uses what is not evaluated here, and for files.
    """
    if not isinstance(code, str) or language != "javascript" or code.startswith(("file://", "package:")):
        return None
    match = _CHAIN.fullmatch(code.strip())
    if match:
        return [_NAMED[name] for name in re.findall(r"\w+", match[1])]
    try:
        root = javascript_program(code, declares=False)
    except SuiteError:
        return None
    return None if uses(root, "context") else [f"javascript:{code.strip()}"]


def _expression(code: str) -> tree.Node | None:
    """The expression that code is, None if it has statements.

    Raises:
        SuiteError: If it is one line, and no expression.
    """
    code = code.rstrip()
    if "\n" in code:
        root = parse_program(code)
        only = root.body[0] if isinstance(root, tree.BlockNode) and len(root.body) == 1 else None
        return only.value if isinstance(only, tree.ReturnNode) else None
    line = re.sub(r";+\s*$", "", code.strip())
    if re.match(r"(?:const|let|var)\s", line):
        return None
    if re.match(r"(?:return|if|for|try)\b", line):
        raise SuiteError(
            "one line is an expression, and this one is a statement, so that promptfoo fails it for every answer"
        )
    return parse_expression(line)


def _method(node: tree.Node) -> tuple[tree.Node, str, tuple[tree.Node, ...]] | None:
    """Owner, name and arguments of a call of a method."""
    if not isinstance(node, tree.CallNode) or node.optional or not isinstance(node.callee, tree.MemberNode):
        return None
    key = node.callee.key
    if node.callee.optional or not isinstance(key, tree.LiteralNode) or not isinstance(key.value, str):
        return None
    return node.callee.owner, key.value, node.arguments


def _is_boolean(node: tree.Node) -> bool:
    if isinstance(node, tree.UnaryNode):
        return node.operator == "!"
    if isinstance(node, tree.BinaryNode):
        return node.operator in _COMPARISONS
    if isinstance(node, tree.LogicalNode):
        return node.operator != "??" and _is_boolean(node.left) and _is_boolean(node.right)
    if isinstance(node, tree.ConditionalNode):
        return _is_boolean(node.then) and _is_boolean(node.other)
    method = _method(node)
    return method is not None and method[1] in _QUESTIONS


def _is_no_result(node: tree.Node) -> bool:
    if isinstance(node, tree.ConditionalNode):
        return _is_no_result(node.then) and _is_no_result(node.other)
    if isinstance(node, tree.LiteralNode):
        return isinstance(node.value, str) or node.value is None
    method = _method(node)
    return isinstance(node, tree.TextNode | tree.ItemsNode | tree.RegexNode) or (
        method is not None and method[1] in _NO_RESULT
    )


def _as_type(node: tree.Node) -> dict[str, Json] | None:
    """The assert of another type that gives the same result for every text."""
    if isinstance(node, tree.UnaryNode) and node.operator == "!":
        inner = _as_type(node.operand)
        if inner is None or str(inner["type"]).startswith("not-"):
            return None
        return {**inner, "type": f"not-{inner['type']}"}
    if isinstance(node, tree.LogicalNode):
        return _several(node)
    found = _lookup(node)
    return found and {"type": found[0], "value": found[1]}


def _several(node: tree.LogicalNode) -> dict[str, Json] | None:
    """Texts that all, or of which one, must be there."""
    texts: list[Json] = []
    types: set[str] = set()
    waiting: list[tree.Node] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, tree.LogicalNode) and part.operator == node.operator:
            waiting += [part.right, part.left]
            continue
        found = _lookup(part)
        if found is None or found[0] not in {"contains", "icontains"}:
            return None
        types.add(found[0])
        texts.append(found[1])
    if len(types) != 1 or node.operator == "??":
        return None
    return {"type": f"{types.pop()}-{'all' if node.operator == '&&' else 'any'}", "value": texts}


def _lookup(node: tree.Node) -> tuple[str, str] | None:
    method = _method(node)
    if method is None:
        return None
    owner, name, arguments = method
    if name == "test" and isinstance(owner, tree.RegexNode) and arguments == (tree.NameNode("output"),):
        short = not owner.flags and len(owner.source) < 500 and _SURE.fullmatch(owner.source) is not None
        sure = short and not re.search(
            r"\(\?|[+*?}][+]|[$^][*+?{]", owner.source
        )  # where Python knows what JavaScript refuses
        return ("regex", owner.source) if sure and not _TEMPLATE.search(owner.source) else None
    text = arguments[0].value if len(arguments) == 1 and isinstance(arguments[0], tree.LiteralNode) else None
    if not isinstance(text, str) or not text or not text.isascii() or _TEMPLATE.search(text) or "://" in text:
        return None
    if owner == tree.NameNode("output") and name in {"includes", "startsWith"}:
        return ("contains" if name == "includes" else "starts-with", text)
    lowered = _method(owner)
    if lowered == (tree.NameNode("output"), "toLowerCase", ()) and name == "includes" and text == text.lower():
        return ("icontains", text)
    return None
