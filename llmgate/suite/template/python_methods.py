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

if TYPE_CHECKING:
    from llmgate.suite.template.budget import RenderBudget

__all__ = ["METHODS", "with_methods"]

ITEM: Final = ".[]"
"""The subscript, which in Python counts from the end if it is negative. No template can write these names."""


def with_methods(node: nodes.Node) -> nodes.Node:
    """The same syntax tree, in which method calls and subscripts are filters."""
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(node, name, with_methods(value))
        elif isinstance(value, list):
            setattr(node, name, [with_methods(child) if isinstance(child, nodes.Node) else child for child in value])
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and f".{node.node.attr}" in METHODS:
        name = f".{node.node.attr}"
        return nodes.Filter(
            node.node.node, name, node.args, node.kwargs, node.dyn_args, node.dyn_kwargs, lineno=node.lineno
        )
    if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Slice):
        return nodes.Filter(node.node, ITEM, [node.arg], [], None, None, lineno=node.lineno)
    return node


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
        ITEM: _item,
    }
)
"""By name, with a dot in front: no template can write that as the name of a filter."""
