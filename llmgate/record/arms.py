"""Two servings measured against each other: raw timings of both arms, run by run, in the order of their making."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from llmgate.record.manifest import Hardware, ModelIdentity, ServerIdentity
from llmgate.record.serving.trace import ServingTrace

__all__ = ["Arm", "ArmIdentity", "ArmRun", "ArmsPlan", "Hosting", "ServingArms"]

Arm = Literal["candidate", "champion"]
Hosting = Literal["together", "shared", "restarts"]
"""Both servers up at once; one server that serves both names; or one server at a time, started anew for each run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmIdentity:
    """What answered on one arm."""

    model: ModelIdentity
    server: ServerIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmsPlan:
    """What was to be measured; written before the first run.

    Attributes:
        suite: Suite name, or the name given to `llmgate bench`.
        pairs: Pairs of runs that are wanted, one run of each arm in each; without a champion, runs.
        order: The arms in the order in which the wanted runs are made, pair after pair.
        seed: Which decided which arm is first in each pair.
        hosting: How the servers are kept up.
        hardware: Of the machine on which the client runs.
        candidate: The arm under test.
        champion: What it is compared with; None where only limits are asked about.
        levels: What a request must meet to count for goodput, in ms, by `ttft_ms`, `tpot_ms` and `e2el_ms`.
    """

    suite: str
    pairs: int
    order: tuple[Arm, ...]
    seed: int
    hosting: Hosting
    hardware: Hardware
    candidate: ArmIdentity
    champion: ArmIdentity | None = None
    levels: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRun:
    """One run of one arm.

    Attributes:
        suite: As in the plan.
        position: Its place among all runs that were made, discarded ones included, from 0.
        pair: The pair that it belongs to, from 0. A pair counts if it has one run of each arm that was not discarded.
        arm: Which.
        started_at: UTC, ISO 8601.
        trace: What happened.
        discarded: Why it was made again, decided before anybody looked at its figures: another process was busy. "" if
            it counts.
    """

    suite: str
    position: int
    pair: int
    arm: Arm
    started_at: str
    trace: ServingTrace
    discarded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingArms:
    """A plan with the runs that were made, in their order."""

    plan: ArmsPlan
    runs: tuple[ArmRun, ...]

    def pairs(self) -> tuple[tuple[ArmRun | None, ArmRun | None], ...]:
        """(candidate, champion) of each wanted pair: the last run of each that was not discarded, None without one."""
        kept = {(run.pair, run.arm): run for run in self.runs if not run.discarded}
        return tuple((kept.get((k, "candidate")), kept.get((k, "champion"))) for k in range(self.plan.pairs))
