"""Template expressions: jinja2's syntax tree becomes closures with JavaScript's meaning.

Nothing of a template is ever turned into Python code or looked up on a Python object. A kind of node that is not
listed here does not exist in templates, so macros, includes, imports and calls of anything but `range` and a few
methods are refused when the template is compiled.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from jinja2 import nodes

from llmgate.errors import TemplateError, did_you_mean
from llmgate.suite.template import javascript
from llmgate.suite.template.budget import RenderBudget
from llmgate.suite.template.filters import FILTERS, TESTS, lookup
from llmgate.suite.template.javascript import UNDEFINED
from llmgate.suite.template.javascript_methods import JAVASCRIPT_METHODS
from llmgate.suite.template.python_methods import METHODS
from llmgate.suite.template.rarer_filters import RARER_FILTERS

__all__ = ["Expression", "Scope", "compile_expression"]


class Scope:
    """Names of one rendering: the variables, and a frame for the template and for each loop around the current node."""

    __slots__ = ("budget", "frames", "variables")

    def __init__(self, variables: Mapping[str, object]) -> None:
        self.variables = variables
        self.frames: list[dict[str, object]] = [{}]
        self.budget = RenderBudget()

    def get(self, name: str) -> object:
        """The value of the innermost name, or `undefined`."""
        for frame in reversed(self.frames):
            if name in frame:
                return frame[name]
        return self.variables.get(name, UNDEFINED)

    def set(self, name: str, value: object) -> None:
        """Changes the innermost frame that has the name; a new name goes to the current frame."""
        for frame in reversed(self.frames):
            if name in frame:
                frame[name] = value
                return
        self.frames[-1][name] = value


Expression = Callable[[Scope], object]


def compile_expression(node: nodes.Node) -> Expression:
    """Turns one expression into a closure.

    Raises:
        TemplateError: If the expression has a part that templates do not have.
    """
    compiler = _COMPILERS.get(type(node))
    if compiler is None:
        raise TemplateError(
            f"line {node.lineno}: templates have no {type(node).__name__.lower()}",
            fix="Use variables, filters, comparisons, if and for",
        )
    return compiler(node)


def _const(node: nodes.Const) -> Expression:
    value = node.value
    return lambda _: value


def _name(node: nodes.Name) -> Expression:
    name = node.name
    if name == "null":
        return lambda _: None
    return lambda scope: scope.get(name)


def _sequence(node: nodes.List | nodes.Tuple) -> Expression:
    items = [compile_expression(item) for item in node.items]
    return lambda scope: [item(scope) for item in items]


def _dict(node: nodes.Dict) -> Expression:
    pairs = [(compile_expression(pair.key), compile_expression(pair.value)) for pair in node.items]
    return lambda scope: {scope.budget.text(key(scope)): value(scope) for key, value in pairs}


def _getattr(node: nodes.Getattr) -> Expression:
    owner, name = compile_expression(node.node), node.attr
    return lambda scope: lookup(owner(scope), name)


def _getitem(node: nodes.Getitem) -> Expression:
    owner = compile_expression(node.node)
    if isinstance(node.arg, nodes.Slice):
        return _slice(owner, node.arg)
    key = compile_expression(node.arg)

    return lambda scope: lookup(owner(scope), key(scope))


def _slice(owner: Expression, node: nodes.Slice) -> Expression:
    bounds = [compile_expression(b) if b else lambda _: None for b in (node.start, node.stop, node.step)]

    def part(scope: Scope) -> object:
        value = owner(scope)
        if not isinstance(value, str | list | tuple):
            return UNDEFINED
        scope.budget.spend(len(value))
        start, stop, step = (_whole(bound(scope)) for bound in bounds)
        if step == 0:
            raise TemplateError("a slice has the step 0")
        return value[start:stop:step]

    return part


def _whole(value: object) -> int | None:
    number = javascript.to_number(value)
    return None if value is None or value is UNDEFINED or not math.isfinite(number) else math.trunc(number)


def _filter(node: nodes.Filter) -> Expression:
    if node.node is None:
        raise TemplateError(f"line {node.lineno}: templates have no filter blocks", fix="Use {{ value | filter }}")
    function = FILTERS.get(node.name) or RARER_FILTERS.get(node.name) or METHODS.get(node.name)
    if function is None:
        fix = did_you_mean(node.name, {**FILTERS, **RARER_FILTERS})
        raise TemplateError(f"line {node.lineno}: unknown filter {node.name!r}", fix=fix)
    value, (positional, named) = compile_expression(node.node), _arguments(node)

    def apply(scope: Scope) -> object:
        scope.budget.spend(1)
        arguments = [argument(scope) for argument in positional]
        keywords = {name: argument(scope) for name, argument in named.items()}
        return function(scope.budget, value(scope), *arguments, **keywords)

    return _checked(apply, f"line {node.lineno}: the filter {node.name!r}")


def _test(node: nodes.Test) -> Expression:
    function = TESTS.get(node.name)
    if function is None:
        raise TemplateError(f"line {node.lineno}: unknown test {node.name!r}", fix=did_you_mean(node.name, TESTS))
    value, (positional, _) = compile_expression(node.node), _arguments(node)
    return _checked(
        lambda scope: function(value(scope), *(argument(scope) for argument in positional)),
        f"line {node.lineno}: the test {node.name!r}",
    )


def _checked(apply: Expression, what: str) -> Expression:
    def checked(scope: Scope) -> object:
        try:
            return apply(scope)
        except TypeError as error:
            raise TemplateError(f"{what} does not take these arguments") from error

    return checked


def _arguments(node: nodes.Filter | nodes.Test | nodes.Call) -> tuple[list[Expression], dict[str, Expression]]:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise TemplateError(f"line {node.lineno}: templates have no * and ** arguments")
    named = {str(keyword.key): compile_expression(keyword.value) for keyword in node.kwargs}
    return [compile_expression(argument) for argument in node.args], named


def _method(node: nodes.Call, owner: nodes.Getattr) -> Expression:
    function, value = JAVASCRIPT_METHODS[owner.attr], compile_expression(owner.node)
    positional, named = _arguments(node)
    if named:
        raise TemplateError(f"line {node.lineno}: .{owner.attr}() takes no names")

    def call(scope: Scope) -> object:
        scope.budget.spend(1)
        return function(scope.budget, value(scope), *(argument(scope) for argument in positional))

    return _checked(call, f"line {node.lineno}: .{owner.attr}()")


def _call(node: nodes.Call) -> Expression:
    if isinstance(node.node, nodes.Getattr) and node.node.attr in JAVASCRIPT_METHODS:
        return _method(node, node.node)
    if not (isinstance(node.node, nodes.Name) and node.node.name == "range"):
        raise TemplateError(f"line {node.lineno}: templates can call nothing but range", fix="Use a filter")
    positional, named = _arguments(node)
    if named or not 1 <= len(positional) <= 3:
        raise TemplateError(f"line {node.lineno}: range takes one, two or three numbers")

    def numbers(scope: Scope) -> object:
        bounds = [_whole(bound(scope)) for bound in positional]
        if None in bounds or (len(bounds) == 3 and bounds[2] == 0):
            raise TemplateError(f"line {node.lineno}: range takes whole numbers and a step that is not 0")
        span = range(*[bound for bound in bounds if bound is not None])
        try:
            scope.budget.spend(len(span))
        except OverflowError:
            scope.budget.spend(math.inf)
        return list(span)

    return numbers


def _concat(node: nodes.Concat) -> Expression:
    parts = [compile_expression(part) for part in node.nodes]

    def joined(scope: Scope) -> str:
        texts = [scope.budget.text(part(scope)) for part in parts]
        scope.budget.spend_chars(sum(map(len, texts)))
        return "".join(texts)

    return joined


def _condition(node: nodes.CondExpr) -> Expression:
    test, then = compile_expression(node.test), compile_expression(node.expr1)
    other = compile_expression(node.expr2) if node.expr2 else lambda _: ""
    return lambda scope: then(scope) if javascript.truthy(test(scope)) else other(scope)


def _logic(node: nodes.And | nodes.Or) -> Expression:
    left, right, stop_at = compile_expression(node.left), compile_expression(node.right), isinstance(node, nodes.Or)

    def decide(scope: Scope) -> object:
        value = left(scope)
        return value if javascript.truthy(value) is stop_at else right(scope)

    return decide


def _not(node: nodes.Not) -> Expression:
    inner = compile_expression(node.node)
    return lambda scope: not javascript.truthy(inner(scope))


def _unary(node: nodes.Neg | nodes.Pos) -> Expression:
    inner, sign = compile_expression(node.node), -1.0 if isinstance(node, nodes.Neg) else 1.0
    return lambda scope: sign * _number(scope, inner(scope))


def _number(scope: Scope, value: object) -> float:
    if not isinstance(value, _TEXTUAL):
        return javascript.to_number(value)
    text = scope.budget.text(value)
    number = javascript.text_to_number(text)
    if math.isnan(number):
        # JavaScript would go on with NaN, which nobody ever wants to see in a prompt or an expected value.
        raise TemplateError(f"{text[:50]!r} is not a number", fix="Join texts with ~ or +")
    return number


def _add(node: nodes.Add) -> Expression:
    left, right = compile_expression(node.left), compile_expression(node.right)

    def add(scope: Scope) -> object:
        first, second = left(scope), right(scope)
        if isinstance(first, _TEXTUAL) or isinstance(second, _TEXTUAL):
            head, tail = scope.budget.text(first), scope.budget.text(second)
            scope.budget.spend_chars(len(head) + len(tail))
            return head + tail
        return javascript.to_number(first) + javascript.to_number(second)

    return add


def _arithmetic(node: nodes.BinExpr) -> Expression:
    left, right, apply = compile_expression(node.left), compile_expression(node.right), _OPERATORS[type(node)]
    return lambda scope: apply(_number(scope, left(scope)), _number(scope, right(scope)))


def _divide(left: float, right: float) -> float:
    if right == 0:
        sign = math.copysign(1.0, left) * math.copysign(1.0, right)
        return math.nan if left == 0 or math.isnan(left) else sign * math.inf
    return left / right


def _floor_divide(left: float, right: float) -> float:
    quotient = _divide(left, right)
    return float(math.floor(quotient)) if math.isfinite(quotient) else quotient


def _modulo(left: float, right: float) -> float:
    return math.fmod(left, right) if right != 0 and math.isfinite(left) else math.nan


def _power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except OverflowError:
        return math.inf if left > 0 or math.fmod(right, 2) == 0 else -math.inf
    except ValueError:
        return math.nan


def _compare(node: nodes.Compare) -> Expression:
    result = compile_expression(node.expr)
    for operand in node.ops:
        result = _comparison(result, operand.op, compile_expression(operand.expr))
    return result


def _comparison(left: Expression, op: str, right: Expression) -> Expression:
    apply = _COMPARISONS[op]

    def compare(scope: Scope) -> bool:
        first, second = left(scope), right(scope)
        # Paid for as if both were read to the end.
        scope.budget.walk(first)
        scope.budget.walk(second)
        return apply(first, second)

    return compare


_TEXTUAL: Final = (str, list, tuple, Mapping)


def _contains(item: object, container: object) -> bool:
    if isinstance(container, str):
        return javascript.text(item) in container
    if isinstance(container, Mapping):
        return javascript.text(item) in container
    if isinstance(container, Sequence):
        return any(type(item) is type(member) and javascript.loosely_equal(item, member) for member in container)
    raise TemplateError("`in` wants a text, a list or a mapping on its right side")


_OPERATORS: Final[Mapping[type[nodes.BinExpr], Callable[[float, float], float]]] = MappingProxyType(
    {
        nodes.Sub: operator.sub,
        nodes.Mul: operator.mul,
        nodes.Div: _divide,
        nodes.FloorDiv: _floor_divide,
        nodes.Mod: _modulo,
        nodes.Pow: _power,
    }
)

_COMPARISONS: Final[Mapping[str, Callable[[object, object], bool]]] = MappingProxyType(
    {
        "eq": javascript.loosely_equal,
        "ne": lambda a, b: not javascript.loosely_equal(a, b),
        "lt": javascript.less,
        "gt": lambda a, b: javascript.less(b, a),
        "lteq": lambda a, b: javascript.less(a, b) or _same_order(a, b),
        "gteq": lambda a, b: javascript.less(b, a) or _same_order(a, b),
        "in": _contains,
        "notin": lambda a, b: not _contains(a, b),
    }
)


def _same_order(left: object, right: object) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    return javascript.to_number(left) == javascript.to_number(right)


_COMPILERS: Final[Mapping[type[nodes.Node], Callable[..., Expression]]] = MappingProxyType(
    {
        nodes.Const: _const,
        nodes.Name: _name,
        nodes.List: _sequence,
        nodes.Tuple: _sequence,
        nodes.Dict: _dict,
        nodes.Getattr: _getattr,
        nodes.Getitem: _getitem,
        nodes.Filter: _filter,
        nodes.Test: _test,
        nodes.Call: _call,
        nodes.Concat: _concat,
        nodes.CondExpr: _condition,
        nodes.And: _logic,
        nodes.Or: _logic,
        nodes.Not: _not,
        nodes.Neg: _unary,
        nodes.Pos: _unary,
        nodes.Add: _add,
        nodes.Compare: _compare,
        **dict.fromkeys(_OPERATORS, _arithmetic),
    }
)
