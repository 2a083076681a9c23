"""g-eval: steps asked once for each criterion, a score from 0 to 10, weighted where the judge reports probabilities."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.judges import CONTEXT, judge, models, parts_of

from llmgate.errors import JudgeError, SuiteError
from llmgate.record.schema import Outcome
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, Models, Token
from llmgate.score.execute import run_consult
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.asserts import AssertSpec

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json

KIND = AssertSpec(type="g-eval", value="Is kind to {{ name }}")
STEPS = '{"steps": ["Read it.", "Look for a greeting."]}'
GIVEN = replace(KIND, config={"steps": ["Read it.", "Look for a greeting."]})


def of(score: object) -> str:
    return f'{{"reason": "fine", "score": {score}}}'


def test_the_steps_are_derived_from_the_criterion_and_shown_with_it() -> None:
    seen: list[JudgeRequest] = []
    result = judge(KIND, models(STEPS, of(8), seen=seen))
    assert (result.outcome, result.score) == (Outcome.PASS, 0.8)
    assert parts_of(seen[0]) == {"criterion": "Is kind to Ina"}
    assert parts_of(seen[1])["steps"] == "1. Read it.\n2. Look for a greeting."
    assert parts_of(seen[1])["answer"] == "Hello Ina!"
    assert (seen[0].top_logprobs, seen[1].top_logprobs) == (0, 20)
    assert seen[1].body["logprobs"] is True


def test_probabilities_are_not_asked_for_where_the_suite_says_so() -> None:
    seen: list[JudgeRequest] = []
    judge(replace(KIND, config={"logprobs": False}), models(STEPS, of(8), seen=seen))
    assert not any("logprobs" in request.body for request in seen)


def test_given_steps_are_not_asked_for() -> None:
    seen: list[JudgeRequest] = []
    assert judge(GIVEN, models(of(8), seen=seen)).score == 0.8
    assert len(seen) == 1


def counting(calls: list[str]) -> Models:
    async def ask(request: JudgeRequest) -> JudgeReply:
        about_steps = "answer" not in parts_of(request)
        calls.append("steps" if about_steps else "score")
        await asyncio.sleep(0)
        return JudgeReply(content=STEPS if about_steps else of(8))

    return Models(judges={"": ask, "b": ask})


def test_the_steps_of_a_criterion_are_asked_once_for_all_cases_of_a_run() -> None:
    calls: list[str] = []

    async def run(asked: Models) -> None:
        contexts = [replace(CONTEXT, output=str(number)) for number in range(5)]
        await asyncio.gather(*(run_consult(KIND, context, asked) for context in contexts))
        await run_consult(KIND, replace(CONTEXT, variables={"name": "Bo"}), asked)
        await run_consult(replace(KIND, judges=("b",)), CONTEXT, asked)

    asyncio.run(run(counting(calls)))
    assert calls.count("steps") == 3
    assert calls.count("score") == 7
    asyncio.run(run(counting(calls)))
    assert calls.count("steps") == 6


def test_probabilities_make_the_score_finer() -> None:
    alternatives = {"8": math.log(0.6), "6": math.log(0.4)}
    tokens = (
        Token(text='{"reason": "fine", "score": ', logprob=0.0),
        Token(text="8", logprob=math.log(0.6), alternatives=alternatives),
        Token(text="}", logprob=0.0),
    )
    result = judge(GIVEN, models(JudgeReply(content=of(8), tokens=tokens)))
    assert result.score == pytest.approx(0.72)
    assert judge(replace(GIVEN, threshold=0.75), models(JudgeReply(content=of(8), tokens=tokens))).outcome == "fail"


@pytest.mark.parametrize(
    "reply",
    [
        of("true"),
        of("null"),
        of('""'),
        of('" "'),
        of('"8/10"'),
        of("NaN"),
        of("1e999"),
        of(10.01),
        of("[8]"),
        '{"score": 8}',
        '{"score": 8, "reason": 5}',
        '{"score": 8, "reason": "\u00a0"}',
        "{'score': 8, 'reason': 'loose'}",
        f"{of(8)} {of(8)}",
        '{"result": {"score": 8, "reason": "r"}}',
        "8",
    ],
)
@pytest.mark.parametrize("negated", [False, True])
def test_a_reply_without_one_score_and_a_reason_is_an_error(reply: str, negated: bool) -> None:
    assert judge(replace(GIVEN, negated=negated), models(reply)).outcome is Outcome.ERROR


@pytest.mark.parametrize("reply", [f"Well: {of(8)} So.", f'{{"days": 30}} {of(8)}', {"score": 8, "reason": "r"}])
def test_a_score_may_stand_in_prose(reply: object) -> None:
    assert judge(GIVEN, models(reply)).score == 0.8


@pytest.mark.parametrize(
    "steps", ["{}", '{"steps": []}', '{"steps": ["a", 1]}', '{"steps": ["\u3000"]}', "[]", "1. Read."]
)
def test_steps_that_are_none_are_an_error(steps: str) -> None:
    assert judge(KIND, models(steps, of(9))).outcome is Outcome.ERROR


def test_a_failed_call_for_the_steps_is_tried_again_for_the_next_case() -> None:
    asked = models(JudgeError("gone"), STEPS, of(9))
    assert judge(KIND, asked).outcome is Outcome.ERROR
    assert judge(KIND, asked).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("value", "fields", "message"),
    [
        ("a", {"threshold": 0.0}, "cannot fail"),
        ("a", {"threshold": -1.0}, "cannot fail"),
        ([], {}, "empty"),
        ("", {}, "empty"),
        ("\u3000", {}, "empty"),
        (["a", ""], {}, "empty"),
        (["a", 3], {}, "must be a text, not 3"),
        ({"a": 1}, {}, "must be a text"),
        (None, {"has_value": False}, "no value"),
        ("a", {"config": {"steps": []}}, "1 to 20 texts"),
        ("a", {"config": {"steps": "Read."}}, "1 to 20 texts"),
        ("a", {"config": {"steps": ["a", " "]}}, "1 to 20 texts"),
        ("a", {"config": {"logprobs": "no"}}, "true or false"),
        (["a"], {"config": {"steps": ["a"]}}, "belong to one criterion"),
        ("a", {"config": {"step": ["a"]}}, "unknown setting 'step'. Did you mean steps"),
    ],
)
def test_broken_rules_are_refused(value: Json, fields: dict[str, object], message: str) -> None:
    for negated in (False, True):
        spec = replace(AssertSpec(type="g-eval", value=value, negated=negated), **fields)  # type: ignore[arg-type]
        with pytest.raises(SuiteError) as caught:
            VOCABULARY.prepare(spec)
        assert message in str(caught.value)
