"""JSON values on lines of their own inside a text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import CannotRunError
from llmgate.score.structured.extract import find_json_blocks


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('x\n{"a": 1}\ny', [{"a": 1}]),
        ('x\n {"a":\n [1]} \ny', [{"a": [1]}]),
        ('x {"a": 1}', []),
        ('{"a": 1} x', []),
        ('{"a": 1}\n[2]\n{"b": 3}', [{"a": 1}, [2], {"b": 3}]),
        ('{"a": "}"}\n', [{"a": "}"}]),
        ('{"a": "\\"}"}', [{"a": '"}'}]),
        ('```json\n{"a": 1}\n```', []),
        ('```\nx\n```\n{"a": 1}', [{"a": 1}]),
        ('- ```\n  x\n{"a": 1}', [{"a": 1}]),
        ('{ "open\n{"a": 1}', [{"a": 1}]),
        ('{\n{"a": 1}\n', [{"a": 1}]),
        ('{\n{"a": 1}\n]', [{"a": 1}]),
        ('[see:\n{"a": 1}\n]', [{"a": 1}]),
        ('{not json\n{"a": [{"b": 1}]}\n}', [{"a": [{"b": 1}]}]),
        ("{not json}", []),
        ("no bracket", []),
        ("", []),
    ],
)
def test_blocks(text: str, found: list[object]) -> None:
    assert list(find_json_blocks(text)) == found


@pytest.mark.cpu_seconds(20)
def test_a_tangle_is_an_error_and_takes_no_quadratic_time() -> None:
    with pytest.raises(CannotRunError, match="tangled"):
        list(find_json_blocks("{x\n" * 60_000 + "}\n" * 60_000))
    with pytest.raises(CannotRunError, match="without a partner"):
        list(find_json_blocks("{" * 100_000))
    with pytest.raises(CannotRunError, match="without a partner"):
        list(find_json_blocks("}" * 100_000))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: isinstance(value, list | dict))


@given(st.lists(values, max_size=4), st.sampled_from([None, 2]))
def test_what_is_written_on_lines_of_its_own_is_found(written: list[object], indent: int | None) -> None:
    text = "Here:\n" + "".join(f"{json.dumps(value, indent=indent)}\n\nand\n" for value in written)
    assert list(find_json_blocks(text)) == written


@given(st.text(alphabet='{}[]":,\\\n `a1'))
def test_any_text_is_read(text: str) -> None:
    assert all(isinstance(value, list | dict) for value in find_json_blocks(text))
