"""How answers look beside the champion's: what gates stands among the metrics, what is watched only stands here.

There is no fixed threshold on a distance of distributions: the population stability index exceeds its usual 0.1 in
83 % of comparisons of 100 answers with nothing changed at all. Everything here has an interval or a p-value.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate.gate.decision.types import OutputDrift
from llmgate.gate.evidence.feature_metrics import LENGTH_SCALE, watched
from llmgate.gate.metrics.tests import run_test
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Direction, Role
from llmgate.record.vectors import unpack_vector
from llmgate.stats.energy import energy_distance
from llmgate.stats.mcnemar import mcnemar_mid_p
from llmgate.stats.sums import mean_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmgate.gate.decision.types import MetricDecision, Verdict
    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.gate.evidence.feature_metrics import EmbeddedAnswers
    from llmgate.gate.evidence.pairing import Matches, Pairs
    from llmgate.gate.metrics.metric import MetricTest
    from llmgate.record.policy import Policy

__all__ = ["describe_outputs"]

_MOST_PAIRS: Final = 2_000
"""Their distances are some seconds of work; more pairs are drawn from."""
_PERMUTATIONS: Final = 999


def describe_outputs(
    candidate: Evidence,
    champion: Evidence | None,
    policy: Policy,
    tests: Sequence[MetricTest],
    decided: Sequence[MetricDecision],
    *,
    matches: Matches,
) -> tuple[OutputDrift, ...]:
    """Every output feature of the policy beside the champion's, by suite; nothing without a champion.

    Args:
        candidate: The candidate's evidence.
        champion: The champion's, None without one.
        policy: Says which features gate and which are watched.
        tests: The metrics, among them the features that gate.
        decided: The decisions on them, in the same order.
        matches: Remembers how items match.
    """
    if champion is None:
        return ()
    gating = [
        _described(test, decision.verdict if test.policy.gates else None)
        for test, decision in zip(tests, decided, strict=True)
        if test.policy.trait is not None
    ]
    shown = [_described(run_test(metric, candidate, champion, matches), None) for metric in watched(policy)]
    known = {answers.suite: answers for answers in champion.embedded}
    embedded = [_distance(answers, known.get(answers.suite)) for answers in candidate.embedded]
    order = list(OutputFeature)
    # A suite without a format to keep has nothing to say about it.
    drifts = [drift for drift in (*gating, *shown, *embedded) if drift.expected or drift.why]
    return tuple(sorted(drifts, key=lambda drift: (drift.suite, order.index(drift.trait))))


def _described(test: MetricTest, verdict: Verdict | None) -> OutputDrift:
    policy, pairs, comparison = test.policy, test.pairs, test.comparison
    feature = policy.trait or OutputFeature.REFUSALS
    if pairs is None or pairs.champion is None:
        absent = feature is OutputFeature.SCHEMA and not policy.gates
        why = test.problem.what if test.problem and not absent else ""
        return OutputDrift(suite=policy.suite, trait=feature, role=policy.role, verdict=verdict, why=why)
    change = lower = upper = None
    if comparison is not None:
        interval = comparison.interval
        change, lower, upper = interval.estimate, interval.lower, interval.upper
        if feature is OutputFeature.LENGTH:
            change, lower, upper = math.expm1(change), math.expm1(lower), math.expm1(upper)
        elif policy.direction is Direction.LOWER:
            change, lower, upper = -change, -upper, -lower
    return OutputDrift(
        suite=policy.suite,
        trait=feature,
        role=policy.role,
        verdict=verdict,
        champion=_shown(feature, pairs.champion),
        candidate=_shown(feature, pairs.candidate),
        change=change,
        lower=lower,
        upper=upper,
        p=_p(feature, pairs, comparison.p if comparison else None),
        changed=int(np.sum(pairs.candidate != pairs.champion)),
        evaluated=len(pairs.item_ids),
        expected=pairs.expected,
        why=str(pairs.errors) if pairs.errors.count else "",
    )


def _shown(feature: OutputFeature, scores: NDArray[np.float64]) -> float | None:
    if not len(scores):
        return None
    mean = mean_of(scores)
    return math.expm1(mean * LENGTH_SCALE) if feature is OutputFeature.LENGTH else mean


def _p(feature: OutputFeature, pairs: Pairs, p: float | None) -> float | None:
    """Two-sided: that of lengths is already, answers that turned have McNemar's, and clusters leave the bounds."""
    if feature is OutputFeature.LENGTH:
        return p
    if not pairs.simple or pairs.champion is None or not len(pairs.item_ids):
        return None
    return mcnemar_mid_p(int(np.sum(pairs.candidate > pairs.champion)), int(np.sum(pairs.candidate < pairs.champion)))


def _distance(candidate: EmbeddedAnswers, champion: EmbeddedAnswers | None) -> OutputDrift:
    """The energy distance of two sides' embeddings; a cluster's cases, and a case's repeats, are exchanged together."""
    known = {} if champion is None else champion.packed
    keys = sorted({*candidate.packed, *known})
    x, y, cases = [], [], []
    for key in keys:
        vector, other = _vector(candidate.packed.get(key)), _vector(known.get(key))
        if vector is not None and other is not None and len(vector) == len(other):
            x.append(vector)
            y.append(other)
            cases.append(key.case)
    lost = len(keys) - len(x)
    drift = OutputDrift(
        suite=candidate.suite,
        trait=OutputFeature.EMBEDDINGS,
        role=Role.WATCH,
        evaluated=len(x),
        expected=len(keys),
        why=f"{lost:,} of {len(keys):,} answers have no embedding on both sides" if lost else "",
    )
    if not x or len({len(vector) for vector in x}) > 1:
        return drift
    # A case without a key is its own cluster, whatever keys others have.
    clusters = [repr((key, "" if key else case)) for case in cases for key in (candidate.clusters.get(case),)]
    return _with_distance(drift, np.stack(x), np.stack(y), clusters)


def _with_distance(
    drift: OutputDrift, x: NDArray[np.float64], y: NDArray[np.float64], clusters: Sequence[str]
) -> OutputDrift:
    codes = np.unique(np.array(clusters), return_inverse=True)[1]
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    why = drift.why
    if len(x) > _MOST_PAIRS:
        drawn = np.sort(rng.choice(len(x), size=_MOST_PAIRS, replace=False))
        x, y, codes = x[drawn], y[drawn], codes[drawn]
        why = "; ".join(filter(None, [why, f"{_MOST_PAIRS:,} of the pairs were drawn"]))
    distance = energy_distance(x, y, rng=rng, permutations=_PERMUTATIONS, clusters=codes)
    return replace(
        drift, change=distance.distance, usual=distance.expected, p=distance.p, changed=distance.changed, why=why
    )


def _vector(packed: str | None) -> NDArray[np.float64] | None:
    try:
        return None if packed is None else unpack_vector(packed)
    except ValueError:
        return None
