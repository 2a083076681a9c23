"""The syntax tree of a small JavaScript program: the parts that an expression may have, and its limits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from llmgate.suite.template.javascript import Undefined

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MAX_CODE_CHARS",
    "MAX_DEPTH",
    "MAX_NODES",
    "AssignNode",
    "BinaryNode",
    "BlockNode",
    "CallNode",
    "ChainNode",
    "ConditionalNode",
    "DeclareNode",
    "FieldsNode",
    "ForNode",
    "ForOfNode",
    "FunctionNode",
    "IfNode",
    "ItemsNode",
    "JumpNode",
    "LiteralNode",
    "LogicalNode",
    "MemberNode",
    "NameNode",
    "NewNode",
    "Node",
    "RegexNode",
    "ReturnNode",
    "SpreadNode",
    "TargetNode",
    "TextNode",
    "ThrowNode",
    "TryNode",
    "UnaryNode",
    "UpdateNode",
    "children",
    "depth",
    "nodes",
]

MAX_CODE_CHARS: Final = 20_000
MAX_NODES: Final = 4_000
MAX_DEPTH: Final = 80
"""Levels of a tree: those who walk it do so by recursion."""


class Node:
    """A part of a program."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class LiteralNode(Node):
    """A text (one character per UTF-16 unit), a number, true, false, null or undefined."""

    value: str | float | bool | Undefined | None


@dataclass(frozen=True, slots=True)
class RegexNode(Node):
    """`/source/flags`."""

    source: str
    flags: str


@dataclass(frozen=True, slots=True)
class TextNode(Node):
    """A template literal: texts and expressions in turn."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class NameNode(Node):
    """A variable."""

    id: str


@dataclass(frozen=True, slots=True)
class SpreadNode(Node):
    """`...value`."""

    value: Node


@dataclass(frozen=True, slots=True)
class ItemsNode(Node):
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class FieldsNode(Node):
    """`{a: 1, ...rest}`: keys and values in turn; a spread has no key of its own."""

    pairs: tuple[tuple[Node | None, Node], ...]


@dataclass(frozen=True, slots=True)
class MemberNode(Node):
    """`owner.key` and `owner[key]`, with `?.` if optional."""

    owner: Node
    key: Node
    optional: bool = False


@dataclass(frozen=True, slots=True)
class CallNode(Node):
    """`callee(arguments)`."""

    callee: Node
    arguments: tuple[Node, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class NewNode(Node):
    """`new Name(arguments)`."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ChainNode(Node):
    """The whole of a chain with `?.`, which is undefined where one of them finds nothing."""

    value: Node


@dataclass(frozen=True, slots=True)
class UnaryNode(Node):
    """`!a`, `-a`, `+a`, `typeof a`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class BinaryNode(Node):
    """Arithmetic and comparisons."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class LogicalNode(Node):
    """`&&`, `||` and `??`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class ConditionalNode(Node):
    """`test ? then : other`."""

    test: Node
    then: Node
    other: Node


@dataclass(frozen=True, slots=True)
class TargetNode(Node):
    """What a declaration or a parameter takes apart: `name`, `{a, b: c}` or `[a, b]`.

    Attributes:
        name: Of a plain name.
        keys: Of a mapping, or positions of a list, each with its own target.
        otherwise: The default value.
    """

    name: str | None = None
    keys: tuple[tuple[str | int, TargetNode], ...] = ()
    otherwise: Node | None = None


@dataclass(frozen=True, slots=True)
class FunctionNode(Node):
    """`(a, b) => body`; the body is an expression or a block."""

    parameters: tuple[TargetNode, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class AssignNode(Node):
    """`name = value`, `name += value`, `name[key] = value`."""

    target: Node
    operator: str
    value: Node


@dataclass(frozen=True, slots=True)
class UpdateNode(Node):
    """`name++` and its kin."""

    name: NameNode
    step: float
    prefix: bool


@dataclass(frozen=True, slots=True)
class DeclareNode(Node):
    """`const target = value`."""

    target: TargetNode
    value: Node | None
    constant: bool


@dataclass(frozen=True, slots=True)
class BlockNode(Node):
    """`{ … }`; declarations of one line stand in a block that is none of its own."""

    body: tuple[Node, ...]
    own: bool = True


@dataclass(frozen=True, slots=True)
class ReturnNode(Node):
    """`return value`."""

    value: Node | None


@dataclass(frozen=True, slots=True)
class IfNode(Node):
    """`if (test) then else other`."""

    test: Node
    then: Node
    other: Node | None


@dataclass(frozen=True, slots=True)
class ForOfNode(Node):
    """`for (const target of items) body`, and `in`, which takes the keys."""

    target: TargetNode
    items: Node
    body: Node
    keys: bool


@dataclass(frozen=True, slots=True)
class ForNode(Node):
    """`for (start; test; step) body`, and `while`."""

    start: Node | None
    test: Node | None
    step: Node | None
    body: Node


@dataclass(frozen=True, slots=True)
class JumpNode(Node):
    """`break` and `continue`."""

    word: str


@dataclass(frozen=True, slots=True)
class ThrowNode(Node):
    """`throw value`."""

    value: Node


@dataclass(frozen=True, slots=True)
class TryNode(Node):
    """`try … catch (name) … finally …`."""

    body: Node
    name: str | None
    handler: Node | None
    ending: Node | None


def children(node: Node) -> Iterator[Node]:
    """The parts that a part consists of."""
    stack: list[object] = [getattr(node, field.name) for field in fields(node)]  # type: ignore[arg-type]
    while stack:
        value = stack.pop()
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            stack.extend(value)


def nodes(root: Node) -> Iterator[Node]:
    """Every part of a tree, itself first."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(children(node))


def depth(root: Node) -> int:
    """How many levels a tree has."""
    deepest, level = 0, [root]
    while level:
        deepest += 1
        level = [child for node in level for child in children(node)]
    return deepest
