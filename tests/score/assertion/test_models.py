"""Embeddings as checks ask for them: a vector of finite numbers for each text, or an error."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import JudgeError
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, JudgeSampling, Models, ask_judge, embed_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.schema import Judgement


def embedding(vectors: Any) -> Models:
    async def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return vectors  # type: ignore[no-any-return]

    return Models(embed=embed)


def test_each_text_gets_its_vector() -> None:
    assert asyncio.run(embed_texts(embedding([[1, 0], [0.5, 2]]), ["a", "b"])) == [[1.0, 0.0], [0.5, 2.0]]


@pytest.mark.parametrize(
    "vectors", [[], [[1.0]], [[1.0], []], [[1.0], [1.0, 2.0]], [[1.0], [float("nan")]], [[1.0], [float("inf")]]]
)
def test_what_is_no_vector_for_each_text_is_an_error(vectors: list[list[float]]) -> None:
    with pytest.raises(JudgeError):
        asyncio.run(embed_texts(embedding(vectors), ["a", "b"]))


def test_without_an_embedding_model_there_are_no_vectors() -> None:
    with pytest.raises(JudgeError, match="no embedding model was named"):
        asyncio.run(embed_texts(Models(), ["a"]))


def test_data_from_a_judge_has_a_text() -> None:
    assert JudgeReply(content={"pass": True, "score": 1}).text == '{"pass":true,"score":1}'


def test_a_reply_that_was_cut_off_is_no_verdict_but_stays_readable() -> None:
    log: list[Judgement] = []

    async def ask(request: JudgeRequest) -> JudgeReply:
        return JudgeReply(content='{"pass": true}', prompt_tokens=9, cached_tokens=4, cut_off=True)

    request = JudgeRequest(messages=(), schema=None, sampling=JudgeSampling())
    with pytest.raises(JudgeError, match=r"cut off by max_tokens.*judge: \{max_tokens"):
        asyncio.run(ask_judge(Models(judges={"": ask}, retries=2, log=log), request, lambda reply: reply.text))
    (entry,) = log
    assert (entry.reply, entry.error) == ('{"pass": true}', "the judge's reply was cut off by max_tokens")
    assert (entry.prompt_tokens, entry.cached_tokens) == (9, 4)
