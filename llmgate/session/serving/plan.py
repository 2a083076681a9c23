"""What is to be measured on two arms, and whether it is what an interrupted measurement had begun."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final, Protocol

from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import Workload, digest_bodies
from llmgate.errors import RecordError
from llmgate.record.arms import ArmIdentity, ArmRun, ArmsPlan, ServingArms
from llmgate.record.manifest import Hardware, ServerIdentity
from llmgate.record.run.rundir import changes
from llmgate.session.serving.order import halves, planned_order, steps_left

if TYPE_CHECKING:
    from llmgate.record.arms import Arm, Hosting
    from llmgate.record.manifest import ModelIdentity
    from llmgate.session.target import Target

__all__ = ["ArmsJob", "ArmsStore", "begin", "finished", "identity_of", "is_unopened", "lasting", "plan_job"]

SEEDS: Final = 2**31


class ArmsStore(Protocol):
    """Where a plan and its runs are kept: a run's record, or a folder of `llmgate bench`."""

    def plan_arms(self, plan: ArmsPlan) -> None:
        """Keep what is to be measured."""

    def add_arm_run(self, run: ArmRun) -> None:
        """Keep one run."""

    def arms(self) -> tuple[ServingArms, ...]:
        """What was kept so far."""


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


def plan_job(
    job: ArmsJob,
    models: Mapping[Arm, ModelIdentity | None],
    up: Mapping[Arm, Target],
    *,
    hosting: Hosting,
    earlier: ServingArms | None,
) -> ArmsPlan:
    """The plan of a job, which goes on with an earlier one of the same.

    Args:
        job: What is measured.
        models: The arms that there are, each with its model where that is known before it is opened.
        up: What can be asked now.
        hosting: How servers are kept up.
        earlier: What was measured before, None for nothing.

    Raises:
        RecordError: If that belongs to another plan; the message names the field.
    """
    before = earlier.plan if earlier else None
    seed = before.seed if before else secrets.randbelow(SEEDS)
    sides = {
        arm: identity_of(up[arm]) if arm in up else _expected(before, arm) or _unopened(model)
        for arm, model in models.items()
    }
    champion = sides.get("champion")
    drawn = planned_order(job.pairs, seed=seed, champion=champion is not None)
    plan = ArmsPlan(
        suite=job.name,
        pairs=job.pairs,
        order=before.order if before else drawn,
        seed=seed,
        hosting=hosting,
        hardware=job.hardware,
        candidate=sides["candidate"],
        champion=champion,
        levels=dict(job.levels),
    )
    if earlier is not None:
        _refuse_other(job, earlier, plan)
    return plan


def _refuse_other(job: ArmsJob, earlier: ServingArms, now: ArmsPlan) -> None:
    """What was measured belongs to a plan, and is no part of another one."""
    before = earlier.plan
    was, is_now = (plan.champion is not None for plan in (before, now))
    if was != is_now:
        changed: str | None = f"it was measured {'with' if was else 'without'} a champion"
    else:
        changed = next(changes(_held_to(before), _held_to(now)), None) or _other_load(job, earlier.runs)
    if changed is not None:
        raise RecordError(
            f"the comparison of {job.name} cannot be gone on with: {changed}",
            where="serving on two arms",
            fix="Restore it, or measure into another folder",
        )


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


def identity_of(target: Target) -> ArmIdentity:
    """What answers there."""
    return ArmIdentity(model=target.model, server=target.server)


def _unopened(model: ModelIdentity | None) -> ArmIdentity:
    """An arm whose server takes its turn later; what that is, is written down then."""
    if model is None:
        raise RecordError("an arm that is not open has no known model", fix="Please report this")
    return ArmIdentity(model=model, server=ServerIdentity(engine="vllm", owned=True))


def is_unopened(arm: ArmIdentity) -> bool:
    """A server of ours always has flags: we give it some."""
    return arm.server.owned and not arm.server.flags


def _expected(before: ArmsPlan | None, arm: Arm) -> ArmIdentity | None:
    if before is None:
        return None
    return before.candidate if arm == "candidate" else before.champion


def lasting(arm: ArmIdentity | None) -> ArmIdentity | None:
    """Without what changes with every start: the port."""
    return (
        arm if arm is None else replace(arm, server=replace(arm.server, url="" if arm.server.owned else arm.server.url))
    )


def _held_to(plan: ArmsPlan) -> dict[str, object]:
    """What a measurement that is gone on with shares with the one before."""
    held = {each.name: getattr(plan, each.name) for each in fields(plan)}
    # What a kernel reports of the memory changes a little with every start of a machine.
    return held | {
        "hardware": replace(plan.hardware, memory_gib=0.0),
        "candidate": lasting(plan.candidate),
        "champion": lasting(plan.champion),
    }
