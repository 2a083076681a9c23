"""Panels: every judge by itself, every vote kept, one error enough unless a quorum says otherwise."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.judges import CONTEXT, judge, scripted

from llmgate.errors import EndpointError, SuiteError
from llmgate.record.run.stored import RESULT
from llmgate.record.schema import CaseKey, CaseResult, CheckResult, Generation, Outcome, Vote
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, Models
from llmgate.score.builtin import KINDS
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.asserts import AssertSpec, Json

NAMES = ("a", "b", "c")
PANEL = AssertSpec(type="llm-rubric", value="Is kind", judges=NAMES)
YES, NO = '{"pass": true, "score": 0.9}', '{"pass": false, "score": 0.2}'


def panel(*replies: object) -> Models:
    return Models(judges={name: scripted(reply) for name, reply in zip(NAMES, replies, strict=True)})


def ask(vote: Json, *replies: object, **fields: object) -> CheckResult:
    config = {"vote": vote, **fields.pop("config", {})}  # type: ignore[dict-item]
    return judge(replace(PANEL, config=config, **fields), panel(*replies))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("vote", "replies", "outcome", "score"),
    [
        ("majority", (YES, YES, NO), "pass", 2 / 3),
        ("majority", (YES, NO, NO), "fail", 1 / 3),
        ("all", (YES, YES, NO), "fail", 0.2),
        ("all", (YES, YES, YES), "pass", 0.9),
        ("any", (YES, NO, NO), "pass", 0.9),
        ("any", (NO, NO, NO), "fail", 0.2),
    ],
)
def test_votes_are_counted(vote: str, replies: tuple[str, ...], outcome: str, score: float) -> None:
    result = ask(vote, *replies)
    assert result.outcome == outcome
    assert result.score == pytest.approx(score)
    inverse = ask(vote, *replies, negated=True)
    assert inverse.outcome != outcome
    assert inverse.score == pytest.approx(1 - score)


@pytest.mark.parametrize(
    ("vote", "threshold", "outcome", "score"),
    [("mean", 0.6, "pass", 2 / 3), ("mean", 0.7, "fail", 2 / 3), ("median", 0.85, "pass", 0.9)],
)
def test_scores_are_averaged(vote: str, threshold: float, outcome: str, score: float) -> None:
    result = ask(vote, YES, YES, NO, threshold=threshold)
    assert result.outcome == outcome
    assert result.score == pytest.approx(score)


def test_every_vote_and_every_reply_is_kept_judge_by_judge() -> None:
    async def slow(request: JudgeRequest) -> JudgeReply:
        await asyncio.sleep(0.01)
        return JudgeReply(content=YES)

    models = Models(judges={"a": slow, "b": scripted(NO), "c": scripted("no idea", YES)}, retries=1)
    result = judge(PANEL, models)
    assert [entry.judge for entry in result.judgements] == ["a", "b", "c", "c"]
    assert [entry.reply for entry in result.judgements] == [YES, NO, "no idea", YES]
    votes = [entry.vote for entry in result.judgements]
    assert votes[2] is None
    assert [(vote.outcome, vote.score) for vote in votes if vote] == [("pass", 0.9), ("fail", 0.2), ("pass", 0.9)]


def test_votes_can_be_recorded_and_read_again() -> None:
    result = CaseResult(
        key=CaseKey(suite="s", case="c"),
        answer=Generation(text="x", latency_s=0.1),
        checks=(ask("all", YES, "no idea \\ud800", NO),),
    )
    assert RESULT.validate_json(RESULT.dump_json(result)) == result
    with pytest.raises(ValueError, match="with score"):
        Vote(outcome=Outcome.ERROR, score=0.5)


@pytest.mark.parametrize("broken", [EndpointError("gone"), "no idea", "", '{"pass": "maybe"}', None, RuntimeError("x")])
@pytest.mark.parametrize("vote", ["majority", "all", "any"])
@pytest.mark.parametrize("negated", [False, True])
def test_one_judge_without_a_verdict_is_an_error_of_the_whole(broken: object, vote: str, negated: bool) -> None:
    result = ask(vote, YES, broken, YES, negated=negated)
    assert result.outcome is Outcome.ERROR
    assert [entry.vote.outcome for entry in result.judgements if entry.vote] == ["pass", "error", "pass"]


def test_a_quorum_says_how_many_verdicts_are_enough() -> None:
    assert ask("majority", YES, "no idea", YES, config={"quorum": 2}).outcome is Outcome.PASS
    assert ask("majority", YES, "no idea", "", config={"quorum": 2}).outcome is Outcome.ERROR
    assert ask("mean", NO, "no idea", YES, config={"quorum": 2}, threshold=0.5).score == pytest.approx(0.55)


@pytest.mark.parametrize("negated", [False, True])
def test_a_split_panel_says_neither_yes_nor_no(negated: bool) -> None:
    result = ask("majority", YES, "no idea", NO, config={"quorum": 2}, negated=negated)
    assert result.outcome is Outcome.ERROR
    assert "split" in result.reason


def test_a_judge_that_does_not_exist_is_an_error_with_a_vote() -> None:
    result = judge(replace(PANEL, judges=("a", "b", "x")), panel(YES, YES, YES))
    assert result.outcome is Outcome.ERROR
    assert result.judgements[-1].judge == "x"
    assert result.judgements[-1].vote is not None


def test_a_rule_that_is_broken_for_a_case_is_no_matter_of_quorum() -> None:
    result = judge(replace(PANEL, value="{{ no }}", config={"quorum": 1}), panel(YES, YES, YES))
    assert result.outcome is Outcome.ERROR
    assert "nothing to judge" in result.reason


def test_one_named_judge_is_asked_and_no_other() -> None:
    result = judge(replace(PANEL, judges=("b",)), panel(NO, YES, NO))
    assert result.outcome is Outcome.PASS
    assert [entry.judge for entry in result.judgements] == ["b"]


def test_without_a_name_no_named_judge_is_asked() -> None:
    assert judge(replace(PANEL, judges=()), panel(YES, YES, YES)).outcome is Outcome.ERROR


REPLY = json.dumps(
    {"steps": ["Read."], "score": 9, "reason": "r", "pass": True, "category": "C", "meets_criterion": "Y",
     "better": "first", "items": [{"item": 1, "met": True}]}
)  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["checklist", "factuality", "g-eval", "llm-rubric", "model-graded-closedqa", "model-graded-factuality", "prefer"],
)
def test_every_judged_type_takes_a_panel(name: str) -> None:
    value: Json = ["Is kind"] if name == "checklist" else "Is kind"
    spec = AssertSpec(type=name, value=value, judges=NAMES, config={"vote": "all"})
    reply = REPLY.replace("9", "0.9") if name == "llm-rubric" else REPLY
    result = judge(spec, panel(reply, reply, reply))
    assert result.outcome is Outcome.PASS
    assert {entry.judge for entry in result.judgements} == set(NAMES)
    assert sum(entry.vote is not None for entry in result.judgements) == 3
    assert judge(spec, panel(reply, reply, "")).outcome is Outcome.ERROR


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"config": {"vote": "mode"}}, "unknown vote"),
        ({"config": {"vote": "mena"}}, "Did you mean mean?"),
        ({"config": {"vote": 3}}, "unknown vote 3"),
        ({"config": {"vote": "mean"}}, "needs a threshold"),
        ({"config": {"vote": "mean"}, "threshold": 0.0}, "cannot fail"),
        ({"config": {"vote": "median"}, "threshold": 1.5}, "no score is above 1"),
        ({"config": {"quorum": 0}}, "from 1 to 3"),
        ({"config": {"quorum": 4}}, "from 1 to 3"),
        ({"config": {"quorum": True}}, "from 1 to 3"),
        ({"config": {"quorum": 1.5}}, "from 1 to 3"),
        ({"judges": ("a", "a", "b")}, "stands twice"),
        ({"judges": ("a", " ")}, "has no name"),
        ({"judges": ("a",), "config": {"vote": "all"}}, "need several judges"),
        ({"judges": (), "config": {"quorum": 1}}, "need several judges"),
    ],
)
def test_broken_panels_are_refused(fields: dict[str, object], message: str) -> None:
    for negated in (False, True):
        with pytest.raises(SuiteError) as caught:
            VOCABULARY.prepare(replace(PANEL, negated=negated, **fields))  # type: ignore[arg-type]
        assert message in str(caught.value)


def test_types_that_ask_no_judge_have_no_panel() -> None:
    assert VOCABULARY.kinds["contains"] is KINDS["contains"]
    with pytest.raises(SuiteError, match="unknown setting"):
        VOCABULARY.prepare(AssertSpec(type="contains", value="a", judges=NAMES, config={"vote": "all"}))


@given(
    st.lists(st.sampled_from([YES, NO, "no idea"]), min_size=3, max_size=3), st.sampled_from(["majority", "all", "any"])
)
def test_turning_a_vote_down_never_helps(replies: list[str], vote: str) -> None:
    before = ask(vote, *replies)
    for place in range(3):
        for worse in (NO, "no idea"):
            changed = [*replies[:place], worse, *replies[place + 1 :]]
            if replies[place] == YES and before.outcome is not Outcome.ERROR:
                after = ask(vote, *changed)
                assert after.score is None or after.score <= (before.score or 0)


def test_a_panel_needs_no_log() -> None:
    consult = VOCABULARY.prepare(PANEL).consult
    assert consult is not None
    assert asyncio.run(consult(CONTEXT, panel(YES, YES, NO))).passed  # type: ignore[arg-type]
