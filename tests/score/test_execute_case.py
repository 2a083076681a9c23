"""Asserts of one case, those in sets included, as the record holds them."""

from __future__ import annotations

import asyncio

from llmgate.record.schema import CaseKey, CaseResult, Generation, Outcome
from llmgate.score.assertion.check import CheckContext
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, Models
from llmgate.score.execute import judge_case, score_case
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.form.asserts import read_assert

HAS_A = {"type": "contains", "value": "a"}
HAS_Z = {"type": "contains", "value": "z"}
EITHER = {"type": "assert-set", "threshold": 0.5, "metric": "facts", "assert": [HAS_A, {**HAS_Z, "metric": "zeds"}]}
CONTEXT = CheckContext(output="a")


def test_a_set_is_one_check_and_members_with_a_metric_feed_it_besides() -> None:
    whole, part = score_case([read_assert(EITHER, VOCABULARY.names)], CONTEXT, VOCABULARY)
    assert (whole.type, whole.metric, whole.outcome, whole.score, whole.part) == (
        "assert-set", "facts", Outcome.PASS, 0.5, False,
    )  # fmt: skip
    assert (part.metric, part.outcome, part.part) == ("zeds", Outcome.FAIL, True)
    answer = Generation(text="a", latency_s=0.1)
    assert CaseResult(key=CaseKey(suite="s", case="c"), answer=answer, checks=(whole, part)).passed


def test_a_member_that_cannot_be_evaluated_is_the_sets_error() -> None:
    broken = {**EITHER, "assert": [HAS_A, {"type": "regex", "value": "("}]}
    (result,) = score_case([read_assert(broken, VOCABULARY.names)], CONTEXT, VOCABULARY)
    assert (result.outcome, result.score) == (Outcome.ERROR, None)


def test_a_set_that_asks_a_judge_waits_for_it_and_keeps_what_was_said() -> None:
    spec = read_assert(
        {"type": "assert-set", "assert": [HAS_A, {"type": "llm-rubric", "value": "kind"}]}, VOCABULARY.names
    )
    assert score_case([spec], CONTEXT, VOCABULARY) == ()

    async def ask(_: JudgeRequest) -> JudgeReply:
        return JudgeReply(content='{"pass": true, "score": 1, "reason": "so"}')

    (result,) = asyncio.run(judge_case([spec], CONTEXT, Models(judges={"": ask}), VOCABULARY))
    assert result.outcome is Outcome.PASS
    assert [one.reply for one in result.judgements] == ['{"pass": true, "score": 1, "reason": "so"}']
    assert "kind" in result.judgements[0].messages[1].content


def test_the_threshold_of_a_case_decides_whether_it_passed() -> None:
    checks = score_case(
        [read_assert(HAS_A, VOCABULARY.names), read_assert(HAS_Z, VOCABULARY.names)], CONTEXT, VOCABULARY
    )
    key, answer = CaseKey(suite="s", case="c"), Generation(text="a", latency_s=0.1)
    assert not CaseResult(key=key, answer=answer, checks=checks).passed
    assert CaseResult(key=key, answer=answer, checks=checks, threshold=0.5).passed
    assert not CaseResult(key=key, answer=answer, checks=checks, threshold=0.51).passed
