"""What each attempt takes of the error rate, fixed before anybody knows how many there will be."""

from __future__ import annotations

from llmgate.errors import UndefinedError

__all__ = ["attempt_shares"]


def attempt_shares(attempts: int, *, reserve: float) -> tuple[float, ...]:
    """What each attempt takes of alpha, as shares: 1 − ρ, ρ/2, ρ/4, …, which add up to 1 if it goes on for ever.

    Args:
        attempts: How many.
        reserve: ρ, in [0, 1): what is kept for attempts after the first.

    Raises:
        UndefinedError: If there is no attempt or the reserve is no share.
    """
    if attempts < 1 or not 0.0 <= reserve < 1.0:
        raise UndefinedError(f"{attempts} attempts with a reserve of {reserve} have no shares")
    return (1.0 - reserve, *(reserve * 0.5**k for k in range(1, attempts)))
