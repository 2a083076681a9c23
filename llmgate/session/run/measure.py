"""Cases → answers → scores, concurrently, each result in the record the moment it is known.

The loop here never looks at more than one case at a time: averaging is the decision's business. Where a suite may stop
early, somebody else says when it is enough.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from llmgate.errors import EndpointError, JudgeError, ServerError
from llmgate.generate.chat import Chat
from llmgate.generate.finish import CUT
from llmgate.record.answered_by import answers_for
from llmgate.record.schema import CaseKey, CaseResult, Exchange, Failure, FailureKind, Generation
from llmgate.score.assertion.check import CheckContext
from llmgate.score.assertion.models import Ask, Embed, JudgeReply, JudgeRequest, Models, Token
from llmgate.score.execute import judge_case, score_case
from llmgate.score.foreign_code import in_thread
from llmgate.score.output_features import read_features
from llmgate.score.usage import expects_finish_reason, misspelt
from llmgate.score.vocabulary import needs_of
from llmgate.session.heartbeat import gather_all, gather_bounded
from llmgate.suite.form.asserts import read_assert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llmgate.record.answered_by import AnsweredBy
    from llmgate.record.run.rundir import RunDir
    from llmgate.score.vocabulary import Checks
    from llmgate.session.progress import Progress
    from llmgate.session.run.early_stopping import InterimMonitor, SuiteMonitor
    from llmgate.session.run.plan import Plan
    from llmgate.suite.asserts import Json
    from llmgate.suite.cases import Case

__all__ = ["asker", "by_name", "check_stopped", "context_of", "embedder", "generate_answers", "judge_answers"]


async def generate_answers(
    run: RunDir,
    plan: Plan,
    client: Chat,
    *,
    models: Models | None,
    progress: Progress,
    monitor: InterimMonitor | None = None,
) -> None:
    """Ask every case that has no answer yet, and check the answers.

    Args:
        run: Where results go; what it holds already is kept.
        plan: The cases, and the vocabulary of their asserts.
        client: Bounds the requests in flight.
        models: Judge each answer at once, if they can be asked while the model under test runs.
        progress: Told about every finished case.
        monitor: The suites that may stop before all cases are asked.

    Raises:
        ServerError: If the server died; what was answered before is in the record.
        EndpointError: If the endpoint stopped accepting connections, or asking on is of no use: it refuses the key,
            its quota is used up, or its rate limit lets nothing pass. The same of judges.
        RecordError: If the record could not be written.
    """
    todo = [key for key in run.missing() if key.suite not in plan.tested and needs_answer(run, key)]
    if monitor is not None:
        todo = monitor.arranged(todo)
        await monitor.begin()
    if not todo:
        return
    cases = by_name(plan)
    done = count(1)
    died: dict[CaseKey, str] = {}

    async def ask(key: CaseKey) -> None:
        looks = None if monitor is None else monitor.of(key)
        if looks is not None and not await looks.turn(key):
            return
        keep = run.append if looks is None else looks.keep
        case = cases[key.suite][key.case].at_hand()
        with kept_for(run):
            answer = await client.ask(
                {**case.request(key.repeat), **extra_fields(case, plan.vocabulary)},
                expected=partial(expects_finish_reason, case.asserts, case.variables),
                which=str(key),
            )
        result = await check_answer(case, key, answer, plan.vocabulary)
        keep(result)
        if models and not result.judged:
            judged = await with_judgements(case, result, models, plan.vocabulary)
            check_stopped(models, run)
            keep(judged)
        if not isinstance(answer, Generation) and answer.kind is FailureKind.SERVER_DIED:
            died[key] = answer.message
        progress.count("answers", next(done), len(todo))
        if looks is not None:
            await looks.done(key)

    await gather_all(gather_bounded(ask, keys, apart=looks is not None) for looks, keys in by_looks(todo, monitor))
    lost = [message for key, message in died.items() if key in run.results]
    if lost:
        raise ServerError(
            f"the server died with {len(lost)} of {len(todo)} answers missing: {lost[0]}",
            where=str(run.path),
            fix=f"What was answered is kept: mend the cause, then add --resume --out {run.path}",
        )
    if client.gave_up:
        raise EndpointError(
            "the endpoint stopped accepting connections",
            where=client.endpoint.url,
            fix=f"What was answered is kept: bring it back, then add --resume --out {run.path}",
        )


def by_looks(
    todo: Sequence[CaseKey], monitor: InterimMonitor | None
) -> Iterable[tuple[SuiteMonitor | None, Sequence[CaseKey]]]:
    """What is to be asked, apart for every suite that may stop early: it may have to wait, and nobody else with it."""
    looked: dict[SuiteMonitor | None, list[CaseKey]] = {}
    for key in todo:
        looked.setdefault(None if monitor is None else monitor.of(key), []).append(key)
    return looked.items()


def by_name(plan: Plan) -> dict[str, dict[str, Case]]:
    """The cases of a plan by suite and id."""
    found: dict[str, dict[str, Case]] = {}
    for case in plan.cases:
        found.setdefault(case.planned.suite, {})[case.planned.case] = case
    return found


def needs_answer(run: RunDir, key: CaseKey) -> bool:
    """Whether a case must be asked (again). An answer that only lacks its judge is kept."""
    result = run.scored.get(key)
    return result is None or not isinstance(result.answer, Generation)


def extra_fields(case: Case, vocabulary: Checks) -> dict[str, Json]:
    """What a request must ask for beyond the suite's sampling, so that its asserts can be evaluated."""
    return {"logprobs": True} if needs_of(case.asserts, vocabulary).logprobs else {}


