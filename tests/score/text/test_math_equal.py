"""math-equal: equality of numbers and expressions, with sympy as the oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.text.math_equal import same_value
from llmgate.score.text.math_expression import final_answer

if TYPE_CHECKING:
    from fractions import Fraction


def outcome(value: Any, output: str, **config: Any) -> str:
    return evaluate_assert({"type": "math-equal", "value": value, "config": config}, output).outcome


@pytest.mark.parametrize(
    "value",
    ["", " ", None, True, [], {}, "import os", "what", "1/0", "9**9**9**9", "x" * 600, "((", "10!", "(1,2)",
     "{1, 2}", "5 3"]
)  # fmt: skip
def test_references_that_have_no_value_are_errors(value: object) -> None:
    assert outcome(value, "1") == "error"
    assert evaluate_assert({"type": "not-math-equal", "value": value}, "1").outcome == "error"


@pytest.mark.parametrize(
    "config", [{"tolerance": -1}, {"tolerance": 1}, {"tolerance": "x"}, {"extract": "first"}, {"tol": 1}]
)
def test_settings_that_mean_nothing_are_errors(config: dict[str, Any]) -> None:
    assert outcome("1", "1", **config) == "error"


@pytest.mark.parametrize(
    "output",
    [
        "__import__('os').system('id')",
        "(lambda: 1)()",
        "[1 for x in (1,)]",
        "1 if 1 else 1",
        "'1'",
        "a.b",
        "1; 1",
        "True",
    ],
)
def test_code_is_never_run(output: str) -> None:
    assert outcome("1", output, extract="whole") == "fail"
    assert (
        evaluate_assert({"type": "not-math-equal", "value": "1", "config": {"extract": "whole"}}, output).outcome
        == "error"
    )


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("72", "24 * 3 = 72\n#### 72"), ("1234", "The answer is 1,234."), (1234, "It is $1,234"), ("0.5", "50%"),
        (r"\frac{1}{2}", r"so \boxed{0.5}"), (r"\frac12", "1/2"), ("-3", "The answer is −3."), ("12", "12 apples"),
        ("12", "The answer is 12 apples, 5 pears were eaten"), (r"\sqrt{2}", r"\boxed{2^{1/2}}"), ("1e-3", "0.001"),
        ("x^2+2x+1", "(x+1)^2"), (r"2\pi r", "2*r*pi"), (r"\frac{x^2-1}{x-1}", "x+1"), ("ln(e^2)", "2"),
        (r"\frac{\sqrt{3}}{3}", r"$\frac{1}{\sqrt{3}}$"), ("3/4", "0.75"), (r"\boxed{7}", "7"), ("2ab", "b*a*2"),
        ("3 1/2", "3.5"), ("3.5", "I ate 3 1/2 pies."), (r"3\frac{1}{2}", "7/2"), (r"-2\frac14", "-2.25"),
        (r"\sqrt{x^2}", "|x|"), (r"|x|", r"\lvert x \rvert"), ("2 log(x)", "log(x^2)"), ("x", r"\sqrt{x}^2"),
        (r"2\frac{x}{y}", "2x/y"), ("2024", "In 2024"),
    ],
)  # fmt: skip
def test_equal_however_it_is_written(value: str, output: str) -> None:
    got = evaluate_assert({"type": "math-equal", "value": value}, output)
    assert got.outcome == "pass", got.reason
    assert evaluate_assert({"type": "not-math-equal", "value": value}, output).outcome == "fail"


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("72", "71"),
        ("x + 3", "y"),
        ("x^2", "x^3"),
        ("2x", "3x"),
        (r"\pi", "3.14159"),
        ("1/3", "0.333333"),
        ("5", "five"),
        ("5", ""),
        ("100", "10"),
        ("x", r"\sqrt{x^2}"),
        ("x", "|x|"),
        ("3 1/2", "1/2"),
        ("3 1/2", "3"),
        ("3.5", "3/2"),
    ],
)
def test_what_differs_is_wrong(value: str, output: str) -> None:
    assert outcome(value, output) == "fail"


def test_a_tolerance_is_relative() -> None:
    assert outcome(r"\pi", "3.14159", tolerance=1e-5) == "pass"
    assert outcome("1000", "1009", tolerance=0.01) == "pass"
    assert outcome("1000", "1011", tolerance=0.01) == "fail"
    assert outcome("0", "0.001", tolerance=0.01) == "fail"


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_fractions_are_equal_when_they_are(left: Fraction, right: Fraction) -> None:
    assert same_value(str(left), rf"\frac{{{left.numerator}}}{{{left.denominator}}}")
    assert same_value(str(left), str(right)) is (left == right)


EXPRESSIONS = st.recursive(
    st.sampled_from(["x", "y", "2", "3", "0.5"]),
    lambda inner: st.builds("({}{}{})".format, inner, st.sampled_from("+-*"), inner),
    max_leaves=6,
)


@given(EXPRESSIONS, EXPRESSIONS)
def test_polynomials_agree_with_sympy(left: str, right: str) -> None:
    import sympy

    # The oracle may parse them: they are our own.
    difference = sympy.expand(sympy.sympify(left, rational=True) - sympy.sympify(right, rational=True))
    assert same_value(left, right) is (difference == 0)


@given(st.text())
def test_any_output_is_evaluated(output: str) -> None:
    assert outcome("1", output) in {"pass", "fail"}


@pytest.mark.parametrize(
    "bait", ["(" * 500_000, "1+" * 300_000, r"\boxed{" * 100_000, "9" * 900_000, "answer is " * 90_000, r"\frac" * 90]
)
def test_large_bait_ends(bait: str) -> None:
    assert outcome("1", bait) in {"pass", "fail"}


def test_the_final_answer_of_a_worked_solution() -> None:
    assert final_answer("5 + 7 = 12. Then 12 * 2 = 24.") == "24"
    assert final_answer(r"\boxed{1} or \boxed{\frac{1}{2}}") == r"\frac{1}{2}"
