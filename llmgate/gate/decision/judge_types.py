"""What a decision says about judges besides the metrics: whether one drifted, and whose answers were preferred."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["JudgeDrift", "PreferenceDecision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeDrift:
    """What became of the anchors in one run.

    Attributes:
        side: `candidate` or `champion`; "" while that is open.
        digest: SHA-256 over the file of anchors.
        anchors: How many there are.
        to_pass: Failed then and pass now.
        to_fail: Passed then and fail now.
        lost: Have no verdict now.
        p: Two-sided, of McNemar's test with the mid-p correction; anchors without a verdict count as turned, in the
            direction that makes it smaller.
        drifted: Why the judge cannot be relied on, "" if it can.
    """

    side: str = ""
    digest: str
    anchors: int
    to_pass: int
    to_fail: int
    lost: int
    p: float
    drifted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceDecision:
    """Wins, ties and losses on one metric. Rates and bounds are fractions; a half means no preference.

    Attributes:
        suite: Suite name.
        metric: The metric that the `prefer` asserts feed.
        wins: Cases on which the candidate's answer is preferred.
        ties: Cases without a preference, contradicting orders included.
        losses: Cases on which the other answer is preferred.
        lost: Cases without a verdict; they are in none of the three.
        rate: Win rate, ties as half a win; None if it is undefined.
        lower: One-sided bound, with the metric's α.
        upper: The same above.
        alpha: One-sided error rate.
        method: The interval in words, or why there is none.
    """

    suite: str
    metric: str
    wins: int
    ties: int
    losses: int
    lost: int
    rate: float | None = None
    lower: float | None = None
    upper: float | None = None
    alpha: float
    method: str
