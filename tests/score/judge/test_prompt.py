"""Questions to a judge: what is sent, and what a reply must look like."""

from __future__ import annotations

import asyncio

import jsonschema
import pytest

from llmgate.errors import JudgeError
from llmgate.score.assertion.definition import ModelGradedKind
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, JudgeSampling, Models
from llmgate.score.assertion.together import all_of
from llmgate.score.builtin import KINDS
from llmgate.score.judge.reply import agreed_object, as_flag, as_items, as_text, as_texts, holds
from llmgate.score.rag.claims import CLAIMS, SUPPORT, find_support


def reply(content: object) -> JudgeReply:
    return JudgeReply(content=content)


def test_the_fixed_words_come_first_and_the_material_last() -> None:
    sampling = JudgeSampling(seed=5)
    first, second = (
        SUPPORT.request(case={"context": text, "statements": "s"}, sampling=sampling, seed=2) for text in ("a", "b")
    )
    assert first.messages[0] == second.messages[0]
    assert first.messages[1] != second.messages[1]
    assert (first.sampling.max_tokens, first.sampling.seed, first.sampling.temperature) == (4096, 7, 0.0)
    assert SUPPORT.prompts[0] == first.messages[0].content


@pytest.mark.parametrize(("verdict", "longest"), [(100, 400), (400, 1600), (1024, 4096), (2000, 4096), (9000, 9000)])
def test_long_replies_follow_the_suites_limit(verdict: int, longest: int) -> None:
    sampling = JudgeSampling(max_tokens=verdict)
    assert SUPPORT.request(case={"context": "a"}, sampling=sampling).sampling.max_tokens == longest


def test_every_prompt_shows_its_schema_and_is_part_of_the_identity() -> None:
    kinds = {name: kind for name, kind in KINDS.items() if name.startswith(("rag-", "context-", "answer-"))}
    assert len(kinds) == 15
    for name, kind in kinds.items():
        if isinstance(kind, ModelGradedKind):
            assert kind.prompts, name
    jsonschema.Draft202012Validator.check_schema(dict(CLAIMS.schema))


def test_an_unreadable_reply_is_told_back() -> None:
    seen: list[JudgeRequest] = []

    async def ask(request: JudgeRequest) -> JudgeReply:
        seen.append(request)
        one = {"statement": "s", "reason": "r", "verdict": 1}
        return reply({"statements": [one] * len(seen)})

    assert asyncio.run(find_support(Models(judges={"": ask}, retries=1), ["a", "b"], "c")) == [True, True]
    assert "1 verdicts on 2 statements" in seen[1].messages[-1].content


def test_the_first_failure_is_raised_when_all_have_ended() -> None:
    ended: list[int] = []

    async def work(number: int) -> int:
        await asyncio.sleep(0.001 * number)
        ended.append(number)
        if number in {1, 2}:
            raise JudgeError(f"number {number}")
        return number

    with pytest.raises(JudgeError, match="number 1"):
        asyncio.run(all_of([work(number) for number in range(4)]))
    assert ended == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("content", "is_json"),
    [
        ('{"statements": []}', True), ("{statements: []}", True), ("Here: {'statements' : [1", True), ({"a": 1}, True),
        ("statements: none", False), ("{other: 1}", False), ("", False), ([1], True), (None, True),
    ],
)  # fmt: skip
def test_which_replies_are_read_as_json(content: object, *, is_json: bool) -> None:
    assert holds(reply(content), "statements") is is_json


def test_two_objects_must_agree() -> None:
    assert agreed_object(reply('{"a": 1} and {"b": 2} and {"a": 1}'), "a") == {"a": 1}
    for content in ('{"a": 1} {"a": 2}', "none", {"b": 1}, [1], None, '{"a": 1'):
        with pytest.raises(JudgeError):
            agreed_object(reply(content), "a")


@pytest.mark.parametrize("value", [2, -1, 0.5, "1", "yes", None, [], [1], {}, float("nan")])
def test_flags_are_1_or_0(value: object) -> None:
    assert [as_flag({"v": one}, "v") for one in (0, 1, True, False, 1.0)] == [False, True, True, False, True]
    with pytest.raises(JudgeError, match="neither 1 nor 0"):
        as_flag({"v": value}, "v")


def test_lists_and_texts_are_what_they_say() -> None:
    assert as_items({"v": [{"a": 1}]}, "v") == [{"a": 1}]
    assert as_texts({"v": ["a"]}, "v") == ["a"]
    lists: tuple[object, ...] = (None, "a", [1], [None], ["a", {}], {})
    for bad in lists:
        with pytest.raises(JudgeError):
            as_items({"v": bad}, "v")
        with pytest.raises(JudgeError):
            as_texts({"v": bad}, "v")
    texts: tuple[object, ...] = (None, "", " ", 3)
    for one in texts:
        with pytest.raises(JudgeError):
            as_text({"v": one}, "v")
