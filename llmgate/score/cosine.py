"""How alike two vectors are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cosine"]


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """The cosine of the angle between two vectors: l·r / (|l||r|).

    Returns:
        From -1 to 1, or NaN if a vector has no direction.
    """
    product = sum(x * y for x, y in zip(left, right, strict=True))
    length = math.sqrt(sum(x * x for x in left)) * math.sqrt(sum(y * y for y in right))
    return product / length if length else math.nan
