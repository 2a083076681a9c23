"""factuality and model-graded-closedqa: one letter, wherever it stands, and never two."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.judges import CONTEXT, judge, models, parts_of

from llmgate.record.schema import Outcome
from llmgate.suite.asserts import AssertSpec

if TYPE_CHECKING:
    from llmgate.score.assertion.models import JudgeRequest

FACTS = AssertSpec(type="factuality", value="Greets {{ name }}.")
CLOSED = AssertSpec(type="model-graded-closedqa", value="Greets {{ name }}")


def test_the_reference_is_fenced_like_the_answer() -> None:
    seen: list[JudgeRequest] = []
    judge(FACTS, models('{"category": "C"}', seen=seen))
    assert parts_of(seen[0]) == {"question": "Greet Ina.", "reference": "Greets Ina.", "answer": "Hello Ina!"}


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"reason": "not (D)", "category": "A"}', 1),
        ({"category": "d"}, 0),
        ("I first took (A). {'category': 'D'}", 0),
        ('{"days": 3} and so {"category": "D"}', 0),
        ("**(D)** They differ, so (d).", 0),
        ("[D) they differ", 0),
        ("It uses {braces}, so (D).", 0),
        ("D)", 0),
    ],
)
def test_a_category_is_read_wherever_it_stands(reply: object, score: float) -> None:
    assert judge(FACTS, models(reply)).score == score


@pytest.mark.parametrize(
    "reply",
    [
        "they'd)",
        "(i.e) so",
        "(see above)",
        "(A/B)",
        "(A, B)",
        "(F)",
        "A",
        "\u0410)",
        '{"category": ""}',
        '{"category": null} (C)',
        '{"category": "CC"}',
        '{"category": ["C"]}',
        '{"category": "A"} {"category": "D"}',
        "(A or D)",
        "(A) or (B)",
        '{"reason": "option (B) is right"}',
        '{"days": 3} (B)',
        '{"category": "C"',
        ["C"],
    ],
)
@pytest.mark.parametrize("negated", [False, True])
def test_a_reply_without_one_category_is_an_error(reply: object, negated: bool) -> None:
    assert judge(replace(FACTS, negated=negated), models(reply)).outcome is Outcome.ERROR


@pytest.mark.parametrize(
    "options",
    [
        {"subset": 2},
        {"subset": -0.1},
        {"subset": "1"},
        {"subset": True},
        {"subset": None},
        {"subset": float("nan")},
        {"subet": 1},
        {"disagree": 1},
        [],
        "all",
    ],
)
def test_scores_of_categories_that_make_no_sense_are_an_error(options: object) -> None:
    context = replace(CONTEXT, options={"factuality": options})
    for spec in (FACTS, replace(FACTS, negated=True)):
        seen: list[JudgeRequest] = []
        assert judge(spec, models('{"category": "C"}', seen=seen), context).outcome is Outcome.ERROR
        assert seen == []


def test_a_category_is_worth_what_the_test_says() -> None:
    context = replace(CONTEXT, options={"factuality": {"superset": 0.4, "disagree": 0.1}, "other": 1})
    results = [judge(FACTS, models(f'{{"category": "{letter}"}}'), context) for letter in "ABCDE"]
    assert [result.score for result in results] == [1, 0.4, 1, 0.1, 1]


@pytest.mark.parametrize(
    ("reply", "passed"),
    [
        ('{"reason": "N would be wrong", "meets_criterion": "Y"}', True),
        ('{"reason": "r", "meets_criterion": "N"}', False),
        ({"meets_criterion": "N"}, False),
        ("It uses {braces. Y", True),
        ("Y\nThe answer greets.\n\nY", True),
    ],
)
def test_a_letter_is_read(reply: object, passed: bool) -> None:
    assert judge(CLOSED, models(reply)).outcome is (Outcome.PASS if passed else Outcome.FAIL)


@pytest.mark.parametrize(
    "reply",
    [
        '{"meets_criterion": "Y"} N {"meets_criterion": "N"}',
        '{"meets_criterion": "y"}',
        '{"meets_criterion": true}',
        '{"meets_criterion": ["Y"]}',
        '{"meets_criterion": "Y"',
        "{'meets_criterion': 'Y'}",
        "Not N. N or Y? Y",
        "Y\u200b",
        "Y!",
        {"answer": "Y"},
        ["Y"],
        "",
    ],
)
@pytest.mark.parametrize("negated", [False, True])
def test_a_reply_without_one_letter_is_an_error(reply: object, negated: bool) -> None:
    assert judge(replace(CLOSED, negated=negated), models(reply)).outcome is Outcome.ERROR


@given(st.text(alphabet='YNyn \n.{}"') | st.text())
def test_only_a_last_word_that_is_the_letter_counts(reply: str) -> None:
    result = judge(CLOSED, models(reply))
    if result.outcome is not Outcome.ERROR:
        assert reply.rsplit(maxsplit=1)[-1] == ("Y" if result.outcome is Outcome.PASS else "N")


@pytest.mark.parametrize("type_", ["factuality", "model-graded-factuality", "model-graded-closedqa"])
@pytest.mark.parametrize("value", [None, 3, True, [], ["a"], {"a": "b"}, "", " ", "{{ no }}"])
def test_broken_rules_are_errors(type_: str, value: object) -> None:
    for negated in (False, True):
        spec = AssertSpec(type=type_, value=value, negated=negated)  # type: ignore[arg-type]
        assert judge(spec, models('{"category": "C", "meets_criterion": "Y"}')).outcome is Outcome.ERROR
