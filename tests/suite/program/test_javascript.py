"""JavaScript → syntax trees: what is refused, and where statements end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import SuiteError
from llmgate.suite.program import tree
from llmgate.suite.program.check import javascript_program
from llmgate.suite.program.javascript import parse_expression, parse_program


@pytest.mark.parametrize(
    "code",
    [
        *(
            "",
            "a b",
            "a +",
            "(a",
            "a)",
            "[a",
            "{a: 1",
            "a ? b",
            "'a",
            "`a",
            "/a",
            "a..b",
            "1a",
            "08",
            "'\\u12'",
            "a?.`b`",
        ),
        *(
            "const = 1",
            "function f() {}",
            "class A {}",
            "a = b = ",
            "(a, b)",
            "-a ** 2",
            "a ?? b || c",
            "x => ",
            "a\\u0061",
        ),
        *(
            "import('a')",
            "await a",
            "yield a",
            "new.target",
            "a instanceof b",
            "delete a.b",
            "void 0",
            "a | b",
            "a >> 1",
        ),
        *("#a", "@a", "1n", "...a", "{...a", "a?.", "a.1", "'a\nb'", "}", "${a}"),
    ],
)
def test_what_is_no_expression_or_none_of_these_is_refused(code: str) -> None:
    with pytest.raises(SuiteError):
        parse_expression(code)


@pytest.mark.parametrize(
    "code",
    [
        *("if (a) b c", "a b", "const a", "const {a}", "for (a of b) c", "for (;;)", "try { a }", "return a return b"),
        *("switch (a) {}", "do a; while (b)", "{ a", "else a", "var function", "label: a", "throw\n"),
    ],
)
def test_what_is_no_program_or_none_of_these_is_refused(code: str) -> None:
    with pytest.raises(SuiteError):
        parse_program(code)


def test_statements_end_where_ecmascript_says() -> None:
    def returned(code: str) -> object:
        program = parse_program(code)
        assert isinstance(program, tree.BlockNode)
        return [node.value for node in program.body if isinstance(node, tree.ReturnNode)]

    a, b = tree.NameNode("a"), tree.NameNode("b")
    assert returned("return\na") == [None]
    assert returned("return a\n&& b") == [tree.LogicalNode("&&", a, b)]
    assert returned("return a\nreturn b") == [a, b]
    assert returned("return a\n(b)") == [tree.CallNode(a, (b,))]
    assert returned("return a;;return b;") == [a, b]
    assert parse_program("a\n++b") == parse_program("a; ++b")
    assert parse_program("let a = 1, b = 2") != parse_program("let a = 1; let b = 2; a")


def test_operators_bind_as_in_ecmascript() -> None:
    same = {
        "a || b && c": "a || (b && c)",
        "!a && b": "(!a) && b",
        "a === b + 1 * 2": "a === (b + (1 * 2))",
        "a - b - c": "(a - b) - c",
        "a ** b ** c": "a ** (b ** c)",
        "a ? b : c ? d : e": "a ? b : (c ? d : e)",
        "x => x ? a : b": "x => (x ? a : b)",
        "a < b === c > d": "(a < b) === (c > d)",
        "typeof a === b": "(typeof a) === b",
        "a / b / c": "(a / b) / c",
        "a /* b */ / c // d": "a / c",
        "`a${b + `c`}d`": "(`a${(b + `c`)}d`)",
    }
    for left, right in same.items():
        assert parse_expression(left) == parse_expression(right), left
    assert parse_expression("(a?.b).c") != parse_expression("a?.b.c")


@pytest.mark.parametrize(
    "code", ["(" * 500, "a" + "+a" * 200, "a" + ".b" * 200, "!" * 500, "[" * 500, "a ? " * 500, "a" * 20_001]
)
def test_code_that_is_nested_too_deeply_or_too_long_is_refused(code: str) -> None:
    with pytest.raises(SuiteError):
        parse_expression(code)


@given(st.text(max_size=60) | st.text(alphabet="ab01'\"`${}()[]/\\.,;:?!&|=<>+-*% \n", max_size=60))
def test_any_text_is_a_tree_or_an_error_that_says_so(text: str) -> None:
    for declares in (True, False):
        try:
            root = javascript_program(text, declares=declares)
        except SuiteError:
            continue
        assert tree.depth(root) <= tree.MAX_DEPTH
