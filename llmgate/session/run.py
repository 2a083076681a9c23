"""One run from start to seal: open the model, ask, measure serving, judge, seal."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Final

from llmgate.bench.load import measure_serving
from llmgate.bench.plan import chat_workload
from llmgate.errors import RecordError, UsageError
from llmgate.generate.client import ChatClient, Endpoint, RetryPolicy
from llmgate.record.rundir import MANIFEST_NAME, RunDir, folder_taken
from llmgate.report.visible import one_line
from llmgate.score.models import JudgeSampling, Models
from llmgate.session.folder import new_run_id
from llmgate.session.manifest import make_manifest, redactor, timestamp
from llmgate.session.measure import asker, generate_answers, judge_answers
from llmgate.session.target import judge_identity, judge_place, open_judge, open_target

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from llmgate.record.schema import JudgeIdentity, Record
    from llmgate.score.models import Ask
    from llmgate.session.plan import Plan
    from llmgate.session.progress import Progress
    from llmgate.session.settings import Settings
    from llmgate.session.target import Target

__all__ = ["check_folder", "execute"]

HEARTBEAT_S: Final = 0.2
JUDGE_RETRIES: Final = 2


def execute(settings: Settings, plan: Callable[[], Plan], *, out: Path, progress: Progress) -> Record:
    """Carry out a run and seal its record.

    Args:
        settings: The options.
        plan: Returns what to ask; called once the server is up, so that a caller may still be collecting while
            the server starts.
        out: Folder of the record.
        progress: Told about every stage; may raise to end the run.

    Raises:
        LlmgateError: If the run could not be carried out. What was answered until then is in the folder.
    """
    make_folder(out)
    check_folder(settings, out)
    progress.stage(f"the record goes to {out}")
    with ExitStack() as closing:
        with open_target(settings, log_path=out / "server.log", progress=progress) as target:
            planned = plan()
            run = open_run(settings, planned, target, out)
            closing.callback(run.close)
            run_async(ask_and_bench(settings, planned, run, target, progress=progress), progress)
        place = judge_place(settings)
        if place and run.manifest.judge and waits_for_judge(run):
            with open_judge(
                settings, place, run.manifest.judge, log_path=out / "judge.log", progress=progress
            ) as target:
                run_async(judge_afterwards(settings, planned, run, target, progress=progress), progress)
        progress.stage("sealing the record")
        return run.seal(sealed_at=timestamp())


def run_async(work: Coroutine[None, None, None], progress: Progress) -> None:
    """Run to the end, or until `progress.check` raises."""

    async def watched() -> None:
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=HEARTBEAT_S)
                progress.check()
        finally:
            task.cancel()
            await asyncio.wait({task})
        await task

    asyncio.run(watched())


def make_folder(out: Path) -> None:
    """Make the run's folder before anything expensive starts."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(
            f"the folder cannot be made ({error.strerror})", where=str(out), fix="Choose another one with --out"
        ) from error


def open_run(settings: Settings, plan: Plan, target: Target, out: Path) -> RunDir:
    """Write the manifest of a new run, or go on with the one that is there.

    Raises:
        UsageError: If a case asks a judge and none was named.
        RecordError: If the folder holds another run.
    """
    redact = redactor(settings)
    manifest = make_manifest(settings, plan, target, identify_judge(settings, plan), run_id=new_run_id(), redact=redact)
    opened = RunDir.resume if settings.resume and has_run(out) else RunDir.create
    return opened(out, manifest, tuple(case.planned for case in plan.cases), redact=redact)


def check_folder(settings: Settings, out: Path) -> None:
    """Refuse a folder that holds a run already, before a server is started for nothing.

    Raises:
        RecordError: If it does, and the run is not to be gone on with.
    """
    if has_run(out) and not settings.resume:
        raise folder_taken(out)


def has_run(out: Path) -> bool:
    """Whether there is a run to go on with."""
    return (out / MANIFEST_NAME).exists()


def identify_judge(settings: Settings, plan: Plan) -> JudgeIdentity | None:
    """The judge's identity, None if no case asks one."""
    if not plan.judged:
        return None
    place = judge_place(settings)
    if place is None:
        names = ", ".join(sorted({p.suite.name for p in plan.suites if p.suite.judged_metrics}))
        raise UsageError(
            "an assert asks a judge, but no judge is named",
            where=names,
            fix="Give --judge-model DIR or --judge-endpoint URL",
        )
    return judge_identity(settings, place, plan.judged, judge_sampling(plan))


