"""What a loss does to the spread of differences: it makes pairs differ that did not, beside those that always did.

Two systems that are equally good differ in a share ψ₀ of the pairs, half of it in favour of each: that is how answers
flip. A loss of d comes on top of that. It turns right answers of the candidate wrong, each with the probability d/p,
where p is its rate of right ones; those on which it was ahead, ψ₀/2 of all, and those on which both were right,
p − ψ₀/2, are hit alike. So

    b = ψ₀/2 · (1 − d/p)                        only the candidate is right
    c = ψ₀/2 · (1 − d/p) + d                    only the champion is right
    ψ = b + c = ψ₀·(1 − d/p) + d,   b − c = −d,   Var = ψ − d².

A loss that keeps the discordance (b falls by d/2, c rises by d/2) needs the candidate to become worse on exactly as
many pairs as it becomes better on. Planning with it promises too much: at ψ₀ = 10 %, p = 70 % and a margin of 3 points
a loss that would be "found 80 % of the time" is found 49 % of the time with 50 pairs, 57 % with 100, 64 % with 200,
72 % with 688 and 73 % with 1,000.

The rise is the larger the higher p is, and p cannot exceed 1 − ψ₀/2: where it is not known, that is assumed.
Graded scores lose most spread where the loss takes whole points from few cases, and that is assumed of them: the same
formula with the variance in place of ψ₀ and of ψ − d², which is then an upper bound.
"""

from __future__ import annotations

import math

from llmgate.errors import UndefinedError

__all__ = ["discordance_at", "variance_at"]


def discordance_at(delta: float, *, unchanged: float, level: float | None = None) -> float:
    """The share of pairs that differ at a true difference: ψ of the module's text.

    A gain does to wrong answers what a loss does to right ones.

    Args:
        delta: True difference, candidate − champion, in [−1, 1].
        unchanged: ψ₀, the share of pairs that differ where nothing has changed, in [0, 1].
        level: p, the champion's rate of right answers; None for the highest that ψ₀ leaves.

    Returns:
        At least |delta|, at most 1.

    Raises:
        UndefinedError: If an argument is outside its range.
    """
    if not (0.0 <= unchanged <= 1.0 and abs(delta) <= 1.0 and (level is None or 0.0 <= level <= 1.0)):
        raise UndefinedError(f"no {unchanged} of the pairs differ at a level of {level} and a difference of {delta}")
    change = abs(delta)
    if level is None:
        reach = 1.0 - unchanged / 2.0
    else:
        # Half of the pairs that differ are right on each side, and as many are wrong.
        reach = min(max(level if delta < 0.0 else 1.0 - level, unchanged / 2.0), 1.0 - unchanged / 2.0)
    kept = 0.0 if change >= reach else unchanged * (1.0 - change / reach)
    return min(1.0, kept + change)


def variance_at(delta: float, *, unchanged: float, level: float | None = None) -> float:
    """The variance of one case's difference at a true difference, at most: see the module's text.

    Args:
        delta: True difference, in [−1, 1].
        unchanged: Variance where nothing has changed, in [0, 1].
        level: The champion's mean score; None for the highest that there can be.

    Raises:
        UndefinedError: If an argument is outside its range.
    """
    if math.isnan(delta):
        raise UndefinedError("a difference that is no number has no variance")
    return max(0.0, discordance_at(delta, unchanged=unchanged, level=level) - delta * delta)
