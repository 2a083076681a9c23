"""Did the judge change? Its verdicts on a frozen set of answers, then and now. Pure.

A judge that became stricter or laxer turns more anchors one way than the other: McNemar's test. One that turns as many
both ways only got restless, which the test does not see; so the share that turned is bounded as well, and so is the
share without a verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.judge_types import JudgeDrift
from llmgate.gate.decision.wording import count, percent
from llmgate.record.schema import Outcome
from llmgate.stats.mcnemar import mcnemar_mid_p

if TYPE_CHECKING:
    from llmgate.record.schema import Record

__all__ = ["DRIFT_ALPHA", "MOST_LOST", "MOST_TURNED", "drift_of"]

DRIFT_ALPHA: Final = 0.01
"""Two-sided: a judge that did not change is called drifted in at most about one of 100 runs."""
MOST_LOST: Final = 0.05
"""Share of anchors without a verdict; as for the admission of judges."""
MOST_TURNED: Final = 0.15
"""Share of anchors that turned; a judge is admitted only if it repeats 85 % of its verdicts."""


def drift_of(record: Record) -> JudgeDrift | None:
    """Compare then and now; None for a run that named no anchors."""
    digest, check = record.manifest.anchors, record.anchors
    if not digest and check is None:
        return None
    if check is None or check.digest != digest or not check.results:
        why = "its anchors were named, and not judged again"
        return JudgeDrift(digest=digest, anchors=0, to_pass=0, to_fail=0, lost=0, p=1.0, drifted=why)
    outcomes = [(anchor.passed, anchor.outcome) for anchor in check.results]
    to_pass = sum(not then and now is Outcome.PASS for then, now in outcomes)
    to_fail = sum(then and now is Outcome.FAIL for then, now in outcomes)
    lost = sum(now is Outcome.ERROR for _, now in outcomes)
    p = min(mcnemar_mid_p(to_pass + lost, to_fail), mcnemar_mid_p(to_pass, to_fail + lost))
    return JudgeDrift(
        digest=digest,
        anchors=len(outcomes),
        to_pass=to_pass,
        to_fail=to_fail,
        lost=lost,
        p=p,
        drifted=_why(len(outcomes), to_pass, to_fail, lost, p),
    )


def _why(anchors: int, to_pass: int, to_fail: int, lost: int, p: float) -> str:
    if lost > MOST_LOST * anchors:
        return f"it gave no verdict on {lost:,} of {count(anchors, 'anchor')}"
    if p <= DRIFT_ALPHA:
        return f"of {count(anchors, 'anchor')} {to_pass:,} turned to pass and {to_fail:,} to fail (p = {p:.2g})"
    # A verdict that was lost counts as turned here too: losing one must not make a judge look steadier.
    turned = to_pass + to_fail + lost
    if turned > MOST_TURNED * anchors:
        return f"{turned:,} of {count(anchors, 'anchor')} turned, more than {percent(MOST_TURNED)}"
    return ""
