"""Evaluates the syntax tree of a small JavaScript program, within a budget.

Values are data and nothing else: no name and no member of a Python object can be reached, and whatever is not
written here is an error.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llmgate.score.expression import patterns
from llmgate.score.expression.globals import NAMES, call_static, construct
from llmgate.score.expression.methods import call_method
from llmgate.score.expression.operators import growing, iterated, operate, own_keys
from llmgate.score.expression.scope import JsScope, Jumped, NothingThere, Returned
from llmgate.score.expression.spending import Spending, ThrownError, unknown
from llmgate.score.expression.values import (
    JsFunction,
    get_member,
    is_index,
    js_number,
    js_text,
    js_typeof,
)
from llmgate.suite.program import tree
from llmgate.suite.template.javascript import UNDEFINED, truthy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["evaluate_javascript"]

_MAX_CALLS: Final = 12
"""How deep functions of the program may call each other."""


def evaluate_javascript(root: tree.Node, names: Mapping[str, object], spending: Spending) -> object:
    """What a program gives: the value of an expression, or what the body of a function returns.

    Args:
        root: The program.
        names: Its variables, as values of JavaScript.
        spending: Its budget.

    Raises:
        ThrownError: If the program throws.
        CannotRunError: If it does what is not evaluated here, or needs too much.
    """
    program = _Program(spending)
    scope = JsScope(None, names)
    try:
        if isinstance(root, tree.BlockNode):
            program.run(root, scope)
            return UNDEFINED
        return program.value(root, scope)
    except Returned as returned:
        return returned.value
    except RecursionError as error:
        raise unknown("functions that call each other too deeply") from error


class _Program:
    def __init__(self, spending: Spending) -> None:
        self.spending = spending
        self.calls = 0

    # Statements

    def run(self, node: tree.Node, scope: JsScope) -> None:
        self.spending.steps()
        runner = _RUNNERS.get(type(node))
        if runner is None:
            self.value(node, scope)
        else:
            runner(self, node, scope)

    def run_block(self, node: tree.BlockNode, scope: JsScope) -> None:
        inner = JsScope(scope) if node.own else scope
        for statement in node.body:
            self.run(statement, inner)

    def run_declare(self, node: tree.DeclareNode, scope: JsScope) -> None:
        value = UNDEFINED if node.value is None else self.value(node.value, scope)
        self.bind(node.target, value, scope, constant=node.constant)

    def run_return(self, node: tree.ReturnNode, scope: JsScope) -> None:
        raise Returned(UNDEFINED if node.value is None else self.value(node.value, scope))

    def run_if(self, node: tree.IfNode, scope: JsScope) -> None:
        if truthy(self.value(node.test, scope)):
            self.run(node.then, scope)
        elif node.other is not None:
            self.run(node.other, scope)

    def run_for_of(self, node: tree.ForOfNode, scope: JsScope) -> None:
        value = self.value(node.items, scope)
        for item in own_keys(value) if node.keys else growing(value, self.spending):
            inner = JsScope(scope)
            self.bind(node.target, item, inner)
            if not self.again(node.body, inner):
                return

    def run_for(self, node: tree.ForNode, scope: JsScope) -> None:
        inner = JsScope(scope)
        if node.start is not None:
            self.run(node.start, inner)
        while node.test is None or truthy(self.value(node.test, inner)):
            if not self.again(node.body, inner):
                return
            if node.step is not None:
                self.value(node.step, inner)

    def again(self, body: tree.Node, scope: JsScope) -> bool:
        try:
            self.run(body, scope)
        except Jumped as jumped:
            return jumped.word == "continue"
        return True

    def run_jump(self, node: tree.JumpNode, _: JsScope) -> None:
        raise Jumped(node.word)

    def run_throw(self, node: tree.ThrowNode, scope: JsScope) -> None:
        value = self.value(node.value, scope)
        raise ThrownError("thrown by the code", "Error", value)

    def run_try(self, node: tree.TryNode, scope: JsScope) -> None:
        try:
            try:
                self.run(node.body, scope)
            except ThrownError as error:
                if node.handler is None:
                    raise
                inner = JsScope(scope, {} if node.name is None else {node.name: error.value})
                self.run(node.handler, inner)
        finally:
            if node.ending is not None:
                self.run(node.ending, scope)

    def bind(self, target: tree.TargetNode, value: object, scope: JsScope, *, constant: bool = False) -> None:
        if value is UNDEFINED and target.otherwise is not None:
            value = self.value(target.otherwise, scope)
        if target.name is not None:
            scope.names[target.name] = value
            if constant:
                scope.constants.add(target.name)
        elif target.keys:
            if value is None or value is UNDEFINED:
                raise ThrownError("nothing to take apart")
            by_position = isinstance(target.keys[0][0], int)
            items = iterated(value, self.spending) if by_position else []
            for key, part in target.keys:
                if isinstance(key, int):
                    item = items[key] if key < len(items) else UNDEFINED
                else:
                    item = get_member(value, key, self.spending)
                self.bind(part, item, scope, constant=constant)

    # Expressions

    def value(self, node: tree.Node, scope: JsScope) -> Any:
        self.spending.steps()
        evaluator = _EVALUATORS.get(type(node))
        if evaluator is None:
            raise unknown(f"a {type(node).__name__.lower()} where a value is wanted")
        return evaluator(self, node, scope)

    def literal(self, node: tree.LiteralNode, _: JsScope) -> object:
        return node.value

    def regex(self, node: tree.RegexNode, _: JsScope) -> object:
        return patterns.compiled(node.source, node.flags)

    def text(self, node: tree.TextNode, scope: JsScope) -> object:
        pieces = [js_text(self.value(part, scope), self.spending) for part in node.parts]
        self.spending.chars(sum(map(len, pieces)))
        return "".join(pieces)

    def name(self, node: tree.NameNode, scope: JsScope) -> object:
        holder = scope.holder(node.id)
        if holder is not None:
            return holder.names[node.id]
        if node.id in NAMES:
            return NAMES[node.id]
        raise ThrownError(f"{node.id} is not defined", "ReferenceError")

    def items(self, node: tree.ItemsNode, scope: JsScope) -> list[object]:
        return self.several(node.items, scope)

    def several(self, nodes: tuple[tree.Node, ...], scope: JsScope) -> list[object]:
        result: list[object] = []
        for node in nodes:
            if isinstance(node, tree.SpreadNode):
                result += iterated(self.value(node.value, scope), self.spending)
            else:
                result.append(self.value(node, scope))
        return result

    def fields(self, node: tree.FieldsNode, scope: JsScope) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, value in node.pairs:
            found = self.value(value, scope)
            if key is not None:
                result[js_text(self.value(key, scope), self.spending)] = found
            elif isinstance(found, dict | list | str):
                self.spending.steps(len(found))
                result |= found if isinstance(found, dict) else {str(i): item for i, item in enumerate(found)}
            elif found is not None and found is not UNDEFINED and not isinstance(found, bool | float):
                raise unknown("`...` of a function, a pattern or a set in an object")
        if "__proto__" in result:
            raise unknown("`__proto__`")
        return result

    def member(self, node: tree.MemberNode, scope: JsScope) -> object:
        owner = self.value(node.owner, scope)
        if node.optional and (owner is None or owner is UNDEFINED):
            raise NothingThere
        return get_member(owner, self.value(node.key, scope), self.spending)

    def chain(self, node: tree.ChainNode, scope: JsScope) -> object:
        try:
            return self.value(node.value, scope)
        except NothingThere:
            return UNDEFINED

    def call(self, node: tree.CallNode, scope: JsScope) -> object:
        callee = node.callee
        if isinstance(callee, tree.MemberNode):
            owner_node = callee.owner
            key = callee.key.value if isinstance(callee.key, tree.LiteralNode) else None
            if isinstance(owner_node, tree.NameNode) and scope.holder(owner_node.id) is None and isinstance(key, str):
                static = f"{owner_node.id}.{key}"
                return call_static(static, self.several(node.arguments, scope), self.spending, self.apply)
            owner = self.value(owner_node, scope)
            if callee.optional and (owner is None or owner is UNDEFINED):
                raise NothingThere
            name = js_text(self.value(callee.key, scope), self.spending)
            if owner is None or owner is UNDEFINED:
                get_member(owner, name, self.spending)
            if isinstance(owner, dict) and name in owner:
                function = owner[name]
                if node.optional and (function is None or function is UNDEFINED):
                    raise NothingThere
                return self.apply(function, self.several(node.arguments, scope))
            arguments = self.several(node.arguments, scope)
            if node.optional:
                raise unknown("a method that is called with `?.(`")
            return call_method(owner, name, arguments, self.spending, self.apply)
        function = self.value(callee, scope)
        if node.optional and (function is None or function is UNDEFINED):
            raise NothingThere
        return self.apply(function, self.several(node.arguments, scope))

    def apply(self, function: object, arguments: list[object]) -> object:
        self.spending.steps()
        if not isinstance(function, JsFunction):
            raise ThrownError("what is called is not a function")
        if function.native is not None:
            return function.native(arguments, self.spending, self.apply)
        self.calls += 1
        if self.calls > _MAX_CALLS:
            raise unknown(f"functions that call each other more than {_MAX_CALLS} deep")
        try:
            return function.call(*arguments)
        finally:
            self.calls -= 1

    def function(self, node: tree.FunctionNode, scope: JsScope) -> object:
        def call(*arguments: object) -> object:
            inner = JsScope(scope)
            for i, parameter in enumerate(node.parameters):
                self.bind(parameter, arguments[i] if i < len(arguments) else UNDEFINED, inner)
            if not isinstance(node.body, tree.BlockNode):
                return self.value(node.body, inner)
            try:
                self.run(node.body, inner)
            except Returned as returned:
                return returned.value
            return UNDEFINED

        return JsFunction(call)

    def new(self, node: tree.NewNode, scope: JsScope) -> object:
        return construct(node.name, self.several(node.arguments, scope), self.spending)

    def unary(self, node: tree.UnaryNode, scope: JsScope) -> object:
        value = self.value(node.operand, scope)
        if node.operator == "!":
            return not truthy(value)
        if node.operator == "typeof":
            return js_typeof(value)
        return js_number(value) if node.operator == "+" else -js_number(value)

    def binary(self, node: tree.BinaryNode, scope: JsScope) -> object:
        return operate(node.operator, self.value(node.left, scope), self.value(node.right, scope), self.spending)

    def logical(self, node: tree.LogicalNode, scope: JsScope) -> object:
        left = self.value(node.left, scope)
        if node.operator == "??":
            return self.value(node.right, scope) if left is None or left is UNDEFINED else left
        return left if truthy(left) is (node.operator == "||") else self.value(node.right, scope)

    def conditional(self, node: tree.ConditionalNode, scope: JsScope) -> object:
        return self.value(node.then if truthy(self.value(node.test, scope)) else node.other, scope)

    def assign(self, node: tree.AssignNode, scope: JsScope) -> object:
        if isinstance(node.target, tree.MemberNode):
            owner = self.value(node.target.owner, scope)
            key = js_text(self.value(node.target.key, scope), self.spending)
            before = get_member(owner, key, self.spending) if node.operator != "=" else UNDEFINED
            value = self.changed(before, node, scope)
            self.put(owner, key, value)
            return value
        if not isinstance(node.target, tree.NameNode):
            raise unknown("an assignment to something else than a name")
        before = self.name(node.target, scope) if node.operator != "=" else UNDEFINED
        value = self.changed(before, node, scope)
        self.store(node.target.id, value, scope)
        return value

    def changed(self, before: object, node: tree.AssignNode, scope: JsScope) -> object:
        value = self.value(node.value, scope)
        return value if node.operator == "=" else operate(node.operator[:-1], before, value, self.spending)

    def store(self, name: str, value: object, scope: JsScope) -> None:
        holder = scope.holder(name)
        if holder is None:
            raise unknown(f"the name {name!r}, which is not declared")
        if name in holder.constants:
            raise ThrownError("Assignment to constant variable.")
        holder.names[name] = value

    def put(self, owner: object, key: str, value: object) -> None:
        if isinstance(owner, dict) and key != "__proto__":
            owner[key] = value
        elif isinstance(owner, list) and is_index(key) and int(key) <= len(owner):
            owner[int(key) : int(key) + 1] = [value]
        elif owner is None or owner is UNDEFINED:
            raise ThrownError(f"Cannot set properties of nothing (setting '{key[:60]}')")
        else:
            raise unknown(f"an assignment to the member {key[:40]!r}")

    def update(self, node: tree.UpdateNode, scope: JsScope) -> object:
        before = js_number(self.name(node.name, scope))
        self.store(node.name.id, before + node.step, scope)
        return before + node.step if node.prefix else before


_RUNNERS: Final[Mapping[type[tree.Node], Callable[..., None]]] = MappingProxyType(
    {
        tree.BlockNode: _Program.run_block,
        tree.DeclareNode: _Program.run_declare,
        tree.ReturnNode: _Program.run_return,
        tree.IfNode: _Program.run_if,
        tree.ForOfNode: _Program.run_for_of,
        tree.ForNode: _Program.run_for,
        tree.JumpNode: _Program.run_jump,
        tree.ThrowNode: _Program.run_throw,
        tree.TryNode: _Program.run_try,
    }
)
_EVALUATORS: Final[Mapping[type[tree.Node], Callable[..., object]]] = MappingProxyType(
    {
        tree.LiteralNode: _Program.literal,
        tree.RegexNode: _Program.regex,
        tree.TextNode: _Program.text,
        tree.NameNode: _Program.name,
        tree.ItemsNode: _Program.items,
        tree.FieldsNode: _Program.fields,
        tree.MemberNode: _Program.member,
        tree.ChainNode: _Program.chain,
        tree.CallNode: _Program.call,
        tree.FunctionNode: _Program.function,
        tree.NewNode: _Program.new,
        tree.UnaryNode: _Program.unary,
        tree.BinaryNode: _Program.binary,
        tree.LogicalNode: _Program.logical,
        tree.ConditionalNode: _Program.conditional,
        tree.AssignNode: _Program.assign,
        tree.UpdateNode: _Program.update,
    }
)
