"""One run from start to seal: open the model, ask, measure serving, judge, seal."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from llmgate.errors import RecordError, ServerError, UsageError
from llmgate.record.disk import private_folder
from llmgate.record.run.files import MANIFEST
from llmgate.record.run.loading import load_record
from llmgate.record.run.rundir import RunDir, folder_taken
from llmgate.record.run.watch import LOCK_NAME, REASON_NAME
from llmgate.report.visible import one_line
from llmgate.session.attempts.before import attempt_lines
from llmgate.session.clock import timestamp
from llmgate.session.decide.records import BASELINE_NAME, compared_with
from llmgate.session.heartbeat import gather_all, run_async
from llmgate.session.reach.known_secrets import clean_logs, errors_redacted, redactor, short_keys
from llmgate.session.reach.sources import localised, refuse_moved
from llmgate.session.reach.target import judge_place, open_judge, open_target
from llmgate.session.run.admissions import check_judges
from llmgate.session.run.anchors import anchors_wait, judge_anchors
from llmgate.session.run.asking import open_model, with_replicas
from llmgate.session.run.early_stopping import make_monitor
from llmgate.session.run.embed_outputs import embed_answers
from llmgate.session.run.judge_canaries import try_judges
from llmgate.session.run.manifest import make_manifest
from llmgate.session.run.measure import asker, check_stopped, generate_answers, judge_answers
from llmgate.session.run.models import JudgeTraffic, identify_models, models_beside, open_client, open_models
from llmgate.session.run.plan import Plan
from llmgate.session.run.power_check import preflight
from llmgate.session.run.registered import look_up
from llmgate.session.run.serving_suites import arms_of, bench_suites, check_serving
from llmgate.session.run.tested import Inbox, take_results
from llmgate.session.run.together import ALONE, Together
from llmgate.session.run_folder import new_run_id
from llmgate.session.settings.typed import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from llmgate.record.schema import Record
    from llmgate.score.assertion.models import Models
    from llmgate.session.progress import Progress
    from llmgate.session.run.early_stopping import InterimMonitor
    from llmgate.session.run.spread import ClusterAsker
    from llmgate.session.target import Target

__all__ = [
    "AskedRun",
    "asking",
    "check_folder",
    "execute",
    "finish",
    "judge_runs",
    "nothing_left_behind",
    "waits_for_judge",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRun:
    """A run whose model was asked. What a judge says that starts afterwards is still missing, and the seal.

    Attributes:
        settings: The options.
        plan: What was asked.
        run: The record as far as it is written.
    """

    settings: Settings
    plan: Plan
    run: RunDir


def execute(
    settings: Settings, plan: Callable[[], Plan], *, out: Path, progress: Progress, inbox: Inbox | None = None
) -> Record:
    """Carry out a run and seal its record: `asking`, `judge_runs`, `finish`.

    Args:
        settings: The options.
        plan: Returns what to ask; called once the server is up, so that a caller may still be collecting while
            the server starts.
        out: Folder of the record.
        progress: Told about every stage; may raise to end the run.
        inbox: Where tests in code leave what they found.

    Raises:
        LlmgateError: If the run could not be carried out. What was answered until then is in the folder.
    """
    if settings.champion_adapter is not None or settings.asks_champion:
        raise UsageError(
            "--champion and --champion-adapter have two models asked, which `llmgate run` does, and this is one run",
            fix="Record the champion's with --as-baseline and give it as the baseline, or use `llmgate run`",
        )
    with asking(settings, plan, out=out, progress=progress, inbox=inbox) as asked:
        judge_runs([asked], progress=progress)
        finish(asked, progress=progress)
    # What was planned is gone by now: of 200,000 cases it and the record would not both fit.
    del asked
    return load_record(out, shard=True)


@contextmanager
def asking(
    settings: Settings,
    plan: Callable[[], Plan],
    *,
    out: Path,
    progress: Progress,
    inbox: Inbox | None = None,
    opened: Callable[[], AbstractContextManager[Target]] | None = None,
    together: Together = ALONE,
) -> Iterator[AskedRun]:
    """Ask the model under test and end its server; the record is open until the block ends.

    Args:
        settings: The options.
        plan: As for `execute`.
        out: Likewise.
        progress: Likewise.
        inbox: Likewise.
        opened: Reaches the model, where a server of it is up; None to open what the settings name.
        together: What it has to do with another run.

    Raises:
        LlmgateError: As for `execute`.
    """
    make_folder(out)
    check_folder(settings, out)
    progress.stage(f"the record goes to {out}")
    tell(short_keys(settings), progress)
    redact = redactor(settings)
    with errors_redacted(redact), ExitStack() as closing:
        settings = localised(settings, progress)
        registered = look_up(settings)
        closing.callback(clean_logs, out, redact)
        spread = None
        if settings.on:
            # Only who names a cluster loads what asks from it.
            from llmgate.session.run.spread import open_spread  # noqa: PLC0415

            spread = closing.enter_context(open_spread(settings, progress))
        opening = open_target if spread is None else spread.open_target
        with opened() if opened else opening(settings, log_path=out / "server.log", progress=progress) as reached:
            target = with_replicas(settings, reached, progress)
            target = replace(target, model=registered.bind(settings, target.model))
            planned = plan()
            if spread is not None:
                spread.refuse(planned)
            check_serving(settings, planned)
            tell(preflight(planned, target, out, strict=settings.strict_power), progress)
            run = open_run(settings, planned, target, out, beside=together.beside)
            closing.callback(run.close)
            tell(attempt_lines(settings, run.manifest, compared_with(out)), progress)
            arms = arms_of(settings, planned, run, target, progress=progress)
            looks = make_monitor(settings, planned, run, out, progress=progress)
            if inbox is not None:
                inbox.open(target)
            asked = partial(ask, settings, planned, run, target, monitor=looks, progress=progress)
            together.ask(partial(asked, inbox=inbox, spread=spread, together=together), progress)
            if arms is not None:
                if not settings.no_bench:
                    run_async(bench_suites(planned, run, target, others=arms.suites, progress=progress), progress)
                arms.beside(run, progress=progress)
        if arms is not None:
            arms.afterwards(settings, target, run, progress=progress)
        yield AskedRun(settings=settings, plan=planned, run=run)


def tell(lines: Iterable[str], progress: Progress) -> None:
    """One stage per line."""
    for line in lines:
        progress.stage(line)


def judge_runs(runs: Sequence[AskedRun], *, progress: Progress) -> None:
    """Judge what waits for a judge that runs after the models under test, all of it by one server.

    Args:
        runs: Name the same judge.
        progress: As for `execute`.

    Raises:
        UsageError: If they name several.
        LlmgateError: As for `execute`.
    """
    waiting = [asked for asked in runs if waits_for_judge(asked.run) or anchors_wait(asked.run)]
    if not waiting:
        return
    first = waiting[0]
    judge, place = first.run.manifest.judge, judge_place(first.settings)
    if any(asked.run.manifest.judge != judge for asked in waiting):
        raise UsageError("the runs name several judges, and a server is one of them", fix="Judge them one by one")
    if judge is None or place is None:
        return
    log = first.run.path / "judge.log"
    with open_judge(first.settings, place, judge, log_path=log, progress=progress) as target:
        progress.stage(f"judging with {one_line(target.model.name)}")
        run_async(gather_all(judge_afterwards(asked, target, progress=progress) for asked in waiting), progress)


def finish(asked: AskedRun, *, progress: Progress) -> None:
    """Add what needs no model under test, and seal the record.

    Raises:
        LlmgateError: As for `execute`.
    """
    run_async(embed_answers(asked.settings, asked.plan, asked.run, progress=progress), progress)
    progress.stage("sealing the record")
    asked.run.finish(sealed_at=timestamp())


@contextmanager
def nothing_left_behind(out: Path) -> Iterator[None]:
    """Remove the folder of a run that ends with an error before it has asked anything, if it was not there before.

    It is kept where a server's log lies in it, which may say why.
    """
    was_there = out.exists()
    try:
        yield
    except BaseException:
        with suppress(OSError):
            held = list(out.iterdir())
            if not was_there and {path.name for path in held} <= {LOCK_NAME, REASON_NAME, BASELINE_NAME}:
                for path in held:
                    path.unlink()
                out.rmdir()
        raise


def make_folder(out: Path) -> None:
    """Make the run's folder before anything expensive starts."""
    try:
        private_folder(out)
    except OSError as error:
        raise RecordError(
            f"the folder cannot be made ({error.strerror})", where=str(out), fix="Choose another one with --out"
        ) from error


