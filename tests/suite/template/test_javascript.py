"""JavaScript's text, number, truth and white space rules. Expected values: Node.js 20, by hand from ECMA-262."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.suite.template import javascript
from llmgate.suite.template.javascript import UNDEFINED


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3, "3"), (3.0, "3"), (-0.0, "0"), (0.1, "0.1"), (1e-6, "0.000001"), (1e-7, "1e-7"), (1.5e-10, "1.5e-10"),
        (1e16, "10000000000000000"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (10**21, "1e+21"),
        (-1.25e25, "-1.25e+25"), (123456.789, "123456.789"), (5e-324, "5e-324"), (2**53 + 1, "9007199254740993"),
        (math.inf, "Infinity"), (-math.inf, "-Infinity"), (math.nan, "NaN"), (10**400, "Infinity"), (0.5, "0.5"),
        (100.0, "100"), (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
)  # fmt: skip
def test_number_text(number: float, text: str) -> None:
    assert javascript.number_text(number) == text


@settings(deadline=None)
@given(st.floats(allow_nan=False))
def test_number_text_reads_back(number: float) -> None:
    assert javascript.text_to_number(javascript.number_text(number)) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0), (" \ufeff\u3000", 0), ("3.0", 3), (" 42\n", 42), (".5", 0.5), ("5.", 5), ("1e3", 1000), ("0x1F", 31),
        ("0b11", 3), ("-Infinity", -math.inf), ("+1", 1), ("1e999", math.inf),
    ],
)  # fmt: skip
def test_text_to_number(text: str, number: float) -> None:
    assert javascript.text_to_number(text) == number


@pytest.mark.parametrize("text", ["3 words", "inf", "nan", "1_000", "0x", "-0x1", "٣", "1,5", "\u200b1", "true"])
def test_what_is_no_number(text: str) -> None:
    assert math.isnan(javascript.text_to_number(text))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"), (True, "true"), (UNDEFINED, "undefined"), ([1, [2, None], "x", True], "1,2,,x,true"),
        ({"a": 1}, "[object Object]"), ([], ""), ([{}], "[object Object]"),
    ],
)  # fmt: skip
def test_text(value: object, text: str) -> None:
    assert javascript.text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.0, True, None]}, '{"a":[1,2,true,null]}'),
        ({"é": "<b>\u2028\x7f\x01\""}, '{"é":"<b>\u2028\x7f\\u0001\\""}'),
        ("\ud83e", '"\\ud83e"'), ([math.nan, UNDEFINED], "[null,null]"), ({"x": UNDEFINED}, "{}"), ({}, "{}"),
    ],
)  # fmt: skip
def test_json_text(value: object, text: str) -> None:
    assert javascript.json_text(value) == text


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(json_values, st.sampled_from([0, 2]))
def test_json_text_reads_back(value: object, indent: int) -> None:
    assert json.loads(javascript.json_text(value, indent=indent), parse_int=float) == value


def test_words_are_split_at_javascript_white_space() -> None:
    assert javascript.words("\ufeffa\u00a0b\u3000c\u0085d\u200be\x1cf ") == ["a", "b", "c\u0085d\u200be\x1cf"]
    assert javascript.trim("\ufeff x\u2028") == "x"


def test_lengths_count_utf16_units() -> None:
    assert javascript.utf16_length("a🎉é") == 4


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("1", 1, True), (True, 1, True), (None, UNDEFINED, True), (None, 0, False), ("", 0, True), ([], [], False),
        ([1], "1", True), (math.nan, math.nan, False), ({}, "[object Object]", True), (True, "true", False),
    ],
)  # fmt: skip
def test_loose_equality(left: object, right: object, equal: bool) -> None:
    assert javascript.loosely_equal(left, right) is equal
    assert javascript.loosely_equal(right, left) is equal


def test_truth() -> None:
    assert not any(map(javascript.truthy, (None, UNDEFINED, 0, math.nan, "", False)))
    assert all(map(javascript.truthy, ([], {}, "0", -1, math.inf)))
