"""Several answers to the same case: how much of the spread is the case's, how much the answer's own chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats import special
from llmgate.stats.interval import Interval, check_alpha
from llmgate.stats.sums import total

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "PairedComponents",
    "VarianceComponents",
    "benchmark_interval",
    "flip_shares",
    "paired_components",
    "variance_components",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceComponents:
    """Var(x) and E[σ_i²]: the spread of cases' true means, and the spread of one case's answers.

    Attributes:
        between: Var(x), not negative.
        within: E[σ_i²].
        cases: n.
        repeats: K, the same for all cases, or K₀, what it amounts to where it is not.
        df_within: Degrees of freedom of `within`.
    """

    between: float
    within: float
    cases: int
    repeats: float
    df_within: int

    @property
    def flip_variance(self) -> float:
        """Of the difference of two single answers to the same case: 2·E[σ_i²]; for 0/1 scores the share that flips."""
        return 2.0 * self.within

    def unchanged(self, repeats: float) -> float:
        """Variance of one case's difference between two runs of the same model with so many repeats: 2·E[σ_i²]/K."""
        return self.flip_variance / _check_repeats(repeats)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComponents:
    """The same for the difference of two systems on the same cases: ω², σ_A² and σ_B².

    Attributes:
        between: ω², the variance of the difference of the cases' true means, not negative.
        candidate: E[σ_i²] of the candidate.
        champion: E[σ_i²] of the champion.
        cases: n.
    """

    between: float
    candidate: float
    champion: float
    cases: int

    def of_difference(self, repeats: float) -> float:
        """Variance of one case's mean difference: ω² + σ_A²/K + σ_B²/K.

        Reference: Miller (2024), arXiv 2411.00640, section 5.
        """
        return _check_variance(self.between + (self.candidate + self.champion) / _check_repeats(repeats))

    def worth_of_repeats(self, repeats: int, more: int = 1) -> float:
        """Share of cases more that would bring as much as so many repeats more: Var(K)/Var(K + more) − 1.

        0 where answers do not vary, so that repeats buy nothing.
        """
        now, then = self.of_difference(repeats), self.of_difference(repeats + more)
        if now == 0.0:
            return 0.0
        return math.inf if then == 0.0 else now / then - 1.0


def variance_components(scores: NDArray[np.float64], cases: NDArray[np.int64]) -> VarianceComponents:
    """One-way random effects: σ_within² = MSW, σ_between² = max(0, (MSB − MSW)/K₀).

    MSW = Σ_i Σ_k (x_ik − x̄_i)² / (N − n), MSB = Σ_i K_i (x̄_i − x̄)² / (n − 1), K₀ = (N − Σ K_i²/N) / (n − 1).

    Args:
        scores: Shape (N,), all answers of all cases.
        cases: Shape (N,), which case each belongs to.

    Raises:
        UndefinedError: For fewer than two cases, where no case has two answers, or if a score is not finite.

    Reference: Searle, Casella & McCulloch (1992), Variance Components, section 3.6 (analysis of variance estimators
    for unbalanced data); truncated at 0. Balanced, and not truncated, they are those of restricted maximum likelihood.
    """
    codes, counts = _grouped(scores, cases)
    n, answers = len(counts), len(scores)
    if n < 2:
        raise UndefinedError(f"{n} case has no spread between cases")
    if answers == n:
        raise UndefinedError("no case has two answers, so the spread within cases is unknown", fix="Set repeat: 2")
    means, squares = _moments(scores, codes, counts)
    within = total(squares) / (answers - n)
    grand = total(scores) / answers
    between_ms = total(counts * (means - grand) ** 2) / (n - 1)
    repeats = (answers - total(counts * counts) / answers) / (n - 1)
    return VarianceComponents(
        between=max(0.0, (between_ms - within) / repeats),
        within=within,
        cases=n,
        repeats=repeats,
        df_within=answers - n,
    )


def paired_components(
    candidate: NDArray[np.float64], champion: NDArray[np.float64], cases: NDArray[np.int64]
) -> PairedComponents:
    """ω² = max(0, Var(d̄_i) − mean((s_Ai² + s_Bi²)/K_i)), with the repeats of both sides matched by case.

    Args:
        candidate: Shape (N,), all answers of all cases.
        champion: Shape (N,), as many answers of the champion to the same cases; how they are ordered within a case
            does not matter.
        cases: Shape (N,), which case each belongs to.

    Raises:
        UndefinedError: For fewer than two cases, where a case has only one answer, or if a score is not finite.

    Reference: Miller (2024), arXiv 2411.00640, section 5: n = (z_α + z_β)²(ω² + σ_A²/K_A + σ_B²/K_B)/δ².
    """
    codes, counts = _grouped(candidate, cases)
    if len(champion) != len(candidate) or not np.all(np.isfinite(champion)):
        raise UndefinedError("the champion's answers are not finite scores, as many as the candidate's")
    n = len(counts)
    if n < 2 or counts.min() < 2:
        raise UndefinedError("variance components of a difference need two cases, and two answers to each")
    means, squares = _moments(candidate, codes, counts)
    champion_means, champion_squares = _moments(champion, codes, counts)
    differences = means - champion_means
    observed = total((differences - total(differences) / n) ** 2) / (n - 1)
    of_chance = total((squares + champion_squares) / (counts - 1.0) / counts) / n
    return PairedComponents(
        between=max(0.0, observed - of_chance),
        candidate=total(squares / (counts - 1.0)) / n,
        champion=total(champion_squares / (counts - 1.0)) / n,
        cases=n,
    )


