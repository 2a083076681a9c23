"""How much scores change if nothing has changed: from two runs of the same model, or from its repeats."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import NotComparableError
from llmgate.gate.comparable import check_comparable
from llmgate.gate.evidence import gather
from llmgate.gate.pairing import pair_up
from llmgate.gate.repeats import wording_of
from llmgate.gate.spread import Noise
from llmgate.record.schema import Generation
from llmgate.stats.repeats import flip_shares, variance_components

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.gate.pairing import Pairs
    from llmgate.gate.spread import RepeatScores
    from llmgate.record.policy import Policy
    from llmgate.record.schema import Record

__all__ = ["check_same_model", "noise_of_repeats", "noise_of_run", "texts_flipped"]


def noise_of_repeats(repeats: Iterable[RepeatScores]) -> tuple[Noise, ...]:
    """From the answers of one run: two means of K answers differ with a variance of 2·E[σ_i²]/K.

    Reference: Miller (2024), arXiv 2411.00640, section 3.2.
    """
    return tuple(_of_repeats(one) for one in repeats)


def noise_of_run(one: Record, other: Record, policy: Policy) -> tuple[Noise, ...]:
    """From two runs of the same model, served the same way, on the metrics of a policy.

    Raises:
        NotComparableError: If they are not that; the message names the field.
    """
    check_comparable(one, other, policy)
    check_same_model(one, other)
    first, second = gather(one, policy), gather(other, policy)
    found = []
    for metric in policy.metrics:
        mine, theirs = (side.table(metric.suite, metric.metric) for side in (first, second))
        if mine is not None and theirs is not None and len(mine.items) and len(theirs.items):
            pairs = pair_up(mine, theirs)
            if len(pairs.item_ids):
                found.append(_of_pairs(pairs, suite=metric.suite, metric=metric.metric))
    return tuple(found)


def check_same_model(one: Record, other: Record) -> None:
    """Refuse two runs that differ in the model or in how it is served: what changes between them is not only chance.

    Raises:
        NotComparableError: With the field and both values.
    """
    mine, theirs = one.manifest, other.manifest
    if mine.model.weights_digest and theirs.model.weights_digest:
        _same("weights", mine.model.weights_digest, theirs.model.weights_digest)
    else:
        _same("model", mine.model.name, theirs.model.name)
        _same("source", mine.model.source.rstrip("/"), theirs.model.source.rstrip("/"))
    for field in ("engine", "version", "flags"):
        _same(f"server {field}", getattr(mine.server, field), getattr(theirs.server, field))


def texts_flipped(one: Record, other: Record, suite: str) -> tuple[int, int]:
    """How many answers of a suite differ in their text between two runs, and how many both runs have."""
    differ = compared = 0
    for key, result in one.results.items():
        partner = other.results.get(key)
        if key.suite == suite and isinstance(result.answer, Generation):
            if partner is None or not isinstance(partner.answer, Generation):
                continue
            compared += 1
            differ += wording_of(result.answer) != wording_of(partner.answer)
    return differ, compared


def _of_repeats(one: RepeatScores) -> Noise:
    parts = variance_components(one.scores, one.cases)
    # The least number of repeats that several cases may have: the noise is not to be made small.
    repeats = min(Counter(one.cases.tolist()).values())
    scores = np.unique(one.scores, return_inverse=True)[1].astype(np.int64)
    return Noise(
        suite=one.suite,
        metric=one.metric,
        variance=parts.unchanged(repeats),
        cases=parts.cases,
        degrees=parts.df_within,
        source="repeats",
        binary=parts.within == 0.0 and bool(np.all((one.scores == 0.0) | (one.scores == 1.0))),
        flips=float(np.mean(flip_shares(scores, one.cases))),
    )


def _of_pairs(pairs: Pairs, *, suite: str, metric: str) -> Noise:
    champion = pairs.candidate if pairs.champion is None else pairs.champion
    differences = pairs.candidate - champion
    return Noise(
        suite=suite,
        metric=metric,
        variance=float(np.mean(differences * differences)),
        cases=len(differences),
        degrees=len(differences),
        source="run",
        binary=pairs.binary,
        flips=float(np.mean(differences != 0.0)),
    )


def _same(field: str, mine: object, theirs: object) -> None:
    if mine != theirs:
        raise NotComparableError(
            f"{field} is {mine!r} in one run, but {theirs!r} in the other",
            where="two runs of the same model",
            fix="Run the same model twice with the same flags",
        )
