"""The expressions of JavaScript, by how strongly their operators bind; what is not listed is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.suite.program import tree
from llmgate.suite.program.tokens import SourceToken, problem
from llmgate.suite.template.javascript import UNDEFINED, text_to_number

if TYPE_CHECKING:
    from llmgate.errors import SuiteError
    from llmgate.suite.program.tree import Node, TargetNode

__all__ = ["ExpressionParser"]

_BINDING: Final = {
    "??": 1,
    "||": 2,
    "&&": 3,
    **dict.fromkeys(("===", "!==", "==", "!="), 4),
    **dict.fromkeys(("<", ">", "<=", ">=", "in"), 5),
    **dict.fromkeys(("+", "-"), 6),
    **dict.fromkeys(("*", "/", "%"), 7),
    "**": 8,
}
_ASSIGNMENTS: Final = frozenset({"=", "+=", "-=", "*=", "/=", "%="})
_PREFIXES: Final = frozenset({"!", "-", "+", "typeof"})
_CONSTANTS: Final = {"true": True, "false": False, "null": None, "undefined": UNDEFINED}
_RESERVED: Final = frozenset(
    [
        "if",
        "else",
        "for",
        "while",
        "do",
        "switch",
        "case",
        "break",
        "continue",
        "return",
        "throw",
        "try",
        "catch",
        "finally",
        "function",
        "class",
        "new",
        "this",
        "var",
        "let",
        "const",
        "async",
        "await",
        "yield",
        "delete",
        "void",
        "in",
        "instanceof",
        "typeof",
        "import",
        "export",
        "super",
        "with",
        "debugger",
    ]
)
_MAX_NESTED: Final = 60


class ExpressionParser:
    """Reads expressions off tokens.

    Args:
        tokens: All of them, one of kind `end` last.
        nested: How deep inside of other expressions they stand.
    """

    def __init__(self, tokens: tuple[SourceToken, ...], nested: int = 0) -> None:
        self._tokens = tokens
        self._at = 0
        self._nested = nested

    @property
    def next(self) -> SourceToken:
        """The token at hand."""
        return self._tokens[self._at]

    def ahead(self, steps: int) -> SourceToken:
        """A token further on."""
        return self._tokens[min(self._at + steps, len(self._tokens) - 1)]

    def take(self) -> SourceToken:
        """The token at hand; the next one is at hand then."""
        token = self.next
        if token.kind != "end":
            self._at += 1
        return token

    def sees(self, *values: str) -> bool:
        """Whether one of these signs or words is at hand."""
        return self.next.kind in {"sign", "word"} and self.next.value in values

    def taken(self, *values: str) -> bool:
        """The same; if so, it is taken."""
        if self.sees(*values):
            self._at += 1
            return True
        return False

    def want(self, value: str) -> None:
        """Takes a sign or word that must be there."""
        if not self.taken(value):
            raise self.wrong(f"{value!r} is missing before")

    def wrong(self, what: str = "not understood:") -> SuiteError:
        """What is wrong with the token at hand."""
        return problem(self.next.line, f"{what} {self.next.value[:30] or 'the end'!r}")

    def finish(self) -> None:
        """Refuses what is left over."""
        if self.next.kind != "end":
            raise self.wrong()

    def deeper(self) -> None:
        """Counts a level of nesting, of which there are not many."""
        self._nested += 1
        if self._nested > _MAX_NESTED:
            raise self.wrong("nested too deeply at")

    def name(self) -> str:
        """A name that is none of the language."""
        if self.next.kind != "word" or self.next.value in _RESERVED or self.next.value in _CONSTANTS:
            raise self.wrong("a name is missing before")
        return self.take().value

    def block(self) -> Node:
        """The body of a function, which a reader of statements knows."""
        raise self.wrong("a block:")

    # Expressions

    def target(self, *, default: bool = False) -> TargetNode:
        """What a declaration or a parameter takes apart."""
        self.deeper()
        name: str | None = None
        keys: list[tuple[str | int, TargetNode]] = []
        if self.taken("{"):
            while not self.sees("}"):
                key = self.take() if self.next.kind == "word" else None
                if key is None:
                    raise self.wrong("a name is missing before")
                if self.taken(":"):
                    keys.append((key.value, self.target(default=True)))
                else:
                    otherwise = self.expression() if self.taken("=") else None
                    keys.append((key.value, tree.TargetNode(name=key.value, otherwise=otherwise)))
                if not self.taken(","):
                    break
            self.want("}")
        elif self.taken("["):
            while not self.sees("]"):
                if self.sees(","):
                    keys.append((len(keys), tree.TargetNode()))
                else:
                    keys.append((len(keys), self.target(default=True)))
                if not self.taken(","):
                    break
            self.want("]")
        else:
            name = self.name()
        self._nested -= 1
        otherwise = self.expression() if default and self.taken("=") else None
        return tree.TargetNode(name, tuple(keys), otherwise)

    def expression(self) -> Node:
        """An expression, assignments and functions included."""
        self.deeper()
        result = self.arrow()
        if result is None:
            result = self.binary(0)
            if self.taken("?"):
                then = self.expression()
                self.want(":")
                result = tree.ConditionalNode(result, then, self.expression())
            elif self.next.kind == "sign" and self.next.value in _ASSIGNMENTS:
                if not isinstance(result, tree.NameNode | tree.MemberNode):
                    raise self.wrong()
                result = tree.AssignNode(result, self.take().value, self.expression())
        self._nested -= 1
        return result

    def arrow(self) -> Node | None:
        """A function, None if none is at hand."""
        if self.next.kind == "word" and self.ahead(1).value == "=>" and self.ahead(1).kind == "sign":
            parameters: tuple[TargetNode, ...] = (tree.TargetNode(self.name()),)
        elif self.sees("(") and self.arrow_follows():
            self.want("(")
            found: list[TargetNode] = []
            while not self.sees(")"):
                found.append(self.target(default=True))
                if not self.taken(","):
                    break
            self.want(")")
            parameters = tuple(found)
        else:
            return None
        self.want("=>")
        return tree.FunctionNode(parameters, self.block() if self.sees("{") else self.expression())

    def arrow_follows(self) -> bool:
        """Whether `=>` stands behind the bracket that closes the one at hand."""
        level = 0
        for i in range(self._at, len(self._tokens)):
            token = self._tokens[i]
            if token.kind != "sign":
                continue
            level += {"(": 1, ")": -1}.get(token.value, 0)
            if level == 0:
                return self._tokens[min(i + 1, len(self._tokens) - 1)].value == "=>"
        return False

    def binary(self, least: int) -> Node:
        """Operators that bind more strongly than `least`, and what they stand between."""
        left = self.unary()
        while True:
            operator = self.next.value if self.next.kind in {"sign", "word"} else ""
            binding = _BINDING.get(operator, 0)
            if binding <= least:
                return left
            if operator == "**" and isinstance(left, tree.UnaryNode):
                raise self.wrong()
            self.take()
            # `**` is the only one that binds to the right.
            right = self.binary(binding - 1 if operator == "**" else binding)
            kind = tree.LogicalNode if binding <= 3 else tree.BinaryNode
            if operator == "??" and any(isinstance(x, tree.LogicalNode) and x.operator != "??" for x in (left, right)):
                raise self.wrong("`??` beside `||` or `&&` before")
            left = kind(operator, left, right)

    def unary(self) -> Node:
        """A value with the signs before and behind it."""
        if self.next.kind in {"sign", "word"} and self.next.value in _PREFIXES:
            self.deeper()
            operator = self.take().value
            operand = self.unary()
            self._nested -= 1
            return tree.UnaryNode(operator, operand)
        if self.sees("++", "--"):
            step = 1.0 if self.take().value == "++" else -1.0
            return tree.UpdateNode(tree.NameNode(self.name()), step, prefix=True)
        result = self.postfix()
        if self.sees("++", "--") and not self.next.after_newline:
            if not isinstance(result, tree.NameNode):
                raise self.wrong()
            return tree.UpdateNode(result, 1.0 if self.take().value == "++" else -1.0, prefix=False)
        return result

    def postfix(self) -> Node:
        """A value with its members and calls."""
        result = self.primary()
        chained = False
        while True:
            if self.taken("?."):
                chained = True
                if self.sees("("):
                    result = tree.CallNode(result, self.arguments(), optional=True)
                elif self.taken("["):
                    result = tree.MemberNode(result, self.index(), optional=True)
                else:
                    result = tree.MemberNode(result, self.key(), optional=True)
            elif self.taken("."):
                result = tree.MemberNode(result, self.key())
            elif self.taken("["):
                result = tree.MemberNode(result, self.index())
            elif self.sees("("):
                result = tree.CallNode(result, self.arguments())
            elif self.next.kind == "template":
                raise self.wrong("a tagged template:")
            else:
                return tree.ChainNode(result) if chained else result

    def index(self) -> Node:
        """A key in brackets, of which the first is taken."""
        key = self.expression()
        self.want("]")
        return key

    def key(self) -> Node:
        """The name of a member."""
        if self.next.kind != "word":
            raise self.wrong("a name is missing before")
        return tree.LiteralNode(self.take().value)

    def arguments(self) -> tuple[Node, ...]:
        """The arguments of a call."""
        self.want("(")
        return self.listed(")")

    def listed(self, end: str) -> tuple[Node, ...]:
        """Values with commas between them."""
        items: list[Node] = []
        while not self.sees(end):
            items.append(tree.SpreadNode(self.expression()) if self.taken("...") else self.expression())
            if not self.taken(","):
                break
        self.want(end)
        return tuple(items)

    def primary(self) -> Node:
        """A literal, a name, or what stands in brackets."""
        token = self.next
        read = {"text": self.plain, "number": self.plain, "regex": self.regex, "template": self.template}
        if token.kind in read:
            return read[token.kind](self.take())
        if self.taken("("):
            # Brackets end a chain: `(a?.b).c` looks for c whatever b is.
            inner = self.expression()
            self.want(")")
            return inner
        if self.taken("["):
            return tree.ItemsNode(self.listed("]"))
        if self.taken("{"):
            return self.fields()
        if self.taken("new"):
            name = self.name()
            return tree.NewNode(name, self.arguments() if self.sees("(") else ())
        constant = token.kind == "word" and token.value in _CONSTANTS
        return tree.LiteralNode(_CONSTANTS[self.take().value]) if constant else tree.NameNode(self.name())

    def plain(self, token: SourceToken) -> Node:
        """A text or a number."""
        return tree.LiteralNode(token.value if token.kind == "text" else text_to_number(token.value))

    def regex(self, token: SourceToken) -> Node:
        """A regular expression."""
        return tree.RegexNode(token.value, str(token.parts[0]))

    def template(self, token: SourceToken) -> Node:
        """A template literal."""
        parts: list[Node] = []
        for part in token.parts:
            if isinstance(part, str):
                parts.append(tree.LiteralNode(part))
            else:
                inner = type(self)(part, self._nested + 1)
                parts.append(inner.expression())
                inner.finish()
        return tree.TextNode(tuple(parts))

    def fields(self) -> Node:
        """The keys and values of an object."""
        pairs: list[tuple[Node | None, Node]] = []
        while not self.sees("}"):
            if self.taken("..."):
                pairs.append((None, self.expression()))
            elif self.taken("["):
                key = self.index()
                self.want(":")
                pairs.append((key, self.expression()))
            else:
                token = self.take()
                if token.kind not in {"word", "text", "number"}:
                    raise problem(token.line, f"a key is missing before {token.value[:30]!r}")
                if self.taken(":"):
                    pairs.append((tree.LiteralNode(token.value), self.expression()))
                elif token.kind == "word" and token.value not in _RESERVED and token.value not in _CONSTANTS:
                    pairs.append((tree.LiteralNode(token.value), tree.NameNode(token.value)))
                else:
                    raise self.wrong()
            if not self.taken(","):
                break
        self.want("}")
        return tree.FieldsNode(tuple(pairs))
