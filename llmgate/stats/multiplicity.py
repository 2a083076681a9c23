"""Many p-values at once: Holm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.errors import UndefinedError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["holm"]


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values, in the order given; rejecting where they are at most α keeps the family-wise error at α.

    Sorted ascending, adjusted_i = max over j ≤ i of min(1, (m − j + 1)·p_j). No assumption on dependence.

    Args:
        p_values: Each in [0, 1]. An empty sequence gives an empty tuple.

    Raises:
        UndefinedError: If a p-value is not in [0, 1]; NaN is refused too.

    Reference: Holm (1979), Scandinavian Journal of Statistics 6:65-70.
    """
    for p in p_values:
        if not 0.0 <= p <= 1.0:
            raise UndefinedError(f"p-value {p} is not in [0, 1]")
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return tuple(adjusted)
