"""JavaScript as people write it in checks → a syntax tree. Nothing is run, and what is not listed is refused.

An own parser: a suite holds such code, so reading it belongs to every installation, and a parser for all of the
language would be a compiled dependency of each, of which nine tenths are refused here anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.errors import SuiteError
from llmgate.suite.program import tree
from llmgate.suite.program.expressions import ExpressionParser
from llmgate.suite.program.tokens import tokenize

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.suite.program.tree import Node

__all__ = ["parse_expression", "parse_program"]


def parse_program(code: str) -> Node:
    """The body of a function, `return` included.

    Raises:
        SuiteError: If it is too long, or something in it is not understood.
    """
    return _whole(code, lambda parser: parser.statements(""))


def parse_expression(code: str) -> Node:
    """One expression.

    Raises:
        SuiteError: If it is too long, or something in it is not understood.
    """
    return _whole(code, _Parser.expression)


def _whole(code: str, read: Callable[[_Parser], Node]) -> Node:
    if len(code) > tree.MAX_CODE_CHARS:
        raise SuiteError(f"the code has more than {tree.MAX_CODE_CHARS:,} characters")
    parser = _Parser(tokenize(code))
    root = read(parser)
    parser.finish()
    if sum(1 for _ in tree.nodes(root)) > tree.MAX_NODES or tree.depth(root) > tree.MAX_DEPTH:
        raise SuiteError("the code is too large or nested too deeply")
    return root


class _Parser(ExpressionParser):
    def statements(self, end: str) -> tree.BlockNode:
        body: list[Node] = []
        while not (self.sees(end) if end else self.next.kind == "end"):
            if self.next.kind == "end":
                raise self.wrong(f"{end!r} is missing before")
            if not self.taken(";"):
                body.append(self.statement())
        return tree.BlockNode(tuple(body))

    def block(self) -> tree.BlockNode:
        self.want("{")
        body = self.statements("}")
        self.want("}")
        return body

    def statement(self) -> Node:
        self.deeper()
        read = {
            "if": self.condition,
            "for": self.loop,
            "while": self.loop,
            "try": self.attempt,
        }.get(self.next.value if self.next.kind == "word" else "")
        if read is not None:
            result = read()
        elif self.sees("{"):
            result = self.block()
        else:
            result = self.simple()
            # A statement ends at a semicolon, a brace, the end, or a line end before what cannot go on with it.
            if not self.taken(";") and not self.sees("}") and not self.next.after_newline:
                raise self.wrong()
        self._nested -= 1
        return result

    def simple(self) -> Node:
        if self.sees("const", "let", "var"):
            return self.declaration()
        if self.taken("return"):
            bare = self.sees(";", "}") or self.next.after_newline
            return tree.ReturnNode(None if bare else self.expression())
        if self.taken("throw"):
            return tree.ThrowNode(self.expression())
        if self.sees("break", "continue"):
            word = self.take().value
            if not self.sees(";", "}") and not self.next.after_newline:
                raise self.wrong()
            return tree.JumpNode(word)
        return self.expression()

    def declaration(self) -> Node:
        constant = self.take().value == "const"
        parts: list[Node] = []
        while True:
            target = self.target()
            value = self.expression() if self.taken("=") else None
            if value is None and (constant or target.name is None):
                raise self.wrong("a value is missing before")
            parts.append(tree.DeclareNode(target, value, constant))
            if not self.taken(","):
                return parts[0] if len(parts) == 1 else tree.BlockNode(tuple(parts), own=False)

    def condition(self) -> Node:
        self.want("if")
        self.want("(")
        test = self.expression()
        self.want(")")
        then = self.statement()
        return tree.IfNode(test, then, self.statement() if self.taken("else") else None)

    def loop(self) -> Node:
        word = self.take().value
        self.want("(")
        if word == "while":
            test = self.expression()
            self.want(")")
            return tree.ForNode(None, test, None, self.statement())
        if self.sees("const", "let", "var"):
            start, self._at = self._at, self._at + 1
            target = self.target()
            if self.sees("of", "in"):
                keys = self.take().value == "in"
                items = self.expression()
                self.want(")")
                return tree.ForOfNode(target, items, self.statement(), keys)
            self._at = start
        first = None if self.sees(";") else self.simple()
        self.want(";")
        test_or_none = None if self.sees(";") else self.expression()
        self.want(";")
        step = None if self.sees(")") else self.expression()
        self.want(")")
        return tree.ForNode(first, test_or_none, step, self.statement())

    def attempt(self) -> Node:
        self.want("try")
        body, name, handler = self.block(), None, None
        if self.taken("catch"):
            if self.taken("("):
                name = self.name()
                self.want(")")
            handler = self.block()
        ending = self.block() if self.taken("finally") else None
        if handler is None and ending is None:
            raise self.wrong("'catch' is missing before")
        return tree.TryNode(body, name, handler, ending)
