"""Embeddings of answers, for the suites that want their distance from the champion's shown. They never gate."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.record.schema import Generation
from llmgate.record.vectors import pack_vector
from llmgate.score.assertion.models import Models, embed_texts
from llmgate.session.heartbeat import gather_bounded
from llmgate.session.run.measure import by_name, context_of, embedder
from llmgate.session.run.models import embed_place, judge_sampling, open_client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.record.run.rundir import RunDir
    from llmgate.record.schema import CaseKey
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings
    from llmgate.suite.cases import Case

__all__ = ["embed_answers"]

BATCH: Final = 32
"""Answers per request."""
EMPTY: Final = "(empty answer)"
"""Embedded in place of nothing at all, which servers refuse."""


async def embed_answers(settings: Settings, plan: Plan, run: RunDir, *, progress: Progress) -> None:
    """Embed every answer that has no embedding yet, a batch at a time.

    An answer for which the model gives no vector keeps none: the report counts it. Nothing else depends on it.

    Raises:
        RecordError: If the record could not be written.
    """
    todo = unembedded(plan, run)
    if not todo or run.manifest.embedding is None:
        return
    identity = run.manifest.embedding
    progress.stage(f"embedding {len(todo)} answers")
    async with AsyncExitStack() as stack:
        embed = embedder(await open_client(embed_place(settings, identity), settings, stack))
        models = Models(judges={}, embed=embed, sampling=judge_sampling(plan))
        cases = by_name(plan)
        batches = [todo[at : at + BATCH] for at in range(0, len(todo), BATCH)]
        await gather_bounded(partial(_embed, run, cases, models), batches)


def unembedded(plan: Plan, run: RunDir) -> list[CaseKey]:
    """The answers that should have an embedding and have none."""
    embedded = plan.embedded
    return [
        key
        for key, result in run.scored.items()
        if key.suite in embedded
        and isinstance(result.answer, Generation)
        and result.traits is not None
        and result.traits.vector is None
    ]


async def _embed(
    run: RunDir, cases: Mapping[str, Mapping[str, Case]], models: Models, batch: Sequence[CaseKey]
) -> None:
    answered = [
        (result, answer)
        for result in (run.results[key] for key in batch)
        if isinstance(answer := result.answer, Generation)
    ]
    texts = [
        context_of(cases[result.key.suite][result.key.case], answer).text.strip() or EMPTY
        for result, answer in answered
    ]
    try:
        vectors = [pack_vector(vector) for vector in await embed_texts(models, texts)]
    except (JudgeError, ValueError):
        return
    for (result, _), vector in zip(answered, vectors, strict=True):
        if result.traits is not None:
            run.append(replace(result, traits=replace(result.traits, vector=vector)))
