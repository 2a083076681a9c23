"""Cases → answers → scores, concurrently, each result in the record the moment it is known.

The loop here never looks at more than one case at a time: averaging is the decision's business.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.errors import EndpointError, JudgeError, ServerError
from llmgate.record.schema import CaseKey, CaseResult, FailureKind, Generation
from llmgate.score.case import judge_case, score_case
from llmgate.score.check import CheckContext
from llmgate.score.checks import VOCABULARY
from llmgate.score.models import Ask, JudgeReply, JudgeRequest, Models

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from llmgate.generate.client import ChatClient
    from llmgate.record.rundir import RunDir
    from llmgate.record.schema import Failure
    from llmgate.session.progress import Progress
    from llmgate.suite.cases import Case

__all__ = ["asker", "generate_answers", "judge_answers"]


async def gather_all(tasks: Iterable[Coroutine[None, None, None]]) -> None:
    """Run all at once; the first error ends the others and is raised as it is, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors


class Counter:
    """Counts finished work for the progress line."""

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self._progress = progress
        self._what = what
        self._total = total
        self._done = 0

    def tick(self) -> None:
        self._done += 1
        self._progress.count(self._what, self._done, self._total)


async def generate_answers(
    run: RunDir, cases: Sequence[Case], client: ChatClient, *, models: Models | None, progress: Progress
) -> None:
    """Ask every case that has no answer yet, and check the answers.

    Args:
        run: Where results go; what it holds already is kept.
        cases: The cases of the run.
        client: Bounds the requests in flight.
        models: Judge each answer at once, if they can be asked while the model under test runs.
        progress: Told about every finished case.

    Raises:
        ServerError: If the server died; what was answered before is in the record.
        EndpointError: If the endpoint stopped accepting connections.
        RecordError: If the record could not be written.
    """
    todo = [key for key in run.missing() if needs_answer(run, key)]
    if not todo:
        return
    by_name = {(case.planned.suite, case.planned.case): case for case in cases}
    counter = Counter(progress, "answers", len(todo))
    died: list[str] = []

    async def one(key: CaseKey) -> None:
        case = by_name[key.suite, key.case]
        answer = await client.ask(case.request(key.repeat))
        result = checked(case, key, answer)
        run.append(result)
        if models and not result.judged:
            run.append(await judged(case, result, models))
        if not isinstance(answer, Generation) and answer.kind is FailureKind.SERVER_DIED:
            died.append(answer.message)
        counter.tick()

    await gather_all(one(key) for key in todo)
    if died:
        raise ServerError(
            f"the server died with {len(died)} of {len(todo)} answers missing: {died[0]}",
            where=str(run.path),
            fix=f"What was answered is kept: mend the cause, then add --resume --out {run.path}",
        )
    if client.gave_up:
        raise EndpointError(
            "the endpoint stopped accepting connections",
            where=client.endpoint.url,
            fix=f"What was answered is kept: bring it back, then add --resume --out {run.path}",
        )


def needs_answer(run: RunDir, key: CaseKey) -> bool:
    """Whether a case must be asked (again). An answer that only lacks its judge is kept."""
    result = run.results.get(key)
    return result is None or not isinstance(result.answer, Generation)


def checked(case: Case, key: CaseKey, answer: Generation | Failure) -> CaseResult:
    """Apply the deterministic checks."""
    judged_later = any(VOCABULARY.needs(spec.type) for spec in case.asserts)
    if not isinstance(answer, Generation):
        return CaseResult(key=key, answer=answer)
    return CaseResult(
        key=key, answer=answer, checks=score_case(case.asserts, context_of(case, answer)), judged=not judged_later
    )


def context_of(case: Case, answer: Generation) -> CheckContext:
    """What a check may look at."""
    prompt = "\n\n".join(message.content for message in case.planned.messages if message.role == "user")
    return CheckContext(output=answer.text, variables=case.variables, prompt=prompt)


async def judge_answers(run: RunDir, cases: Sequence[Case], models: Models, *, progress: Progress) -> None:
    """Judge every answer that still lacks a judge's verdict, or whose judge failed.

    Raises:
        RecordError: If the record could not be written.
    """
    by_name = {(case.planned.suite, case.planned.case): case for case in cases}
    todo = [
        result
        for key in run.missing()
        if isinstance((result := run.results[key]).answer, Generation) and has_judge(by_name[key.suite, key.case])
    ]
    if not todo:
        return
    counter = Counter(progress, "judged", len(todo))

    async def one(result: CaseResult) -> None:
        case = by_name[result.key.suite, result.key.case]
        if isinstance(result.answer, Generation):
            fresh = checked(case, result.key, result.answer)
            run.append(await judged(case, fresh, models))
        counter.tick()

    await gather_all(one(result) for result in todo)


def has_judge(case: Case) -> bool:
    """Whether any assert of the case asks a judge."""
    return any(VOCABULARY.needs(spec.type) for spec in case.asserts)


async def judged(case: Case, result: CaseResult, models: Models) -> CaseResult:
    """Add the judge's results; a judge that fails leaves an error, never a gap."""
    if not isinstance(result.answer, Generation):
        return result
    verdicts = await judge_case(case.asserts, context_of(case, result.answer), models)
    return replace(result, checks=(*result.checks, *verdicts), judged=True)


def asker(client: ChatClient) -> Ask:
    """The `ask` callable of a judge that is reached through a client."""

    async def ask(request: JudgeRequest) -> JudgeReply:
        answer = await client.ask(request.body)
        if isinstance(answer, Generation):
            if answer.finish_reason == "length":
                raise JudgeError("the judge's reply was cut off by max_tokens", fix="Raise `judge: {max_tokens: …}`")
            return JudgeReply(content=answer.text)
        raise JudgeError(f"the judge gave no reply: {answer.message}", where=client.endpoint.url)

    return ask
