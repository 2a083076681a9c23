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
from llmgate.record.schema import CaseKey, Generation
from llmgate.stats.repeats import PairedComponents, flip_shares, paired_components, variance_components

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.record.policy import MetricPolicy, Policy
    from llmgate.record.schema import CaseResult, PlannedCase, Record

__all__ = ["FLAKY_LISTED", "decide_repeats", "repeat_scores", "wording_of"]

FLAKY_LISTED = 50
"""Of one metric; all of them are counted."""


def repeat_scores(record: Record, policy: Policy) -> tuple[RepeatScores, ...]:
    """The answers' scores of every metric of which at least two cases were answered several times.

    A case of which an answer could not be evaluated is left out here; it is an error in the evidence, which bars PASS.
    """
    found = (_of_metric(record, metric) for metric in policy.metrics)
    return tuple(one for one in found if one is not None)


def decide_repeats(candidate: Evidence, champion: Evidence | None) -> tuple[RepeatDecision, ...]:
    """What the candidate's repeats say, beside the champion's where there are some."""
    theirs = {(one.suite, one.metric): one for one in (champion.repeats if champion else ())}
    return tuple(_decide(one, theirs.get((one.suite, one.metric))) for one in candidate.repeats)


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
            answers = [(answer_score(one, metric, case), _wording(one)) for one in _results(record, case)]
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


def _results(record: Record, case: PlannedCase) -> Iterator[CaseResult | None]:
    for repeat in range(case.repeats):
        yield record.results.get(CaseKey(suite=case.suite, case=case.case, repeat=repeat))


def _wording(result: CaseResult | None) -> tuple[str, str]:
    if result is None or not isinstance(result.answer, Generation):
        raise UndefinedError("there is no answer")
    return wording_of(result.answer)


def _decide(mine: RepeatScores, theirs: RepeatScores | None) -> RepeatDecision:
    parts = variance_components(mine.scores, mine.cases)
    paired = None if theirs is None else _paired(mine, theirs)
    # Without a champion the mean itself is what more repeats would narrow.
    whole = paired or PairedComponents(between=parts.between, candidate=parts.within, champion=0.0, cases=parts.cases)
    gain = whole.worth_of_repeats(mine.repeats)
    flips = flip_shares(np.unique(mine.scores, return_inverse=True)[1].astype(np.int64), mine.cases)
    divided = sorted(np.flatnonzero(flips).tolist(), key=lambda i: (-flips[i], mine.ids[i]))
    return RepeatDecision(
        suite=mine.suite,
        metric=mine.metric,
        repeats=mine.repeats,
        cases=len(mine.ids),
        between=parts.between,
        within=parts.within,
        champion_within=None if theirs is None else variance_components(theirs.scores, theirs.cases).within,
        scores_flip=float(np.mean(flips)),
        texts_flip=float(np.mean(flip_shares(mine.texts, mine.cases))),
        one_more=gain if math.isfinite(gain) else None,
        flaky=len(divided),
        named=tuple(_flaky(mine, i) for i in divided[:FLAKY_LISTED]),
    )


def _flaky(mine: RepeatScores, index: int) -> FlakyCase:
    return FlakyCase(case=mine.ids[index], scores=tuple(mine.scores[mine.cases == index].tolist()))


def _paired(mine: RepeatScores, theirs: RepeatScores) -> PairedComponents | None:
    """Over the cases that both sides answered equally often."""
    places = {case: i for i, case in enumerate(theirs.ids)}
    both = [(i, places[case]) for i, case in enumerate(mine.ids) if case in places]
    counts, their_counts = np.bincount(mine.cases), np.bincount(theirs.cases)
    both = [(i, j) for i, j in both if counts[i] == their_counts[j]]
    if len(both) < 2:
        return None
    starts, their_starts = (np.concatenate(([0], np.cumsum(c)[:-1])) for c in (counts, their_counts))
    return paired_components(
        _taken(mine.scores, starts, counts, [i for i, _ in both]),
        _taken(theirs.scores, their_starts, their_counts, [j for _, j in both]),
        np.repeat(np.arange(len(both)), [counts[i] for i, _ in both]),
    )


def _taken(
    scores: NDArray[np.float64], starts: NDArray[np.int64], counts: NDArray[np.int64], which: Sequence[int]
) -> NDArray[np.float64]:
    return np.concatenate([scores[starts[i] : starts[i] + counts[i]] for i in which])
