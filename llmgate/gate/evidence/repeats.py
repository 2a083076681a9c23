"""Several answers to the same case: how the answers of one model differ among themselves."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.decision.types import FlakyCase, RepeatDecision
from llmgate.gate.evidence.evidence import RepeatScores
from llmgate.gate.evidence.gather import answer_score, feeds
from llmgate.record.schema import Generation
from llmgate.stats.repeats import PairedComponents, flip_shares, paired_components, variance_components

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.record.policy import MetricPolicy, Policy
    from llmgate.record.schema import CaseResult, Record

__all__ = ["FLAKY_LISTED", "decide_repeats", "repeat_scores", "wording_of"]

FLAKY_LISTED = 50
"""Of one metric; all of them are counted."""


def repeat_scores(record: Record, policy: Policy) -> tuple[RepeatScores, ...]:
    """The answers' scores of every metric of which at least two cases were answered several times.

    A case of which an answer could not be evaluated is left out here; it is an error in the evidence, which bars PASS.
    """
    known = (_of_metric(record, metric) for metric in policy.metrics)
    return tuple(scores for scores in known if scores is not None)


def decide_repeats(candidate: Evidence, champion: Evidence | None) -> tuple[RepeatDecision, ...]:
    """What the candidate's repeats say, beside the champion's where there are some."""
    known = {(scores.suite, scores.metric): scores for scores in (champion.repeats if champion else ())}
    return tuple(_decide(scores, known.get((scores.suite, scores.metric))) for scores in candidate.repeats)


def wording_of(answer: Generation) -> tuple[str, str]:
    """What makes two answers the same: text and calls of tools, letter by letter."""
    calls = answer.tool_calls
    return answer.text, "" if calls is None else json.dumps([dict(call) for call in calls], sort_keys=True)


def _of_metric(record: Record, metric: MetricPolicy) -> RepeatScores | None:
    ids: list[str] = []
    cases: list[int] = []
    scores: list[float] = []
    texts: list[int] = []
    for case in record.cases:
        if case.repeats < 2 or not feeds(case, metric):
            continue
        try:
            results = [record.results.get(key) for key in case.keys]
            answers = [(answer_score(result, metric, case), _wording(result)) for result in results]
        except UndefinedError:
            continue
        numbers: dict[tuple[str, str], int] = {}
        for score, text in answers:
            cases.append(len(ids))
            scores.append(score)
            texts.append(numbers.setdefault(text, len(numbers)))
        ids.append(case.case)
    if len(ids) < 2:
        return None
    return RepeatScores(
        suite=metric.suite,
        metric=metric.metric,
        ids=tuple(ids),
        cases=np.array(cases, dtype=np.int64),
        scores=np.array(scores, dtype=np.float64),
        texts=np.array(texts, dtype=np.int64),
    )


def _wording(result: CaseResult | None) -> tuple[str, str]:
    if result is None or not isinstance(result.answer, Generation):
        raise UndefinedError("there is no answer")
    return wording_of(result.answer)


def _decide(candidate: RepeatScores, champion: RepeatScores | None) -> RepeatDecision:
    parts = variance_components(candidate.scores, candidate.cases)
    paired = None if champion is None else _paired(candidate, champion)
    # Without a champion the mean itself is what more repeats would narrow.
    whole = paired or PairedComponents(between=parts.between, candidate=parts.within, champion=0.0, cases=parts.cases)
    gain = whole.worth_of_repeats(candidate.repeats)
    flips = flip_shares(np.unique(candidate.scores, return_inverse=True)[1].astype(np.int64), candidate.cases)
    divided = sorted(np.flatnonzero(flips).tolist(), key=lambda i: (-flips[i], candidate.ids[i]))
    return RepeatDecision(
        suite=candidate.suite,
        metric=candidate.metric,
        repeats=candidate.repeats,
        cases=len(candidate.ids),
        between=parts.between,
        within=parts.within,
        champion_within=None if champion is None else variance_components(champion.scores, champion.cases).within,
        scores_flip=float(np.mean(flips)),
        texts_flip=float(np.mean(flip_shares(candidate.texts, candidate.cases))),
        one_more=gain if math.isfinite(gain) else None,
        flaky=len(divided),
        named=tuple(_flaky(candidate, i) for i in divided[:FLAKY_LISTED]),
    )


def _flaky(candidate: RepeatScores, index: int) -> FlakyCase:
    return FlakyCase(case=candidate.ids[index], scores=tuple(candidate.scores[candidate.cases == index].tolist()))


def _paired(candidate: RepeatScores, champion: RepeatScores) -> PairedComponents | None:
    """Over the cases that both sides answered equally often."""
    places = {case: i for i, case in enumerate(champion.ids)}
    both = [(i, places[case]) for i, case in enumerate(candidate.ids) if case in places]
    counts, champion_counts = np.bincount(candidate.cases), np.bincount(champion.cases)
    both = [(i, j) for i, j in both if counts[i] == champion_counts[j]]
    if len(both) < 2:
        return None
    starts, champion_starts = (np.concatenate(([0], np.cumsum(c)[:-1])) for c in (counts, champion_counts))
    return paired_components(
        _taken(candidate.scores, starts, counts, [i for i, _ in both]),
        _taken(champion.scores, champion_starts, champion_counts, [j for _, j in both]),
        np.repeat(np.arange(len(both)), [counts[i] for i, _ in both]),
    )


def _taken(
    scores: NDArray[np.float64], starts: NDArray[np.int64], counts: NDArray[np.int64], which: Sequence[int]
) -> NDArray[np.float64]:
    return np.concatenate([scores[starts[i] : starts[i] + counts[i]] for i in which])
