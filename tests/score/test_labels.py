"""A judge over labelled items: raw pairs, nothing left out, nothing averaged."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from support.judges import models, parts_of

from llmgate.errors import EndpointError
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, Models
from llmgate.score.labels import AnswerItem, PairItem, judge_answers, judge_pairs
from llmgate.suite.asserts import AssertSpec

KIND = AssertSpec(type="llm-rubric", value="Is kind", threshold=0.5)
ANSWERS = (
    AnswerItem(id="1", output="Hello", human=(True, True), cluster="x"),
    AnswerItem(id="2", output="Go away", human=(False, True)),
    AnswerItem(id="3", output="???", human=(None, False)),
)
SAID = {"Hello": '{"pass": true, "score": 0.9}', "Go away": '{"pass": false, "score": 0.1}', "???": "no idea"}


async def reading(request: JudgeRequest) -> JudgeReply:
    return JudgeReply(content=SAID[parts_of(request)["answer"]])


def test_each_answer_comes_back_with_its_labels_and_the_judges_word() -> None:
    judged = asyncio.run(judge_answers(ANSWERS, KIND, Models(judges={"": reading})))
    assert [(one.item.id, one.item.human, one.judge) for one in judged] == [
        ("1", (True, True), True),
        ("2", (False, True), False),
        ("3", (None, False), None),
    ]
    assert judged[2].result.judgements[0].reply == "no idea"


def test_people_label_the_criterion_so_negation_does_not_reach_them() -> None:
    for spec in (replace(KIND, negated=True), replace(KIND, weight=0.0)):
        judged = asyncio.run(judge_answers(ANSWERS, spec, Models(judges={"": reading})))
        assert [one.judge for one in judged] == [True, False, None]


PAIR = PairItem(id="1", output_1="short", output_2="much longer", human=(2, 2, 0), prompt="Say it.")


def pair(*replies: object) -> tuple[int | None, int | None]:
    (judged,) = asyncio.run(judge_pairs([PAIR], models(*replies)))
    assert len(judged.judgements) == 2
    assert (judged.error is None) == (None not in judged.judge)
    return judged.judge


def test_votes_name_the_answer_and_not_the_place() -> None:
    first, second, tie = (f'{{"better": "{choice}"}}' for choice in ("first", "second", "tie"))
    assert pair(second, first) == (2, 2)
    assert pair(first, second) == (1, 1)
    assert pair(first, first) == (1, 2)
    assert pair(second, second) == (2, 1)
    assert pair(tie, first) == (0, 2)


def test_a_failed_order_leaves_the_other_one_standing() -> None:
    assert pair("no idea", '{"better": "first"}') == (None, 2)
    assert pair('{"better": "first"}', EndpointError("gone")) == (1, None)
    assert pair("no idea") == (None, None)
