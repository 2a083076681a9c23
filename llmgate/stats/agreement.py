"""How far raters agree: people with people, a judge with people, a judge with itself when the order is turned round.

A rating that is missing is None. Where a formula cannot take it, it is refused and not left out in silence: leaving
out what a judge could not read makes the judge look better than it is.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.errors import UndefinedError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

__all__ = [
    "BinaryFigures",
    "OrderFigures",
    "binary_figures",
    "cohen_kappa",
    "correlation",
    "gwet_ac1",
    "krippendorff_alpha",
    "net_preference",
    "observed_agreement",
    "order_figures",
    "sign_agreement",
    "unanimity",
]


def observed_agreement(pairs: Sequence[tuple[Hashable | None, Hashable | None]]) -> float:
    """Share of items on which two raters say the same; an item without a rating counts as a miss.

    Raises:
        UndefinedError: If there are no items.
    """
    _some(pairs, "an agreement")
    return sum(one == other and one is not None for one, other in pairs) / len(pairs)


def cohen_kappa(pairs: Sequence[tuple[Hashable | None, Hashable | None]]) -> float:
    """Agreement of two raters beyond chance, unweighted.

    p = share of items on which they agree, e = Σ_k p1(k)·p2(k): κ = (p − e) / (1 − e)

    Raises:
        UndefinedError: If there are no items, a rating is missing, or both raters always say the same one thing.

    Reference: Cohen (1960), Educational and Psychological Measurement 20:37-46.
    """
    agreed = _complete(pairs)
    ones, others = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    chance = sum(count * others[label] for label, count in ones.items()) / len(pairs) ** 2
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


def unanimity(ratings: Sequence[Sequence[Hashable | None]]) -> float:
    """Share of items on which all raters say the same; an item without all ratings is none.

    Raises:
        UndefinedError: If there are no items.
    """
    _some(ratings, "an agreement")
    return sum(len(set(item)) == 1 and None not in item for item in ratings) / len(ratings)


def net_preference(votes: Sequence[int | None]) -> float:
    """Share of votes for 2 minus share of votes for 1; ties (0) and missing votes count as neither.

    Raises:
        UndefinedError: If there are no votes.
    """
    _some(votes, "a preference")
    return (sum(vote == 2 for vote in votes) - sum(vote == 1 for vote in votes)) / len(votes)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFigures:
    """A judge that was asked about pairs of answers in both orders, one of which is known to be better.

    Attributes:
        accuracy: Share of calls that name the better answer; a call without a verdict is wrong.
        consistent: Share of pairs of which both orders name the same answer.
        both: Share of pairs of which both orders name the better answer.
        first_position: Share of calls that name the answer that was shown first; 0.5 means no bias.
        missing: Calls without a verdict.
    """

    accuracy: float
    consistent: float
    both: float
    first_position: float
    missing: int


def order_figures(items: Sequence[tuple[int, tuple[int | None, int | None]]]) -> OrderFigures:
    """Accuracy and bias of a judge over pairs of answers.

    Args:
        items: The better answer (1 or 2), and the answers that the judge named with answer 1 shown first and with
            answer 2 shown first; 0 for a tie, None for no verdict.

    Raises:
        UndefinedError: If there are no items.
    """
    _some(items, "an accuracy")
    pairs, calls = len(items), 2 * len(items)
    return OrderFigures(
        accuracy=sum((one == gold) + (two == gold) for gold, (one, two) in items) / calls,
        consistent=sum(one == two and one is not None for _, (one, two) in items) / pairs,
        both=sum(one == two == gold for gold, (one, two) in items) / pairs,
        first_position=sum((one == 1) + (two == 2) for _, (one, two) in items) / calls,
        missing=sum((one is None) + (two is None) for _, (one, two) in items),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryFigures:
    """A judge's yes and no against people's.

    Attributes:
        items: How many.
        human_rate: Share of yes by people.
        judge_rate: Share of yes by the judge; a missing verdict is no yes.
        agreement: Share of items on which both say the same.
        sensitivity: Share of people's yes that the judge sees; None if there is none.
        specificity: Share of people's no that the judge sees; None if there is none.
    """

    items: int
    human_rate: float
    judge_rate: float
    agreement: float
    sensitivity: float | None
    specificity: float | None


def binary_figures(pairs: Sequence[tuple[bool, bool | None]]) -> BinaryFigures:
    """Rates and errors of a judge that says yes or no.

    Args:
        pairs: What people said and what the judge said, None where it said nothing, which is a miss either way.

    Raises:
        UndefinedError: If there are no items.
    """
    _some(pairs, "a rate")
    of_yes = [judge is True for human, judge in pairs if human]
    of_no = [judge is False for human, judge in pairs if not human]
    return BinaryFigures(
        items=len(pairs),
        human_rate=len(of_yes) / len(pairs),
        judge_rate=sum(judge is True for _, judge in pairs) / len(pairs),
        agreement=(sum(of_yes) + sum(of_no)) / len(pairs),
        sensitivity=sum(of_yes) / len(of_yes) if of_yes else None,
        specificity=sum(of_no) / len(of_no) if of_no else None,
    )


def correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Pearson's correlation of two raters' numbers.

    Raises:
        UndefinedError: If there are fewer than two items, a number is not finite, or a rater always gives the same.
    """
    if len(pairs) < 2:
        raise UndefinedError("a correlation needs at least two items")
    if not all(math.isfinite(number) for pair in pairs for number in pair):
        raise UndefinedError("a correlation needs finite numbers")
    ones, others = _centred([one for one, _ in pairs]), _centred([other for _, other in pairs])
    spread = math.hypot(*ones) * math.hypot(*others)
    if not spread > 0:
        raise UndefinedError("a correlation needs two raters that tell items apart")
    return max(-1.0, min(1.0, math.fsum(one * other for one, other in zip(ones, others, strict=True)) / spread))


def sign_agreement(pairs: Sequence[tuple[float, float]]) -> tuple[int, float]:
    """Whether a judge sees the same side ahead as people, where people see one ahead.

    Args:
        pairs: People's preference and the judge's, signed.

    Returns:
        How many items people have a preference on, and the share of these with the same sign by the judge.

    Raises:
        UndefinedError: If people have no preference anywhere.
    """
    preferred = [(human, judge) for human, judge in pairs if human]
    _some(preferred, "an agreement of signs")
    return len(preferred), sum(human * judge > 0 for human, judge in preferred) / len(preferred)


def _centred(numbers: list[float]) -> list[float]:
    mean = math.fsum(numbers) / len(numbers)
    return [number - mean for number in numbers]


def _some(items: Sequence[object], what: str) -> None:
    if not items:
        raise UndefinedError(f"{what} needs at least one item")


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
