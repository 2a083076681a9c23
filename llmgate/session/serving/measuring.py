"""Runs of two arms, one after another, each in the record the moment it is over.

A run during which other processes used the machine is discarded before anybody looks at its figures, and its pair is
made again. What was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final, Protocol

from llmgate.bench.client.load import Watch, measure_serving
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import Workload, digest_bodies
from llmgate.errors import BenchError, RecordError, ServerError
from llmgate.gate.serving.summary import summarise
from llmgate.record.arms import ArmIdentity, ArmRun, ArmsPlan, ServingArms
from llmgate.record.manifest import Hardware, ServerIdentity
from llmgate.record.run.rundir import changes
from llmgate.record.serving.trace import ServingTrace
from llmgate.report.visible import one_line
from llmgate.session.clock import timestamp
from llmgate.session.heartbeat import run_async
from llmgate.session.progress import time_left
from llmgate.session.serving.order import attempts_left, halves, next_step, partners, planned_order, steps_left
from llmgate.session.target import Target

if TYPE_CHECKING:
    from llmgate.record.arms import Arm, Hosting
    from llmgate.record.manifest import ModelIdentity
    from llmgate.session.progress import Progress
    from llmgate.session.serving.hosting import Stand, Standing
    from llmgate.session.serving.order import Step

__all__ = ["ArmsJob", "ArmsStore", "Eyes", "begin", "finished", "measure_arms"]

SEEDS: Final = 2**31
LAST_WORDS_S: Final = 3.0
"""Failed requests are often the first sign of a dying server; this long its process may take to end."""
POLL_S: Final = 0.1
SALT_CHARS: Final = 8


class ArmsStore(Protocol):
    """Where a plan and its runs are kept: a run's record, or a folder of `llmgate bench`."""

    def plan_arms(self, plan: ArmsPlan) -> None:
        """Keep what is to be measured."""

    def add_arm_run(self, run: ArmRun) -> None:
        """Keep one run."""

    def arms(self) -> tuple[ServingArms, ...]:
        """What was kept so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """Who else uses the machine: what looks while a run goes on, and what is made of it.

    Attributes:
        watches: Of a server that is about to be measured; new ones for each run.
        contended: Why a run is to be made again, None if it counts.
    """

    watches: Callable[[Target], Sequence[Watch]]
    contended: Callable[[ServingTrace], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmsJob:
    """What is measured on both arms.

    Attributes:
        name: Of the suite, or the name given to `llmgate bench`.
        pairs: Pairs of runs; without a champion, runs.
        load: How hard a server is worked, in every run.
        workload: What is sent to a model, by its name in requests.
        hardware: Of this machine.
        levels: What a request must meet to count for goodput, in ms.
    """

    name: str
    pairs: int
    load: Load
    workload: Callable[[str], Workload]
    hardware: Hardware
    levels: Mapping[str, float] = field(default_factory=dict)


def begin(store: ArmsStore, name: str) -> ServingArms | None:
    """What an interrupted measurement left, None if there is none."""
    return next((arms for arms in store.arms() if arms.plan.suite == name), None)


def finished(job: ArmsJob, models: Mapping[Arm, ModelIdentity | None], earlier: ServingArms) -> bool:
    """Whether nothing is left to do of a job, so that no server needs to be started for it.

    What belongs to another plan is not finished: it is refused when the servers are up, and all is known of them.
    """
    plan = earlier.plan
    sides: dict[Arm, ArmIdentity | None] = {"candidate": plan.candidate, "champion": plan.champion}
    same = all(
        (side is not None) == (arm in models) and (side is None or models[arm] in (None, side.model))
        for arm, side in sides.items()
    )
    return (
        same
        and (plan.pairs, dict(plan.levels)) == (job.pairs, dict(job.levels))
        and _other_load(job, earlier.runs) is None
        and not halves(plan, earlier.runs)
        and steps_left(plan, earlier.runs) == 0
    )


def measure_arms(
    job: ArmsJob,
    stand: Stand,
    models: Mapping[Arm, ModelIdentity | None],
    store: ArmsStore,
    *,
    hosting: Hosting,
    eyes: Eyes,
    progress: Progress,
) -> ServingArms:
    """Make every run that is wanted and not made yet.

    Args:
        job: What is measured.
        stand: The servers.
        models: The arms that there are, each with its model where that is known before it is opened.
        store: Keeps plan and runs; what it has already is kept.
        hosting: How the stand keeps servers up.
        eyes: Who else uses the machine.
        progress: Told about every run.

    Returns:
        The plan with all runs. Incomplete if too many were discarded, or one must not be believed.

    Raises:
        RecordError: If what is there belongs to another plan; the message names the field.
        ServerError: If a server of ours died. What was measured is kept.
        BenchError: If a server cannot be reached.
    """
    return _Measurement(job, stand, models, store, hosting=hosting, eyes=eyes, progress=progress).carry_out()


class _Measurement:
    def __init__(
        self,
        job: ArmsJob,
        stand: Stand,
        models: Mapping[Arm, ModelIdentity | None],
        store: ArmsStore,
        *,
        hosting: Hosting,
        eyes: Eyes,
        progress: Progress,
    ) -> None:
        self._job = job
        self._stand = stand
        self._store = store
        self._eyes = eyes
        self._progress = progress
        earlier = begin(store, job.name)
        self._runs: list[ArmRun] = list(earlier.runs) if earlier else []
        self._plan = self._planned(models, hosting, earlier.plan if earlier else None)
        self._started = time.monotonic()
        self._made = 0

    def _planned(
        self, models: Mapping[Arm, ModelIdentity | None], hosting: Hosting, before: ArmsPlan | None
    ) -> ArmsPlan:
        job, up = self._job, self._stand.targets()
        seed = before.seed if before else secrets.randbelow(SEEDS)
        sides = {
            arm: _identity(up[arm]) if arm in up else _expected(before, arm) or _unopened(model)
            for arm, model in models.items()
        }
        champion = sides.get("champion")
        plan = ArmsPlan(
            suite=job.name,
            pairs=job.pairs,
            order=planned_order(job.pairs, seed=seed, champion=champion is not None, phases=hosting == "restarts"),
            seed=seed,
            hosting=hosting,
            hardware=job.hardware,
            candidate=sides["candidate"],
            champion=champion,
            levels=dict(job.levels),
        )
        if before is not None:
            self._refuse_other(before, plan)
        self._store.plan_arms(plan)
        return plan

    def _refuse_other(self, before: ArmsPlan, now: ArmsPlan) -> None:
        """What was measured belongs to a plan, and is no part of another one."""
        changed = next(changes(_held_to(before), _held_to(now)), None) or _other_load(self._job, self._runs)
        if changed is not None:
            raise RecordError(
                f"the comparison of {self._job.name} cannot be gone on with: {changed}",
                where="serving on two arms",
                fix="Restore it, or measure into another folder",
            )

    def carry_out(self) -> ServingArms:
        """Make the runs."""
        for half in halves(self._plan, self._runs):
            self._keep(half)
        wanted = steps_left(self._plan, self._runs)
        self._progress.stage(f"measuring serving of {one_line(self._job.name)}: {wanted} runs")
        while (step := next_step(self._plan, self._runs)) is not None:
            run = self._run(step)
            for partner in partners(self._runs, step.pair, run.discarded) if run.discarded else ():
                self._keep(partner)
            self._keep(run)
            self._made += 1
            if run.discarded:
                left = attempts_left(self._plan, self._runs)
                again = "its pair is made again" if left >= 0 else "and no further attempt is left"
                self._progress.stage(f"run {step.position + 1} is discarded, {again}: {run.discarded}")
                continue
            invalid = summarise(run.trace).invalid
            if invalid:
                self._progress.stage(f"the measurement ends here, as run {step.position + 1} is INVALID: {invalid[0]}")
                break
        return ServingArms(plan=self._plan, runs=tuple(self._runs))

    def _keep(self, run: ArmRun) -> None:
        self._store.add_arm_run(run)
        self._runs[run.position : run.position + 1] = [run]

    def _run(self, step: Step) -> ArmRun:
        standing = self._stand.at(step.arm)
        self._check_identity(step.arm, standing.target)
        self._progress.stage(self._told(step))
        started_at = timestamp()
        trace = self._trace(step, standing)
        return ArmRun(
            suite=self._job.name,
            position=step.position,
            pair=step.pair,
            arm=step.arm,
            started_at=started_at,
            trace=trace,
            discarded=self._eyes.contended(trace) or "",
        )

    def _trace(self, step: Step, standing: Standing) -> ServingTrace:
        target, load = standing.target, self._job.load
        if standing.fresh:
            # A whole run unmeasured: allocators, kernels and clocks settle, and both arms begin alike.
            load = replace(load, warmup=max(load.requests, load.warmup or 0))
        measuring = measure_serving(
            self._job.workload(target.endpoint.model),
            replace(target.endpoint, names=target.server.model_names),
            load,
            watches=self._eyes.watches(target),
            on_progress=lambda done, total: self._progress.count("serving requests", done, total),
            salt=self._salt(step),
        )
        try:
            trace = run_async(measuring, self._progress)
        except BenchError as error:
            self._raise_if_dead(step, target, wait=True)
            error.fix = "What was measured is kept: mend the cause, and go on with --resume"
            raise
        self._raise_if_dead(step, target, wait=any(request.error is not None for request in trace.requests))
        return trace

    def _salt(self, step: Step) -> str:
        """Keeps prompts out of every prefix cache: both runs of an attempt send the same bytes, and nobody else does.

        One model on one server would find the first run's prompts in the second, so there the arms differ too.
        """
        asked = {(target.endpoint.url, target.endpoint.model) for target in self._stand.targets().values()}
        alike = len(self._stand.targets()) > len(asked)
        text = f"{self._plan.seed} {step.pair} {step.attempt} {step.arm if alike else ''}"
        return hashlib.sha256(text.encode()).hexdigest()[:SALT_CHARS]

    def _raise_if_dead(self, step: Step, target: Target, *, wait: bool) -> None:
        """A server that died says nothing of how fast it is."""
        deadline = time.monotonic() + (LAST_WORDS_S if wait and target.pid is not None else 0.0)
        while (why := target.death()) is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if why is not None:
            raise ServerError(
                f"the server of the {step.arm} died in run {step.position + 1}: {why}",
                where=f"serving of {self._job.name}",
                fix="What was measured is kept: mend the cause, and go on with --resume",
            )

    def _check_identity(self, arm: Arm, target: Target) -> None:
        """Write down what serves an arm when it is first seen; later it must be the same."""
        now = _identity(target)
        known = self._plan.candidate if arm == "candidate" else self._plan.champion
        if known is not None and _is_unopened(known):
            changed = next(changes(known.model, now.model, f"the {arm}'s model"), None)
        else:
            changed = next(changes(_lasting(known), _lasting(now), f"the {arm}'s"), None)
        if changed is not None:
            raise RecordError(changed, where=f"serving of {self._job.name}", fix="Measure one model on one server")
        if known is not None and _is_unopened(known):
            self._plan = replace(self._plan, candidate=now) if arm == "candidate" else replace(self._plan, champion=now)
            self._store.plan_arms(self._plan)

    def _told(self, step: Step) -> str:
        """`pair 3 of 8, champion, 4 min left`."""
        plan = self._plan
        what = (
            f"run {step.pair + 1} of {plan.pairs}" if plan.champion is None else f"pair {step.pair + 1} of {plan.pairs}"
        )
        text = what if plan.champion is None else f"{what}, {step.arm}"
        if not self._made:
            return text
        spent = time.monotonic() - self._started
        left = steps_left(plan, self._runs)
        rest = spent / self._made * left
        text = f"{text}, {time_left(rest)} left"
        if self._made == (1 if plan.champion is None else 2):
            text += f" (about {time_left(spent + rest)} for {self._made + left} runs{self._gpu_words(spent + rest)})"
        return text

    def _gpu_words(self, seconds: float) -> str:
        gpus = self._stand.gpus
        return f", {gpus * seconds / 60.0:.0f} GPU minutes" if gpus else ""


def _other_load(job: ArmsJob, runs: Sequence[ArmRun]) -> str | None:
    """How the load differs from that of the first run, None if it does not, or there is none."""
    if not runs:
        return None
    was, load = runs[0].trace, job.load
    for name, then, now in (
        ("concurrency", was.concurrency, load.concurrency),
        ("requests", len(was.requests), load.requests),
        ("arrivals", was.arrivals, load.arrivals),
    ):
        if then != now:
            return f"{name} was {then} and is now {now}"
    same = digest_bodies(job.workload(was.model).take(load.requests)) == was.workload_digest
    return None if same else "the prompts were others"


def _identity(target: Target) -> ArmIdentity:
    return ArmIdentity(model=target.model, server=target.server)


def _unopened(model: ModelIdentity | None) -> ArmIdentity:
    """An arm whose server takes its turn later; what that is, is written down then."""
    if model is None:
        raise RecordError("an arm that is not open has no known model", fix="Please report this")
    return ArmIdentity(model=model, server=ServerIdentity(engine="vllm", owned=True))


def _is_unopened(arm: ArmIdentity) -> bool:
    """A server of ours always has flags: we give it some."""
    return arm.server.owned and not arm.server.flags


def _expected(before: ArmsPlan | None, arm: Arm) -> ArmIdentity | None:
    if before is None:
        return None
    return before.candidate if arm == "candidate" else before.champion


def _lasting(arm: ArmIdentity | None) -> ArmIdentity | None:
    """Without what changes with every start: the port."""
    return (
        arm if arm is None else replace(arm, server=replace(arm.server, url="" if arm.server.owned else arm.server.url))
    )


def _held_to(plan: ArmsPlan) -> dict[str, object]:
    """What a measurement that is gone on with shares with the one before."""
    held = {each.name: getattr(plan, each.name) for each in fields(plan)}
    return held | {"candidate": _lasting(plan.candidate), "champion": _lasting(plan.champion)}