def open_run(settings: Settings, plan: Plan, target: Target, out: Path, *, beside: str = "") -> RunDir:
    """Write the manifest of a new run, or go on with the one that is there.

    Raises:
        UsageError: If a case asks a judge and none was named.
        PolicyError: If a judged metric is to gate and another judge was admitted than the one that was named.
        RecordError: If the folder holds another run.
    """
    redact = redactor(settings)
    manifest = make_manifest(
        settings, plan, target, identify_models(settings, plan), run_id=new_run_id(), beside=beside
    )
    check_judges(plan, manifest)
    if settings.resume and has_run(out):
        refuse_moved(out, manifest.model)
    make = RunDir.resume if settings.resume and has_run(out) else RunDir.create
    return make(out, manifest, tuple(case.planned for case in plan.cases), redact=redact)


def check_folder(settings: Settings, out: Path) -> None:
    """Refuse a folder that holds a run already, before a server is started for nothing.

    Raises:
        RecordError: If it does, and the run is not to be gone on with.
    """
    if has_run(out) and not settings.resume:
        raise folder_taken(out)


def has_run(out: Path) -> bool:
    """Whether there is a run to go on with."""
    return MANIFEST.exists(out)


async def ask(
    settings: Settings,
    plan: Plan,
    run: RunDir,
    target: Target,
    *,
    monitor: InterimMonitor | None,
    progress: Progress,
    inbox: Inbox | None = None,
    spread: ClusterAsker | None = None,
    together: Together = ALONE,
) -> None:
    """All questions, and what judges say of the answers who can be asked while the model under test is up."""
    async with AsyncExitStack() as stack:
        opening = open_model if spread is None else spread.open_model
        asked = await opening(settings, target, run, stack, progress=progress)
        client = together.reached(asked.chat)
        models = await models_beside(settings, plan, run.manifest, client, stack, progress=progress)
        name = one_line(target.model.name)  # an endpoint chooses its own name
        limit = f", {settings.limit}" if settings.limit else ""
        progress.stage(f"asking {name}: {len(run.missing())} answers, {asked.in_flight}{limit}")
        answers = [generate_answers(run, plan, client, models=models, progress=progress, monitor=monitor)]
        if inbox is not None:
            answers.append(take_results(run, plan, inbox, progress=progress))
        await gather_all(answers)
        if plan.tested and (why := target.death()) is not None:
            # Tests in code only know that nothing answered them.
            raise ServerError(
                f"the server died while tests asked it: {why}",
                where=str(run.path),
                fix=f"What was answered is kept: mend the cause, then add --resume --out {run.path}",
            )
        for line in asked.told():
            progress.stage(line)
        if models:
            await judge_all(settings, plan, run, models, progress=progress)


def waits_for_judge(run: RunDir) -> bool:
    """Whether answers are still to be judged by a judge that runs after the model under test."""
    scored = run.scored
    return any(not scored[key].judged for key in run.missing() if key in scored)


async def judge_afterwards(asked: AskedRun, target: Target, *, progress: Progress) -> None:
    """Judge with a server that runs after the model under test has ended."""
    settings, plan, run = asked.settings, asked.plan, asked.run
    async with AsyncExitStack() as stack:
        client = await open_client(target.endpoint, settings, stack, death=target.death)
        traffic = JudgeTraffic(settings, progress)
        models = await open_models(settings, plan, run.manifest, asker(client), stack, traffic=traffic)
        await judge_all(settings, plan, run, models, progress=progress)


async def judge_all(settings: Settings, plan: Plan, run: RunDir, models: Models, *, progress: Progress) -> None:
    """All that judges are asked: about answers, canaries and anchors."""
    await judge_answers(run, plan, models, progress=progress)
    if run.tries_judges:
        await try_judges(run, plan, models, progress=progress)
        await judge_anchors(run, settings, plan, models, progress=progress)
    check_stopped(models, run)
