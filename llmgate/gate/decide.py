"""Evidence and a policy become a decision: pure, and byte-identical when repeated.

The rule, per gating metric, with margin m and one-sided bounds at α:

- PASS if the lower bound of candidate − champion is above −m. With `min:` the lower bound of the candidate's own score
  must also reach it; without a champion, `min:` alone decides.
- FAIL if not PASS, the upper bound is below 0 (below `min:`), and the p-value is at most α after Holm's adjustment over
  all tests of the gating metrics.
- INCONCLUSIVE otherwise.

Slices of a gating metric are tested for a loss after that, with Holm's adjustment over all slices of their own (see
`slices`). Waivers that hold take a finding out of the verdict, and are named (see `waive`).

A suite that could stop early is decided at the look where its run ended, with that look's bounds (see `looks`). What
was never asked is missing, unless a stop that the data confirm explains it (see `stopped`).

The verdict is FAIL if a required check failed, a gating metric fails or a slice does; PASS if every gating metric
passes, there is at least one, and nothing was left unevaluated; INCONCLUSIVE otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.gate.conclude import conclude, flips_of
from llmgate.gate.decision import Decision, Problem, Verdict
from llmgate.gate.drift import drifts_of, hold_to_anchors
from llmgate.gate.measure import measure
from llmgate.gate.outputs import describe_outputs
from llmgate.gate.pairing import Matches
from llmgate.gate.sentences import decision_sentence
from llmgate.gate.side import Evidence
from llmgate.gate.slices import decide_slices
from llmgate.gate.waive import Findings, waive
from llmgate.record.policy import DEFAULT_ALPHA, MetricPolicy, Policy
from llmgate.stats.multiplicity import holm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from llmgate.gate.decision import MetricDecision, RepeatDecision
    from llmgate.gate.looked import LookDecision
    from llmgate.gate.measure import Measured
    from llmgate.gate.stopped import SuiteLook
    from llmgate.record.labels import AnswerLabels
    from llmgate.record.schema import Record
    from llmgate.record.scores import ScoreSheet, ScoreTable

__all__ = ["decide", "decide_records", "decide_sheets", "decide_tables"]


def decide(
    candidate: Evidence,
    champion: Evidence | None,
    policy: Policy,
    *,
    today: date | None = None,
    looks: Mapping[str, SuiteLook] | None = None,
) -> Decision:
    """PASS, FAIL or INCONCLUSIVE, with the evidence.

    Args:
        candidate: What the candidate's run brought.
        champion: What the champion's run brought on the same cases, None if there is no champion.
        policy: Which metrics gate, and how strictly.
        today: The day in UTC, by which waivers hold or have expired; None, and none holds.
        looks: By suite, at which look those are decided that could stop early.

    Raises:
        NotComparableError: If the two sides put the same case into different clusters.
    """
    matches = Matches()
    seen: tuple[LookDecision, ...] = ()
    if looks or any(one.judged for one in policy.metrics):
        measured, seen = _measured_in_runs(candidate, champion, policy, looks or {}, matches)
    else:
        measured = [measure(one, candidate, champion, matches) for one in policy.metrics]
    found = Findings(
        metrics=_concluded(measured), slices=decide_slices(measured, policy), required=candidate.required_failures
    )
    found = waive(found, policy.waivers, today)
    problems = _problems(measured, candidate, champion)
    verdict = _verdict(found, problems)
    return Decision(
        verdict=verdict,
        sentence=" ".join(
            (
                decision_sentence(verdict, found, problems, slice_alpha=policy.slice_alpha),
                *(one.sentence for one in seen if one.stopped or one.reserve),
            )
        ),
        metrics=found.metrics,
        flips=tuple(flip for m in measured for flip in flips_of(m)),
        problems=problems,
        required_failures=found.required,
        slices=found.slices,
        slice_alpha=policy.slice_alpha,
        waivers=found.uses,
        looks=seen,
        repeats=_repeats(candidate, champion),
        outputs=describe_outputs(candidate, champion, policy, measured, found.metrics, matches=matches),
        drifts=drifts_of(candidate, champion),
        on_inconclusive=policy.inconclusive,
        candidate_run=candidate.run,
        champion_run=None if champion is None else champion.run,
        candidate_digest=candidate.digest,
        champion_digest=None if champion is None else champion.digest,
    )


def decide_records(
    candidate: Record,
    champion: Record | None,
    policy: Policy | None = None,
    *,
    today: date | None = None,
    noise: Record | None = None,
    labels: Sequence[AnswerLabels] = (),
) -> Decision:
    """Decide on two run records.

    Args:
        candidate: The candidate's record.
        champion: The champion's record, None if there is no champion.
        policy: None for the one that was written into the candidate's record.
        today: As for `decide`.
        noise: A second run of the champion, which tells how much scores change if nothing has changed; None if the
            champion's repeats or, without those, this comparison itself have to tell. It only enters the chances that
            stand beside the verdict.
        labels: What people say of answers to cases that were drawn, one file per metric.

    Raises:
        RecordError: If the candidate's record is unfinished, or labels are incomplete or of cases that were not drawn.
        PolicyError: If the policy names a suite or metric that the candidate's record does not know.
        NotComparableError: If the two may not be compared; the message names the field and both values.
    """
    # The types of records take a tenth of a second to load, which who decides on plain scores does not have.
    from llmgate.gate.comparable import check_comparable, check_decidable, check_policy  # noqa: PLC0415
    from llmgate.gate.evidence import gather  # noqa: PLC0415
    from llmgate.gate.labelled import with_labels  # noqa: PLC0415
    from llmgate.gate.noise import noise_of_repeats, noise_of_run  # noqa: PLC0415
    from llmgate.gate.preferences import preferences_of  # noqa: PLC0415
    from llmgate.gate.repeats import repeat_scores  # noqa: PLC0415
    from llmgate.gate.stopped import looks_of  # noqa: PLC0415

    policy = candidate.manifest.policy if policy is None else policy
    check_decidable(candidate)
    check_policy(candidate, policy)
    if champion is not None:
        check_comparable(candidate, champion, policy)
    looks, contradictions = looks_of(candidate, policy)
    only = {suite: look.asked for suite, look in looks.items() if look.stop}
    records = (candidate,) if champion is None else (candidate, champion)
    evidence, *others = with_labels([gather(record, policy, only) for record in records], records, labels)
    evidence = replace(
        evidence,
        problems=(*evidence.problems, *contradictions),
        repeats=repeat_scores(candidate, policy),
    )
    preferences = preferences_of(candidate, policy)
    if champion is None:
        return replace(decide(evidence, None, policy, today=today, looks=looks), preferences=preferences)
    evidence = replace(evidence, problems=(*evidence.problems, *_suites_not_run(candidate, champion)))
    repeats = repeat_scores(champion, policy)
    known = noise_of_repeats(repeats) if noise is None else noise_of_run(champion, noise, policy)
    theirs = replace(others[0], repeats=repeats, noise=known)
    return replace(decide(evidence, theirs, policy, today=today, looks=looks), preferences=preferences)


def _measured_in_runs(
    candidate: Evidence, champion: Evidence | None, policy: Policy, looks: Mapping[str, SuiteLook], matches: Matches
) -> tuple[list[Measured], tuple[LookDecision, ...]]:
    """Every metric, where some have judges or are looked at early, which only those of runs have."""
    from llmgate.gate.judging import hold_to_admission  # noqa: PLC0415 - long to load, as all types of records
    from llmgate.gate.looks import measure_at  # noqa: PLC0415
    from llmgate.gate.stopped import confirm  # noqa: PLC0415

    drifts = drifts_of(candidate, champion)
    measured = [
        hold_to_anchors(
            hold_to_admission(
                measure_at(one, candidate, champion, looks[one.suite].points[one.metric], matches)
                if one.suite in looks
                else measure(one, candidate, champion, matches),
                candidate,
            ),
            drifts,
            champion is not None,
        )
        for one in policy.metrics
    ]
    return confirm(measured, looks, policy, champion=champion is not None)


def _repeats(candidate: Evidence, champion: Evidence | None) -> tuple[RepeatDecision, ...]:
    if not candidate.repeats:
        return ()
    from llmgate.gate.repeats import decide_repeats  # noqa: PLC0415 - only runs have repeats

    return decide_repeats(candidate, champion)


def _suites_not_run(candidate: Record, champion: Record) -> list[Problem]:
    """The champion answered to more suites: leaving one out must not be a way to pass."""
    run = {suite.name for suite in candidate.manifest.suites}
    return [
        Problem(
            where=suite.name,
            what="the champion's run has this suite, and the candidate's has not",
            fix="Run it too, or compare with a run of the same suites",
        )
        for suite in champion.manifest.suites
        if suite.name not in run
    ]


def decide_tables(
    candidate: ScoreTable,
    champion: ScoreTable,
    *,
    margin: float | None = None,
    alpha: float = DEFAULT_ALPHA,
) -> Decision:
    """Decide on plain scores of any origin; the champion's table is matched by item id, whatever its name.

    Args:
        candidate: The candidate's scores.
        champion: The champion's scores.
        margin: Fraction of the score range; None for the default that depends on the number of cases.
        alpha: One-sided error rate.

    Raises:
        PolicyError: If margin or alpha is outside its range.
        NotComparableError: If the two put the same item into different clusters.
    """
    metric = MetricPolicy(suite=candidate.suite, metric=candidate.metric, margin=margin, alpha=alpha)
    renamed = replace(champion, suite=candidate.suite, metric=candidate.metric)
    return decide(Evidence(tables=(candidate,)), Evidence(tables=(renamed,)), Policy(metrics=(metric,)))


def decide_sheets(
    candidate: ScoreSheet, champion: ScoreSheet, policy: Policy, *, today: date | None = None
) -> Decision:
    """Decide on the results of any harness, many metrics at once; tables are matched by suite and metric.

    Args:
        candidate: The candidate's scores.
        champion: The champion's scores.
        policy: Which metrics gate.
        today: As for `decide`.

    Raises:
        NotComparableError: If the two put the same item into different clusters.
    """
    return decide(Evidence(tables=candidate.tables), Evidence(tables=champion.tables), policy, today=today)


def _concluded(measured: Sequence[Measured]) -> tuple[MetricDecision, ...]:
    gating = [finding.p for m in measured if m.policy.gates for finding in m.findings]
    adjusted = iter(holm(gating))
    return tuple(
        conclude(m, tuple(next(adjusted) for _ in m.findings), tests=len(gating))
        if m.policy.gates
        else conclude(m, tuple(finding.p for finding in m.findings), tests=1)
        for m in measured
    )


def _problems(measured: Sequence[Measured], candidate: Evidence, champion: Evidence | None) -> tuple[Problem, ...]:
    problems = [m.problem for m in measured if m.problem is not None and m.policy.gates]
    problems += candidate.problems
    if champion is not None:
        problems += [replace(problem, where=f"champion, {problem.where}") for problem in champion.problems]
    if not any(m.policy.gates for m in measured):
        problems.append(
            Problem(where="policy", what="no metric gates, so nothing was decided", fix="Give a metric role: primary")
        )
    return tuple(problems)


def _verdict(found: Findings, problems: Sequence[Problem]) -> Verdict:
    gating = [m.verdict for m in found.metrics if m.gates and not m.waived]
    if found.required or Verdict.FAIL in gating or any(one.failed and not one.waived for one in found.slices):
        return Verdict.FAIL
    if gating and not problems and all(verdict is Verdict.PASS for verdict in gating):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE
