"""Templates as promptfoo writes them: Nunjucks, bounded in time and size.

jinja2 parses (the syntax is the same), `expression` and this module evaluate with JavaScript's rules. A suite file is
hostile input, and so is a dataset row: see `budget` for the bounds. A template reads its variables and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from jinja2 import TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmgate.errors import TemplateError
from llmgate.suite.template import javascript
from llmgate.suite.template.budget import MAX_CHARS, RenderBudget
from llmgate.suite.template.expression import Expression, Scope, compile_expression
from llmgate.suite.template.javascript import UNDEFINED
from llmgate.suite.template.python_methods import with_methods

if TYPE_CHECKING:
    from jinja2.lexer import Token, TokenStream

__all__ = ["MAX_TEMPLATE_CHARS", "Template"]

MAX_TEMPLATE_CHARS = 1_000_000
"""Longest template with any tag in it; plain text is bounded by what a rendered text may be."""

MAX_TOKENS = 10_000
"""Names, numbers, texts and operators in one template."""

_TAGS = ("{{", "{%", "{#")
_LINE_BREAKS = "\x1c\x1d\x1e\x1f"
"""Stand-ins for carriage returns, which jinja2 would turn into line feeds: white space to it, never in real text."""
_BUILT_IN = frozenset({"loop", "null", "range"})

_Statement = Callable[[Scope], Iterator[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template, compiled once and rendered many times.

    Attributes:
        text: As written.
        where: `file:line` for error messages.
        names: Variables that it reads and does not set, except those that it can do without because they are only
            tested for `is defined` or given a `default`.
    """

    text: str
    where: str | None = None
    names: frozenset[str] = frozenset()
    _body: _Statement | None = field(default=None, repr=False, compare=False)
    _value: Expression | None = field(default=None, repr=False, compare=False)

    @classmethod
    def compile(cls, text: str, *, where: str | None = None, python: bool = False) -> Self:
        """Parses a template.

        Args:
            text: As written.
            where: `file:line` for error messages.
            python: Whether it may call methods of Python's texts and lists, as templates for jinja2 itself do.

        Raises:
            TemplateError: If it does not parse, uses what templates do not have, or is too long.
        """
        if not any(tag in text for tag in _TAGS):
            if len(text) > MAX_CHARS:
                raise TemplateError(f"the text has more than {MAX_CHARS} characters", where=where)
            return cls(text=text, where=where)
        with _Located(where):
            tree = _parse(text)
            names = _free_names(tree)
            if python:
                with_methods(tree)
            return cls(text=text, where=where, names=names, _body=_block(tree.body), _value=_value_of(tree))

    @property
    def constant(self) -> bool:
        """Whether it renders to its own text whatever the variables."""
        return self._body is None

    def render(self, variables: Mapping[str, object]) -> str:
        """Fills in the variables.

        Args:
            variables: JSON-like values: text, numbers, booleans, None, lists and mappings.

        Raises:
            TemplateError: If it grows beyond its bounds, or an argument has the wrong kind.
        """
        if self._body is None:
            return self.text
        with _Located(self.where):
            return _collect(self._body, Scope(variables))

    def value(self, variables: Mapping[str, object]) -> object:
        """What the template stands for: data where it is a single expression, otherwise its text.

        Raises:
            TemplateError: As `render`.
        """
        if self._value is None:
            return self.render(variables)
        with _Located(self.where):
            return self._value(Scope(variables))


@dataclass(frozen=True, slots=True)
class _Located:
    """Turns whatever a template does wrong into a `TemplateError` that says where."""

    where: str | None

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TemplateError):
            raise TemplateError(error.what, where=self.where, fix=error.fix) from error
        if isinstance(error, TemplateSyntaxError):
            raise TemplateError(
                f"the template does not parse, line {error.lineno}: {error.message}",
                where=self.where,
                fix="Write literal braces as {% raw %}{{{% endraw %}",
            ) from error
        if isinstance(error, RecursionError):
            raise TemplateError("the template or its variables are nested too deeply", where=self.where) from error
        if isinstance(error, ValueError | OverflowError):
            raise TemplateError(f"the template cannot be evaluated: {error}", where=self.where) from error


class _TokenLimit(Extension):
    """Stops the parser before it has spent seconds on a template of a million operators."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for count, token in enumerate(stream):
            if count >= MAX_TOKENS:
                raise TemplateError(f"the template has more than {MAX_TOKENS} names and operators")
            yield token


_SYNTAX: Final = ImmutableSandboxedEnvironment(keep_trailing_newline=True, autoescape=False, extensions=[_TokenLimit])


def _parse(text: str) -> nodes.Template:
    if len(text) > MAX_TEMPLATE_CHARS:
        raise TemplateError(f"the template has more than {MAX_TEMPLATE_CHARS} characters")
    line_break = "\r"
    if "\r" in text:
        line_break = next((mark for mark in _LINE_BREAKS if mark not in text), "")
        if not line_break:
            raise TemplateError("the template holds carriage returns and all of U+001C to U+001F")
        text = text.replace("\r", line_break)
    tree = _SYNTAX.parse(text)
    for node in tree.find_all(nodes.TemplateData):
        node.data = node.data.replace(line_break, "\r")
    for const in tree.find_all(nodes.Const):
        if isinstance(const.value, str):
            const.value = const.value.replace(line_break, "\r")
    return tree


def _value_of(tree: nodes.Template) -> Expression | None:
    """The only expression of a template, None if it has more than that."""
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output) or len(tree.body[0].nodes) != 1:
        return None
    only = tree.body[0].nodes[0]
    return None if isinstance(only, nodes.TemplateData) else compile_expression(only)


def _free_names(tree: nodes.Template) -> frozenset[str]:
    known = set(_BUILT_IN)
    optional: set[int] = set()
    for node in tree.find_all((nodes.Name, nodes.Filter, nodes.Test)):
        if isinstance(node, nodes.Name) and node.ctx == "store":
            known.add(node.name)
        elif isinstance(node, nodes.Filter | nodes.Test) and node.name in {"default", "d", "defined", "undefined"}:
            optional.add(id(node.node))
    loads = [node for node in tree.find_all(nodes.Name) if node.name not in known]
    tested = {node.name for node in loads if id(node) in optional}
    return frozenset(node.name for node in loads) - tested


def _collect(body: _Statement, scope: Scope) -> str:
    pieces: list[str] = []
    size = 0
    for piece in body(scope):
        size += len(piece)
        scope.budget.spend_chars(size if size > MAX_CHARS else len(piece))
        pieces.append(piece)
    return "".join(pieces)


def _block(body: Sequence[nodes.Node]) -> _Statement:
    statements: list[_Statement] = []
    for node in body:
        compiler = _STATEMENTS.get(type(node))
        if compiler is None:
            raise TemplateError(
                f"line {node.lineno}: templates have no {type(node).__name__.lower()}", fix="Use if, for, set and raw"
            )
        statements.append(compiler(node))

    def run(scope: Scope) -> Iterator[str]:
        for statement in statements:
            yield from statement(scope)

    return run


def _output(node: nodes.Output) -> _Statement:
    parts: list[str | Expression] = [
        part.data if isinstance(part, nodes.TemplateData) else compile_expression(part) for part in node.nodes
    ]

    def run(scope: Scope) -> Iterator[str]:
        for part in parts:
            value = part if isinstance(part, str) else part(scope)
            if value is not None and value is not UNDEFINED:
                yield value if isinstance(value, str) else scope.budget.text(value)

    return run


def _if(node: nodes.If) -> _Statement:
    branches = [(compile_expression(n.test), _block(n.body)) for n in (node, *node.elif_)]
    otherwise = _block(node.else_)

    def run(scope: Scope) -> Iterator[str]:
        for test, body in branches:
            if javascript.truthy(test(scope)):
                return body(scope)
        return otherwise(scope)

    return run


def _for(node: nodes.For) -> _Statement:
    if node.test is not None or node.recursive:
        raise TemplateError(f"line {node.lineno}: loops have neither conditions nor recursion", fix="Put an if inside")
    names = _targets(node.target)
    items, body, otherwise = (
        compile_expression(node.iter),
        _block(node.body),
        _block(node.else_),
    )
    cost = 1 + sum(1 for child in node.body for _ in child.find_all(nodes.Node))

    def run(scope: Scope) -> Iterator[str]:
        rows = _rows(items(scope), names, scope.budget)
        if not rows:
            yield from otherwise(scope)
            return
        scope.frames.append({})
        for index, row in enumerate(rows):
            scope.budget.spend(cost)
            scope.frames[-1].update(zip(names, row, strict=False), loop=_loop(index, len(rows)))
            yield from body(scope)
        scope.frames.pop()

    return run


def _targets(target: nodes.Node) -> tuple[str, ...]:
    parts = target.items if isinstance(target, nodes.Tuple) else [target]
    names = tuple(part.name for part in parts if isinstance(part, nodes.Name))
    if len(names) != len(parts):
        raise TemplateError(f"line {target.lineno}: a loop and a set assign to plain names only")
    return names


def _rows(value: object, names: tuple[str, ...], budget: RenderBudget) -> Sequence[Sequence[object]]:
    """One row of values per iteration. Over a mapping only `for key, value in …` has any, as in Nunjucks."""
    if isinstance(value, str | list | tuple | Mapping):
        budget.spend(len(value))
    if isinstance(value, Mapping):
        return [tuple(member) for member in value.items()] if len(names) == 2 else ()
    if not isinstance(value, str | list | tuple):
        return ()
    if len(names) == 1:
        return [(item,) for item in value]
    return [item if isinstance(item, list | tuple) else () for item in value]


def _loop(index: int, count: int) -> Mapping[str, object]:
    return {
        "index": index + 1,
        "index0": index,
        "revindex": count - index,
        "revindex0": count - index - 1,
        "first": index == 0,
        "last": index == count - 1,
        "length": count,
    }


def _set(node: nodes.Assign) -> _Statement:
    names, value = _targets(node.target), compile_expression(node.node)
    if len(names) != 1:
        raise TemplateError(f"line {node.lineno}: set assigns to one name")

    def run(scope: Scope) -> Iterator[str]:
        scope.set(names[0], value(scope))
        return iter(())

    return run


def _set_block(node: nodes.AssignBlock) -> _Statement:
    names, body = _targets(node.target), _block(node.body)
    if node.filter is not None or len(names) != 1:
        raise TemplateError(f"line {node.lineno}: a set block assigns to one name, without a filter")

    def run(scope: Scope) -> Iterator[str]:
        scope.set(names[0], _collect(body, scope))
        return iter(())

    return run


_STATEMENTS: Final[Mapping[type[nodes.Node], Callable[..., _Statement]]] = MappingProxyType(
    {
        nodes.Output: _output,
        nodes.If: _if,
        nodes.For: _for,
        nodes.Assign: _set,
        nodes.AssignBlock: _set_block,
    }
)
