"""Candidate and champion measured against each other: what `llmgate run` and `llmgate bench --compare` share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.bench.watch.watches import watches_for
from llmgate.bench.workload.build import load_of
from llmgate.errors import RecordError
from llmgate.gate.serving.validity import spoilt
from llmgate.generate.identity import hardware
from llmgate.record.arms import ServingArms
from llmgate.report.visible import one_line
from llmgate.session.serving.hosting import ArmPlace, HostingChoice, Stand, choose_hosting
from llmgate.session.serving.measuring import Eyes, measure_arms
from llmgate.session.serving.plan import ArmsJob, ArmsStore, begin, finished
from llmgate.session.serving.single import VLLM, workload_of

if TYPE_CHECKING:
    from llmgate.bench.client.load import Watch
    from llmgate.record.arms import Arm
    from llmgate.record.serving.plan import ServingSpec
    from llmgate.session.progress import Progress
    from llmgate.session.serving.single import Prompts
    from llmgate.session.target import Target

__all__ = ["OUR_EYES", "Measured", "compare_serving", "hosting_of"]


def _watches(target: Target) -> tuple[Watch, ...]:
    return watches_for(target.endpoint, server_pid=target.pid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured, and for how long GPUs were held for it by servers of ours."""

    arms: ServingArms
    gpu_minutes: float


OUR_EYES = Eyes(watches=_watches, contended=spoilt)


def compare_serving(
    name: str,
    spec: ServingSpec,
    prompts: Prompts,
    places: tuple[ArmPlace, ArmPlace | None],
    store: ArmsStore,
    *,
    choice: HostingChoice,
    progress: Progress,
    eyes: Eyes = OUR_EYES,
) -> Measured:
    """Measure both arms, pair by pair, in an order that is drawn.

    Args:
        name: Of the suite, or the name given to `llmgate bench`.
        spec: What is measured, and how often.
        prompts: The suite's own, for workloads that are made of them.
        places: Where the candidate is served, and the champion; None where only the candidate's own figures count.
        store: Keeps plan and runs. What it has already of the same plan is kept: so an interrupted measurement goes on.
        choice: See `hosting_of`.
        progress: Told about every run; may raise to end.
        eyes: Who else uses the machine.

    Returns:
        The plan with all runs. They may be too few to decide: whoever decides sees that.

    Raises:
        LlmgateError: As `measure_arms`, and what opening a place raises.
    """
    candidate, champion = places
    by_arm: dict[Arm, ArmPlace] = {"candidate": candidate}
    if champion is not None:
        by_arm["champion"] = champion
    both_vllm = {place.engine for place in by_arm.values()} == {VLLM}
    job = ArmsJob(
        name=name,
        pairs=spec.pairs,
        load=load_of(spec),
        workload=lambda model: workload_of(spec, prompts, name=name, model=model, ignore_eos=both_vllm),
        hardware=hardware(),
        levels=spec.levels.limits if spec.levels else {},
    )
    models = {arm: place.model for arm, place in by_arm.items()}
    earlier = begin(store, name)
    if earlier is not None and finished(job, models, earlier):
        return Measured(arms=earlier, gpu_minutes=0.0)
    with Stand(by_arm, choice.hosting) as stand:
        arms = measure_arms(
            job,
            stand,
            models,
            store,
            hosting=choice.hosting,
            eyes=eyes,
            progress=progress,
        )
        minutes = stand.gpu_minutes
    counted = sum(all(run is not None for run in (pair if champion else pair[:1])) for pair in arms.pairs())
    discarded = sum(bool(run.discarded) for run in arms.runs)
    again = f", {discarded} runs discarded" if discarded else ""
    gpu = f", {minutes:.1f} GPU minutes" if minutes else ""
    what = "runs" if champion is None else "pairs of runs"
    progress.stage(f"serving of {one_line(name)} measured: {counted} of {arms.plan.pairs} {what}{again}{gpu}")
    return Measured(arms=arms, gpu_minutes=minutes)


def hosting_of(
    name: str,
    candidate: ArmPlace,
    champion: ArmPlace | None,
    store: ArmsStore | None,
    *,
    asked: str,
) -> HostingChoice:
    """How the servers are kept up; what was begun goes on as it began.

    Args:
        name: As for `compare_serving`.
        candidate: Where it is served.
        champion: Likewise.
        store: What is there already.
        asked: `--serving-hosting`.

    Raises:
        UsageError: If the arms cannot be hosted as asked.
        RecordError: If an interrupted measurement was hosted in another way than is asked for now.
    """
    choice = choose_hosting(candidate, champion, asked=asked)
    earlier = begin(store, name) if store is not None else None
    if earlier is None or earlier.plan.hosting == choice.hosting:
        return choice
    if asked != "auto":
        raise RecordError(
            f"the comparison of {name} cannot be gone on with: hosting was {earlier.plan.hosting} and is now {asked}",
            where="--serving-hosting",
            fix="Leave it out, or measure into another folder",
        )
    choice = choose_hosting(candidate, champion, asked=earlier.plan.hosting)
    return HostingChoice(hosting=choice.hosting, reason="as it began")
