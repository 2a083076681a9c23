"""A measurement on two arms as a statement tells it: run by run, what gates, and what was discarded."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.wording import one_line
from llmgate.gate.serving.arm_figures import figure_in, read_arms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.serving.arm_figures import ArmFigures, RunFigures
    from llmgate.record.arms import ArmsPlan, ServingArms
    from llmgate.record.policy import Policy

__all__ = ["told_arms"]

PAIRS_TOLD: Final = 50
"""A statement has room for so many; all of them are in the record, whose digest it has."""
REASONS_TOLD: Final = 3
REASON_LENGTH: Final = 100


def told_arms(arms: Sequence[ServingArms], policy: Policy) -> list[dict[str, object]]:
    """What was measured on two arms, of the suites of which a figure gates.

    Args:
        arms: The raw timings.
        policy: Says which figures gate.

    Returns:
        Per suite its `name`, `hosting`, wanted `pairs`, planned `order` (A candidate, B champion), the arms'
        `servers`, how many runs were `discarded` for which reasons, and `figures` by metric and arm, one per
        pair up to `PAIRS_TOLD`, null where a run is missing or must not be believed.
    """
    found = []
    for one in arms:
        metrics = [gate.metric for gate in policy.serving if gate.gates and gate.suite == one.plan.suite]
        if metrics:
            found.append(_told(read_arms(one), metrics))
    return found


def _told(figures: ArmFigures, metrics: Sequence[str]) -> dict[str, object]:
    plan = figures.arms.plan
    arms = ("candidate",) if plan.champion is None else ("candidate", "champion")
    why = Counter(one_line(run.discarded, REASON_LENGTH) for run in figures.arms.runs if run.discarded)
    sides = dict(zip(arms, zip(*figures.pairs[:PAIRS_TOLD], strict=True), strict=False)) if figures.pairs else {}
    return {
        "name": plan.suite,
        "hosting": plan.hosting,
        "pairs": plan.pairs,
        "order": "".join("A" if arm == "candidate" else "B" for arm in plan.order[: 2 * PAIRS_TOLD]),
        "servers": {arm: server for arm, server in _servers(plan).items() if arm in arms},
        "discarded": sum(why.values()),
        "reasons": [f"{reason} ({times})" for reason, times in why.most_common(REASONS_TOLD)],
        "figures": {
            metric: {arm: [_figure(run, metric) for run in runs] for arm, runs in sides.items()} for metric in metrics
        },
    }


def _figure(run: RunFigures | None, metric: str) -> float | None:
    return None if run is None or run.doubt else figure_in(run, metric)


def _servers(plan: ArmsPlan) -> dict[str, str]:
    identities = {"candidate": plan.candidate, "champion": plan.champion}
    return {
        arm: one_line(f"{identity.server.engine} {identity.server.version or 'of unknown version'}", REASON_LENGTH)
        for arm, identity in identities.items()
        if identity is not None
    }
