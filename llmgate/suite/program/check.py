"""Whether a program uses only what is evaluated here: said when a suite is read, not when the first answer comes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError
from llmgate.suite.program import tree
from llmgate.suite.program.javascript import parse_expression, parse_program
from llmgate.suite.program.understood import CLASSES, FUNCTIONS, METHODS, NAMES, SPACES

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["javascript_program", "uses"]

_CONTEXT: Final = frozenset({"vars", "prompt"})
_HIDDEN: Final = frozenset({"constructor", "prototype", "__proto__"})
_DECLARES: Final = re.compile(r"(?:const|let|var)\s")


def javascript_program(code: str, *, declares: bool = True) -> tree.Node:
    """The program that promptfoo makes of a text: one line is an expression, several are the body of a function.

    Args:
        code: As written.
        declares: Whether one line may begin with declarations, as in asserts but not in transforms.

    Raises:
        SuiteError: If it is not understood, or uses what is not evaluated here.
    """
    code = code.rstrip()
    if "\n" in code:
        root: tree.Node = parse_program(code)
    else:
        line = re.sub(r";+\s*$", "", code.strip())
        if re.match(r"(?:return|if|for|try)\b", line):
            raise SuiteError(
                "one line is an expression, and this one is a statement, so that promptfoo fails it for every answer",
                fix="Leave the `return` out",
            )
        root = parse_program(_returning(line)) if declares and _DECLARES.match(line) else parse_expression(line)
    _refuse_unknown(root)
    return root


def uses(root: tree.Node, name: str) -> bool:
    """Whether a program looks at a variable."""
    return any(isinstance(node, tree.NameNode) and node.id == name for node in tree.nodes(root))


def _returning(line: str) -> str:
    """Declarations and an expression in one line, with `return` before the expression."""
    quote, last, i = "", -1, 0
    while i < len(line):
        character = line[i]
        if character == "\\":
            i += 1
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"`":
            quote = character
        elif character == ";":
            last = i
        i += 1
    rest = line[last + 1 :].strip()
    return f"{line[: last + 1]} return {rest}" if last >= 0 and rest else line


def _declared(root: tree.Node) -> Iterator[str]:
    def names(target: tree.TargetNode) -> Iterator[str]:
        if target.name is not None:
            yield target.name
        for _, part in target.keys:
            yield from names(part)

    for node in tree.nodes(root):
        if isinstance(node, tree.DeclareNode | tree.ForOfNode):
            yield from names(node.target)
        elif isinstance(node, tree.FunctionNode):
            for parameter in node.parameters:
                yield from names(parameter)
        elif isinstance(node, tree.TryNode) and node.name is not None:
            yield node.name


def _refuse_unknown(root: tree.Node) -> None:
    declared = frozenset(_declared(root))
    callees = {id(node.callee) for node in tree.nodes(root) if isinstance(node, tree.CallNode)}
    seen: set[int] = set()
    for node in tree.nodes(root):
        if isinstance(node, tree.MemberNode):
            if id(node) in callees:
                _refuse_method(node, declared, seen)
            else:
                _refuse_member(node, declared, seen)
        elif isinstance(node, tree.DeclareNode) and node.value is not None and _is_context(node.value, declared):
            if node.target.name is not None or not all(key in _CONTEXT for key, _ in node.target.keys):
                raise _missing("`context` as a whole")
            seen.add(id(node.value))
        elif isinstance(node, tree.NewNode) and (node.name not in CLASSES or node.name in declared):
            raise _missing(f"`new {node.name[:40]}`")
    known = declared | NAMES | {"output"}
    for node in tree.nodes(root):
        if isinstance(node, tree.NameNode) and id(node) not in seen and node.id not in known:
            raise _missing("`context` as a whole" if node.id == "context" else f"the name {node.id[:40]!r}")


def _refuse_member(node: tree.MemberNode, declared: frozenset[str], seen: set[int]) -> None:
    key = node.key.value if isinstance(node.key, tree.LiteralNode) else None
    if isinstance(key, str) and key in _HIDDEN:
        raise _missing(f"the member {key!r}")
    if _is_context(node.owner, declared):
        if key not in _CONTEXT:
            raise _missing(f"`context.{key}`")
        seen.add(id(node.owner))


def _is_context(node: tree.Node, declared: frozenset[str]) -> bool:
    return isinstance(node, tree.NameNode) and node.id == "context" and "context" not in declared


def _refuse_method(callee: tree.MemberNode, declared: frozenset[str], seen: set[int]) -> None:
    owner, key = callee.owner, callee.key
    name = key.value if isinstance(key, tree.LiteralNode) else None
    if isinstance(owner, tree.NameNode) and owner.id in SPACES and owner.id not in declared:
        if f"{owner.id}.{name}" not in FUNCTIONS:
            raise _missing(f"`{owner.id}.{name}`")
        seen.add(id(owner))
    elif not isinstance(name, str) or name not in METHODS:
        raise _missing(f"the method `{str(name)[:40]}`")


def _missing(what: str) -> SuiteError:
    return SuiteError(f"the code uses {what}, which is not evaluated here", fix="Write the check with other types")
