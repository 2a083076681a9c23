"""One candidate of a round: decided at its step's level, and never by itself.

A PASS is taken at the level of the step, so that none of the bad candidates passes with a probability above alpha,
however many there are. A FAIL is taken at the policy's own alpha: a bad candidate that fails wrongs nobody.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.errors import RecordError
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.types import Verdict
from llmgate.stats.sequential.dunnett import step_alpha

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from llmgate.gate.attempts.earlier import Earlier
    from llmgate.gate.decision.round_types import RoundDecision
    from llmgate.gate.decision.types import Decision, Problem
    from llmgate.record.policy import Policy
    from llmgate.record.schema import Record

__all__ = ["at_level", "check_place", "decide_member"]


def decide_member(
    candidate: Record,
    champion: Record,
    policy: Policy | None,
    place: RoundDecision,
    *,
    today: date | None = None,
    earlier: Sequence[Earlier] = (),
    problems: Sequence[Problem] = (),
) -> Decision:
    """The decision on one candidate at its place in a round.

    Args:
        candidate: Its record.
        champion: The champion's.
        policy: None for the candidate's own.
        place: Its place.
        today: As for `decide`.
        earlier: As for `decide_records`: attempts of the same candidate share its level as they share alpha elsewhere.
        problems: What keeps it from PASS besides.

    Raises:
        RecordError: If the record has no such place.
        LlmgateError: As `decide_records`.
    """
    check_place(candidate, place)
    whole = candidate.manifest.policy if policy is None else policy

    def decided(chosen: Policy) -> Decision:
        told = decide_records(
            candidate, champion, chosen, today=today, in_round=place, earlier=earlier, problems=problems
        )
        return _told(told, whole, place)

    strict = decided(at_level(whole, place))
    if strict.verdict is Verdict.PASS or place.remaining == 1:
        return strict
    plain = decided(whole)
    return plain if plain.verdict is Verdict.FAIL else strict


def at_level(policy: Policy, place: RoundDecision) -> Policy:
    """The policy with the alpha of a step for everything that gates; slices can only FAIL, and keep theirs."""
    return replace(
        policy,
        metrics=tuple(
            replace(metric, alpha=step_alpha(place.remaining, correlation=place.correlation, alpha=metric.alpha))
            if metric.gates
            else metric
            for metric in policy.metrics
        ),
        serving=tuple(
            replace(figure, alpha=step_alpha(place.remaining, correlation=place.correlation, alpha=figure.alpha))
            if figure.gates
            else figure
            for figure in policy.serving
        ),
    )


def check_place(candidate: Record, place: RoundDecision) -> None:
    """Refuse a place that a record does not have, or that no round has.

    Raises:
        RecordError: With what does not fit.
    """
    digest = candidate.seal.journal_digest if candidate.seal is not None else ""
    wrong = ""
    if candidate.manifest.round != place.name:
        wrong = f"the run was made for round {candidate.manifest.round!r}, not {place.name!r}"
    elif not (2 <= place.of == len(set(place.candidates)) == len(place.candidates)):
        wrong = f"a round of {place.of} names {len(set(place.candidates))} different records"
    elif not 1 <= place.number <= place.of:
        wrong = f"there is no candidate {place.number} of {place.of}"
    elif not place.final and place.candidates[place.number - 1] != digest:
        wrong = f"candidate {place.number} of the round is another record"
    elif place.final and (digest in place.candidates or place.before):
        wrong = "a final is a run of its own, on new cases"
    elif place.number in place.before or not set(place.before) <= set(range(1, place.of + 1)):
        wrong = f"candidates {list(place.before)} cannot have passed before candidate {place.number}"
    elif len(set(place.before)) != len(place.before):
        wrong = f"candidates {list(place.before)} passed more than once"
    elif place.correlation is not None and not 0.0 <= place.correlation <= 1.0:
        wrong = f"there is no correlation of {place.correlation}"
    if wrong:
        raise RecordError(
            wrong,
            where=candidate.path or candidate.manifest.run_id,
            fix="Decide the round again: llmgate round NAME RUN RUN … --champion RUN",
        )


def _told(decision: Decision, policy: Policy, place: RoundDecision) -> Decision:
    """With its place, and with the alpha that holds over the whole round."""
    alphas = [*(metric.alpha for metric in policy.metrics), *(figure.alpha for figure in policy.serving)]
    return replace(
        decision,
        metrics=tuple(replace(metric, alpha=alpha) for metric, alpha in zip(decision.metrics, alphas, strict=True)),
        sentence=f"{decision.sentence} {place.sentence}",
        round=place,
    )
