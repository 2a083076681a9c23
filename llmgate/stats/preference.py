"""How often people or judges prefer the candidate's answers, where ties count half."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats.clusters.rule import check_groups, cluster_interval
from llmgate.stats.interval import Interval, check_alpha
from llmgate.stats.paired import t_interval
from llmgate.stats.proportion import PairedCounts, tango
from llmgate.stats.unseen import widen_for_unseen

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

__all__ = ["mean_win_rate", "net_wins", "win_rate"]


def net_wins(wins: int, ties: int, losses: int, *, alpha: float) -> Interval:
    """Share of wins minus share of losses, in [−1, 1]; `p_negative` tests "no fewer wins than losses".

    Wins, ties and losses are a trinomial, as are the pairs of two systems that only one, none or only the other gets
    right; Tango's score interval for the difference of their shares serves both.

    Args:
        wins: Items on which the candidate is preferred.
        ties: Items without a preference.
        losses: Items on which the champion is preferred.
        alpha: One-sided error rate.

    Raises:
        UndefinedError: If there are no items, a count is negative, or alpha is none.

    Reference: Tango (1998), Statistics in Medicine 17:891-908.
    """
    if ties < 0:
        raise UndefinedError(f"{ties} ties are no count")
    interval = tango(PairedCounts(better=wins, worse=losses, pairs=wins + ties + losses), alpha=alpha)
    return replace(interval, method="score interval of wins and losses")


def win_rate(wins: int, ties: int, losses: int, *, alpha: float) -> Interval:
    """Share of wins with ties as half a win, in [0, 1]: (1 + `net_wins`)/2. A half means no preference.

    `p_negative` is that of `net_wins`: small means that the rate lies below a half.

    Raises:
        UndefinedError: As `net_wins`.
    """
    return _as_rate(net_wins(wins, ties, losses, alpha=alpha))


def mean_win_rate(values: NDArray[np.float64], *, alpha: float, clusters: Sequence[Hashable] | None = None) -> Interval:
    """Win rate of items that may count in parts, such as the mean of both orders of a judge: 0, ¼, ½, ¾, 1.

    Student's t on the values, with clusters the rule of `stats.clusters`, widened by what stayed unseen.

    Args:
        values: Shape (n,), each in [0, 1]: 1 for a win, ½ for a tie, 0 for a loss.
        alpha: One-sided error rate.
        clusters: The cluster key of each item, such as its prompt.

    Returns:
        The rate; `p_negative` tests "the rate is a half or more".

    Raises:
        UndefinedError: If there are no items, a value lies outside [0, 1], or there are too few clusters.
    """
    check_alpha(alpha)
    excess = 2.0 * np.asarray(values, dtype=np.float64) - 1.0
    interval = None
    if clusters is not None:
        if len(clusters) != len(excess):
            raise UndefinedError(f"{len(excess)} items but {len(clusters)} cluster keys")
        if len(set(clusters)) < 2:
            raise UndefinedError(f"all {len(excess)} items belong to one cluster, so their spread is unknown")
        check_groups(len(set(clusters)), alpha=alpha)
    if not np.all(np.isfinite(excess)):
        raise UndefinedError("a preference is not a finite number")
    if len(excess) and not np.all(excess == excess[0]):
        interval = _spread(excess, clusters, alpha)
    return _as_rate(widen_for_unseen(excess, interval, alpha=alpha, floor=-1.0, ceiling=1.0))


def _spread(excess: NDArray[np.float64], clusters: Sequence[Hashable] | None, alpha: float) -> Interval:
    if clusters is not None:
        try:
            return cluster_interval(excess, clusters, alpha=alpha)
        except UndefinedError:
            # Clusters that balance out exactly have no spread between them; what is inside them still varies.
            return replace(t_interval(excess, alpha=alpha), method="t")
    return replace(t_interval(excess, alpha=alpha), method="t")


def _as_rate(net: Interval) -> Interval:
    se = net.standard_error
    return replace(
        net,
        estimate=(1.0 + net.estimate) / 2.0,
        lower=max(0.0, (1.0 + net.lower) / 2.0),
        upper=min(1.0, (1.0 + net.upper) / 2.0),
        standard_error=None if se is None else se / 2.0,
    )
