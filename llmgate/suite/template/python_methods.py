"""What Python's templates may call on texts and lists, for templates that were written for jinja2 itself.

lm-evaluation-harness writes `{{ question.strip() }}` and `{{ choices.label.index(answerKey) }}`. Such calls become
filters, bounded like all others; nothing is ever looked up on a Python object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from jinja2 import nodes

from llmgate.errors import TemplateError
from llmgate.suite.template.filters import lookup
from llmgate.suite.template.javascript import UNDEFINED

if TYPE_CHECKING:
    from llmgate.suite.template.budget import RenderBudget

__all__ = ["METHODS", "with_methods"]

ITEM: Final = ".[]"
"""The subscript, which in Python counts from the end if it is negative. No template can write these names."""


ATTRIBUTE: Final = ".map"
TEXT: Final = ".str"
WHOLE: Final = ".int"
_MOST_PARTS: Final = 20


def with_methods(tree: nodes.Template) -> nodes.Template:
    """The same syntax tree, in which method calls and subscripts are filters, and values are written as Python does.

    A template that is one expression stands for its value and is left to be one.
    """
    alone = len(tree.body) == 1 and isinstance(tree.body[0], nodes.Output) and len(tree.body[0].nodes) == 1
    if not alone:
        for output in list(tree.find_all(nodes.Output)):
            output.nodes = [
                part if isinstance(part, nodes.TemplateData) else nodes.Filter(part, TEXT, [], [], None, None)
                for part in output.nodes
            ]
    _with_methods(tree)
    return tree


def _with_methods(node: nodes.Node) -> nodes.Node:
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(node, name, _with_methods(value))
        elif isinstance(value, list):
            setattr(node, name, [_with_methods(child) if isinstance(child, nodes.Node) else child for child in value])
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and f".{node.node.attr}" in METHODS:
        name = f".{node.node.attr}"
        return nodes.Filter(
            node.node.node, name, node.args, node.kwargs, node.dyn_args, node.dyn_kwargs, lineno=node.lineno
        )
    if isinstance(node, nodes.Filter) and node.name == "map" and not node.args:
        named = {str(keyword.key): keyword.value for keyword in node.kwargs}
        if named.keys() == {"attribute"} and isinstance(named["attribute"], nodes.Const) and node.node is not None:
            return nodes.Filter(node.node, ATTRIBUTE, [named["attribute"]], [], None, None, lineno=node.lineno)
    if isinstance(node, nodes.Add | nodes.Sub | nodes.Mul | nodes.FloorDiv | nodes.Mod):
        return nodes.Filter(node, WHOLE, [], [], None, None, lineno=node.lineno)
    if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Slice):
        return nodes.Filter(node.node, ITEM, [node.arg], [], None, None, lineno=node.lineno)
    return node


def _attribute(budget: RenderBudget, value: object, key: object) -> list[object]:
    """`map(attribute='a.b')`: that member of each item."""
    if not isinstance(value, list | tuple) or not isinstance(key, str):
        raise TemplateError("map(attribute=…) is given something that is no list, or no name")
    found: list[object] = []
    for item in value:
        budget.spend(1)
        member = item
        for part in key.split(".")[:_MOST_PARTS]:
            member = lookup(member, part)
        if member is UNDEFINED:
            raise TemplateError(f"map(attribute={key!r}): an item has no such member")
        found.append(member)
    return found


def _whole(_: RenderBudget, value: object) -> object:
    """A number without a fraction as a whole one, as in Python; JavaScript has only one kind of numbers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _written(budget: RenderBudget, value: object) -> str:
    """What Python's `str` makes of a value: `True`, `None`, `1.0`; the harness ends where a name is not known."""
    if isinstance(value, str):
        return value
    if value is UNDEFINED:
        raise TemplateError("the template names something that a document lacks")
    text = str(value)
    budget.spend_chars(len(text))
    return text


def _item(_: RenderBudget, value: object, key: object) -> object:
    if isinstance(value, str | list | tuple) and isinstance(key, int | float) and key == int(key) and key < 0:
        return lookup(value, len(value) + int(key))
    return lookup(value, key)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TemplateError(f".{name}() is called on something that is no text")
    return value


def _plain(name: str) -> Callable[..., object]:
    """A method that makes nothing longer than the text and its arguments."""
    method: Callable[..., object] = getattr(str, name)

    def call(budget: RenderBudget, value: object, *arguments: Any) -> object:
        budget.spend_chars(len(_text(name, value)))
        return method(value, *arguments)

    return call


def _split(budget: RenderBudget, value: object, separator: str | None = None, most: int = -1) -> list[str]:
    text = _text("split", value)
    budget.spend(len(text))
    return text.split(separator, int(most))


def _replace(budget: RenderBudget, value: object, old: str, new: str) -> str:
    text = _text("replace", value)
    budget.spend_chars(len(text))
    budget.spend_chars(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _join(budget: RenderBudget, value: object, items: object) -> str:
    texts = [budget.text(item) for item in items] if isinstance(items, list | tuple) else [budget.text(items)]
    budget.spend_chars(sum(map(len, texts)) + len(_text("join", value)) * len(texts))
    return _text("join", value).join(texts)


def _index(budget: RenderBudget, value: object, wanted: object) -> int:
    if not isinstance(value, str | list | tuple):
        raise TemplateError(".index() is called on something that is no list and no text")
    budget.spend(len(value))
    return value.index(wanted)  # type: ignore[arg-type]


def _get(_: RenderBudget, value: object, key: object, otherwise: object = None) -> object:
    return value.get(key, otherwise) if isinstance(value, Mapping) else otherwise


_PLAIN: Final = (
    *("capitalize", "endswith", "isdigit", "lower", "lstrip", "removeprefix", "removesuffix", "rstrip", "startswith"),
    *("strip", "swapcase", "title", "upper"),
)
METHODS: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {
        **{f".{name}": _plain(name) for name in _PLAIN},
        ".get": _get,
        ".index": _index,
        ".join": _join,
        ".replace": _replace,
        ".split": _split,
        ATTRIBUTE: _attribute,
        ITEM: _item,
        TEXT: _written,
        WHOLE: _whole,
    }
)
"""By name, with a dot in front: no template can write that as the name of a filter."""
