"""May two arms be compared? Refuses, naming the field and both values.

What must be equal is what was sent, how it was sent, who measured, and where. What serves may differ: a release may
consist of nothing but other flags or another version of the server, and then these are what is judged. Both are named
in notes instead.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.wording import count, one_line, verb
from llmgate.gate.serving.contention import contention_note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.gate.serving.arm_figures import ArmFigures, RunFigures
    from llmgate.record.arms import Arm, ArmIdentity, ServingArms
    from llmgate.record.manifest import Manifest, ModelIdentity
    from llmgate.record.schema import Record
    from llmgate.record.serving.trace import ServingTrace

__all__ = ["arms_notes", "arms_problem", "uneven_arms"]

TOGETHER: Final = "Measure both arms again, in one run of this version of llmgate"
AGAIN: Final = "Measure serving again, in the run that is decided on"
ALIKE: Final = ("workload", "client_version", "concurrency", "arrivals", "requests")
"""What all runs must have in common; of the requests, how many there are."""
SERVED_BY: Final = ("engine", "version", "flags")
MEMORY_SHARE: Final = 0.02
"""By which the memory that a kernel reports may differ from one start of a machine to the next."""


def arms_problem(arms: ServingArms | None, candidate: Record, champion: Record | None) -> Problem | None:
    """Why a measurement on two arms says nothing about two records; None if it does, or there is none.

    The machine must be the one of the run, the candidate's arm the model of the run as it was served when it answered,
    and the champion's arm the model of the champion's run. Else answers could come from a server that is good, and
    speed from one that is fast.

    Args:
        arms: The measurement.
        candidate: The record that has it.
        champion: The record that it is compared with, None without one.
    """
    if arms is None:
        return None
    plan = arms.plan
    differing = _other_hardware(arms, candidate.manifest)
    if differing is None:
        differing = _other_model("candidate", plan.candidate, candidate.manifest)
    if differing is None:
        differing = _other_server(plan.candidate, candidate.manifest)
    if differing is None and champion is not None and plan.champion is not None:
        differing = _other_model("champion", plan.champion, champion.manifest)
    return None if differing is None else Problem(where=f"{plan.suite}::serving", what=differing, fix=AGAIN)


def uneven_arms(figures: ArmFigures, *, champion: bool) -> Problem | None:
    """The first field in which two runs differ that must be equal; None if there is none.

    The prompts themselves need only be the same on both arms of a pair: other pairs have others, so that no prefix
    cache knows them.

    Args:
        figures: The runs.
        champion: Whether the champion's are looked at too.
    """
    runs = list(figures.runs(champion=champion))
    partners = [(new, old) for new, old in figures.pairs if new is not None and old is not None and champion]
    pairs = [(new, old, ("workload_digest",)) for new, old in partners]
    for first, other, names in [*((runs[0], run, ALIKE) for run in runs[1:]), *pairs]:
        for name in names:
            one, another = _asked(first.run.trace, name), _asked(other.run.trace, name)
            if one != another:
                what = f"{name} is {_told(one)} in {first.named} and {_told(another)} in {other.named}"
                return Problem(where=f"{figures.arms.plan.suite}::serving", what=what, fix=TOGETHER)
    return None


def arms_notes(figures: ArmFigures, *, champion: bool) -> Iterator[str]:
    """What is to be known beside a comparison.

    Args:
        figures: The runs.
        champion: Whether both arms are looked at.
    """
    plan = figures.arms.plan
    if champion and plan.champion is not None:
        ours, theirs = plan.candidate.server, plan.champion.server
        for name in SERVED_BY:
            new, old = getattr(ours, name), getattr(theirs, name)
            if new != old:
                yield f"The arms differ in the server's {name}: {_told(old)} → {_told(new)}."
        if plan.hosting == "together":
            yield "Both servers were started once: what differs from start to start is part of the difference."
    again = [run.discarded for run in figures.arms.runs if run.discarded]
    if again:
        was = verb(len(again), "was", "were")
        yield f"{count(len(again), 'run')} {was} discarded and made again, first because {one_line(again[0])}."
    runs = list(figures.runs(champion=champion))
    for note in dict.fromkeys(filter(None, (contention_note(run.run.trace) for run in runs))):
        yield f"{note[0].upper()}{note[1:]}."
    yield from _token_notes(runs)


def _token_notes(runs: list[RunFigures]) -> Iterator[str]:
    """Of two arms that do not do the same work for the same requests."""
    sides: dict[Arm, list[RunFigures]] = {"candidate": [], "champion": []}
    for run in runs:
        if not run.doubt:
            sides[run.run.arm].append(run)
    if not (sides["candidate"] and sides["champion"]):
        return
    for name, told in (("total_output_tokens", "answers have"), ("total_input_tokens", "the same prompts count")):
        new, old = (_per_request(sides[arm], name) for arm in ("candidate", "champion"))
        if new is None or old is None or abs(new / old - 1.0) <= 0.01:
            continue
        why = (
            "requests per second and times to the end are also about lengths"
            if name == "total_output_tokens"
            else "another tokenizer or template, so tokens per second are not the same work"
        )
        yield f"On the two arms {told} {old:.4g} → {new:.4g} tokens on average: {why}."


def _per_request(runs: list[RunFigures], name: str) -> float | None:
    totals = [run.summary.metrics.get(name) for run in runs]
    completed = sum(run.summary.completed for run in runs)
    known = [total for total in totals if total is not None]
    total = sum(known)
    return total / completed if len(known) == len(totals) and completed and total else None


def _asked(trace: ServingTrace, name: str) -> object:
    return len(trace.requests) if name == "requests" else getattr(trace, name)


def _other_hardware(arms: ServingArms, manifest: Manifest) -> str | None:
    for field in fields(manifest.hardware):
        here, there = getattr(arms.plan.hardware, field.name), getattr(manifest.hardware, field.name)
        if field.name == "memory_gib" and abs(here - there) <= MEMORY_SHARE * max(here, there):
            continue
        if here != there:
            return f"hardware.{field.name} is {_told(here)} for serving and {_told(there)} for the run"
    return None


def _other_model(arm: Arm, served: ArmIdentity, manifest: Manifest) -> str | None:
    """Whether another model was measured than answered; weights decide where both are known."""
    for name, here, there in _identities(served.model, manifest.model):
        if here != there:
            return f"the {arm}'s {name} is {_told(here)} for serving and {_told(there)} in its run"
    return None


def _other_server(served: ArmIdentity, manifest: Manifest) -> str | None:
    for name in SERVED_BY:
        here, there = getattr(served.server, name), getattr(manifest.server, name)
        if here != there:
            return f"the candidate's server has {name} {_told(here)} for serving and {_told(there)} in its run"
    return None


def _identities(served: ModelIdentity, ran: ModelIdentity) -> Iterator[tuple[str, object, object]]:
    if served.weights_digest is not None or ran.weights_digest is not None:
        yield "weights_digest", served.weights_digest, ran.weights_digest
    else:
        yield "model name", served.name, ran.name
        yield "model source", served.source.rstrip("/"), ran.source.rstrip("/")


def _told(value: object) -> str:
    if value is None or value in ("", ()):
        return "unknown" if value is None else "none"
    return one_line(" ".join(map(str, value)) if isinstance(value, tuple) else str(value), 100)
