from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.suite.form.promptfoo_csv import split_list


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a, b ,c", ["a", "b", "c"]),
        ('"a, b", c', ["a, b", "c"]),
        (r'"a \"b\" \\ \n"', [r'a "b" \ \n']),
        ('"a ""b"""', ['a "b"']),
        ('say "hi", x', ['say "hi"', "x"]),
        (",,a,", ["a"]),
        ("  ", []),
        ("a\nb", ["a\nb"]),
        ('" a "\u00a0, b', [" a ", "b"]),
    ],
)
def test_split(text: str, fields: list[str]) -> None:
    assert split_list(text) == fields


@pytest.mark.parametrize("text", ['"a', '"a" b', '""', 'a, "b'])
def test_what_cannot_be_split(text: str) -> None:
    with pytest.raises(ValueError, match="quote"):
        split_list(text)


@settings(deadline=None)
@given(st.lists(st.text(min_size=1)))
def test_quoted_fields_come_back(fields: list[str]) -> None:
    text = ", ".join('"' + field.replace("\\", "\\\\").replace('"', '\\"') + '"' for field in fields)
    assert split_list(text) == fields
