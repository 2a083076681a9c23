"""conversation-relevance: a window for each turn, and a verdict that is yes or no."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.judges import CONTEXT, judge, models, parts_of

from llmgate import evaluate_assert
from llmgate.errors import EndpointError
from llmgate.record.schema import Message, Outcome
from llmgate.suite.asserts import AssertSpec

if TYPE_CHECKING:
    from llmgate.score.assertion.models import JudgeRequest

RELEVANT = AssertSpec(type="conversation-relevance")
TURNS = [{"input": f"question {n}", "output": f"reply {n}"} for n in range(1, 5)]
YES, NO = '{"reason": "so", "verdict": "yes"}', '{"reason": "off the point", "verdict": "no"}'
RECORDED = replace(CONTEXT, variables={"_conversation": TURNS})


@pytest.mark.parametrize(
    ("replies", "threshold", "outcome", "score"),
    [
        ([YES], None, "pass", 1.0),
        ([NO], None, "fail", 0.0),
        ([YES, NO, YES, NO], None, "pass", 0.5),
        ([YES, NO, NO, NO], None, "fail", 0.25),
        ([YES, NO, YES, YES], 0.75, "pass", 0.75),
        ([YES, NO, YES, YES], 0.8, "fail", 0.75),
        ([YES], 1.5, "fail", 1.0),
    ],
)
def test_the_score_is_the_share_of_turns(
    replies: list[str], threshold: float | None, outcome: str, score: float
) -> None:
    result = judge(replace(RELEVANT, threshold=threshold), models(*replies), RECORDED)
    assert (result.outcome, result.score) == (Outcome(outcome), score)
    assert len(result.judgements) == len(TURNS)
    if threshold is None:
        inverse = judge(replace(RELEVANT, negated=True), models(*replies), RECORDED)
        assert (inverse.score, inverse.outcome is result.outcome) == (1 - score, False)
    assert ("off the point" in result.reason) == (NO in replies)


def test_the_window_slides() -> None:
    seen: list[JudgeRequest] = []
    judge(replace(RELEVANT, config={"windowSize": 2}), models(YES, seen=seen), RECORDED)
    earlier = [f'[{{"user":"question {n}","assistant":"reply {n}"}}]' for n in (1, 2, 3)]
    assert [list(parts_of(request).values()) for request in seen] == [
        ["question 1", "reply 1"],
        [earlier[0], "question 2", "reply 2"],
        [earlier[1], "question 3", "reply 3"],
        [earlier[2], "question 4", "reply 4"],
    ]


def test_the_window_is_five_turns_wide_unless_told_otherwise() -> None:
    seen: list[JudgeRequest] = []
    judge(RELEVANT, models(YES, seen=seen), replace(CONTEXT, variables={"_conversation": TURNS * 2}))
    turns = [json.loads(parts_of(request).get("earlier-turns", "[]")) for request in seen]
    assert [len(earlier) for earlier in turns] == [0, 1, 2, 3, 4, 4, 4, 4]


def test_the_answer_can_end_a_recorded_conversation() -> None:
    seen: list[JudgeRequest] = []
    result = judge(replace(RELEVANT, config={"answer": True}), models(YES, YES, YES, YES, NO, seen=seen), RECORDED)
    assert result.score == 0.8
    assert list(parts_of(seen[-1]).values())[-2:] == [CONTEXT.prompt, CONTEXT.text]


@pytest.mark.parametrize("column", [None, [], ""])
def test_without_a_recorded_conversation_the_prompt_and_the_answer_are_one_turn(column: object) -> None:
    seen: list[JudgeRequest] = []
    context = replace(CONTEXT, variables={} if column is None else {"_conversation": column})
    assert judge(RELEVANT, models(YES, seen=seen), context).outcome is Outcome.PASS
    assert [parts_of(request) for request in seen] == [{"question": "Greet Ina.", "answer": "Hello Ina!"}]


def test_the_messages_of_a_case_are_what_the_answer_follows() -> None:
    seen: list[JudgeRequest] = []
    messages = (
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hi!"),
        Message(role="assistant", content="Hello, who are you?"),
        Message(role="user", content="Ina."),
        Message(role="user", content="Greet me."),
    )
    result = judge(RELEVANT, models(NO, seen=seen), replace(CONTEXT, messages=messages))
    assert (result.outcome, result.score) == (Outcome.FAIL, 0.0)
    assert [parts_of(request) for request in seen] == [
        {
            "earlier-turns": '[{"user":"Hi!","assistant":"Hello, who are you?"}]',
            "question": "Ina.\n\nGreet me.",
            "answer": "Hello Ina!",
        }
    ]


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I cannot judge that.",
        "{}",
        '{"verdict": "Yes"}',
        '{"verdict": true}',
        '{"verdict": null}',
        '{"verdict": "yes"} {"verdict": "no"}',
        '{"verdict": "yes", "inner": {"verdict": "no"}}',
        '{"verdict": "ye',
        EndpointError("refused"),
    ],
)
def test_a_reply_without_a_verdict_is_an_error(reply: object, negated: bool) -> None:
    spec = replace(RELEVANT, negated=negated)
    assert judge(spec, models(reply)).outcome is Outcome.ERROR
    # One window that cannot be judged is not outweighed by the others.
    assert judge(spec, models(YES, reply, YES), RECORDED).outcome is Outcome.ERROR


@pytest.mark.parametrize("type_", ["conversation-relevance", "not-conversation-relevance"])
@pytest.mark.parametrize(
    ("fields", "variables"),
    [
        ({"value": "polite"}, {}),
        ({"threshold": 0}, {}),
        ({"config": {"windowSize": 0}}, {}),
        ({"config": {"windowSize": "5"}}, {}),
        ({"config": {"answer": "yes"}}, {}),
        ({"config": {"window": 3}}, {}),
        ({}, {"_conversation": "a text"}),
        ({}, {"_conversation": {"input": "a", "output": "b"}}),
        ({}, {"_conversation": ["a"]}),
        ({}, {"_conversation": [{"input": "a"}]}),
        ({}, {"_conversation": [{"output": "a"}]}),
        ({}, {"_conversation": [{"input": "a", "output": " "}]}),
        ({}, {"_conversation": [{"input": "a", "output": "b"}] * 500}),
    ],
)
def test_a_bad_rule_or_conversation_is_an_error(type_: str, fields: dict[str, Any], variables: dict[str, Any]) -> None:
    found = evaluate_assert({"type": type_, **fields}, "x", prompt="p", vars=variables, judge=lambda _: YES)
    assert found.outcome == "error"


def test_an_answer_to_no_prompt_is_an_error() -> None:
    assert evaluate_assert({"type": "conversation-relevance"}, "x", judge=lambda _: YES).outcome == "error"
