"""How answers look beside the champion's: what gates stands among the metrics, what is watched only stands here.

There is no fixed threshold on a distance of distributions: the population stability index exceeds its usual 0.1 in
83 % of comparisons of 100 answers with nothing changed at all. Everything here has an interval or a p-value.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate.gate.decision.types import OutputDrift
from llmgate.gate.evidence.feature_metrics import LENGTH_SCALE, watched
from llmgate.gate.metrics.tests import measure
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
    from llmgate.gate.metrics.tests import Measured
    from llmgate.record.policy import Policy

__all__ = ["describe_outputs"]

_MOST_PAIRS: Final = 2_000
"""Their distances are some seconds of work; more pairs are drawn from."""
_PERMUTATIONS: Final = 999


def describe_outputs(
    candidate: Evidence,
    champion: Evidence | None,
    policy: Policy,
    measured: Sequence[Measured],
    decided: Sequence[MetricDecision],
    *,
    matches: Matches,
) -> tuple[OutputDrift, ...]:
    """Every trait of the policy beside the champion's, by suite; nothing without a champion.

    Args:
        candidate: The candidate's evidence.
        champion: The champion's, None without one.
        policy: Says which traits gate and which are watched.
        measured: The metrics, among them the traits that gate.
        decided: The decisions on them, in the same order.
        matches: Remembers how items match.
    """
    if champion is None:
        return ()
    gating = [
        _described(one, decision.verdict if one.policy.gates else None)
        for one, decision in zip(measured, decided, strict=True)
        if one.policy.trait is not None
    ]
    shown = [_described(measure(one, candidate, champion, matches), None) for one in watched(policy)]
    embedded = [
        _distance(mine, next((one for one in champion.embedded if one.suite == mine.suite), None))
        for mine in candidate.embedded
    ]
    order = list(OutputFeature)
    # A suite without a format to keep has nothing to say about it.
    told = [one for one in (*gating, *shown, *embedded) if one.expected or one.why]
    return tuple(sorted(told, key=lambda one: (one.suite, order.index(one.trait))))


def _described(one: Measured, verdict: Verdict | None) -> OutputDrift:
    policy, pairs, found = one.policy, one.pairs, one.comparison
    trait = policy.trait or OutputFeature.REFUSALS
    if pairs is None or pairs.champion is None:
        absent = trait is OutputFeature.SCHEMA and not policy.gates
        why = one.problem.what if one.problem and not absent else ""
        return OutputDrift(suite=policy.suite, trait=trait, role=policy.role, verdict=verdict, why=why)
    mine, theirs = _shown(trait, pairs.candidate), _shown(trait, pairs.champion)
    change = lower = upper = None
    if found is not None:
        change, lower, upper = found.interval.estimate, found.interval.lower, found.interval.upper
        if trait is OutputFeature.LENGTH:
            change, lower, upper = math.expm1(change), math.expm1(lower), math.expm1(upper)
        elif policy.direction is Direction.LOWER:
            change, lower, upper = -change, -upper, -lower
    return OutputDrift(
        suite=policy.suite,
        trait=trait,
        role=policy.role,
        verdict=verdict,
        champion=theirs,
        candidate=mine,
        change=change,
        lower=lower,
        upper=upper,
        p=_p(trait, pairs, found.p if found else None),
        changed=int(np.sum(pairs.candidate != pairs.champion)),
        evaluated=len(pairs.item_ids),
        expected=pairs.expected,
        why=str(pairs.errors) if pairs.errors.count else "",
    )


def _shown(trait: OutputFeature, scores: NDArray[np.float64]) -> float | None:
    if not len(scores):
        return None
    mean = mean_of(scores)
    return math.expm1(mean * LENGTH_SCALE) if trait is OutputFeature.LENGTH else mean


def _p(trait: OutputFeature, pairs: Pairs, found: float | None) -> float | None:
    """Two-sided: that of lengths is already, answers that turned have McNemar's, and clusters leave the bounds."""
    if trait is OutputFeature.LENGTH:
        return found
    if not pairs.simple or pairs.champion is None or not len(pairs.item_ids):
        return None
    return mcnemar_mid_p(int(np.sum(pairs.candidate > pairs.champion)), int(np.sum(pairs.candidate < pairs.champion)))


def _distance(mine: EmbeddedAnswers, theirs: EmbeddedAnswers | None) -> OutputDrift:
    """The energy distance of two sides' embeddings; a cluster's cases, and a case's repeats, are exchanged together."""
    known = {} if theirs is None else theirs.packed
    keys = sorted({*mine.packed, *known})
    x, y, cases = [], [], []
    for key in keys:
        one, other = _vector(mine.packed.get(key)), _vector(known.get(key))
        if one is not None and other is not None and len(one) == len(other):
            x.append(one)
            y.append(other)
            cases.append(key.case)
    lost = len(keys) - len(x)
    drift = OutputDrift(
        suite=mine.suite,
        trait=OutputFeature.EMBEDDINGS,
        role=Role.WATCH,
        evaluated=len(x),
        expected=len(keys),
        why=f"{lost:,} of {len(keys):,} answers have no embedding on both sides" if lost else "",
    )
    if not x or len({len(one) for one in x}) > 1:
        return drift
    # A case without a key is its own cluster, whatever keys others have.
    clusters = [repr((mine.clusters.get(case), "" if mine.clusters.get(case) else case)) for case in cases]
    return _measured(drift, np.stack(x), np.stack(y), clusters)


def _measured(
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
    found = energy_distance(x, y, rng=rng, permutations=_PERMUTATIONS, clusters=codes)
    return OutputDrift(
        suite=drift.suite,
        trait=drift.trait,
        role=drift.role,
        change=found.distance,
        usual=found.expected,
        p=found.p,
        changed=found.changed,
        evaluated=drift.evaluated,
        expected=drift.expected,
        why=why,
    )


def _vector(packed: str | None) -> NDArray[np.float64] | None:
    try:
        return None if packed is None else unpack_vector(packed)
    except ValueError:
        return None
