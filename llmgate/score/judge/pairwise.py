"""prefer and select-best: is the answer better than another one, such as the champion's? Is it the best of several?

Judges favour a place, mostly the first, whatever stands there. So both orders are asked and averaged: a win counts 1, a
tie 0.5, a loss 0. A judge that names the same place twice comes to 0.5, and the reason says that the orders disagree.

Reference: Zheng et al. (2023), Judging LLM-as-a-Judge, arXiv 2306.05685, section 3.4 (position bias, swapping).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from llmgate.errors import JudgeError
from llmgate.score.assertion import references
from llmgate.score.assertion.check import CheckContext, Consult, Finding
from llmgate.score.assertion.definition import ModelGradedKind
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.assertion.settings import least
from llmgate.score.assertion.together import all_of
from llmgate.score.judge.criterion import text_rule, text_setting
from llmgate.score.judge.prompt import REASON, Question
from llmgate.score.judge.reply import read_reason, the_object
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.score.assertion.models import JudgeReply, Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["DEFAULT_CRITERION", "TYPES", "Choice", "Side", "Vote", "ask_both_orders", "read_choice"]

Choice = Literal["first", "second", "tie"]
"""What a judge says: the place that it favours."""
Side = Literal["one", "other", "tie"]
"""What it means: the answer that it favours, wherever it stood."""

Vote = tuple[Side, str]
"""The answer that a judge favours, and why."""

DEFAULT_THRESHOLD: Final = 0.5
_OTHERS: Final = "others"
DEFAULT_CRITERION: Final = "The better answer is right, answers what was asked, and leaves out what was not."

_CHOICES: Final[tuple[Choice, ...]] = ("first", "second", "tie")
_SWAPPED: Final[Mapping[Choice, Side]] = {"first": "other", "second": "one", "tie": "tie"}
_STRAIGHT: Final[Mapping[Choice, Side]] = {"first": "one", "second": "other", "tie": "tie"}
_POINTS: Final[Mapping[Side, float]] = {"one": 1.0, "tie": 0.5, "other": 0.0}
_VERBS: Final[Mapping[Side, str]] = {"one": "wins", "tie": "ties", "other": "loses"}


def _prefer(spec: AssertSpec) -> Consult:
    rule, threshold = text_rule(spec, "other answer"), least(spec, DEFAULT_THRESHOLD)
    criterion = text_setting(spec, "criterion")

    async def consult(context: CheckContext, models: Models) -> Finding:
        other = rule.on(context)
        wanted = criterion.on(context) if criterion else DEFAULT_CRITERION
        if context.text == other:
            return Finding(threshold <= 0.5, 0.5, "both answers are the same, so it is a tie without asking")
        orders = await ask_both_orders(models, context.text, other, question=context.prompt, criterion=wanted)
        (straight, reason), (swapped, other_reason) = map(_raised, orders)
        points = (_POINTS[straight] + _POINTS[swapped]) / 2
        if straight == swapped:
            return Finding(
                points >= threshold, points, f"judge, in both orders: the answer {_VERBS[straight]}: {reason}"
            )
        disagreeing = f"shown first, the answer {_VERBS[straight]}, shown second, it {_VERBS[swapped]}"
        return Finding(points >= threshold, points, f"the orders disagree: {disagreeing}: {reason} / {other_reason}")

    return consult


def _select_best(spec: AssertSpec) -> Consult:
    rule, threshold = text_rule(spec, "criterion"), least(spec, DEFAULT_THRESHOLD)
    if _OTHERS not in spec.config:
        raise invalid_value(
            spec,
            "it picks one of several models' answers, and a run asks one model",
            'Put the champion\'s answers into a column and add `config: {others: "{{ champion }}"}`',
        )
    others = AssertRule.compile(
        replace(spec, value=spec.config[_OTHERS], has_value=True), lambda value: _other_answers(spec, value)
    )

    async def consult(context: CheckContext, models: Models) -> Finding:
        criterion = rule.on(context)
        answers = [other for other in dict.fromkeys(others.on(context)) if other != context.text]
        if not answers:
            return Finding(threshold <= 0.5, 0.5, "all answers are the same, so it is a tie without asking")
        asked = [
            ask_both_orders(models, context.text, other, question=context.prompt, criterion=criterion)
            for other in answers
        ]
        points, worst = 2.0, ""
        for orders in await all_of(asked):
            (straight, reason), (swapped, other_reason) = map(_raised, orders)
            won = (_POINTS[straight] + _POINTS[swapped]) / 2
            if won < points:
                points, worst = won, reason if straight != "one" else other_reason
        beaten = f"against the best of {len(answers)} others it comes to {points:g}, wanted {threshold:g}"
        return Finding(points >= threshold, points, f"{beaten}: {worst}")

    return consult


def _other_answers(spec: AssertSpec, value: object) -> list[str]:
    answers = references.texts(spec, value)
    if not all(map(javascript.trim, answers)):
        raise invalid_value(spec, "one of the others' answers is empty, so there is nothing to compare with")
    return answers


def _raised(vote: Vote | Exception) -> Vote:
    if isinstance(vote, Exception):
        raise vote
    return vote


async def ask_both_orders(
    models: Models, one: str, other: str, *, question: str, criterion: str
) -> tuple[Vote | Exception, Vote | Exception]:
    """Asks which of two answers is better, in both orders; what goes wrong with one leaves the other standing.

    Args:
        models: The judge is the default one.
        one: An answer.
        other: Another answer to the same question.
        question: What both answer.
        criterion: What makes an answer better.

    Returns:
        For each order the answer that the judge favours and why, or the error.
    """

    async def asked(first: str, second: str, sides: Mapping[Choice, Side]) -> Vote | Exception:
        case = {"question": question, "first-answer": first, "second-answer": second}
        try:
            choice, reason = await _QUESTION.ask(models, given={"criterion": criterion}, case=case)
        except Exception as error:  # noqa: BLE001 - handed to the caller
            return error
        return sides[choice], reason

    return await asyncio.gather(asked(one, other, _STRAIGHT), asked(other, one, _SWAPPED))


def read_choice(reply: JudgeReply) -> tuple[Choice, str]:
    """Reads which place a judge favours, and why.

    Raises:
        JudgeError: If it is not exactly one of the three.
    """
    verdict = the_object(reply, "better")
    for choice in _CHOICES:
        if verdict.get("better") == choice:
            return choice, read_reason(verdict)
    raise JudgeError(f"the judge's choice is {shown(verdict.get('better'))}, not first, second or tie")


_QUESTION: Final = Question(
    task="Two answers to the same question were given. Say which one is better by the criterion. Their order means "
    "nothing. If neither is better, it is a tie.",
    form='{"reason": why, in one or two sentences, "better": "first", "second" or "tie"}',
    reminder="Which answer is better? Reply with the JSON object.",
    properties={"reason": REASON, "better": {"type": "string", "enum": list(_CHOICES)}},
    read=read_choice,
)

TYPES: Final = (
    ModelGradedKind(
        id="prefer",
        use="you have the champion's answer; both orders are asked",
        passes="it is no worse than another answer, asked in both orders",
        score="1 win, 0.5 tie, 0 loss",
        value="the other answer",
        threshold="0.5",
        settings={"criterion": "what makes an answer better"},
        example={"value": "{{ x }}"},
        prepare=_prefer,
        prompts=(*_QUESTION.prompts, DEFAULT_CRITERION),
    ),
    ModelGradedKind(
        id="select-best",
        use="you have the answers of several others",
        passes="none of the others' answers is better, each asked in both orders",
        score="the least against any: 1 win, 0.5 tie, 0 loss",
        value="criterion",
        threshold="0.5",
        settings={"others": "the champion's answer, as `{{ column }}`, or a list of answers; must be there"},
        example={"value": "Is kind to {{ x }}", "config": {"others": "{{ x }}"}},
        prepare=_select_best,
        prompts=_QUESTION.prompts,
    ),
)