def judge_sampling(plan: Plan) -> JudgeSampling:
    """The judge as the suites want it; suites in one run share it, so the largest reply limit holds."""
    asking = [planned.suite for planned in plan.suites if planned.suite.judged_metrics]
    return JudgeSampling(
        max_tokens=max(suite.judge_max_tokens for suite in asking), seed=min(suite.judge_seed for suite in asking)
    )


def judges(plan: Plan, ask: Ask) -> Models:
    """The one judge of a run, with a bounded number of second questions after an unreadable reply."""
    return Models(judges={"": ask}, sampling=judge_sampling(plan), retries=JUDGE_RETRIES)


def retry_policy(settings: Settings) -> RetryPolicy:
    """How patiently requests are repeated."""
    return RetryPolicy(attempts=settings.retries + 1, timeout_s=settings.timeout)


async def ask_and_bench(settings: Settings, plan: Plan, run: RunDir, target: Target, *, progress: Progress) -> None:
    """Everything for which the model under test must be up."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            ChatClient(
                target.endpoint, concurrency=settings.concurrency, retry=retry_policy(settings), death=target.death
            )
        )
        models = await judge_beside(settings, plan, run, client, stack)
        name = one_line(target.model.name)  # an endpoint chooses its own name
        progress.stage(f"asking {name}: {len(run.missing())} answers, {settings.concurrency} in flight")
        await generate_answers(run, plan.cases, client, models=models, progress=progress)
        if models:
            await judge_answers(run, plan.cases, models, progress=progress)
    if not settings.no_bench:
        await bench_suites(plan, run, target, progress=progress)


async def judge_beside(
    settings: Settings, plan: Plan, run: RunDir, client: ChatClient, stack: AsyncExitStack
) -> Models | None:
    """A judge that can be asked while the model under test runs: a remote one, or that very model."""
    place = judge_place(settings)
    if place is None or run.manifest.judge is None:
        return None
    if place.same_server:
        return judges(plan, asker(client))
    if place.url is None:
        return None
    endpoint = Endpoint(url=place.url, model=run.manifest.judge.model, api_key=settings.judge_api_key)
    remote = ChatClient(endpoint, concurrency=settings.concurrency, retry=retry_policy(settings))
    return judges(plan, asker(await stack.enter_async_context(remote)))


def waits_for_judge(run: RunDir) -> bool:
    """Whether answers are still to be judged by a judge that runs after the model under test."""
    return any(not run.results[key].judged for key in run.missing() if key in run.results)


async def judge_afterwards(settings: Settings, plan: Plan, run: RunDir, target: Target, *, progress: Progress) -> None:
    """Judge with a server that runs after the model under test has ended."""
    async with ChatClient(
        target.endpoint, concurrency=settings.concurrency, retry=retry_policy(settings), death=target.death
    ) as client:
        progress.stage(f"judging with {one_line(target.model.name)}")
        await judge_answers(run, plan.cases, judges(plan, asker(client)), progress=progress)


async def bench_suites(plan: Plan, run: RunDir, target: Target, *, progress: Progress) -> None:
    """Take the serving measurements that suites ask for, now that the server has nothing else to do."""
    done = {trace.name for trace in run.serving()}
    for planned in plan.suites:
        spec = planned.suite.serving
        if spec is None or planned.suite.name in done or planned.suite.name not in plan.gated:
            continue
        progress.stage(f"measuring serving: {spec.requests} requests, {spec.concurrency} in flight")
        workload = chat_workload(
            [case.messages for case in planned.cases],
            name=planned.suite.name,
            model=target.endpoint.model,
            max_tokens=spec.max_tokens,
            # Fixed lengths: a model that talks less must not look faster. Only vLLM knows the field.
            ignore_eos=target.server.engine == "vllm",
        )
        run.add_serving(
            await measure_serving(
                workload,
                url=target.endpoint.url,
                api_key=target.endpoint.api_key,
                concurrency=spec.concurrency,
                requests=spec.requests,
                warmup=spec.warmup,
                on_progress=lambda done, total: progress.count("serving requests", done, total),
            )
        )
