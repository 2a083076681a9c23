"""All texts of an output."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import CannotRunError
from llmgate.score.safety.scan import searchable_text

values = st.recursive(
    st.text(alphabet='abc\n"\\ü'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="abcü"), inner, max_size=3),
    max_leaves=8,
)


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for member in value.values() for text in texts(member))]
    return [text for item in value for text in texts(item)] if isinstance(value, list) else [str(value)]


@given(values)
def test_every_text_is_there_also_in_json(value: object) -> None:
    assert all(text in searchable_text(value) for text in texts(value))
    if isinstance(value, dict | list):
        assert all(text in searchable_text(json.dumps({"arguments": json.dumps(value)})) for text in texts(value))


def test_numbers_are_there() -> None:
    assert set(searchable_text({"a": [1, 2.5, None, True]}).split("\n")) == {"a", "1", "2.5", "null", "true"}


def test_deep_data_is_read_and_endless_data_is_an_error() -> None:
    deep: object = "x"
    for _ in range(100_000):
        deep = [deep]
    assert searchable_text(deep) == "x"
    with pytest.raises(CannotRunError, match="too many"):
        searchable_text("x" * 5_000_000)
