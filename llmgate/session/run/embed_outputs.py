"""Embeddings of answers, for the suites that want their distance from the champion's shown. They never gate."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.record.schema import CaseResult, Generation
from llmgate.record.vectors import pack_vector
from llmgate.score.assertion.models import Models, embed_texts
from llmgate.session.run.measure import context_of, embedder, gather_all
from llmgate.session.run.models import embed_place, judge_sampling, open_client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.run.rundir import RunDir
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings

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
        await gather_all(_embed(run, todo[at : at + BATCH], models) for at in range(0, len(todo), BATCH))


def unembedded(plan: Plan, run: RunDir) -> list[tuple[CaseResult, str]]:
    """The answers that should have an embedding and have none, with what is embedded of them."""
    cases = {(case.planned.suite, case.planned.case): case for case in plan.cases}
    return [
        (result, context_of(cases[key.suite, key.case], result.answer).text.strip() or EMPTY)
        for key, result in run.results.items()
        if key.suite in plan.embedded
        and isinstance(result.answer, Generation)
        and result.traits is not None
        and result.traits.vector is None
    ]


async def _embed(run: RunDir, batch: Sequence[tuple[CaseResult, str]], models: Models) -> None:
    try:
        vectors = [pack_vector(vector) for vector in await embed_texts(models, [text for _, text in batch])]
    except (JudgeError, ValueError):
        return
    for (result, _), vector in zip(batch, vectors, strict=True):
        if result.traits is not None:
            run.append(replace(result, traits=replace(result.traits, vector=vector)))
