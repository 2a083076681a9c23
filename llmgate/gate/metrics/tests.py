"""One metric, tested: the two sides are matched, and what the policy asks is put to the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.wording import count, points
from llmgate.gate.evidence.evidence import Noise
from llmgate.gate.evidence.pairing import Matches, Pairs, pair_up
from llmgate.gate.metrics.intervals import Finding, compare, compare_with_minimum
from llmgate.gate.metrics.label_corrected import (
    JUDGE_ALONE,
    compare_corrected,
    compare_corrected_with_minimum,
    correction_note,
    drawing_note,
    labelled_cases,
)
from llmgate.gate.metrics.length import compare_lengths
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Direction, MetricPolicy

if TYPE_CHECKING:
    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.gate.metrics.look import LookPoint  # noqa: TC004 - nothing reads this annotation
    from llmgate.record.labels import AnswerLabels

__all__ = ["Measured", "default_margin", "measure"]

_MARGIN, _WIDE_MARGIN = 0.03, 0.05
READ_BY_RULES = (OutputFeature.REFUSALS, OutputFeature.LENGTH)
_CASES_FOR_MARGIN = 688
"""80 % power for 3 points at a discordance of 10 %, by the normal approximation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A metric after the data, before the verdict.

    Attributes:
        policy: What was asked.
        pairs: The cases; None where a side has no scores at all.
        comparison: Candidate against champion, None if that was impossible.
        floor: Candidate against `min:`, None if there is none or that was impossible.
        margin: The margin that was applied, None without a champion.
        problem: What bars a PASS.
        admission: Whether its judge was admitted, "" where that is no question.
        notes: Remarks for the report.
        noise: How much its scores change if nothing has changed, None where only this comparison tells.
        labels: Cases that people labelled, 0 for none.
        labels_digest: SHA-256 over their file, "" where they came with the scores.
        look: Where it stands among its looks; None if the suite was not to stop early.
    """

    policy: MetricPolicy
    pairs: Pairs | None = None
    comparison: Finding | None = None
    floor: Finding | None = None
    margin: float | None = None
    problem: Problem | None = None
    admission: Literal["", "admitted", "unadmitted"] = ""
    notes: tuple[str, ...] = ()
    look: LookPoint | None = None
    noise: Noise | None = None
    labels: int = 0
    labels_digest: str = ""

    @property
    def corrected(self) -> bool:
        """Whether people's labels correct the scores, so that the findings are about people's."""
        return self.pairs is not None and self.pairs.human is not None

    @property
    def judge_alone(self) -> bool:
        """Whether all there is to go by is what a judge says."""
        return self.policy.judged and not self.corrected

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What has been tested: the comparison, then the minimum."""
        return tuple(f for f in (self.comparison, self.floor) if f is not None)

    @property
    def oriented(self) -> Pairs | None:
        """The cases with their scores turned so that more is better."""
        if self.pairs is None or self.policy.direction is Direction.HIGHER:
            return self.pairs
        return turned_round(self.pairs)

    def shown(self, score: float) -> float:
        """A score, or a bound of one, as the metric counts it, from one that was turned so that more is better."""
        return 1.0 - score if self.policy.direction is Direction.LOWER else score


def measure(
    policy: MetricPolicy, candidate: Evidence, champion: Evidence | None, matches: Matches | None = None
) -> Measured:
    """Match the two sides and test what the policy asks; whatever cannot be tested is a problem.

    With a champion the paired comparison is tested, and `min:` besides if there is one; a PASS then needs both.
    Without a champion only `min:` is tested.

    Args:
        policy: What is asked.
        candidate: The candidate's evidence.
        champion: The champion's, None without one.
        matches: Remembers how items match, for the metrics that share them.

    Raises:
        NotComparableError: If the two sides put a case into different clusters.
    """
    where = f"{policy.suite}::gate::{policy.metric}"
    mine = candidate.table(policy.suite, policy.metric)
    theirs = None if champion is None else champion.table(policy.suite, policy.metric)
    if mine is None or not len(mine.items):
        problem = Problem(where=where, what="the candidate has no scores on this metric", fix="Run the suite")
        return Measured(policy=policy, problem=problem)
    if champion is not None and (theirs is None or not len(theirs.items)):
        problem = Problem(where=where, what="the champion has no scores on this metric", fix="Run the suite on it")
        return Measured(policy=policy, problem=problem)
    if champion is not None and policy.trait in READ_BY_RULES and not same_readings(candidate, champion):
        problem = Problem(
            where=where,
            what="the two records' answers were read by different versions of the rules",
            fix="Run the champion again with this version of llmgate",
        )
        return Measured(policy=policy, problem=problem)
    match = (matches or Matches()).of(mine.items, None if theirs is None else theirs.items, where=where)
    if theirs is not None and (mine.human is None) != (theirs.human is None):
        unlabelled = "champion" if theirs.human is None else "candidate"
        problem = Problem(
            where=where,
            what=f"people labelled answers of one side only, and none of the {unlabelled}",
            fix="Label the answers of both sides to the same cases",
        )
        return Measured(policy=policy, problem=problem)
    sheet = next((one for one in candidate.labels if (one.suite, one.metric) == (policy.suite, policy.metric)), None)
    measured = _test(policy, pair_up(mine, theirs, match), where, sheet)
    known = () if champion is None or measured.corrected else champion.noise
    noise = next((one for one in known if (one.suite, one.metric) == (policy.suite, policy.metric)), None)
    return replace(measured, noise=noise)


