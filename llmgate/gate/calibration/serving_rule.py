"""The serving rule on thousands of measurements at once, and rules that others use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special, stats

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.vectorised import Verdicts

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from llmgate.gate.calibration.serving_noise import MeasuredRuns

__all__ = ["accepted_loss", "decide_pairs", "five_percent", "mann_whitney", "two_percent", "two_sigma"]

NO_SPREAD: Final = 1e-9
REQUESTS: Final = 64
"""Of each run, where requests are pooled: as many as a suite asks for by default."""
REQUEST_CV: Final = 0.25
"""How much requests of one run vary."""


def accepted_loss(margin: float, *, latency: bool) -> float:
    """The logarithm of the ratio at which the margin is lost, turned so that more is better: below 0.

    Args:
        margin: 0.05 is 5 % less throughput, or 5 % more latency.
        latency: Whether less is better.
    """
    return -math.log1p(margin) if latency else math.log1p(-margin)


def decide_pairs(x: NDArray[np.float64], *, margin: float, latency: bool, alpha: float) -> Verdicts:
    """The gate's rule: a paired t on log ratios, the pair of runs as unit.

    PASS if the lower bound lies above `accepted_loss`; FAIL if not PASS and the upper bound lies below 0.

    Args:
        x: Log ratio of each pair, turned so that more is better; shape (R, pairs).
        margin: The largest relative loss that is accepted.
        latency: Whether the margin is of a latency.
        alpha: One-sided error rate.

    Raises:
        UndefinedError: If there are fewer than two pairs or a ratio is none.
    """
    if x.ndim != 2 or x.shape[1] < 2 or not np.all(np.isfinite(x)):
        raise UndefinedError(f"log ratios of shape {x.shape} have no spread that could be estimated")
    n = x.shape[1]
    mean = x.mean(axis=1)
    residuals = x - mean[:, None]
    reach = float(special.stdtrit(n - 1, 1.0 - alpha)) * np.sqrt((residuals * residuals).sum(axis=1) / (n * (n - 1)))
    # Equal values show no spread; the gate decides nothing from them.
    spread = np.ptp(x, axis=1) > NO_SPREAD
    passed = spread & (mean - reach > accepted_loss(margin, latency=latency))
    return Verdicts(passed=passed, failed=spread & ~passed & (mean + reach < 0.0))


def two_percent(runs: MeasuredRuns) -> Verdicts:
    """Block if the candidate's mean is 2 % lower."""
    return _blocked(np.exp(runs.candidate).mean(axis=1) < 0.98 * np.exp(runs.champion).mean(axis=1))


def two_sigma(runs: MeasuredRuns) -> Verdicts:
    """Block if the candidate's mean lies two standard deviations of the champion's runs below theirs."""
    champion = np.exp(runs.champion)
    return _blocked(np.exp(runs.candidate).mean(axis=1) < champion.mean(axis=1) - 2.0 * champion.std(axis=1, ddof=1))


def five_percent(runs: MeasuredRuns) -> Verdicts:
    """Block if the candidate's median run is 5 % slower."""
    return _blocked(np.median(runs.candidate, axis=1) < np.median(runs.champion, axis=1) + math.log(0.95))


def mann_whitney(runs: MeasuredRuns, *, alpha: float, rng: Generator) -> Verdicts:
    """Block if the requests of all the candidate's runs are slower by the Mann-Whitney test, as if independent.

    Each run gets `REQUESTS` requests whose times are log-normal around the run's own level.

    Args:
        runs: What was measured.
        alpha: One-sided error rate.
        rng: Source of the requests.

    Reference: Mann & Whitney (1947), Annals of Mathematical Statistics 18:50-60; normal approximation, without ties.
    """
    sd = math.sqrt(math.log1p(REQUEST_CV**2))
    candidate, champion = (
        (-levels[:, :, None] + sd * rng.standard_normal((*levels.shape, REQUESTS))).reshape(len(levels), -1)
        for levels in (runs.candidate, runs.champion)
    )
    n = candidate.shape[1]
    ranks = stats.rankdata(np.concatenate([candidate, champion], axis=1), axis=1)[:, :n].sum(axis=1)
    z = (ranks - n * (n + 1) / 2 - n * n / 2) / math.sqrt(n * n * (2 * n + 1) / 12)
    return _blocked(z > float(special.ndtri(1.0 - alpha)))


def _blocked(failed: NDArray[np.bool_]) -> Verdicts:
    return Verdicts(passed=~failed, failed=failed)
