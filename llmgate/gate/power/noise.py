"""How much scores change if nothing has changed: from two runs of the same model, or from its repeats."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import NotComparableError, UndefinedError, UsageError
from llmgate.gate.evidence.answered_by import cached_answers
from llmgate.gate.evidence.comparable import check_comparable, same_answers
from llmgate.gate.evidence.evidence import Noise
from llmgate.gate.evidence.gather import gather
from llmgate.gate.evidence.pairing import pair_up
from llmgate.gate.evidence.repeats import wording_of
from llmgate.gate.metrics.length import unseen_reach
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Direction
from llmgate.record.schema import Generation
from llmgate.stats.paired import cluster_t, t_interval
from llmgate.stats.proportion import clopper_pearson
from llmgate.stats.repeats import flip_shares, variance_components
from llmgate.stats.unseen import widen_for_unseen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from llmgate.gate.evidence.evidence import RepeatScores
    from llmgate.gate.evidence.pairing import Pairs
    from llmgate.record.policy import MetricPolicy, Policy
    from llmgate.record.schema import Record

__all__ = ["check_same_model", "noise_of_history", "noise_of_repeats", "noise_of_run", "texts_flipped"]


_ALPHA = 0.05
"""Of the bounds of a spread."""


def noise_of_repeats(repeats: Iterable[RepeatScores]) -> tuple[Noise, ...]:
    """From the answers of one run: two means of K answers differ with a variance of 2·E[σ_i²]/K.

    Reference: Miller (2024), arXiv 2411.00640, section 3.2.
    """
    return tuple(_of_repeats(scores) for scores in repeats)


def noise_of_run(run: Record, other: Record, policy: Policy) -> tuple[Noise, ...]:
    """From two runs of the same model, served the same way, on the metrics of a policy.

    Raises:
        NotComparableError: If they are not that; the message names the field.
    """
    check_same_model(run, other)
    noise = []
    for metric, pairs in _between(run, other, policy):
        squares = _differences(pairs) ** 2
        lowest, highest = _bounds_of(squares, metric)
        noise.append(
            Noise(
                suite=metric.suite,
                metric=metric.metric,
                variance=float(np.mean(squares)),
                lowest=lowest,
                highest=highest,
                cases=len(squares),
                repeats=_repeats_of(run, metric.suite),
                source="run",
                binary=pairs.binary,
                flips=float(np.mean(squares != 0.0)),
                level=_level([pairs], metric),
                reach=_reach([pairs], metric),
            )
        )
    return tuple(noise)


def noise_of_history(records: Sequence[Record], policy: Policy) -> tuple[Noise, ...]:
    """From releases, each compared with the one before: what differs between models that are about as good.

    Right-or-wrong scores give their discordance, others the variance of their differences, and clusters their design
    effect. Every case counts once, with its mean over the comparisons.

    Raises:
        NotComparableError: If two that follow each other cannot be compared.
        UsageError: If there are fewer than two.
    """
    if len(records) < 2:
        raise UsageError("a history has two runs or more", where="--history", fix="Name the runs of past releases")
    seen: dict[MetricPolicy, list[Pairs]] = {}
    for before, after in pairwise(records):
        for metric, pairs in _between(after, before, policy):
            seen.setdefault(metric, []).append(pairs)
    return tuple(_of_history(metric, all_pairs, records[-1]) for metric, all_pairs in seen.items())


def _of_history(metric: MetricPolicy, all_pairs: Sequence[Pairs], newest: Record) -> Noise:
    binary = all(pairs.binary for pairs in all_pairs)
    by_case: dict[str, list[float]] = {}
    flips: list[float] = []
    for pairs in all_pairs:
        differences = _differences(pairs)
        centred = differences if binary else differences - np.mean(differences)
        flips.append(float(np.mean(differences != 0.0)))
        for case, square in zip(pairs.item_ids.tolist(), (centred**2).tolist(), strict=True):
            by_case.setdefault(case, []).append(square)
    squares = np.array([sum(values) / len(values) for values in by_case.values()])
    effect = sum(map(_design_effect, all_pairs)) / len(all_pairs)
    lowest, highest = (min(1.0, effect * bound) for bound in _bounds_of(squares, metric))
    return Noise(
        suite=metric.suite,
        metric=metric.metric,
        variance=min(1.0, effect * float(np.mean(squares))),
        lowest=lowest,
        highest=highest,
        cases=len(squares),
        repeats=_repeats_of(newest, metric.suite),
        source="history",
        binary=binary,
        flips=sum(flips) / len(flips),
        level=_level(all_pairs[-1:], metric),
        design_effect=effect,
        reach=_reach(all_pairs, metric),
    )


def check_same_model(run: Record, other: Record) -> None:
    """Refuse two runs that differ in the model or in how it is served: what changes between them is not only chance.

    Raises:
        NotComparableError: With the field and both values.
    """
    if run.manifest.run_id == other.manifest.run_id or same_answers(run, other):
        raise NotComparableError(
            "both are the same run, between whose answers nothing can change",
            where=other.path or other.manifest.run_id,
            fix="Run the same model a second time",
        )
    for one in (run, other):
        if cached := cached_answers(one):
            raise NotComparableError(
                f"{cached:,} answers came out of a cache, and do not show how answers change by chance",
                where=one.path or one.manifest.run_id,
                fix="Run the model again without a cache",
            )
    model, other_model = run.manifest.model, other.manifest.model
    if model.weights_digest and other_model.weights_digest:
        _same("weights", model.weights_digest, other_model.weights_digest)
    else:
        _same("model", model.name, other_model.name)
        _same("source", model.source.rstrip("/"), other_model.source.rstrip("/"))
    for field in ("engine", "version", "flags"):
        _same(f"server {field}", getattr(run.manifest.server, field), getattr(other.manifest.server, field))


def texts_flipped(run: Record, other: Record, suite: str) -> tuple[int, int]:
    """How many answers of a suite differ in their text between two runs, and how many both runs have."""
    differ = compared = 0
    for key, result in run.results.items():
        partner = other.results.get(key)
        if key.suite == suite and isinstance(result.answer, Generation):
            if partner is None or not isinstance(partner.answer, Generation):
                continue
            compared += 1
            differ += wording_of(result.answer) != wording_of(partner.answer)
    return differ, compared


def _of_repeats(answers: RepeatScores) -> Noise:
    parts = variance_components(answers.scores, answers.cases)
    counts = np.bincount(answers.cases)
    # The least number of repeats that a case has: the noise is not to be made small.
    repeats = int(counts.min())
    scores = np.unique(answers.scores, return_inverse=True)[1].astype(np.int64)
    means = np.bincount(answers.cases, weights=answers.scores) / counts
    squares = np.bincount(answers.cases, weights=(answers.scores - means[answers.cases]) ** 2)
    lowest, highest = _bounds(2.0 * squares / (counts - 1.0))
    variance = parts.unchanged(repeats)
    return Noise(
        suite=answers.suite,
        metric=answers.metric,
        variance=variance,
        lowest=min(variance, lowest / repeats),
        highest=max(variance, highest / repeats),
        cases=parts.cases,
        repeats=repeats,
        source="repeats",
        binary=bool(np.all((answers.scores == 0.0) | (answers.scores == 1.0))),
        flips=float(np.mean(flip_shares(scores, answers.cases))),
    )


def _between(run: Record, other: Record, policy: Policy) -> Iterator[tuple[MetricPolicy, Pairs]]:
    """The pairs of every metric that both have."""
    check_comparable(run, other, policy)
    evidence, other_evidence = gather(run, policy), gather(other, policy)
    for metric in policy.metrics:
        first, second = (side.table(metric.suite, metric.metric) for side in (evidence, other_evidence))
        if first is not None and second is not None and len(first.items) and len(second.items):
            pairs = pair_up(first, second)
            if len(pairs.item_ids):
                yield metric, pairs


def _level(all_pairs: Sequence[Pairs], metric: MetricPolicy) -> float | None:
    """The mean score of what a candidate will be compared with; a length has none that could be lost."""
    if metric.trait is OutputFeature.LENGTH:
        return None
    mean = float(np.mean(all_pairs[-1].candidate))
    return 1.0 - mean if metric.direction is Direction.LOWER else mean


def _reach(all_pairs: Sequence[Pairs], metric: MetricPolicy) -> float | None:
    return max(map(unseen_reach, all_pairs)) if metric.trait is OutputFeature.LENGTH else None


def _differences(pairs: Pairs) -> NDArray[np.float64]:
    return pairs.candidate - (pairs.candidate if pairs.champion is None else pairs.champion)


def _repeats_of(record: Record, suite: str) -> int:
    return min((case.repeats for case in record.cases if case.suite == suite), default=1)


def _design_effect(pairs: Pairs) -> float:
    """How much larger the variance of the mean is because cases belong together; at least 1."""
    differences = _differences(pairs)
    variance = float(np.var(differences, ddof=1)) if len(differences) > 1 else 0.0
    if pairs.clusters is None or variance == 0.0:
        return 1.0
    try:
        error = cluster_t(differences, pairs.clusters, alpha=_ALPHA).standard_error or 0.0
    except UndefinedError:
        return 1.0
    return max(1.0, len(differences) * error * error / variance)


def _bounds_of(squares: NDArray[np.float64], metric: MetricPolicy) -> tuple[float, float]:
    """Of lengths, whose squares are small parts of the scale of scores, what stayed unseen would say nothing."""
    if metric.trait is not OutputFeature.LENGTH or bool(np.all(squares == squares[0])):
        return _bounds(squares)
    interval = t_interval(squares, alpha=_ALPHA)
    return max(0.0, interval.lower), interval.upper


def _bounds(values: NDArray[np.float64]) -> tuple[float, float]:
    """One-sided bounds of the mean of numbers in [0, 1]."""
    if bool(np.all((values == 0.0) | (values == 1.0))):
        interval = clopper_pearson(int(np.sum(values)), len(values), alpha=_ALPHA)
    else:
        spread = None if bool(np.all(values == values[0])) else t_interval(values, alpha=_ALPHA)
        interval = widen_for_unseen(np.minimum(values, 1.0), spread, alpha=_ALPHA, floor=0.0, ceiling=1.0)
    return max(0.0, interval.lower), min(1.0, interval.upper)


def _same(field: str, value: object, other: object) -> None:
    if value != other:
        raise NotComparableError(
            f"{field} is {value!r} in one run, but {other!r} in the other",
            where="two runs of the same model",
            fix="Run the same model twice with the same flags",
        )
