"""Strict JSON, shallow and deep."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.score.structured.parse import _parse_deep, parse_json

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(documents, st.sampled_from([None, 1]))
def test_both_readers_agree_on_what_is_json(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert parse_json(text) == value
    assert _parse_deep(text) == value


@settings(deadline=None)
@given(st.text(alphabet='[]{}",:01.eE-+ \ntruefalsn\\'))
def test_both_readers_agree_on_what_is_not(text: str) -> None:
    try:
        value = parse_json(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - the two readers word it differently
            _parse_deep(text)
    else:
        assert _parse_deep(text) == value


@pytest.mark.parametrize("closing", ["", "]" * 4_999, "}" * 5_000, "]" * 5_000 + "x", "]" * 5_001])
def test_deep_text_that_is_not_json(closing: str) -> None:
    with pytest.raises(ValueError, match="at character|Expecting"):
        parse_json("[" * 5_000 + closing)


def test_long_integers_are_read_in_linear_time() -> None:
    assert parse_json("7" * 1_000) == int("7" * 1_000)
    assert parse_json("7" * 1_000_000) == math.inf
    assert parse_json("-" + "7" * 1_000_000) == -math.inf
    assert parse_json("9007199254740993") != parse_json("9007199254740992")
