"""Evidence and a policy become a decision: pure, and byte-identical when repeated.

The rule, per gating metric, with margin m and one-sided bounds at α:

- PASS if the lower bound of candidate − champion is above −m. With `min:` the lower bound of the candidate's own score
  must also reach it; without a champion, `min:` alone decides.
- FAIL if not PASS, the upper bound is below 0 (below `min:`), and the p-value is at most α after Holm's adjustment over
  all tests of the gating metrics.
- INCONCLUSIVE otherwise.

Slices of a gating metric are tested for a loss after that, with Holm's adjustment over all slices of their own (see
`slices`). Waivers that hold take a finding out of the verdict, and are named (see `waive`).

The verdict is FAIL if a required check failed, a gating metric fails or a slice does; PASS if every gating metric
passes, there is at least one, and nothing was left unevaluated; INCONCLUSIVE otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Decision, Problem, Verdict
from llmgate.gate.evidence.pairing import Matches
from llmgate.gate.metrics.judge_bars import drifts_of, hold_to_judges
from llmgate.gate.metrics.slices import decide_slices
from llmgate.gate.metrics.tests import measure
from llmgate.gate.metrics.verdict import conclude, flips_of
from llmgate.gate.metrics.waivers import Findings, waive
from llmgate.gate.output_drift import describe_outputs
from llmgate.gate.summary import decision_sentence
from llmgate.stats.multiplicity import holm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from llmgate.gate.decision.types import MetricDecision
    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.gate.metrics.tests import Measured
    from llmgate.record.policy import Policy

__all__ = ["decide", "decide_measured"]


def decide(candidate: Evidence, champion: Evidence | None, policy: Policy, *, today: date | None = None) -> Decision:
    """PASS, FAIL or INCONCLUSIVE, with the evidence.

    Args:
        candidate: What the candidate's run brought.
        champion: What the champion's run brought on the same cases, None if there is no champion.
        policy: Which metrics gate, and how strictly.
        today: The day in UTC, by which waivers hold or have expired; None, and none holds.

    Raises:
        NotComparableError: If the two sides put the same case into different clusters.
    """
    matches = Matches()
    measured = [
        hold_to_judges(measure(one, candidate, champion, matches), candidate, champion) for one in policy.metrics
    ]
    return decide_measured(measured, candidate, champion, policy, today=today, matches=matches)


def decide_measured(
    measured: Sequence[Measured],
    candidate: Evidence,
    champion: Evidence | None,
    policy: Policy,
    *,
    today: date | None = None,
    matches: Matches | None = None,
) -> Decision:
    """As `decide`, where every metric of the policy has been tested already.

    Args:
        measured: One per metric of the policy, in its order, held to its judges.
        candidate: As for `decide`.
        champion: As for `decide`.
        policy: As for `decide`.
        today: As for `decide`.
        matches: Remembers how items match.
    """
    found = Findings(
        metrics=_concluded(measured), slices=decide_slices(measured, policy), required=candidate.required_failures
    )
    found = waive(found, policy.waivers, today)
    problems = _problems(measured, candidate, champion)
    verdict = _verdict(found, problems)
    return Decision(
        verdict=verdict,
        sentence=decision_sentence(verdict, found, problems, slice_alpha=policy.slice_alpha),
        metrics=found.metrics,
        flips=tuple(flip for m in measured for flip in flips_of(m)),
        problems=problems,
        required_failures=found.required,
        slices=found.slices,
        slice_alpha=policy.slice_alpha,
        waivers=found.uses,
        outputs=describe_outputs(
            candidate, champion, policy, measured, found.metrics, matches=Matches() if matches is None else matches
        ),
        drifts=drifts_of(candidate, champion),
        on_inconclusive=policy.inconclusive,
        candidate_run=candidate.run,
        champion_run=None if champion is None else champion.run,
        candidate_digest=candidate.digest,
        champion_digest=None if champion is None else champion.digest,
    )


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
