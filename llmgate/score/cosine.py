"""How alike two vectors are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmgate.errors import UndefinedError

__all__ = ["Vector", "cosine", "dot"]

Vector = Sequence[float]


def cosine(left: Vector, right: Vector, *, directionless: float | None = None) -> float:
    """The cosine of the angle between two vectors, l·r / (|l||r|), from −1 to 1.

    Args:
        left: A vector.
        right: Another one of the same length.
        directionless: What it is if one of them is all zeros.

    Raises:
        UndefinedError: If one is all zeros and nothing is said about that.
    """
    left, right = _scaled(left), _scaled(right)
    length = math.hypot(*left) * math.hypot(*right)
    if length:
        return max(-1.0, min(1.0, dot(left, right) / length))
    if directionless is None:
        raise UndefinedError("an embedding has no direction, so nothing is similar to it")
    return directionless


def dot(left: Vector, right: Vector) -> float:
    """The sum of the products, number by number.

    Raises:
        UndefinedError: If it is too large for a float.
    """
    try:
        found = math.fsum(x * y for x, y in zip(left, right, strict=True))
    except (OverflowError, ValueError) as error:
        raise UndefinedError("the numbers of the embeddings are too large to multiply") from error
    if not math.isfinite(found):
        raise UndefinedError("the numbers of the embeddings are too large to multiply")
    return found


def _scaled(vector: Vector) -> Vector:
    # Squares of large numbers overflow, squares of small ones vanish.
    largest = max(map(abs, vector), default=0.0)
    return [value / largest for value in vector] if largest else vector
