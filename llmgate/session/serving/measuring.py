"""Runs of two arms, one after another, each in the record the moment it is over.

A run during which other processes used the machine is discarded before anybody looks at its figures, and its pair is
made again. What was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.bench.client.load import Watch, measure_serving
from llmgate.errors import BenchError, RecordError, ServerError
from llmgate.gate.serving.summary import summarise
from llmgate.record.arms import ArmRun, ServingArms
from llmgate.record.run.rundir import changes
from llmgate.record.serving.trace import ServingTrace
from llmgate.report.visible import one_line
from llmgate.session.clock import timestamp
from llmgate.session.heartbeat import run_async
from llmgate.session.progress import time_left
from llmgate.session.serving.order import attempts_left, halves, next_step, partners, steps_left
from llmgate.session.serving.plan import begin, identity_of, is_unopened, lasting, plan_job
from llmgate.session.target import Target

if TYPE_CHECKING:
    from llmgate.record.arms import Arm, Hosting
    from llmgate.record.manifest import ModelIdentity
    from llmgate.session.progress import Progress
    from llmgate.session.serving.hosting import ReadyArm, Stand
    from llmgate.session.serving.order import Step
    from llmgate.session.serving.plan import ArmsJob, ArmsStore

__all__ = ["Eyes", "measure_arms"]

LAST_WORDS_S: Final = 3.0
"""Failed requests are often the first sign of a dying server; this long its process may take to end."""
POLL_S: Final = 0.1
SALT_BYTES: Final = 4
LONG_S: Final = 30.0
"""A run that takes as long tells how far it is; a shorter one has said so when it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """Who else uses the machine: what looks while a run goes on, and what is made of it.

    Attributes:
        watches: Of a server that is about to be measured; new ones for each run.
        contended: Why a run is to be made again, None if it counts.
    """

    watches: Callable[[Target], Sequence[Watch]]
    contended: Callable[[ServingTrace], str | None]


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
        self._since = len(self._runs)
        self._plan = plan_job(job, models, stand.targets(), hosting=hosting, earlier=earlier)
        self._store.plan_arms(self._plan)
        self._own = secrets.token_hex(SALT_BYTES)
        self._started = time.monotonic()
        self._made = 0
        self._long = True

    def carry_out(self) -> ServingArms:
        """Make the runs."""
        for half in halves(self._plan, self._runs):
            self._keep(half)
        wanted = steps_left(self._plan, self._runs)
        self._progress.stage(f"measuring serving of {one_line(self._job.name)}: {wanted} runs")
        while (step := next_step(self._plan, self._runs, since=self._since)) is not None:
            run = self._run(step)
            for partner in partners(self._runs, step.pair, run.discarded) if run.discarded else ():
                self._keep(partner)
            self._keep(run)
            self._made += 1
            if run.discarded:
                left = attempts_left(self._plan, self._runs, since=self._since)
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

    def _trace(self, step: Step, standing: ReadyArm) -> ServingTrace:
        target, load = standing.target, self._job.load
        if standing.fresh:
            # A whole run unmeasured: allocators, kernels and clocks settle, and both arms begin alike.
            load = replace(load, warmup=max(load.requests, load.warmup or 0))
        measuring = measure_serving(
            self._job.workload(target.endpoint.model),
            replace(target.endpoint, names=target.server.model_names),
            load,
            watches=self._eyes.watches(target),
            on_progress=self._count if self._long else None,
            salt=self._salt(step),
        )
        try:
            trace = run_async(measuring, self._progress)
        except BenchError as error:
            self._raise_if_dead(step, target, wait=True)
            error.fix = "What was measured is kept: mend the cause, and go on with --resume"
            raise
        self._long = trace.duration_s > LONG_S
        self._raise_if_dead(step, target, wait=any(request.error is not None for request in trace.requests))
        return trace

    def _count(self, done: int, total: int) -> None:
        self._progress.count("serving requests", done, total)

    def _salt(self, step: Step) -> str:
        """Keeps prompts out of every prefix cache: both runs of an attempt send the same bytes, and nobody else does.

        Not what an interrupted process sent either. One model on one server would find the first run's prompts in the
        second, so there the arms differ too.
        """
        asked = {(target.endpoint.url, target.endpoint.model) for target in self._stand.targets().values()}
        alike = len(self._stand.targets()) > len(asked)
        text = f"{self._own} {step.pair} {step.attempt} {step.arm if alike else ''}"
        return hashlib.sha256(text.encode()).hexdigest()[: 2 * SALT_BYTES]

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
        now = identity_of(target)
        known = self._plan.candidate if arm == "candidate" else self._plan.champion
        if known is not None and is_unopened(known):
            changed = next(changes(known.model, now.model, f"the {arm}'s model"), None)
        else:
            changed = next(changes(lasting(known), lasting(now), f"the {arm}'s"), None)
        if changed is not None:
            raise RecordError(changed, where=f"serving of {self._job.name}", fix="Measure one model on one server")
        if known is not None and is_unopened(known):
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
