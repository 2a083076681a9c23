"""The check `expression`: a small program in JavaScript or Python that looks at the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value
from llmgate.score.assertion.settings import choice
from llmgate.score.expression.javascript import evaluate_javascript
from llmgate.score.expression.patterns import compiled
from llmgate.score.expression.python import evaluate_python
from llmgate.score.expression.python_check import python_program, python_uses
from llmgate.score.expression.result import found, without_result
from llmgate.score.expression.spending import Spending, ThrownError, unknown
from llmgate.score.expression.values import JsFunction, JsRegex, JsSet, js_value, plain_value

if TYPE_CHECKING:
    import ast

    from llmgate.suite.asserts import AssertSpec
from llmgate.suite.program import tree
from llmgate.suite.program.check import javascript_program, uses
from llmgate.suite.template.javascript import UNDEFINED

__all__ = ["LANGUAGES", "TYPES", "javascript_transform"]

LANGUAGES: Final = ("javascript", "python")
_MAX_NESTED: Final = 200
Program = Callable[[CheckContext], object]
"""Gives data of JSON, None for nothing."""


def _expression(spec: AssertSpec) -> Evaluate:
    language = choice(spec, "language", "javascript", LANGUAGES)
    if spec.threshold is not None and spec.threshold <= 0:
        raise invalid_value(spec, f"the threshold is {spec.threshold:g}, so the check cannot fail", "Write more than 0")

    def build(value: object) -> Program:
        if not isinstance(value, str) or not value.strip():
            raise invalid_value(spec, "the value must be code, written as a text that is not empty")
        try:
            return _python(value) if language == "python" else _javascript(value)
        except SuiteError as error:
            raise invalid_value(spec, error.what, error.fix or "") from error

    rule = AssertRule.compile(spec, build)

    def evaluate(context: CheckContext) -> Finding:
        program = rule.on(context)
        try:
            result = program(context)
        except ThrownError as error:
            # The code would throw, and promptfoo counts that as a fail whether or not the check is negated.
            return without_result(spec, f"the code fails on this answer: {error}")
        return found(spec, result, strict=language == "python")

    return evaluate


def _javascript(code: str) -> Program:
    root = _compiled(javascript_program(code))
    if not uses(root, "output"):
        raise SuiteError("the code does not look at `output`, so it says the same of every answer")
    with_context = uses(root, "context")

    def run(context: CheckContext) -> object:
        spending = Spending()
        names: dict[str, object] = {"output": js_value(context.output, spending)}
        if with_context:
            names["context"] = js_value({"vars": context.variables, "prompt": context.prompt}, spending)
        return _data(evaluate_javascript(root, names, spending), spending)

    return run


def _compiled(root: tree.Node) -> tree.Node:
    """The same program, in which each pattern compiles."""
    for node in tree.nodes(root):
        if isinstance(node, tree.RegexNode):
            compiled(node.source, node.flags)
    return root


def _data(value: object, spending: Spending) -> object:
    """A result as data; a function or a pattern is none."""
    if value is UNDEFINED or isinstance(value, JsFunction | JsRegex | JsSet):
        return None
    return plain_value(value, spending)


def _python(code: str) -> Program:
    root: ast.AST = python_program(code)
    if not python_uses(root, "output"):
        raise SuiteError("the code does not look at `output`, so it says the same of every answer")
    with_context = python_uses(root, "context")

    def run(context: CheckContext) -> object:
        spending = Spending()
        names = {"output": _copied(context.output, spending)}
        if with_context:
            names["context"] = _copied({"vars": context.variables, "prompt": context.prompt}, spending)
        return _python_data(evaluate_python(root, names, spending), spending)

    return run


def _copied(value: object, spending: Spending, level: int = 0) -> Any:
    """Data that a program may change without changing anything outside."""
    spending.steps()
    if level > _MAX_NESTED:
        raise unknown(f"data nested more than {_MAX_NESTED} levels deep")
    if isinstance(value, Mapping):
        return {key: _copied(item, spending, level + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item, spending, level + 1) for item in value]
    if isinstance(value, str):
        spending.chars(len(value))
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _python_data(value: object, spending: Spending, level: int = 0) -> object:
    """What JSON makes of a result, by which promptfoo hands it on."""
    spending.steps()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if level < _MAX_NESTED and isinstance(value, list | tuple):
        return [_python_data(item, spending, level + 1) for item in value]
    if level < _MAX_NESTED and isinstance(value, dict):
        return {str(key): _python_data(item, spending, level + 1) for key, item in value.items()}
    raise ThrownError("the result is nothing that JSON can hold")


def javascript_transform(code: str) -> Callable[[object], object]:
    """What an expression makes of an output.

    Args:
        code: JavaScript, as promptfoo's `transform:` has it.

    Returns:
        A function that raises a `ThrownError` where the code would throw or gives nothing, and a `CannotRunError` where
        it cannot be evaluated.

    Raises:
        SuiteError: If it is not understood, or uses what is not evaluated here.
    """
    root = _compiled(javascript_program(code, declares=False))
    if uses(root, "context"):
        raise SuiteError("a transform cannot look at `context`")

    def transform(output: object) -> object:
        spending = Spending()
        result = _data(evaluate_javascript(root, {"output": js_value(output, spending)}, spending), spending)
        if result is None:
            raise ThrownError("the transform gives nothing")
        return result

    return transform


TYPES: Final = (
    CheckKind(
        id="expression",
        passes="the code gives true, or a number above 0 (at least `threshold`), or `{pass: true, score, reason}`",
        score="the number, or 1 and 0",
        value="JavaScript over `output`, `context.vars` and `context.prompt`, such as `output.length < 99`",
        threshold="none; the least number that passes",
        settings={"language": "`javascript` (the default) or `python`"},
        example={"value": "output.length < 99 && output.includes('a')"},
        prepare=_expression,
    ),
)
