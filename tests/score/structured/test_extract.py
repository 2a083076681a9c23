"""JSON objects inside a text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.score.structured.extract import find_json_objects
from llmgate.score.structured.parse import parse_json

PIECES = [
    "{",
    "}",
    "[",
    "]",
    '"',
    ":",
    ",",
    "1",
    '"a"',
    '{"a":1}',
    '{"a":"{}"}',
    "\\",
    " ",
    "x",
    "null",
    '"{',
    "-",
    "1.",
    "\n",
]


def by_trying_every_brace(text: str) -> list[object]:
    """The plain quadratic rule: the longest object from each brace, left to right, never inside one that was found."""
    found: list[object] = []
    position = 0
    while (position := text.find("{", position)) >= 0:
        for end in range(position + 1, len(text) + 1):
            try:
                found.append(parse_json(text[position:end]))
            except ValueError:
                continue
            position = end
            break
        else:
            position += 1
    return found


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_finds_what_the_plain_rule_finds(text: str) -> None:
    assert sorted(map(json.dumps, find_json_objects(text))) == sorted(map(json.dumps, by_trying_every_brace(text)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"code": "} end", "n": 1}', [{"code": "} end", "n": 1}]),
        ('{"a": {"b": 1} oops', [{"b": 1}]),
        ('{"a": [{"b": {}}, {"c": 1}', [{"b": {}}, {"c": 1}]),
        ('{"a": {"b": "{}"} oops', [{"b": "{}"}]),
        ('{ see "{"a": 1}" }', [{"a": 1}]),
        ('{"a": NaN} {"a": 01} {"a": 1.} {"a": \'1\'} {a: 1} {"a": 1,}', []),
        ('{"a": "\n"} {"a": "\\x"} {"a": "\\u12"}', []),
        ("[1, 2]", []),
        ('{"a":1,"a":2}', [{"a": 2}]),
    ],
)
def test_examples(text: str, found: list[object]) -> None:
    assert list(find_json_objects(text)) == found


def test_deep_objects_are_found() -> None:
    deep = '{"a":' * 10_000 + "1" + "}" * 10_000
    assert len(list(find_json_objects("see " + deep))) == 1


@pytest.mark.parametrize(
    "piece", ["{", '{"', '{"a":', '{"a":[', '{"a":1,', '{"a":"{', '{"a":"', '"{"a"', "{}", '{"\\"', '{"a":{} ', '" {"']
)
@pytest.mark.cpu_seconds(15)
def test_takes_linear_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    count = sum(1 for _ in find_json_objects(text))
    assert count in {0, len(text) // len(piece)}