def same_readings(candidate: Evidence, champion: Evidence) -> bool:
    """Whether one version of the rules read both sides' answers; a side that was not read says so for each case."""
    return not candidate.readings or not champion.readings or candidate.readings == champion.readings


def turned_round(pairs: Pairs) -> Pairs:
    """1 − score on both sides, so that what was unwanted is wanted."""
    if pairs.champion is None:
        human = None if pairs.human is None else 1.0 - pairs.human
        return replace(pairs, candidate=1.0 - pairs.candidate, human=human, human_own=human)
    return replace(
        pairs,
        candidate=1.0 - pairs.candidate,
        champion=1.0 - pairs.champion,
        human=None if pairs.human is None else -pairs.human,
        human_own=None if pairs.human_own is None else 1.0 - pairs.human_own,
    )


def default_margin(cases: int) -> tuple[float, str]:
    """The margin where the policy sets none, and a remark that says so."""
    if cases >= _CASES_FOR_MARGIN:
        why = f"{_CASES_FOR_MARGIN} cases or more"
        return _MARGIN, f"No margin was set; with {why} the default is {points(_MARGIN)} points."
    why = f"with fewer than {_CASES_FOR_MARGIN} cases"
    return _WIDE_MARGIN, f"No margin was set; {why} the default is {points(_WIDE_MARGIN)} points."


def _test(policy: MetricPolicy, pairs: Pairs, where: str, sheet: AnswerLabels | None) -> Measured:
    margin, notes = policy.margin, []
    if pairs.champion is None:
        margin = None
    elif margin is None:
        margin, note = default_margin(pairs.expected)
        notes.append(note)
    if pairs.clusters is not None:
        notes.append(f"{count(len(np.unique(pairs.clusters)), 'cluster')} of cases that belong together.")
    corrected = pairs.human is not None
    if corrected:
        notes.append(correction_note(pairs))
        if sheet:
            notes.append(drawing_note(sheet))
    elif policy.judged:
        notes.append(f"{JUDGE_ALONE[0].upper()}{JUDGE_ALONE[1:]}: nobody labelled these answers.")
    comparison = floor = None
    problem = _unevaluated(policy, pairs, where)
    oriented = pairs if policy.direction is Direction.HIGHER else turned_round(pairs)
    try:
        if margin is not None:
            method = compare_lengths if policy.trait is OutputFeature.LENGTH else compare
            comparison = (compare_corrected if corrected else method)(oriented, margin=margin, alpha=policy.alpha)
        if policy.floor is not None:
            tested = compare_corrected_with_minimum if corrected else compare_with_minimum
            floor = tested(oriented, minimum=policy.floor, alpha=policy.alpha)
    except UndefinedError as error:
        problem = problem or Problem(where=where, what=error.what, fix=error.fix or "Add cases")
    return Measured(
        policy=policy, pairs=pairs, comparison=comparison, floor=floor, margin=margin, problem=problem,
        notes=tuple(note for note in notes if note), labels=labelled_cases(pairs),
        labels_digest=sheet.digest if sheet else "",
    )  # fmt: skip


def _unevaluated(policy: MetricPolicy, pairs: Pairs, where: str) -> Problem | None:
    if pairs.errors.count:
        noun = "case" if pairs.champion is None else "pair"
        what = f"{pairs.errors.count:,} of {count(pairs.expected, noun)} could not be evaluated"
        return Problem(
            where=where,
            what=f"{what}: {pairs.errors}",
            fix="Ask them again: add --resume and --out with the folder of the run",
        )
    if pairs.champion is None and policy.floor is None:
        limit = "max:" if policy.direction is Direction.LOWER else "min:"
        fix = "Give a champion run" + ("" if policy.trait is OutputFeature.LENGTH else f", or set {limit}")
        return Problem(where=where, what="there is nothing to compare with", fix=fix)
    return None
