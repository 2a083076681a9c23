"""prefer: both orders are asked, so a judge that favours a place gets nobody anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.judges import CONTEXT, judge, models, parts_of

from llmgate.errors import EndpointError, SuiteError
from llmgate.record.schema import Outcome
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, Models
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.asserts import AssertSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.suite.asserts import Json

BETTER = AssertSpec(type="prefer", value="Hi {{ name }}.")


def choosing(choose: Callable[[str, str], str]) -> Models:
    async def ask(request: JudgeRequest) -> JudgeReply:
        parts = parts_of(request)
        better = choose(parts["first-answer"], parts["second-answer"])
        return JudgeReply(content=f'{{"reason": "because", "better": "{better}"}}')

    return Models(judges={"": ask})


def longer(first: str, second: str) -> str:
    return "tie" if len(first) == len(second) else "first" if len(first) > len(second) else "second"


@pytest.mark.parametrize(
    ("choose", "score", "outcome"),
    [
        (longer, 1.0, Outcome.PASS),
        (lambda a, b: longer(b, a), 0.0, Outcome.FAIL),
        (lambda *_: "tie", 0.5, Outcome.PASS),
        (lambda *_: "first", 0.5, Outcome.PASS),
        (lambda *_: "second", 0.5, Outcome.PASS),
        (lambda a, b: "tie" if a > b else longer(a, b), 0.75, Outcome.PASS),
    ],
)
def test_both_orders_are_averaged(choose: Callable[[str, str], str], score: float, outcome: Outcome) -> None:
    result = judge(BETTER, choosing(choose))
    assert (result.score, result.outcome) == (score, outcome)
    assert len(result.judgements) == 2
    inverse = judge(replace(BETTER, negated=True), choosing(choose))
    assert (inverse.score, inverse.outcome is result.outcome) == (1 - score, False)


def test_orders_that_disagree_are_named() -> None:
    assert "disagree" in judge(BETTER, choosing(lambda *_: "first")).reason
    assert "in both orders" in judge(BETTER, choosing(longer)).reason
    assert judge(replace(BETTER, threshold=0.6), choosing(lambda *_: "first")).outcome is Outcome.FAIL


def test_each_answer_is_shown_in_each_place() -> None:
    seen: list[JudgeRequest] = []
    judge(replace(BETTER, config={"criterion": "Is kind to {{ name }}"}), models('{"better": "tie"}', seen=seen))
    parts = [parts_of(request) for request in seen]
    assert [(one["first-answer"], one["second-answer"]) for one in parts] == [
        ("Hello Ina!", "Hi Ina."),
        ("Hi Ina.", "Hello Ina!"),
    ]
    assert {one["criterion"] for one in parts} == {"Is kind to Ina"}


def test_the_same_answer_is_a_tie_without_asking() -> None:
    seen: list[JudgeRequest] = []
    result = judge(BETTER, models("never", seen=seen), replace(CONTEXT, output="Hi Ina."))
    assert (result.score, result.outcome, seen) == (0.5, Outcome.PASS, [])


@pytest.mark.parametrize(
    "reply",
    [
        "first",
        '{"better": "First"}',
        '{"better": "1"}',
        '{"better": "both"}',
        '{"better": null}',
        '{"better": ["first"]}',
        '{"better": "first"} {"better": "second"}',
        "{better: first}",
        '{"better": "first"',
        EndpointError("gone"),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("negated", [False, True])
def test_one_order_without_a_verdict_is_an_error(reply: object, place: int, negated: bool) -> None:
    replies: list[object] = ['{"better": "first"}', '{"better": "second"}']
    replies[place] = reply
    assert judge(replace(BETTER, negated=negated), models(*replies)).outcome is Outcome.ERROR


@pytest.mark.parametrize(
    ("value", "fields", "message"),
    [
        ("", {}, "empty"),
        (3, {}, "must be a text, not 3"),
        (["a"], {}, "must be a text"),
        ("a", {"threshold": 0.0}, "cannot fail"),
        ("a", {"threshold": 1.1}, "no score is above 1"),
        ("a", {"config": {"criterion": " "}}, "is empty"),
    ],
)
def test_broken_rules_are_refused(value: Json, fields: dict[str, object], message: str) -> None:
    for negated in (False, True):
        spec = replace(AssertSpec(type="prefer", value=value, negated=negated), **fields)  # type: ignore[arg-type]
        with pytest.raises(SuiteError) as caught:
            VOCABULARY.prepare(spec)
        assert message in str(caught.value)


BEST = AssertSpec(type="select-best", value="Is kind to {{ name }}", config={"others": "Hi {{ name }}."})


@pytest.mark.parametrize(
    ("choose", "score", "outcome"),
    [
        (longer, 1.0, Outcome.PASS),
        (lambda a, b: longer(b, a), 0.0, Outcome.FAIL),
        (lambda *_: "tie", 0.5, Outcome.PASS),
        (lambda *_: "first", 0.5, Outcome.PASS),
    ],
)
def test_the_best_is_what_no_other_beats(choose: Callable[[str, str], str], score: float, outcome: Outcome) -> None:
    result = judge(BEST, choosing(choose))
    assert (result.score, result.outcome) == (score, outcome)
    inverse = judge(replace(BEST, negated=True), choosing(choose))
    assert (inverse.score, inverse.outcome is result.outcome) == (1 - score, False)


def test_of_several_others_the_best_counts_and_the_same_answer_is_not_asked_about() -> None:
    others: list[Json] = ["Hi.", "Hello Ina!", "Hello Ina, how are you?", "Hi."]
    result = judge(replace(BEST, config={"others": others}), choosing(longer))
    assert (result.score, result.outcome, len(result.judgements)) == (0.0, Outcome.FAIL, 4)
    same = judge(replace(BEST, config={"others": ["Hello Ina!"]}), models("never"))
    assert (same.score, same.outcome, same.judgements) == (0.5, Outcome.PASS, ())
    strict = replace(BEST, config={"others": ["Hello Ina!"]}, threshold=1)
    assert judge(strict, models("never")).outcome is Outcome.FAIL


def test_the_criterion_is_shown_and_who_answered_is_not() -> None:
    seen: list[JudgeRequest] = []
    judge(BEST, models('{"better": "tie"}', seen=seen))
    assert [parts_of(request)["criterion"] for request in seen] == ["Is kind to Ina"] * 2
    assert {parts_of(request)["first-answer"] for request in seen} == {"Hello Ina!", "Hi Ina."}


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"config": {}},
        {"config": {"others": ""}},
        {"config": {"others": []}},
        {"config": {"others": ["a", " "]}},
        {"config": {"others": 5}},
        {"config": {"others": "{{ nothing }}"}},
        {"value": ""},
        {"value": 5},
        {"value": None, "has_value": False},
        {"threshold": 0},
    ],
)
def test_a_field_of_one_or_a_bad_rule_is_an_error(changes: dict[str, object], negated: bool) -> None:
    spec = replace(BEST, negated=negated, **changes)  # type: ignore[arg-type]
    assert judge(spec, choosing(longer)).outcome is Outcome.ERROR


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("reply", ["", "no", "{}", '{"better": 1}', EndpointError("refused")])
def test_a_judge_that_does_not_choose_is_an_error_of_select_best(reply: object, negated: bool) -> None:
    assert judge(replace(BEST, negated=negated), models(reply)).outcome is Outcome.ERROR


def test_select_best_says_what_it_needs() -> None:
    with pytest.raises(SuiteError, match="a run asks one model") as refused:
        VOCABULARY.prepare(replace(BEST, config={}))
    assert "champion" in str(refused.value.fix)
