"""Paths into JSON documents."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import SuiteError
from llmgate.score.structured.path import MISSING, JsonPath

DOCUMENT: Any = {"a": {"b": [10, {"c d": 1}, 30]}, "日": True, "": {"x": None}, "n": [[1, 2], []]}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [DOCUMENT]),
        ("$.a.b[0]", [10]),
        ("$['a'][\"b\"][-1]", [30]),
        ("$.a.b[1]['c d']", [1]),
        ("$.a.b[*]", [10, {"c d": 1}, 30]),
        ("$.a.b[*]['c d']", [MISSING, 1, MISSING]),
        ("$.n[*][*]", [1, 2]),
        ("$.a[*][0]", [10]),
        ("$.日", [True]),
        ("$[''].x", [None]),
        ('$["\\u0061"].b[0]', [10]),
        ("$.a.b[3]", [MISSING]),
        ("$.a.b[-4]", [MISSING]),
        ("$.a[0]", [MISSING]),
        ("$.a.b.c", [MISSING]),
        ("$.日[*]", [MISSING]),
        ("$.n[1][*]", []),
    ],
)
def test_what_paths_lead_to(path: str, found: list[object]) -> None:
    assert JsonPath.compile(path).find(DOCUMENT) == found


@pytest.mark.parametrize(
    "path",
    ["", "a.b", "$a", "$.", "$..a", "$.a-b", "$.0", "$[00]", "$[-0]", "$[1:2]", "$[?(@.a)]", "$[a]", "$.*", "$['a",
     "$.a ", "$[\"\\x\"]", "$['a'b]", "$[0", "$" + ".a" * 101, None, 3],
)  # fmt: skip
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises(SuiteError, match="path"):
        JsonPath.compile(path)


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("$.a.b[0]", {"a": {"b": [2, 3]}, "c": [{"t": 1, "u": 2}, 5]}),
        ("$.a.b[-1]", {"a": {"b": [1, 2]}, "c": [{"t": 1, "u": 2}, 5]}),
        ("$.c[*].t", {"a": {"b": [1, 2, 3]}, "c": [{"u": 2}, 5]}),
        ("$.c[*]", {"a": {"b": [1, 2, 3]}, "c": []}),
        ("$[*]", {}),
        ("$.x.y", {"a": {"b": [1, 2, 3]}, "c": [{"t": 1, "u": 2}, 5]}),
    ],
)
def test_what_is_left_without_a_path(path: str, left: object) -> None:
    document: Any = {"a": {"b": [1, 2, 3]}, "c": [{"t": 1, "u": 2}, 5]}
    before = copy.deepcopy(document)
    assert JsonPath.compile(path).without(document) == left
    assert document == before


@settings(deadline=None)
@given(st.text() | st.text(alphabet="$.[]'\"*-019ab\\").map(lambda text: "$" + text))
def test_any_text_is_a_path_or_a_suite_error(path: str) -> None:
    try:
        found = JsonPath.compile(path).find(DOCUMENT)
    except SuiteError:
        return
    assert path.startswith("$")
    assert found or "[*]" in path
