"""The spread of serving figures in measurements that were made: what the next one may expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmgate.gate.evidence.serving_spread import pooled_spread
from llmgate.gate.serving.arm_figures import figure_in, read_arms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from llmgate.gate.evidence.serving_spread import ServingSpread
    from llmgate.gate.serving.arm_figures import ArmFigures
    from llmgate.record.arms import ServingArms
    from llmgate.record.serving.policy import ServingPolicy

__all__ = ["spreads_of_arms"]


def spreads_of_arms(gates: Iterable[ServingPolicy], earlier: Sequence[ServingArms]) -> tuple[ServingSpread, ...]:
    """How much the gated figures varied within pairs of runs.

    Only pairs whose runs both may be believed tell. Whether the two arms were equally fast does not matter.

    Args:
        gates: The figures.
        earlier: Measurements of two arms; those of other suites, or of one arm, say nothing.

    Returns:
        One per figure of which something is known.
    """
    read = [read_arms(arms) for arms in earlier if arms.plan.champion is not None]
    spreads = []
    for gate in gates:
        ratios = [_ratios(figures, gate.metric) for figures in read if figures.arms.plan.suite == gate.suite]
        spread = pooled_spread(gate.suite, gate.metric, ratios)
        if spread is not None:
            spreads.append(spread)
    return tuple(spreads)


def _ratios(figures: ArmFigures, metric: str) -> NDArray[np.float64]:
    both = [
        (new, old)
        for candidate, champion in figures.believed(champion=True)
        if champion is not None
        and (new := figure_in(candidate, metric)) is not None
        and (old := figure_in(champion, metric)) is not None
    ]
    return np.log([new / old for new, old in both]) if both else np.empty(0)