def benchmark_interval(
    differences: NDArray[np.float64],
    sampling: NDArray[np.float64],
    *,
    alpha: float,
    floor: float = -1.0,
    ceiling: float = 1.0,
) -> Interval:
    """The mean difference over these very cases: what would be found if each were answered for ever.

    Given the cases only the answers are random: Var = Σ_i (s²_Ai/K_Ai + s²_Bi/K_Bi)/n², with Satterthwaite's degrees of
    freedom, (Σ v_j)²/Σ v_j²/(K_j − 1) over the terms v_j of that sum. Which cases there are adds nothing, so clusters
    do not either: that cases of one document resemble each other is a property of the cases, which are given; their
    answers are drawn one by one.

    The bounds are widened by half of a step of 1/(nK), by which counts of right answers move the mean, and are nowhere
    narrower than what N answers in all, none of which differed from the others of its case, may have missed: a share
    of 1 − α^(1/N) of answers at the worst score. Simulated with 2 to 10 answers to 50 to 300 cases (a tenth of them
    tossed up, or all nearly sure, or anything), equal models and losses of 5 points, a bound at 5 % errs in 5.3 % at
    most; without the half step it is up to 6.6. With two answers to few cases that differ it is cautious: 0.3 to 4 %.

    Args:
        differences: Shape (n,): of each case the difference of the mean scores.
        sampling: Shape (n, 4): s²/K and K of the one side's answers, and of the other's; s² with divisor K − 1. A side
            that is a constant has a variance of 0.
        alpha: Error rate per side.
        floor: Lowest possible difference.
        ceiling: Highest possible difference.

    Raises:
        UndefinedError: If there are no cases, or a case has fewer than two answers on a side.

    Reference: Miller (2024), arXiv 2411.00640, section 3.2, without the term between cases; Satterthwaite (1946),
    Biometrics Bulletin 2:110-114.
    """
    check_alpha(alpha)
    n = len(differences)
    if n == 0 or sampling.shape != (n, 4):
        raise UndefinedError(f"{n} cases without a spread of their answers have no interval")
    single = int(np.sum(~np.isfinite(sampling).all(axis=1) | (sampling[:, [1, 3]] < 2.0).any(axis=1)))
    if single:
        raise UndefinedError(
            f"{single:,} of {n:,} cases have fewer than two answers on a side, so nobody knows how much those vary",
            fix="Answer each case twice or more on both sides: repeat: 2",
        )
    variances, answers = sampling[:, [0, 2]], sampling[:, [1, 3]]
    whole = total(variances.ravel())
    estimate, step = total(differences) / n, 0.5 / n / float(answers.min())
    counted = n * float(answers.min())
    unseen = -math.expm1(math.log(alpha) / counted)
    lower, upper = (1.0 - unseen) * estimate + unseen * floor, (1.0 - unseen) * estimate + unseen * ceiling
    # The smallest alpha at which the upper bound lies below 0.
    p = math.exp(counted * -math.log1p(-estimate / ceiling)) if estimate < 0.0 else 1.0
    se, df = math.sqrt(whole) / n, 1
    if whole > 0.0:
        df = max(1, math.floor(whole * whole / total((variances * variances / (answers - 1.0)).ravel())))
        reach = float(special.stdtrit(df, 1.0 - alpha)) * se + step
        lower, upper = min(lower, estimate - reach), max(upper, estimate + reach)
        p = max(p, float(special.stdtr(df, (estimate + step) / se)))
    return Interval(
        estimate=estimate,
        lower=min(estimate, max(lower, floor)),
        upper=max(estimate, min(upper, ceiling)),
        alpha=alpha,
        method="t on the answers' own variance, these cases only",
        p_negative=min(1.0, p),
        standard_error=se,
        df=df,
    )


def flip_shares(answers: NDArray[np.int64], cases: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each case with two answers or more, the share of pairs of its answers that differ.

    1 − Σ_v c_v(c_v − 1) / (K(K − 1)), c_v the number of answers equal to v. Its mean over cases estimates, without
    bias, how often two answers to the same case differ.

    Args:
        answers: Shape (N,), a number per answer, the same for answers that are equal.
        cases: Shape (N,), which case each belongs to.

    Returns:
        Shape (cases with two answers or more,), ordered by case, in [0, 1].

    Reference: Simpson (1949), Nature 163:688, in the form that is unbiased.
    """
    codes = np.unique(cases, return_inverse=True)[1]
    counts = np.bincount(codes).astype(np.float64)
    _, first, same = np.unique(np.stack((codes, answers)), axis=1, return_index=True, return_counts=True)
    equal = np.bincount(codes[first], weights=same * (same - 1.0), minlength=len(counts))
    several = counts > 1.0
    return np.asarray(1.0 - equal[several] / (counts[several] * (counts[several] - 1.0)), dtype=np.float64)


def _grouped(scores: NDArray[np.float64], cases: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if len(scores) != len(cases):
        raise UndefinedError(f"{len(scores)} answers but {len(cases)} case keys")
    if not np.all(np.isfinite(scores)):
        raise UndefinedError("a score is not a finite number")
    codes = np.unique(cases, return_inverse=True)[1].astype(np.int64)
    return codes, np.bincount(codes).astype(np.float64)


def _moments(
    scores: NDArray[np.float64], codes: NDArray[np.int64], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and sum of squared deviations of each case."""
    means = np.bincount(codes, weights=scores) / counts
    return means, np.bincount(codes, weights=(scores - means[codes]) ** 2).astype(np.float64)


def _check_repeats(repeats: float) -> float:
    if not repeats >= 1.0:
        raise UndefinedError(f"{repeats} repeats have no mean")
    return repeats


def _check_variance(variance: float) -> float:
    if not math.isfinite(variance):
        raise UndefinedError("a variance is not finite")
    return variance
