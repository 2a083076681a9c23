"""Evidence and a policy become a decision: pure, and byte-identical when repeated.

The rule, per gating metric, with margin m and one-sided bounds at α:

- PASS if the lower bound of candidate − champion is above −m. With `min:` the lower bound of the candidate's own score
  must also reach it; without a champion, `min:` alone decides.
- FAIL if not PASS, the upper bound is below 0 (below `min:`), and the p-value is at most α after Holm's adjustment over
  all tests of the gating metrics.
- INCONCLUSIVE otherwise.

Figures of serving are decided by the same rule on log ratios of pairs of runs (see `gate.serving.arms`), and their
p-values are adjusted together with those of the scores.

Where the policy reserves a part of alpha for further attempts of the same candidate, the answers of all attempts count
together, at the bound of this one (see `attempts.counting`).

Slices of a gating metric are tested for a loss after that, with Holm's adjustment over all slices of their own (see
`slices`). Waivers that hold take a hypothesis out of the verdict, and are named (see `waive`).

The verdict is FAIL if a required check failed, a gating metric fails or a slice does; PASS if every gating metric
passes, there is at least one, one at least of those that score answers rests on more than what answers can forge, and
nothing was left unevaluated that might change it (see `missing`); INCONCLUSIVE otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from llmgate.gate.attempts.counting import attempts_of
from llmgate.gate.attempts.words import attempt_decision
from llmgate.gate.decision.types import Decision, Problem, Verdict
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.evidence.pairing import Matches
from llmgate.gate.metrics.benchmark_view import view_sentence
from llmgate.gate.metrics.judge_bars import apply_judge_checks, drifts_of
from llmgate.gate.metrics.missing import bar_lost_slices
from llmgate.gate.metrics.serving import conclude_serving, not_measured
from llmgate.gate.metrics.slices import decide_slices
from llmgate.gate.metrics.tests import run_test
from llmgate.gate.metrics.verdict import conclude, flips_of
from llmgate.gate.metrics.waivers import VerdictBasis, waive
from llmgate.gate.output_drift import describe_outputs
from llmgate.gate.summary import decision_sentence
from llmgate.record.policy import OnInconclusive, Policy
from llmgate.stats.multiplicity import holm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from llmgate.gate.attempts.earlier import PastAttempt
    from llmgate.gate.decision.types import MetricDecision
    from llmgate.gate.metrics.metric import MetricTest, ServingTest
    from llmgate.record.waiver import Waiver

__all__ = ["decide", "decide_serving", "decide_tests"]


def decide(
    candidate: Evidence,
    champion: Evidence | None,
    policy: Policy,
    *,
    today: date | None = None,
    past: Sequence[PastAttempt] = (),
) -> Decision:
    """PASS, FAIL or INCONCLUSIVE, with the evidence.

    Args:
        candidate: What the candidate's run brought.
        champion: What the champion's run brought on the same cases, None if there is no champion.
        policy: Which metrics gate, and how strictly.
        today: The day in UTC, by which waivers hold or have expired; None, and none holds.
        past: The attempts of the same candidate before this one; their answers count together with these.

    Raises:
        NotComparableError: If the two sides put the same case into different clusters.
        RecordError: If an attempt is there twice.
    """
    attempts = attempts_of(candidate, champion, policy, past)
    candidate, champion = attempts.candidate, attempts.champion
    matches = Matches()
    run = partial(run_test, candidate=candidate, champion=champion, matches=matches)
    tests = [apply_judge_checks(attempts.tested(metric, run), candidate, champion) for metric in policy.metrics]
    decision = decide_tests(tests, candidate, champion, policy, today=today, matches=matches)
    return replace(decision, attempt=attempt_decision(attempts, tests))


def decide_tests(
    tests: Sequence[MetricTest],
    candidate: Evidence,
    champion: Evidence | None,
    policy: Policy,
    *,
    today: date | None = None,
    matches: Matches | None = None,
    serving: Sequence[ServingTest] = (),
) -> Decision:
    """As `decide`, where every metric of the policy has been tested already.

    Args:
        tests: One per metric of the policy, in its order, its judges checked.
        candidate: As for `decide`.
        champion: As for `decide`.
        policy: As for `decide`.
        today: As for `decide`.
        matches: Remembers how items match.
        serving: The serving figures of the policy that were tested; what it asks besides was not measured.
    """
    tests = bar_lost_slices(tests, policy)
    serving = _asked(serving, policy, champion=champion is not None)
    basis = waive(
        VerdictBasis(
            metrics=_concluded(tests, serving),
            slices=decide_slices(tests, policy),
            required=candidate.required_failures,
        ),
        policy.waivers,
        today,
    )
    problems = (*_problems(tests, serving, candidate, champion), *_forgeable(basis, candidate))
    barring = [problem for problem in problems if not problem.counted]
    verdict = _verdict(basis, barring)
    return Decision(
        verdict=verdict,
        sentence=decision_sentence(verdict, basis, barring, (*tests, *serving)) + view_sentence(policy),
        metrics=basis.metrics,
        flips=tuple(flip for test in tests for flip in flips_of(test)),
        problems=problems,
        required_failures=basis.required,
        slices=basis.slices,
        slice_alpha=policy.slice_alpha,
        waivers=basis.uses,
        outputs=describe_outputs(
            candidate, champion, policy, tests, basis.metrics[: len(tests)], matches=matches or Matches()
        ),
        drifts=drifts_of(candidate, champion),
        on_inconclusive=policy.inconclusive,
        candidate_run=candidate.run,
        champion_run=None if champion is None else champion.run,
        candidate_digest=candidate.digest,
        champion_digest=None if champion is None else champion.digest,
    )


def decide_serving(
    tests: Sequence[ServingTest],
    *,
    waivers: tuple[Waiver, ...] = (),
    inconclusive: OnInconclusive = OnInconclusive.FAIL,
    today: date | None = None,
) -> Decision:
    """Decide on serving alone, where there are no answers to judge: two arms measured by hand.

    Args:
        tests: The figures that were asked about.
        waivers: Findings that somebody accepted.
        inconclusive: What INCONCLUSIVE does to the exit code.
        today: As for `decide`.

    Raises:
        PolicyError: If a figure stands there twice, or a waiver is about none.
    """
    policy = Policy(
        metrics=(), serving=tuple(test.policy for test in tests), waivers=waivers, inconclusive=inconclusive
    )
    return decide_tests((), Evidence(tables=()), None, policy, today=today, serving=tests)


def _asked(serving: Sequence[ServingTest], policy: Policy, *, champion: bool) -> tuple[ServingTest, ...]:
    """One test per serving figure of the policy, in its order."""
    tested = {test.policy: test for test in serving}
    return tuple(tested.get(asked) or not_measured(asked, champion=champion) for asked in policy.serving)


def _concluded(tests: Sequence[MetricTest], serving: Sequence[ServingTest]) -> tuple[MetricDecision, ...]:
    """One family of p-values: a loss of either kind fails the same verdict."""
    gating: list[MetricTest | ServingTest] = [test for test in tests if test.policy.gates]
    gating += [test for test in serving if test.policy.gates]
    p_values = [hypothesis.p for test in gating for hypothesis in test.hypotheses]
    left, family = iter(holm(p_values)), len(p_values)

    def adjusted(test: MetricTest | ServingTest) -> tuple[float, ...]:
        return tuple(next(left) if test.policy.gates else hypothesis.p for hypothesis in test.hypotheses)

    # In the order in which the p-values were taken.
    return (
        *(conclude(test, adjusted(test), adjusted_for=family if test.policy.gates else 1) for test in tests),
        *(conclude_serving(test, adjusted(test), adjusted_for=family if test.policy.gates else 1) for test in serving),
    )


def _problems(
    tests: Sequence[MetricTest], serving: Sequence[ServingTest], candidate: Evidence, champion: Evidence | None
) -> tuple[Problem, ...]:
    found = (problem for test in tests if test.policy.gates for problem in (test.problem, test.counted))
    problems = [problem for problem in found if problem is not None]
    # What is wrong with a measurement is wrong with all of its figures.
    problems += dict.fromkeys(test.problem for test in serving if test.policy.gates and test.problem is not None)
    problems += candidate.problems
    if champion is not None:
        problems += [replace(problem, where=f"champion, {problem.where}") for problem in champion.problems]
    if not any(test.policy.gates for test in tests) and not any(test.policy.gates for test in serving):
        problems.append(
            Problem(where="policy", what="no metric gates, so nothing was decided", fix="Give a metric role: primary")
        )
    return tuple(problems)


def _forgeable(basis: VerdictBasis, candidate: Evidence) -> tuple[Problem, ...]:
    """What answers can forge says nothing by itself: of what gates, one metric at least must rest on something else.

    How fast they come is no such thing: it says nothing of what they are worth.
    """
    gating = [metric for metric in basis.metrics if metric.gates and not metric.waived and not metric.unit]
    if not gating or any((metric.suite, metric.metric) not in candidate.forgeable for metric in gating):
        return ()
    return (
        Problem(
            where=", ".join(f"{metric.suite}::{metric.metric}" for metric in gating[:3]),
            what="all that gates rests on tests that ran where the code under test could forge them",
            fix="Remove `judged: inside` and `network: unsandboxed`, or let another metric gate too",
        ),
    )


def _verdict(basis: VerdictBasis, barring: Sequence[Problem]) -> Verdict:
    gating = [metric.verdict for metric in basis.metrics if metric.gates and not metric.waived]
    lost = any(part.failed and not part.waived for part in basis.slices)
    if basis.required or Verdict.FAIL in gating or lost:
        return Verdict.FAIL
    if gating and not barring and all(verdict is Verdict.PASS for verdict in gating):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE
