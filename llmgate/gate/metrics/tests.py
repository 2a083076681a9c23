"""One metric, tested: the two sides are matched, and what the policy asks is put to the data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import UndefinedError
from llmgate.gate.decision.types import ASK_AGAIN, NOTHING_TO_COMPARE, SCORE_AGAIN, Problem
from llmgate.gate.decision.wording import count, points
from llmgate.gate.evidence.pairing import Matches, pair_up
from llmgate.gate.metrics.benchmark_view import in_view
from llmgate.gate.metrics.intervals import compare, compare_with_minimum
from llmgate.gate.metrics.label_corrected import (
    JUDGE_ALONE,
    compare_corrected,
    compare_corrected_with_minimum,
    correction_note,
    drawing_note,
    labelled_cases,
)
from llmgate.gate.metrics.length import compare_lengths
from llmgate.gate.metrics.metric import MetricTest
from llmgate.gate.metrics.missing import count_missing
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Direction

if TYPE_CHECKING:
    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.gate.evidence.pairing import Pairs
    from llmgate.record.labels import AnswerLabels
    from llmgate.record.policy import MetricPolicy

__all__ = ["default_margin", "run_test"]

_MARGIN, _WIDE_MARGIN = 0.03, 0.05
ON_BOTH: Final = "Evaluate both with the same metrics, or name those that gate: --metric"
"""What to do where one of two tables lacks a metric."""
DRAW: Final = ": `llmgate labels sample` with a larger --cases"
"""How cases of a run are labelled; those of a table come with it."""
READ_BY_RULES: Final = (OutputFeature.REFUSALS, OutputFeature.LENGTH)
_CASES_FOR_MARGIN = 688
"""80 % power for 3 points at a discordance of 10 %, by the normal approximation."""


def run_test(
    policy: MetricPolicy, candidate: Evidence, champion: Evidence | None, matches: Matches | None = None
) -> MetricTest:
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
    scores = candidate.table(policy.suite, policy.metric)
    champion_scores = None if champion is None else champion.table(policy.suite, policy.metric)
    problem = _not_testable(policy, candidate, champion)
    if scores is None or problem is not None:
        return MetricTest(policy=policy, problem=problem)
    items = None if champion_scores is None else champion_scores.items
    match = (matches or Matches()).of(scores.items, items, where=policy.where)
    if champion_scores is not None and (scores.human is None) != (champion_scores.human is None):
        unlabelled = "champion" if champion_scores.human is None else "candidate"
        what = f"people labelled answers of one side only, and none of the {unlabelled}"
        problem = Problem(where=policy.where, what=what, fix="Label the answers of both sides to the same cases")
        return MetricTest(policy=policy, problem=problem)
    key = (policy.suite, policy.metric)
    sheet = next((sheet for sheet in candidate.labels if (sheet.suite, sheet.metric) == key), None)
    test = _test(
        policy, pair_up(scores, champion_scores, match), sheet, ask_again=ASK_AGAIN if candidate.run else SCORE_AGAIN
    )
    if champion is None or test.corrected:
        return test
    noise = next((noise for noise in champion.noise if (noise.suite, noise.metric) == key), None)
    return replace(test, noise=noise, selected=champion.selected)


def _not_testable(policy: MetricPolicy, candidate: Evidence, champion: Evidence | None) -> Problem | None:
    """Why the two sides cannot be tested on this metric."""
    scores = candidate.table(policy.suite, policy.metric)
    if scores is None or not len(scores.items):
        fix = "Run the suite" if candidate.run else ON_BOTH
        return Problem(where=policy.where, what="the candidate has no scores on this metric", fix=fix)
    if champion is None:
        return None
    champion_scores = champion.table(policy.suite, policy.metric)
    if champion_scores is None or not len(champion_scores.items):
        what = "the champion has no scores on this metric"
        return Problem(where=policy.where, what=what, fix="Run the suite on it" if candidate.run else ON_BOTH)
    if policy.trait in READ_BY_RULES and not same_rule_versions(candidate, champion):
        return Problem(
            where=policy.where,
            what="the two records' answers were read by different versions of the rules",
            fix="Run the champion again with this version of llmgate",
        )
    return None


def same_rule_versions(candidate: Evidence, champion: Evidence) -> bool:
    """Whether one version of the rules read both sides' answers; a side that was not read says so for each case."""
    return (
        not candidate.rule_versions or not champion.rule_versions or candidate.rule_versions == champion.rule_versions
    )


def default_margin(cases: int) -> tuple[float, str]:
    """The margin where the policy sets none, and a remark that says so."""
    if cases >= _CASES_FOR_MARGIN:
        why = f"{_CASES_FOR_MARGIN} cases or more"
        return _MARGIN, f"No margin was set; with {why} the default is {points(_MARGIN)} points."
    why = f"with fewer than {_CASES_FOR_MARGIN} cases"
    return _WIDE_MARGIN, f"No margin was set; {why} the default is {points(_WIDE_MARGIN)} points."


def _test(policy: MetricPolicy, pairs: Pairs, sheet: AnswerLabels | None, *, ask_again: str) -> MetricTest:
    margin, notes = policy.margin, []
    pairs = replace(pairs, stratified=bool(sheet and sheet.strata))
    if pairs.champion is None:
        margin = None
    elif margin is None:
        margin, note = default_margin(pairs.expected)
        notes.append(note)
    untested = MetricTest(
        policy=policy, pairs=pairs, margin=margin, labels=labelled_cases(pairs),
        labels_digest=sheet.digest if sheet else "", problem=_unevaluated(policy, pairs, ask_again),
    )  # fmt: skip
    # What was not evaluated is said first; only that may be counted later.
    lacking, untested = untested.problem, in_view(untested, pairs)
    notes.extend(untested.notes)
    if untested.corrected:
        notes.append(correction_note(pairs, margin=margin, alpha=policy.alpha))
        if sheet:
            notes.append(drawing_note(sheet))
    elif policy.judged:
        notes.append(f"{JUDGE_ALONE[0].upper()}{JUDGE_ALONE[1:]}: nobody labelled these answers.")
    comparison = floor = None
    problem, oriented = untested.problem, untested.oriented or pairs
    try:
        if margin is not None:
            method = compare_lengths if policy.trait is OutputFeature.LENGTH else compare
            with_margin = compare_corrected if untested.corrected else method
            comparison = with_margin(oriented, margin=margin, alpha=policy.alpha)
        if policy.floor is not None:
            with_minimum = compare_corrected_with_minimum if untested.corrected else compare_with_minimum
            floor = with_minimum(oriented, minimum=policy.floor, alpha=policy.alpha)
    except UndefinedError as error:
        fix = error.fix or "Add cases"
        fix += DRAW if sheet is not None and fix.startswith("Label") else ""
        problem = problem or Problem(where=policy.where, what=error.what, fix=fix)
    tested = replace(
        untested, comparison=comparison, floor=floor, problem=problem, notes=tuple(note for note in notes if note)
    )
    return count_missing(tested) if problem is not None and problem is lacking else tested


def _unevaluated(policy: MetricPolicy, pairs: Pairs, ask_again: str) -> Problem | None:
    if pairs.errors.count:
        noun = "case" if pairs.champion is None else "pair"
        what = f"{pairs.errors.count:,} of {count(pairs.expected, noun)} could not be evaluated"
        return Problem(where=policy.where, what=f"{what}: {pairs.errors}", fix=ask_again)
    if pairs.champion is None and policy.floor is None:
        limit = "max:" if policy.direction is Direction.LOWER else "min:"
        fix = "Name the champion's run with --baseline, or record the first one with --as-baseline"
        fix += "" if policy.trait is OutputFeature.LENGTH else f", or set {limit}"
        return Problem(where=policy.where, what=NOTHING_TO_COMPARE, fix=fix)
    return None
