"""The markup checks as a suite writes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.markup.contains_html import count_html_signs

TYPES = ["is-html", "contains-html", "is-xml", "contains-xml", "contains-json"]


@settings(deadline=None)
@given(st.sampled_from(TYPES), st.booleans(), st.text() | st.text(alphabet="<>/!-?ab='\" &;{}[]:,1\ud800\0"))
def test_every_text_is_evaluated(type_: str, negated: bool, output: str) -> None:
    found = evaluate_assert({"type": f"not-{type_}" if negated else type_}, output)
    assert found.outcome in {"pass", "fail"}
    assert found.score in {0.0, 1.0}


@pytest.mark.parametrize("type_", ["is-xml", "contains-xml"])
@pytest.mark.parametrize("prefix", ["", "not-"])
@pytest.mark.parametrize("output", ["<a/>", "no markup"])
@pytest.mark.parametrize(
    "value",
    ["", ",", "a,", "a..b", ".", [""], [" "], [None], [{"a": 1}], None, True, 0, {"elements": ["a"]},
     {"requiredElements": "a"}, {"requiredElements": ["a"], "required": ["b"]}, "{{ missing }}"],
)  # fmt: skip
def test_broken_values_are_errors_whatever_the_output(type_: str, prefix: str, output: str, value: Any) -> None:
    assert evaluate_assert({"type": prefix + type_, "value": value}, output).outcome == "error"


@pytest.mark.parametrize("type_", ["is-html", "contains-html"])
def test_a_value_that_nobody_looks_at_is_an_error(type_: str) -> None:
    assert evaluate_assert({"type": type_, "value": "div"}, "<div>").outcome == "error"
    assert evaluate_assert({"type": type_, "value": ["div"]}, "<div>").outcome == "error"


@pytest.mark.parametrize(
    ("value", "outcome"),
    [("r.@_id", "pass"), ("r.i.1.j", "pass"), ("r.#text", "pass"), ("r.i.1.k", "fail"), (["r", "r.j"], "fail")],
)
def test_required_paths(value: Any, outcome: str) -> None:
    output = "<r id='1'>text<i/><i><j/></i></r>"
    assert evaluate_assert({"type": "is-xml", "value": value}, output).outcome == outcome
    assert evaluate_assert({"type": "contains-xml", "value": value}, f"see {output} there").outcome == outcome


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("", 0),
        ("<foo>", 1),
        ("</foo>", 1),
        ("<foo bar", 0),
        ("<foo bar> ", 1),
        ("<foo/>", 1),
        ("<foo />", 2),
        ("<foo a='/'>", 2),
        ("<a\u0085>", 2),
        ("<a\u00a0>", 3),
        ("&amp; &lt;", 1),
        ("&#x41; &#X41;", 1),
        ("&#X41;", 0),
        ("<!---->", 1),
        ("<!-- -- -->", 0),
        ("<!-- --><!-- a-b -->", 1),
        ("<!--->", 0),
        ("<!DocType\u00a0html", 2),
        (" a='1", 0),
        (" a= \"1'", 1),
        (" a ='1'", 0),
        ("<K", 0),
        ("<TABLE", 2),
        ("<\u017fpan", 0),
    ],
)
def test_signs_of_html(text: str, signs: int) -> None:
    assert count_html_signs(text) == signs


@pytest.mark.parametrize("type_", ["contains-html", "is-xml", "contains-xml", "contains-json"])
@pytest.mark.parametrize(
    "piece",
    ["<x ", "<x>", "<x/", "<!--", "<!- ", " a='", " a=", "<x>&", "<?x ", "<!x '", "<x a='", "</x ", '{"a":[', "&a"],
)
@pytest.mark.cpu_seconds(10)
def test_takes_linear_time(type_: str, piece: str) -> None:
    text = piece * (100_000 // len(piece))
    found = evaluate_assert({"type": type_}, text)
    assert found.outcome in {"pass", "fail"}