async def check_answer(case: Case, key: CaseKey, answer: Generation | Failure, vocabulary: Checks) -> CaseResult:
    """Apply the checks that ask no model; those of users while other answers are asked for."""
    if not isinstance(answer, Generation):
        return CaseResult(key=key, answer=answer, threshold=case.planned.threshold)
    context, needs = context_of(case, answer), needs_of(case.asserts, vocabulary)
    score = partial(score_case, case.asserts, context, vocabulary)
    return CaseResult(
        key=key,
        answer=answer,
        checks=await in_thread(score) if needs.custom else score(),
        judged=not needs.later,
        threshold=case.planned.threshold,
        traits=read_features(context),
    )


def context_of(case: Case, answer: Generation, *, exchanges: Sequence[Exchange] = ()) -> CheckContext:
    """What a check may look at.

    Args:
        case: What was asked.
        answer: What came back.
        exchanges: The requests of a test in code; the last one says what was asked where the case does not.
    """
    said = [message.content for message in case.planned.messages if message.role == "user"]
    prompt = "\n\n".join(said or _asked(exchanges))
    counts = {"prompt": answer.prompt_tokens, "completion": answer.completion_tokens}
    if answer.prompt_tokens is not None and answer.completion_tokens is not None:
        counts["total"] = answer.prompt_tokens + answer.completion_tokens
    return CheckContext(
        output=output_of(answer),
        variables=case.variables,
        prompt=prompt,
        messages=case.planned.messages,
        # What a cache took is no time of the model's.
        latency_ms=None if answer.answered_by and answer.answered_by.cached else answer.latency_s * 1000,
        cost=case.prices.of(answer.prompt_tokens, answer.completion_tokens) if case.prices else None,
        logprobs=None if answer.logprobs is None else [token.logprob for token in answer.logprobs],
        misspelt=misspelt(answer, stops=case.body.get("stop")),
        finish_reason=answer.finish_reason,
        tokens={name: count for name, count in counts.items() if count is not None},
        tools=case.body.get("tools"),
        functions=case.body.get("functions"),
    )


def _asked(exchanges: Sequence[Exchange]) -> list[str]:
    """What the user says in the last request for text."""
    last = next((each for each in reversed(exchanges) if each.answer is not None), None)
    messages = last.request.get("messages") if last else None
    users = (
        [m for m in messages if isinstance(m, dict) and m.get("role") == "user"] if isinstance(messages, list) else []
    )
    return [str(message.get("content")) for message in users]


def output_of(answer: Generation) -> object:
    """The answer as asserts see it: text, or the calls where the model made calls, with its text beside them."""
    if answer.tool_calls is None:
        return answer.text
    calls = [dict(call) for call in answer.tool_calls]
    return {"content": answer.text, "tool_calls": calls} if answer.text else calls


async def judge_answers(run: RunDir, plan: Plan, models: Models, *, progress: Progress) -> None:
    """Judge every answer that still lacks a judge's verdict, or whose judge failed.

    Raises:
        EndpointError: If asking a judge on is of no use.
        RecordError: If the record could not be written.
    """
    vocabulary = plan.vocabulary
    cases = by_name(plan)

    def waits(case: Case, key: CaseKey) -> bool:
        asked = asked_of(case, run.results[key], vocabulary) if case.code else case
        return bool(needs_of(asked.asserts, vocabulary).later)

    todo = [
        key
        for key in run.missing()
        if isinstance(run.scored[key].answer, Generation) and waits(cases[key.suite][key.case], key)
    ]
    if not todo:
        return
    done = count(1)

    async def judge(key: CaseKey) -> None:
        case, result = cases[key.suite][key.case].at_hand(), run.results[key]
        if isinstance(result.answer, Generation):
            fresh = await unjudged(case, result, vocabulary)
            judged = await with_judgements(asked_of(case, result, vocabulary), fresh, models, vocabulary)
            check_stopped(models, run)
            run.append(judged)
        progress.count("judged", next(done), len(todo))

    await gather_bounded(judge, todo)


