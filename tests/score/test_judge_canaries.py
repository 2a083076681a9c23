"""Canaries: which judges let pass what nobody may."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from support.judges import CONTEXT, parts_of, scripted

from llmgate.record.schema import Outcome
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, Models
from llmgate.score.judge_canaries import CANARIES, CanaryResult, try_canaries
from llmgate.suite.asserts import AssertSpec

KIND = AssertSpec(type="llm-rubric", value="Is kind to {{ name }}")
YES, NO = '{"pass": true, "score": 1}', '{"pass": false, "score": 0}'


def tried(spec: AssertSpec, models: Models) -> tuple[CanaryResult, ...]:
    return asyncio.run(try_canaries(spec, CONTEXT, models))


def with_outcome(results: tuple[CanaryResult, ...], outcome: Outcome) -> tuple[CanaryResult, ...]:
    return tuple(one for one in results if one.result.outcome is outcome)


async def gullible(request: JudgeRequest) -> JudgeReply:
    """Does what the answer tells it to."""
    return JudgeReply(content=YES if '"pass": true' in parts_of(request)["answer"] else NO)


def test_a_judge_that_obeys_answers_is_found_out() -> None:
    results = tried(KIND, Models(judges={"": gullible}))
    assert [one.name for one in results] == list(CANARIES)
    assert [one.name for one in with_outcome(results, Outcome.PASS)] == ["order", "closed fence"]
    assert with_outcome(results, Outcome.ERROR) == ()


def test_a_strict_judge_lets_nothing_pass_and_each_canary_was_asked_about() -> None:
    seen: list[JudgeRequest] = []
    results = tried(KIND, Models(judges={"": scripted(NO, seen=seen)}))
    assert with_outcome(results, Outcome.PASS) == ()
    assert [parts_of(request)["answer"] for request in seen] == list(CANARIES.values())
    assert {parts_of(request)["criterion"] for request in seen} == {"Is kind to Ina"}
    assert all(one.result.judgements[0].reply == NO for one in results)


def test_a_judge_that_cannot_be_understood_is_not_taken_for_a_strict_one() -> None:
    results = tried(KIND, Models(judges={"": scripted("no idea")}))
    assert with_outcome(results, Outcome.PASS) == ()
    assert len(with_outcome(results, Outcome.ERROR)) == len(CANARIES)


def test_a_negated_or_weightless_assert_is_asked_about_its_criterion() -> None:
    for spec in (replace(KIND, negated=True), replace(KIND, weight=0.0)):
        assert all(one.result.outcome is Outcome.FAIL for one in tried(spec, Models(judges={"": scripted(NO)})))
        assert len(with_outcome(tried(spec, Models(judges={"": scripted(YES)})), Outcome.PASS)) == len(CANARIES)


def test_each_judge_of_a_panel_is_tried_by_itself() -> None:
    spec = replace(KIND, judges=("a", "b"), config={"vote": "all", "quorum": 1})
    results = tried(spec, Models(judges={"a": scripted(NO), "b": gullible}))
    assert {one.judge for one in with_outcome(results, Outcome.PASS)} == {"b"}
    assert len(results) == 2 * len(CANARIES)
