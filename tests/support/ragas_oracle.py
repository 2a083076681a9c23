"""Runs Ragas metrics on scripted replies. A script for an environment of its own, which has ragas and not llmgate.

Standard input: a JSON list of {metric, init, inputs, replies, vectors}. Standard output: a score for each, null for NaN
or an exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import sys
from typing import Any

os.environ["RAGAS_DO_NOT_TRACK"] = "true"

from ragas.embeddings.base import BaseRagasEmbedding
from ragas.llms.base import InstructorBaseRagasLLM
from ragas.metrics import collections


class Judge(InstructorBaseRagasLLM):  # type: ignore[misc]
    def __init__(self, replies: list[Any]) -> None:
        self.replies = list(replies)

    def generate(self, prompt: str, response_model: Any) -> Any:
        raise AssertionError(f"asked for {response_model} outside the event loop: {prompt[:80]}")

    async def agenerate(self, prompt: str, response_model: Any) -> Any:
        if not self.replies:
            raise AssertionError(f"one question too many: {prompt[:80]}")
        return response_model.model_validate(self.replies.pop(0))


class Embeddings(BaseRagasEmbedding):  # type: ignore[misc]
    def __init__(self, vectors: dict[str, list[float]]) -> None:
        super().__init__()
        self.vectors = vectors

    def embed_text(self, text: str, **_: Any) -> list[float]:
        return self.vectors[text]

    async def aembed_text(self, text: str, **_: Any) -> list[float]:
        return self.vectors[text]


async def score(scenario: dict[str, Any]) -> float | None:
    init = dict(scenario["init"], llm=Judge(scenario["replies"]))
    if scenario["metric"] in {"AnswerRelevancy", "AnswerCorrectness"}:
        init["embeddings"] = Embeddings(scenario["vectors"])
    try:
        metric = getattr(collections, scenario["metric"])(**init)
        value = float((await metric.ascore(**scenario["inputs"])).value)
    except Exception as error:  # noqa: BLE001 - whatever it raises, it gives no score
        sys.stderr.write(f"{scenario['metric']}: {error!r}\n")
        return None
    return None if math.isnan(value) else value


async def main() -> list[float | None]:
    return [await score(scenario) for scenario in json.load(sys.stdin)]


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        scores = asyncio.run(main())
    sys.stdout.write(json.dumps(scores))
