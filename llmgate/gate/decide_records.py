"""Two runs become a decision: what records know beyond plain scores. Pure.

A suite that could stop early is decided at the look where its run ended, with that look's bounds (see `stopping_rule`).
What was never asked is missing, unless a stop that the data confirm explains it (see `verify_stop`).

The types of records take a tenth of a second to load; who decides on plain scores does without them, and without this.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from llmgate.gate.attempts.counting import attempts_of
from llmgate.gate.attempts.words import attempt_decision
from llmgate.gate.decide import decide_tests
from llmgate.gate.decision.types import Decision, Problem
from llmgate.gate.evidence.answered_by import same_model_asked
from llmgate.gate.evidence.baseline import baseline_facts, was_selected
from llmgate.gate.evidence.comparable import check_comparable, check_decidable, check_policy
from llmgate.gate.evidence.gather import gather
from llmgate.gate.evidence.human_labels import with_labels
from llmgate.gate.evidence.pairing import Matches
from llmgate.gate.evidence.repeats import decide_repeats, repeat_scores
from llmgate.gate.evidence.undecided_round import undecided
from llmgate.gate.judges.preferences import preferences_of
from llmgate.gate.metrics.chances import with_chances
from llmgate.gate.sequential.past_attempts import metric_tests, past_attempts, stops_that_do_not_count
from llmgate.gate.sequential.verify_stop import confirm, looks_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from llmgate.gate.attempts.counting import Attempts
    from llmgate.gate.attempts.earlier import Earlier
    from llmgate.gate.decision.baseline_types import BaselineFacts
    from llmgate.gate.decision.round_types import RoundDecision
    from llmgate.gate.evidence.evidence import Noise, RepeatScores
    from llmgate.gate.metrics.metric import ServingTest
    from llmgate.gate.sequential.verify_stop import SuiteLook
    from llmgate.record.labels import AnswerLabels
    from llmgate.record.policy import Policy
    from llmgate.record.schema import Record

__all__ = ["decide_records"]


def decide_records(
    candidate: Record,
    champion: Record | None,
    policy: Policy | None = None,
    *,
    today: date | None = None,
    noise: Record | None = None,
    labels: Sequence[AnswerLabels] = (),
    in_round: RoundDecision | None = None,
    earlier: Sequence[Earlier] = (),
    problems: Sequence[Problem] = (),
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
        in_round: The candidate's place in the round that it is decided with; one of a round does not pass without.
        earlier: The attempts of the same candidate before this one, whatever their order; their answers count
            together with these, at the bounds that keep the error rate over all attempts.
        problems: What is wrong with the ledger they come from; it keeps the verdict from PASS.

    Raises:
        RecordError: If the candidate's record is unfinished, or labels are incomplete or of cases that were not drawn.
        PolicyError: If the policy names a suite or metric that the candidate's record does not know.
        NotComparableError: If the two may not be compared; the message names the field and both values.
    """
    policy = candidate.manifest.policy if policy is None else policy
    check_decidable(candidate)
    check_policy(candidate, policy)
    if champion is not None:
        check_comparable(candidate, champion, policy)
    looks, contradictions = looks_of(candidate, policy)
    past = past_attempts(earlier, candidate, policy)
    if past:
        contradictions = (*contradictions, *stops_that_do_not_count(looks, max(a.number for a in past) + 1))
        looks = {}
    only = {suite: look.asked for suite, look in looks.items() if look.stop}
    records = (candidate,) if champion is None else (candidate, champion)
    evidence, *others = with_labels(
        [gather(record, policy, only, beside=records) for record in records], records, labels
    )
    between = (
        () if champion is None else (*same_model_asked(candidate, champion), *_suites_not_run(candidate, champion))
    )
    evidence = replace(
        evidence,
        problems=(*evidence.problems, *contradictions, *between, *problems, *undecided(candidate.manifest, in_round)),
        repeats=repeat_scores(candidate, policy),
    )
    champion_evidence = None
    if champion is not None:
        repeats = repeat_scores(champion, policy)
        champion_evidence = replace(
            others[0],
            repeats=repeats,
            noise=_noise(champion, repeats, noise, policy),
            selected=was_selected(candidate.manifest, champion.manifest),
        )
    attempts = attempts_of(evidence, champion_evidence, policy, past)
    serving = attempts.tested_serving(policy, partial(_serving_tests, candidate, champion))
    facts = None if champion is None else baseline_facts(candidate.manifest, champion.manifest)
    decision = _decide(
        attempts, policy, today=today, looks=looks, serving=serving, repeats=_repeats(candidate), facts=facts
    )
    return replace(decision, preferences=preferences_of(candidate, policy))


def _decide(
    attempts: Attempts,
    policy: Policy,
    *,
    today: date | None,
    looks: Mapping[str, SuiteLook],
    serving: Sequence[ServingTest],
    repeats: Mapping[str, int],
    facts: BaselineFacts | None,
) -> Decision:
    """As `decide`, where cases were answered several times, and suites could stop early: at which look, by name."""
    matches = Matches()
    candidate, champion = attempts.candidate, attempts.champion
    tests = metric_tests(attempts, policy, looks, matches)
    confirmed, look_decisions = confirm(tests, looks, policy, champion=champion is not None)
    decision = decide_tests(confirmed, candidate, champion, policy, today=today, matches=matches, serving=serving)
    return replace(
        decision,
        looks=look_decisions,
        repeats=decide_repeats(candidate, champion) if candidate.repeats else (),
        attempt=attempt_decision(attempts, (*confirmed, *serving), answers=repeats),
        baseline=None if facts is None else with_chances(facts, confirmed),
    )


def _repeats(record: Record) -> dict[str, int]:
    """How often each suite's cases are answered in a run, where that is more than once."""
    most: dict[str, int] = {}
    for case in record.cases:
        most[case.suite] = max(most.get(case.suite, 1), case.repeats)
    return most


def _noise(
    champion: Record, repeats: Sequence[RepeatScores], noise: Record | None, policy: Policy
) -> tuple[Noise, ...]:
    """How much scores change if nothing has changed; nothing where neither repeats nor a second run tell."""
    if noise is None and not repeats:
        return ()
    from llmgate.gate.power.noise import noise_of_repeats, noise_of_run  # noqa: PLC0415 - few champions are asked twice

    return noise_of_repeats(repeats) if noise is None else noise_of_run(champion, noise, policy)


def _serving_tests(candidate: Record, champion: Record | None, policy: Policy) -> tuple[ServingTest, ...]:
    """The figures of serving that the policy asks about; none where it asks about none."""
    if not policy.serving:
        return ()
    # A dozen modules that read timings: only who gates serving pays for them.
    from llmgate.gate.serving.arms import arms_problem, run_serving_tests  # noqa: PLC0415

    return run_serving_tests(
        policy.serving,
        candidate.arms,
        champion=champion is not None,
        unfit=[arms_problem(arms, candidate, champion) for arms in candidate.arms],
    )


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
