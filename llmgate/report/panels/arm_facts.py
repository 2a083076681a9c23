"""How two servings were measured against each other: pairs, order, hosting, load, time, other processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.report.visible import one_line
from llmgate.report.words import count, figure, percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.arms import Hosting, ServingArms
    from llmgate.record.serving.trace import MachineUse, ServingTrace

__all__ = ["arm_facts", "gpu_minutes", "load_words", "others_share", "pairs_words", "time_words"]

HOSTING: Final[dict[Hosting, str]] = {
    "together": "Both servers were up at once.",
    "shared": "One server served both.",
    "restarts": "One server at a time, started anew for each run.",
}
LETTERS: Final = {"champion": "A", "candidate": "B"}
MOST_LETTERS: Final = 32


def arm_facts(arms: ServingArms) -> Iterator[tuple[str, str]]:
    """Labels and sentences in reading order."""
    plan = arms.plan
    yield ("Pairs" if plan.champion else "Runs"), pairs_words(arms)
    if plan.champion:
        yield "Order", _order(arms)
        yield "Hosting", HOSTING[plan.hosting]
    if arms.runs:
        yield "Load", load_words(arms.runs[0].trace)
        yield "Time", time_words(arms)
        yield "Other work", _others(arms)


def pairs_words(arms: ServingArms) -> str:
    """`8 of 8 pairs were measured, 18 runs in all; 2 were discarded`."""
    plan = arms.plan
    whole = sum(mine is not None and (theirs is not None or plan.champion is None) for mine, theirs in arms.pairs())
    text = f"{count(whole)} of {plural(plan.pairs, 'pair' if plan.champion else 'run')} were measured"
    if plan.champion:
        text += f", {plural(len(arms.runs), 'run')} in all"
    lost = sum(bool(run.discarded) for run in arms.runs)
    return f"{text}; {count(lost)} {'was' if lost == 1 else 'were'} discarded." if lost else f"{text}."


def _order(arms: ServingArms) -> str:
    letters = [LETTERS[arm] for arm in arms.plan.order]
    cut = " …" if len(letters) > MOST_LETTERS else ""
    return f"{' '.join(letters[:MOST_LETTERS])}{cut} (A the champion, B the candidate), by seed {arms.plan.seed}."


def load_words(trace: ServingTrace) -> str:
    """How much was sent, and when."""
    requests, loop = plural(len(trace.requests), "request"), trace.arrivals
    if loop.kind == "closed":
        when = f"{count(trace.concurrency)} in flight"
    elif loop.kind == "ramp":
        when = f"arrivals from {figure(loop.rate_from)} up to {figure(loop.rate)} per s"
    elif loop.kind == "trace":
        when = f"recorded arrivals, replayed at {figure(loop.speed)} times their speed"
    else:
        when = f"{loop.kind} arrivals, {figure(loop.rate)} per s"
    return f"{requests} per run, {when}: {one_line(trace.workload, 200)}."


def gpu_minutes(arms: ServingArms) -> tuple[float, float, int]:
    """(minutes of all runs, minutes of discarded runs, GPUs in use)."""
    minutes = sum(run.trace.duration_s for run in arms.runs) / 60
    lost = sum(run.trace.duration_s for run in arms.runs if run.discarded) / 60
    seen = max((len(run.trace.devices) for run in arms.runs), default=0)
    return minutes, lost, seen or len(arms.plan.hardware.gpus)


def time_words(arms: ServingArms) -> str:
    """`12.3 GPU minutes of measuring on 1 GPU, 1.2 of them in discarded runs`."""
    minutes, lost, gpus = gpu_minutes(arms)
    each = max(gpus, 1)
    what = f"GPU minutes of measuring on {plural(gpus, 'GPU')}" if gpus else "minutes of measuring, without a GPU"
    discarded = f", {minutes_words(lost * each)} of them in discarded runs" if lost else ""
    return f"{minutes_words(minutes * each)} {what}{discarded}; starts of servers are not counted."


def minutes_words(minutes: float) -> str:
    """With one decimal; never 0 where there was something."""
    return figure(minutes) if 0 < minutes < 0.05 else f"{minutes:,.1f}"


def others_share(machine: MachineUse) -> float | None:
    """Share of the machine's processors that neither client nor server used; None if the server was not seen."""
    capacity = machine.cores * machine.duration_s
    if machine.server_s is None or not capacity > 0:
        return None
    return max(0.0, machine.busy_s - machine.client_s - machine.server_s) / capacity


def _others(arms: ServingArms) -> str:
    counting = [run for run in arms.runs if not run.discarded]
    which = "in runs that count" if counting else "in runs that were discarded"
    kept = [run.trace.machine for run in counting or arms.runs]
    seen = [machine for machine in kept if machine is not None]
    if not seen:
        return "Nobody looked at what else ran on the machine."
    shares = [share for machine in seen if (share := others_share(machine)) is not None]
    stolen = max(
        (machine.steal_s / (machine.cores * machine.duration_s) for machine in seen if machine.duration_s > 0),
        default=0.0,
    )
    if shares:
        text = f"Other processes used at most {percent(max(shares))} of the processors {which}"
    else:
        text = "The server's processor time could not be told from that of others"
    text += f"; the host took at most {percent(stolen)}" if stolen > 0 else ""
    unseen = len(kept) - len(seen)
    return text + (f"; {plural(unseen, 'run')} without a look." if unseen else ".")
