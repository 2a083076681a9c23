"""How far raters agree: people with people, and a judge with people.

A rating that is missing is None. Where a formula cannot take it, it is refused and not left out in silence: leaving
out what a judge could not read makes the judge look better than it is.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from llmgate.errors import UndefinedError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

__all__ = ["cohen_kappa", "gwet_ac1", "krippendorff_alpha", "observed_agreement"]


def observed_agreement(pairs: Sequence[tuple[Hashable | None, Hashable | None]]) -> float:
    """Share of items on which two raters say the same; an item without a rating counts as a miss.

    Raises:
        UndefinedError: If there are no items.
    """
    if not pairs:
        raise UndefinedError("an agreement needs at least one item")
    return sum(first == second and first is not None for first, second in pairs) / len(pairs)


def cohen_kappa(pairs: Sequence[tuple[Hashable | None, Hashable | None]]) -> float:
    """Agreement of two raters beyond chance, unweighted.

    p = share of items on which they agree, e = Σ_k p1(k)·p2(k): κ = (p − e) / (1 − e)

    Raises:
        UndefinedError: If there are no items, a rating is missing, or both raters always say the same one thing.

    Reference: Cohen (1960), Educational and Psychological Measurement 20:37-46.
    """
    agreed = _complete(pairs)
    firsts, seconds = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    chance = sum(count * seconds[label] for label, count in firsts.items()) / len(pairs) ** 2
    return _beyond_chance(agreed, chance)


def gwet_ac1(pairs: Sequence[tuple[Hashable | None, Hashable | None]]) -> float:
    """Agreement of two raters beyond chance, which stays near the plain agreement when one category is rare.

    π_k = mean of the two raters' shares of category k, q categories: e = Σ_k π_k(1 − π_k) / (q − 1),
    AC1 = (p − e) / (1 − e)

    Raises:
        UndefinedError: If there are no items, a rating is missing, or only one category occurs.

    Reference: Gwet (2008), British Journal of Mathematical and Statistical Psychology 61:29-48.
    """
    agreed = _complete(pairs)
    shares = [count / (2 * len(pairs)) for count in Counter(label for pair in pairs for label in pair).values()]
    if len(shares) < 2:
        raise UndefinedError("AC1 needs at least two categories")
    return _beyond_chance(agreed, sum(share * (1 - share) for share in shares) / (len(shares) - 1))


def krippendorff_alpha(ratings: Sequence[Sequence[Hashable | None]]) -> float:
    """Agreement of any number of raters on unordered categories; ratings may be missing.

    Over the coincidences o of pairable ratings, with n_k = Σ_l o_kl and n = Σ_k n_k:
    α = 1 − (n − 1)·Σ_{k≠l} o_kl / Σ_{k≠l} n_k·n_l

    Args:
        ratings: For each item the rating of each rater, None where there is none.

    Raises:
        UndefinedError: If fewer than two items have two ratings, or only one category occurs.

    Reference: Krippendorff (2011), Computing Krippendorff's Alpha-Reliability.
    """
    units = [Counter(rating for rating in item if rating is not None) for item in ratings]
    units = [unit for unit in units if unit.total() > 1]
    if len(units) < 2:
        raise UndefinedError("an alpha needs at least two items with two ratings each")
    totals: Counter[Hashable] = sum(units, Counter())
    ratings_in_all = totals.total()
    apart = ratings_in_all**2 - sum(count**2 for count in totals.values())
    if not apart:
        raise UndefinedError("an alpha needs at least two categories")
    differing = math.fsum(
        (unit.total() ** 2 - sum(count**2 for count in unit.values())) / (unit.total() - 1) for unit in units
    )
    return 1 - (ratings_in_all - 1) * differing / apart


def _complete(pairs: Sequence[tuple[Hashable | None, Hashable | None]]) -> float:
    missing = sum(None in pair for pair in pairs)
    if missing:
        raise UndefinedError(
            f"{missing} of {len(pairs)} items lack a rating", fix="Leave them out and say how many there were"
        )
    return observed_agreement(pairs)


def _beyond_chance(agreed: float, chance: float) -> float:
    if not chance < 1:
        raise UndefinedError("both raters always say the same one thing, so there is no chance to compare with")
    return (agreed - chance) / (1 - chance)
