"""JSON objects in a judge's reply, as loose as models write them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import JudgeError
from llmgate.score.assertion.models import JudgeReply
from llmgate.score.judge.reply import find_objects, objects_with


@pytest.mark.parametrize(
    ("reply", "objects"),
    [
        ("no braces", []),
        ("I use {braces} and {more braces}.", []),
        ("{x: the value} then {'pass': True}", [{"x": "the value"}, {"pass": True}]),
        ("{a: [1, 'two', {b: None}, [],],}", [{"a": [1.0, "two", {"b": None}, []]}]),
        ("{'a': 'it\\'s \\u00e9\\n'}", [{"a": "it's é\n"}]),
        ("{a: -1.5e1, b: ~, c: .5, d: yes}", [{"a": -15.0, "b": None, "c": 0.5, "d": "yes"}]),
        ("{a: 1, /* {b: 2} */ c: 3 // {d: 4}\n}", [{"a": 1.0, "c": 3.0}]),
        ('[{"a": {"b": 1}}, {"c": 2}]', [{"a": {"b": 1}}, {"c": 2}]),
        ('{"a" 1} {"b": 2}', [{"b": 2}]),
        ("{1: 2}{[: 1}{a b: c}{}", [{}]),
        ('{"a": "} {"}', [{"a": "} {"}]),
    ],
)
def test_found(reply: str, objects: list[object]) -> None:
    assert find_objects(reply) == objects


@pytest.mark.parametrize(
    "reply", ["{", '{"a', "{'a': 1", "{a: [1,", "{a: tru", "{a: 1, // x", '{"a": 1} {"b', "{a: /* x"]
)
def test_what_is_cut_off_is_an_error(reply: str) -> None:
    with pytest.raises(JudgeError, match="cut off"):
        find_objects(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "{a: }",
        "{a: 1 b: 2}",
        "{a: " + "[" * 60 + "]" * 60 + "}",
        '{"pass": false "score": 0} and not {"pass": true}',
        '{"pass": false, "reason": "he said "fine"", "instead_of": {"pass": true}}',
    ],
)
def test_an_object_that_cannot_be_read_hides_nothing(reply: str) -> None:
    with pytest.raises(JudgeError, match="cannot be read"):
        find_objects(reply)


@pytest.mark.parametrize(
    "reply", ['{"a": 1, "a": 1}', "{a: 1, 'a': 2}", '{"b": {"a": 1, "a": 2}}', "{b: [{a: 1, a: 2}]}"]
)
def test_a_key_stands_in_an_object_once(reply: str) -> None:
    with pytest.raises(JudgeError, match="the key 'a' stands twice"):
        find_objects(reply)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_none_is_no_strict_json(number: str) -> None:
    with pytest.raises(JudgeError, match="not JSON"):
        find_objects(f'{{"a": {number}}}', strict=True)


@pytest.mark.parametrize(
    "content",
    [
        '{"pass": true, "Pass": false}',
        '{"pass": true, " pass ": false}',
        '{"pass": true, "why": {"PASS": false}}',
        '{"pass": true, "why": [1, [{"pass": true}]]}',
        {"pass": True, "why": {"pass": True}},
    ],
)
def test_an_object_names_what_it_is_known_by_once(content: object) -> None:
    with pytest.raises(JudgeError, match="a second 'pass'"):
        objects_with(JudgeReply(content=content), "pass")


def test_other_keys_may_stand_anywhere() -> None:
    content = '{"pass": true, "reason": "says {\\"pass\\": false}", "why": {"reason": "r"}}'
    assert len(objects_with(JudgeReply(content=content), "pass", strict=True)) == 1


def test_a_verdict_in_a_comment_is_none() -> None:
    assert find_objects('{"pass": false, "score": 0.2 // not {"pass": true}\n}') == [{"pass": False, "score": 0.2}]


@settings(deadline=None)
@given(
    st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())),
    st.text(alphabet="ab \n.:"),
)
def test_strict_json_is_always_seen(value: dict[str, object], prose: str) -> None:
    assert find_objects(prose + json.dumps(value, ensure_ascii=False) + prose) == [value]