def asked_of(case: Case, result: CaseResult, vocabulary: Checks) -> Case:
    """The case with the asserts that models are asked about: a test in code says them while it runs."""
    if not case.code:
        return case
    return replace(case, asserts=tuple(read_assert(written, vocabulary.names) for written in result.asserts))


async def unjudged(case: Case, result: CaseResult, vocabulary: Checks) -> CaseResult:
    """The result without what judges said; what a test in code found is kept, as only the test could find it again."""
    if not case.code and isinstance(result.answer, Generation):
        return await check_answer(case, result.key, result.answer, vocabulary)
    asked = {spec.name for spec in asked_of(case, result, vocabulary).asserts}
    return replace(result, checks=tuple(check for check in result.checks if check.type not in asked), judged=False)


async def with_judgements(case: Case, result: CaseResult, models: Models, vocabulary: Checks) -> CaseResult:
    """Add the judge's results; a judge that fails leaves an error, never a gap."""
    if not isinstance(result.answer, Generation):
        return result
    context = context_of(case, result.answer, exchanges=result.exchanges)
    verdicts = await judge_case(case.asserts, context, models, vocabulary)
    return replace(result, checks=(*result.checks, *verdicts), judged=True)


def check_stopped(models: Models, run: RunDir) -> None:
    """End the run when a judge is of no use any more: else all that is left would be errors of its checks.

    Raises:
        EndpointError: If a judge's endpoint, or that of the embedding model, stopped its client.
    """
    for asked in (*models.judges.values(), models.embed):
        stopped = asked.client.stopped if isinstance(asked, _Asker | _Embedder) else None
        if stopped is not None:
            raise resumable(stopped, run)


@contextmanager
def kept_for(run: RunDir) -> Iterator[None]:
    """Say how to go on where an endpoint stops a run."""
    try:
        yield
    except EndpointError as error:
        raise resumable(error, run) from error


def resumable(error: EndpointError, run: RunDir) -> EndpointError:
    """The error, with how to go on."""
    fix = f"{error.fix or 'Mend the cause'}. What was answered is kept: go on with --resume --out {run.path}"
    return EndpointError(error.what, where=error.where, fix=fix)


def asker(client: Chat) -> Ask:
    """The `ask` callable of a judge that is reached through a client."""
    return _Asker(client)


@dataclass(frozen=True, slots=True)
class _Asker:
    client: Chat

    async def __call__(self, request: JudgeRequest) -> JudgeReply:
        client = self.client
        answer = await client.ask(request.body)
        if isinstance(answer, Generation):
            check_who_answered(client, answer.answered_by)
            if answer.tool_calls:
                raise JudgeError("the judge called a tool", where=client.endpoint.url, fix="Serve it without tools")
            return JudgeReply(
                content=answer.text,
                tokens=tuple(
                    Token(text=token.token, logprob=token.logprob, alternatives=token.top)
                    for token in answer.logprobs or ()
                ),
                prompt_tokens=answer.prompt_tokens,
                cached_tokens=answer.cached_tokens,
                cut_off=(answer.finish_reason or "").lower() in CUT,
                model=None if answer.answered_by is None else answer.answered_by.model or None,
            )
        raise JudgeError(f"the judge gave no reply: {answer.message}", where=client.endpoint.url)


def embedder(client: Chat) -> Embed:
    """The `embed` callable of a model that is reached through a client."""
    return _Embedder(client)


@dataclass(frozen=True, slots=True)
class _Embedder:
    client: Chat

    async def __call__(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        client = self.client
        answer = await client.embed(texts)
        if isinstance(answer, Failure):
            raise JudgeError(f"the embedding model gave no vectors: {answer.message}", where=client.endpoint.url)
        if answer.answered_by is not None:
            # A vector out of a cache is the same vector.
            check_who_answered(client, replace(answer.answered_by, cached=""))
        return answer.values


def check_who_answered(client: Chat, by: AnsweredBy | None) -> None:
    """Refuse what another model said than the one that was asked, or a cache.

    Raises:
        JudgeError: With what says so.
    """
    if by is None:
        return
    asked, where = client.endpoint.model, client.endpoint.url
    if by.model and not answers_for(by.model, asked, client.endpoint.names):
        fix = "Ask for it by that name, or name it with --reply-names"
        raise JudgeError(f"{by.model} replied, and {asked} was asked", where=where, fix=fix)
    if by.rerouted:
        fix = "Ask without the gateway, or switch its fallbacks off"
        raise JudgeError(f"the gateway asked somebody else than {asked} ({by.rerouted})", where=where, fix=fix)
    if by.cached:
        fix = "Ask without the gateway, or switch its cache off"
        raise JudgeError(f"{asked} was not asked: the reply came out of a cache ({by.cached})", where=where, fix=fix)
