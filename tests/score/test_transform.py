"""Named transforms: what they take, and that taking nothing is never a pass."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.transform import NAMES

SIMPLE = sorted(name for name in NAMES if not name.endswith(":"))


@pytest.mark.parametrize(
    "transform",
    [
        "",
        "nope",
        "upper:",
        "upper:x",
        "after",
        "after:",
        "match:(",
        ["trim", "Trim"],
        "json:",
        "findall:x",
        "findall:0:",
        "findall:0:(",
        "findall:+1:a",
        "findall:12345:a",
        "remove:(",
        "remove",
    ],
)
def test_what_does_not_exist_is_an_error_whatever_the_output(transform: object) -> None:
    for type_ in ("contains", "not-contains"):
        assert evaluate_assert({"type": type_, "value": "a", "transform": transform}, "a").outcome == "error"


@pytest.mark.parametrize(
    ("transform", "output", "left"),
    [
        ("trim", " \ufeffa\n", "a"),
        ("upper", "paris", "PARIS"),
        ("findall:0:[0-9]+", "7, 8, 9", "7"),
        ("findall:-1:[0-9]+", "7, 8, 9", "9"),
        ("findall:1:[0-9]+", "7, 8, 9", "8"),
        ("findall:0:is (.*)", "it is  7 \n8", "7"),
        ("findall:-1:(x)|(y)", "x y", "y"),
        ("findall:0:a:(b)", "a:b", "b"),
        ("remove:[, ]", "1, 007", "1007"),
        ("remove:(?s).*#### ", "so\n#### 7", "7"),
        ("collapse-whitespace", " a \n\t b ", "a b"),
        ("nfkc", "ﬁ①", "fi1"),
        ("first-line", "\n a \nb", "a"),
        ("last-line", "a\nb\n\n", "b"),
        ("code-block", "x\n```py\na\n```\n```\nb\n```", "a"),
        ("last-code-block", "x\n```py\na\n```\n~~~\nb\n```\n~~~", "b\n```"),
        ("json", 'so {x} is [1, {"a": "]"}] yes', '[1, {"a": "]"}]'),
        ("strip-thinking", "<think>Rome?</think>\nParis", "Paris"),
        ("strip-thinking", "Paris", "Paris"),
        ("strip-markdown", "# **Paris**\n- `a`\n> b", "Paris\na\nb"),
        ("after:####", "1 #### 2 #### 3", "3"),
        ("before:. ", "Paris. It is.", "Paris"),
        ("match:is (\\w+)", "It is 🌍 or is Paris", "Paris"),
        (["strip-thinking", "after:is ", "lower"], "<think>x</think>It is PARIS", "paris"),
    ],
)
def test_what_is_left(transform: object, output: str, left: str) -> None:
    got = evaluate_assert({"type": "equals", "value": left, "transform": transform}, output)
    assert got.outcome == "pass", got.reason


@pytest.mark.parametrize(
    ("transform", "output"),
    [
        ("code-block", "no code"), ("code-block", "```\nnever closed"), ("json", "{x}"), ("json", '{"a": '),
        ("first-line", " \n"), ("after:####", "72"), ("match:[0-9]+", "none"), ("strip-thinking", "<think>Paris"),
    ],
)  # fmt: skip
def test_where_nothing_is_left_an_assert_fails_and_its_negation_cannot_be_evaluated(
    transform: str, output: str
) -> None:
    got = evaluate_assert({"type": "contains", "value": "Rome", "transform": transform}, output)
    assert (got.outcome, got.score) == ("fail", 0.0)
    assert evaluate_assert({"type": "not-contains", "value": "Rome", "transform": transform}, output).outcome == "error"


def test_a_judge_sees_what_is_left() -> None:
    seen: list[str] = []
    spec = {"type": "llm-rubric", "value": "is a city", "transform": "strip-thinking"}

    def judge(prompt: str) -> str:
        seen.append(prompt)
        return '{"pass": true}'

    assert evaluate_assert(spec, "<think>secret</think>Paris", judge=judge).outcome == "pass"
    assert "Paris" in seen[0]
    assert "secret" not in seen[0]


@given(st.text(), st.sampled_from(SIMPLE))
def test_no_text_breaks_a_transform(output: str, name: str) -> None:
    got = evaluate_assert({"type": "contains", "value": "a", "transform": name}, output)
    assert got.outcome in {"pass", "fail"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_in_prose_is_always_found(value: object) -> None:
    written = json.dumps({"v": value})
    spec = {"type": "is-json", "transform": "json"}
    assert evaluate_assert(spec, f"Here (as asked): {written}. Done.").outcome == "pass"


@pytest.mark.parametrize(
    "bait", ["[" * 500_000, '{"a": "' * 60_000, "```\n" * 200_000, "<think>" * 100_000, "*" * 900_000]
)
def test_large_bait_ends(bait: str) -> None:
    for name in SIMPLE:
        assert evaluate_assert({"type": "contains", "value": "a", "transform": name}, bait).outcome in {"pass", "fail"}


def test_json_nested_too_deeply_is_no_other_json() -> None:
    deep = "[" * 100_000 + "1" + "]" * 100_000
    for name, outcome in (("is-json", "fail"), ("not-is-json", "error")):
        got = evaluate_assert({"type": name, "transform": ["json"]}, f"Here: {deep}")
        assert (got.outcome, "nested too deeply" in got.reason) == (outcome, True)
