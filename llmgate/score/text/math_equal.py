"""`math-equal`: whether an answer states the same number or expression as the reference.

Expressions are equal if they agree at several points to 40 digits. Two different rational functions of low degree agree
at a point drawn at random with a probability that is practically zero (Schwartz 1980, J. ACM 27:701-717); the points
are fixed, so the same answer is always judged alike. One of them lies among the negative numbers, where both must be
real to count: |x| is not x, and log(x^2) may be 2 log(x).
"""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.assertion.settings import choice, library
from llmgate.score.text.math_expression import final_answer, is_worked, parse_expression
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "same_value"]

DIGITS: Final = 50
AGREE: Final = 40
LARGEST_POWER: Final = 10_000
POINTS: Final = 3
EXTRACT: Final = ("final", "whole")


def same_value(left: str, right: str, *, tolerance: float = 0.0) -> bool:
    """Whether two expressions have the same value wherever both are computed.

    Args:
        left: An expression.
        right: Another one.
        tolerance: How far apart they may be, relative to the larger; 0 for equality.

    Raises:
        ValueError: If one is no expression, or cannot be computed at any point.
    """
    trees = parse_expression(left), parse_expression(right)
    names = sorted({node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)} - _RESERVED)
    compared = 0
    for index in range(POINTS + 1 if names else 1):
        real = index == POINTS
        mp = _arithmetic(real)
        with mp.workdps(DIGITS):
            sign = -1 if real else 1
            point = {name: sign * (mp.mpf(coordinate(name, index)) / 2**256 * 2 + 0.5) for name in names}
            try:
                values = [_value(tree, point, mp) for tree in trees]
            except (ArithmeticError, ValueError):
                continue
            if not all(mp.isfinite(value) for value in values):
                continue
            compared += 1
            scale = max(abs(value) for value in values)
            limit = (tolerance or mp.mpf(10) ** -AGREE) * (scale if tolerance else max(1, scale))
            if abs(values[0] - values[1]) > limit:
                return False
    if not compared:
        raise ValueError("the expression has no value")
    return True


@lru_cache(maxsize=2)
def _arithmetic(real: bool) -> Any:
    """Numbers of any length; with `real`, what has no real value raises instead of being complex."""
    import mpmath  # noqa: PLC0415 - a package of the extra `metrics`

    context = mpmath.mp.clone()
    context.trap_complex = real
    return context


def coordinate(name: str, index: int) -> int:
    """256 bits that have nothing to do with those of any other symbol or point."""
    return int.from_bytes(hashlib.sha256(f"{name}:{index}".encode()).digest())


_RESERVED = frozenset({"pi", "e", "E", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "exp", "log", "ln", "abs"})
_CONSTANTS = frozenset({"pi", "e", "E"})


def _value(node: ast.expr, point: Mapping[str, Any], mpmath: Any) -> Any:
    if isinstance(node, ast.Constant):
        return mpmath.mpf(str(node.value))
    if isinstance(node, ast.Name):
        if node.id in _CONSTANTS:
            return mpmath.pi if node.id == "pi" else mpmath.e
        return point[node.id]
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand, point, mpmath)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        names = {"ln": "log", "abs": "fabs"}
        return getattr(mpmath, names.get(node.func.id, node.func.id))(_value(node.args[0], point, mpmath))
    if isinstance(node, ast.BinOp):
        left, right = (_value(part, point, mpmath) for part in (node.left, node.right))
        if isinstance(node.op, ast.Pow) and abs(right) > LARGEST_POWER:
            raise OverflowError("the power is too large")
        return _OPERATIONS[type(node.op)](left, right)
    raise ValueError(f"{type(node).__name__} is not computed")


_OPERATIONS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        ast.Add: lambda a, b: a + b,
        ast.Sub: lambda a, b: a - b,
        ast.Mult: lambda a, b: a * b,
        ast.Div: lambda a, b: a / b,
        ast.Pow: lambda a, b: a**b,
    }
)


def _math_equal(spec: AssertSpec) -> Evaluate:
    tolerance, extract = _settings(spec)
    rule = AssertRule.compile(spec, lambda value: _reference(spec, value))

    def evaluate(context: CheckContext) -> Finding:
        wanted = rule.on(context)
        answer = final_answer(context.text) if extract == "final" else context.text.strip()
        try:
            same = same_value(answer, wanted, tolerance=tolerance)
        except (ValueError, RecursionError) as error:
            if spec.negated:
                raise CannotRunError(f"the answer {answer[:60]!r} states nothing that can be computed") from error
            return Finding.of(False, f"{answer[:60]!r} cannot be computed, wanted {wanted[:60]}")
        return Finding.of(same, f"{answer[:60]!r} {'equals' if same else 'is not'} {wanted[:60]}")

    return evaluate


def _settings(spec: AssertSpec) -> tuple[float, str]:
    tolerance, extract = spec.config.get("tolerance", 0.0), choice(spec, "extract", "final", EXTRACT)
    if not javascript.is_number(tolerance) or not 0 <= tolerance < 1:
        raise invalid_value(
            spec, f"config.tolerance must be a share from 0 to 1, not {tolerance!r}", "Write 0.01 for 1 %"
        )
    library(spec, "mpmath")
    return float(tolerance), extract


def _reference(spec: AssertSpec, value: object) -> str:
    if javascript.is_number(value):
        return javascript.number_text(value)
    if not isinstance(value, str) or not value.strip():
        raise invalid_value(spec, f"the value must be an expression, not {shown(value)}")
    problem: Exception | None = None
    # A worked solution as reference states its answer at the end.
    for reference in (value.strip(), final_answer(value)) if is_worked(value) else (value.strip(),):
        try:
            same_value(reference, reference)
        except (ValueError, RecursionError) as error:
            problem = problem or error
        else:
            return reference
    raise invalid_value(spec, f"the value {value[:60]!r} cannot be computed: {problem}")


TYPES: Final = (
    CheckKind(
        id="math-equal",
        passes="it ends in the same number or expression",
        value=r"`\frac{1}{2}`, `0.5`, a worked solution",
        settings={"tolerance": "how far numbers may differ, a share, 0", "extract": "`final` (default) or `whole`"},
        example={"value": r"\frac{1}{2}"},
        extra="metrics",
        version="2",
        prepare=_math_equal,
    ),
)
