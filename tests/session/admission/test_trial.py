"""A trial's questions are known before it begins, so that an answer that is missing is seen to be missing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.judges import parts_of, scripted

from llmgate.errors import EndpointError
from llmgate.gate.judges.admission import refusals
from llmgate.gate.judges.agreement import measure_judge
from llmgate.record.judges.admission import AdmissionThresholds
from llmgate.record.judges.verdicts import TrialVerdict
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, Models
from llmgate.score.judge_canaries import CANARIES
from llmgate.score.labels import AnswerItem, LabelFile, PairItem, read_labels
from llmgate.score.vocabulary import VOCABULARY
from llmgate.session.admission.trial import (
    CANARY_ITEMS,
    Questions,
    asker_of,
    canary_said,
    evidence_of,
    preferred,
    spread,
    word_of,
)
from llmgate.suite.asserts import AssertSpec

LABELS = read_labels(Path(__file__).parent.with_name("labels") / "capitals.jsonl")
QUESTIONS = Questions(
    labels=LABELS, spec=AssertSpec(type="llm-rubric", value="Names the capital."), vocabulary=VOCABULARY
)
PAIR = PairItem(id="p", prompt="Q", output_1="good", output_2="bad", human=(1,))
PAIRED = Questions(
    labels=LabelFile(name="pairs.jsonl", digest="", pairs=(PAIR,)),
    spec=AssertSpec(type="prefer", value=""),
    vocabulary=VOCABULARY,
)

SAID = {"Hello": '{"pass": true, "score": 0.9}', "Go away": '{"pass": false, "score": 0.1}', "???": "no idea"}


async def reading(request: JudgeRequest) -> JudgeReply:
    return JudgeReply(content=SAID[parts_of(request)["answer"]])


def as_people(key: tuple[str, str]) -> TrialVerdict:
    """What people say, and every canary caught."""
    task, name = key
    label = next(item.human[0] for item in LABELS.answers if item.id == name)
    said = "fail" if task.startswith("canary:") or not label else "pass"
    return TrialVerdict(item=name, task=task, said=said)


VERDICTS = {key: as_people(key) for key in QUESTIONS.keys}


def why(verdicts: dict[tuple[str, str], TrialVerdict]) -> tuple[str, ...]:
    return refusals(measure_judge(evidence_of(QUESTIONS, verdicts)), AdmissionThresholds(margin=0.1))


def test_the_questions_follow_from_the_labels() -> None:
    tasks = [task for task, _ in QUESTIONS.keys]
    assert tasks.count("verdict") == 160
    assert tasks.count("again") == 50
    assert len(tasks) == 160 + 50 + CANARY_ITEMS * len(CANARIES)
    assert len(set(QUESTIONS.keys)) == len(tasks)
    assert [item.id for item in spread(LABELS.answers, 2)] == [LABELS.answers[0].id, LABELS.answers[80].id]
    assert len(spread(LABELS.answers, 1000)) == 160
    assert spread(LABELS.answers, 0) == []


def test_whatever_was_planned_is_in_the_evidence() -> None:
    empty = evidence_of(QUESTIONS, {})
    assert len(empty.items) == 160
    assert {item.said for item in empty.items} == {None}
    assert sum(len(item.again) for item in empty.items) == 50
    assert {trial.outcome for trial in empty.canaries} == {"lost"}
    assert why(VERDICTS) == ()
    assert len(why({})) >= 4


@settings(max_examples=12, deadline=None)
@given(st.sets(st.sampled_from(sorted(VERDICTS)), max_size=60), st.sets(st.sampled_from(sorted(VERDICTS)), max_size=30))
def test_deleting_lines_of_the_log_never_admits(wrong: set[tuple[str, str]], gone: set[tuple[str, str]]) -> None:
    flip = {"pass": "fail", "fail": "pass"}
    said = {key: replace(one, said=flip[one.said or "fail"]) if key in wrong else one for key, one in VERDICTS.items()}
    if why(said):
        assert why({key: one for key, one in said.items() if key not in gone})


@pytest.mark.parametrize(
    ("orders", "word", "canary"),
    [
        (("1", "1"), "1", "pass"),
        (("2", "2"), "2", "fail"),
        (("1", "2"), "tie", "pass"),
        (("1", "tie"), "1", "pass"),
        (("tie", "2"), "2", "fail"),
        (("tie", "tie"), "tie", "pass"),
        ((None, "2"), None, None),
        (("1", None), None, None),
        (None, None, None),
    ],
)
def test_both_orders_of_a_pair_become_one_word(
    orders: tuple[str | None, str | None] | None, word: str | None, canary: str | None
) -> None:
    verdict = TrialVerdict(item="p", orders=orders)
    assert word_of(verdict, paired=True) == word
    assert canary_said(verdict) == canary
    assert word_of(None, paired=True) is None


def test_a_canary_stands_against_the_answer_that_people_prefer() -> None:
    assert preferred(PAIR) == "good"
    assert preferred(replace(PAIR, human=(2, 2, 1))) == "bad"
    assert preferred(replace(PAIR, human=(0,))) == "good"


@pytest.mark.parametrize("changed", [{"negated": True}, {"weight": 0.0}, {}])
def test_people_label_the_criterion_so_negation_does_not_reach_them(changed: dict[str, Any]) -> None:
    """The judge is asked as it would be without `not-` and weight."""
    ask = asker_of(replace(QUESTIONS, spec=replace(QUESTIONS.spec, **changed)), Models(judges={"": reading}))
    found = [asyncio.run(ask(AnswerItem(id="a", output=text, human=()), "verdict")) for text in SAID]
    assert [verdict.said for verdict in found] == ["pass", "fail", None]
    assert found[2].replies == ("no idea",)


@pytest.mark.parametrize(
    ("replies", "orders"),
    [
        (("second", "first"), ("2", "2")),
        (("first", "second"), ("1", "1")),
        (("first", "first"), ("1", "2")),
        (("second", "second"), ("2", "1")),
        (("tie", "first"), ("tie", "2")),
        ((None, "first"), (None, "2")),
        (("first", EndpointError("gone")), ("1", None)),
    ],
)
def test_votes_name_the_answer_and_not_the_place(replies: tuple[object, ...], orders: tuple[str | None, ...]) -> None:
    texts = [f'{{"better": "{reply}"}}' if isinstance(reply, str) else reply or "no idea" for reply in replies]
    found = asyncio.run(asker_of(PAIRED, Models(judges={"": scripted(*texts)}))(PAIR, "verdict"))
    assert found.orders == orders
    assert (found.error is None) == (None not in orders)


def test_a_judge_of_pairs_is_asked_in_both_orders() -> None:
    replies = ['{"reason": "", "better": "first"}', '{"reason": "", "better": "second"}']
    ask = asker_of(PAIRED, Models(judges={"": scripted(*replies)}))
    found = asyncio.run(ask(PAIR, "verdict"))
    assert found.orders == ("1", "1")
    assert len(found.replies) == 2
    ask = asker_of(PAIRED, Models(judges={"": scripted(*replies)}))
    canary = asyncio.run(ask(PAIR, "canary:empty"))
    assert (canary.said, canary.orders) == ("pass", None)
    ask = asker_of(PAIRED, Models(judges={"": scripted("what?")}))
    lost = asyncio.run(ask(PAIR, "verdict"))
    assert lost.orders == (None, None)
    assert lost.error
    assert lost.final
