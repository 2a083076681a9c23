"""A word before a run: what its gate can decide, where the champion's record tells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError
from llmgate.gate.evidence.answered_by import asks_same
from llmgate.gate.evidence.repeats import repeat_scores
from llmgate.record.run.loading import load_record
from llmgate.session.decide.records import BASELINE_NAME, noted_baseline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.session.run.plan import Plan
    from llmgate.session.target import Target

__all__ = ["preflight"]


def preflight(plan: Plan, target: Target, out: Path, *, strict: bool) -> Iterator[str]:
    """What is known of the verdict before anything is asked.

    A line if the champion was asked at the same place, and one per gating metric of which the champion's repeats tell
    how much scores change by chance.

    Args:
        plan: What is going to be asked.
        target: Who is going to be asked.
        out: The run's folder, in which the baseline is noted.
        strict: Refuse a gate that would pass an unchanged model less than 80 % of the time.

    Raises:
        CannotRunError: If it is refused, or nothing tells whether it is to be.
    """
    baseline = noted_baseline(out) if (out / BASELINE_NAME).exists() else None
    if baseline is None:
        return
    champion = load_record(Path(baseline.folder), unfinished=True)
    same_label = target.server.deployment == champion.manifest.server.deployment
    if same_label and asks_same(target.model, target.server, champion.manifest):
        yield (
            "warning: the champion's run asked the same model at this endpoint, so this run will not pass unless "
            "replies name another one; if it serves another one now, say so with --deployment"
        )
    # One that still waits for its judge tells nothing yet.
    repeats = repeat_scores(champion, plan.policy) if champion.seal is not None else ()
    if not repeats and not strict:
        return
    # What a gate can decide is worked out where something tells how much scores change: few champions are asked twice.
    from llmgate.gate.power.noise import noise_of_repeats  # noqa: PLC0415
    from llmgate.gate.power.plan import designs_of, plan_power  # noqa: PLC0415
    from llmgate.report.terminal.power import preflight_line, shortfall  # noqa: PLC0415

    noise = noise_of_repeats(repeats)
    designs = [
        design
        for design in designs_of(
            (case.planned for case in plan.cases),
            plan.policy,
            [suite.looks for suite in plan.suites if suite.looks is not None],
        )
        if design.policy.suite in plan.gated
    ]
    known = {(entry.suite, entry.metric) for entry in noise}
    measured = [design for design in designs if (design.policy.suite, design.policy.metric) in known]
    power = plan_power(measured, noise, reserve=plan.policy.reserve)
    for metric in power.metrics:
        yield preflight_line(metric, power.wanted)
    if not strict:
        return
    unmeasured = [f"{design.policy.suite}::{design.policy.metric}" for design in designs if design not in measured]
    if unmeasured:
        raise CannotRunError(
            f"nothing tells how often an unchanged model would pass {', '.join(unmeasured)}",
            where="--strict-power",
            fix="Run the champion with --repeat 2, or ask `llmgate power` instead",
        )
    if designs and not power.enough:
        raise CannotRunError(
            shortfall(power, strict=True).partition(": ")[2],
            where="--strict-power",
            fix="Follow the advice above, or leave --strict-power out",
        )
