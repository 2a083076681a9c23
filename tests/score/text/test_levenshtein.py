"""levenshtein counts UTF-16 units, and long texts stay cheap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.suite.template.javascript import utf16_units

letters = st.text(alphabet="ab\u00e9\U0001f98a\ud800", max_size=8)


def distance(left: list[int], right: list[int]) -> int:
    """Wagner and Fischer's table, row by row."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def utf16(text: str) -> list[int]:
    encoded = text.encode("utf-16-le", "surrogatepass")
    return [int.from_bytes(encoded[i : i + 2], "little") for i in range(0, len(encoded), 2)]


@given(letters)
def test_units_are_utf16(text: str) -> None:
    assert list(map(ord, utf16_units(text))) == utf16(text)


@given(letters, letters, st.integers(0, 9))
def test_the_verdict_is_that_of_the_textbook(left: str, right: str, most: int) -> None:
    found = evaluate_assert({"type": "levenshtein", "value": left, "threshold": most}, right)
    assert (found.outcome == "pass") == (distance(utf16(left), utf16(right)) <= most)


def test_a_reason_names_the_distance_or_the_limit() -> None:
    assert evaluate_assert({"type": "levenshtein", "value": "gate"}, "grates").reason == "2 edits, at most 5 wanted"
    far = evaluate_assert({"type": "levenshtein", "value": "gate", "threshold": 1.5}, "grates")
    assert far.reason == "more than 1 edits, at most 1.5 wanted"


@pytest.mark.parametrize("value", [7, None, ["a"], {"a": 1}, "{{ oops"])
@pytest.mark.parametrize("prefix", ["", "not-"])
def test_a_value_that_is_no_text_is_an_error(prefix: str, value: object) -> None:
    assert evaluate_assert({"type": f"{prefix}levenshtein", "value": value}, "a").outcome == "error"


@pytest.mark.cpu_seconds(5)
def test_a_long_output_takes_no_quadratic_time() -> None:
    found = evaluate_assert({"type": "levenshtein", "value": "b" * 300_000, "threshold": 20}, "a" * 300_000)
    assert found.outcome == "fail"
