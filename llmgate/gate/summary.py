"""What the release manager reads first: the decision in at most 25 words, the decision before its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.details import worst_slice
from llmgate.gate.decision.types import MetricDecision, Problem, Verdict
from llmgate.gate.decision.wording import count, name_some, one_line, percent, points, short_name, short_names, verb
from llmgate.gate.metrics.chances import cases_to_add, rounded_up
from llmgate.gate.metrics.closeness import excess_of, room_of
from llmgate.gate.metrics.length import length_limits, lengths_needed
from llmgate.gate.metrics.metric import MetricTest, ServingTest
from llmgate.gate.metrics.serving import pairs_to_add
from llmgate.gate.metrics.serving_words import not_excluded, serving_loss, serving_pass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.metrics.metric import HypothesisTest
    from llmgate.gate.metrics.waivers import VerdictBasis

__all__ = ["MOST_WORDS", "decision_sentence"]

MOST_WORDS: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """A metric that counts, with its test and the name that tells it from all others."""

    metric: MetricDecision
    test: MetricTest | ServingTest
    name: str


def decision_sentence(
    verdict: Verdict, basis: VerdictBasis, problems: Sequence[Problem], tests: Sequence[MetricTest | ServingTest]
) -> str:
    """What to do and the one reason that matters most: the worst loss, the closest call, or what is missing.

    Everything else that stands behind a verdict is a line of its own, see `decision.details`.

    Args:
        verdict: PASS, FAIL or INCONCLUSIVE.
        basis: What it follows from.
        problems: What bars a PASS.
        tests: Those of `basis.metrics`, in the same order.
    """
    names = short_names(basis.metrics)
    gates = [
        _Gate(metric=metric, test=test, name=name)
        for metric, test, name in zip(basis.metrics, tests, names, strict=True)
        if metric.gates and not metric.waived
    ]
    if verdict is Verdict.PASS:
        text = f"Ship: {_passing(gates, basis)}"
    elif verdict is Verdict.FAIL:
        text = f"Do not ship: {_failing(gates, basis)}"
    else:
        text = f"Not decided: {_open(gates, problems)}"
    words = text.split()
    return text if len(words) <= MOST_WORDS else f"{' '.join(words[:MOST_WORDS]).rstrip('.,;:')}…"


def _passing(gates: Sequence[_Gate], basis: VerdictBasis) -> str:
    waived = sum(use.status == "applied" for use in basis.uses)
    of_all = sum(metric.gates for metric in basis.metrics)
    shares = _mixed(gates)
    calls = [
        (room_of(gate.test, hypothesis, shares=shares), gate, hypothesis)
        for gate in gates
        for hypothesis in gate.test.hypotheses
    ]
    _, closest, hypothesis = min(calls, key=lambda call: call[0])
    call = _passed(closest, hypothesis)
    if of_all == 1 and not waived:
        return f"{closest.name} passes, {call}."
    passed = f"{len(gates)} of {of_all} gates pass"
    if len(gates) == of_all:
        passed = f"{_all(of_all)} {verb(of_all, 'passes', 'pass')}"
    waivers = f", with {count(waived, 'waiver')}" if waived else ""
    return f"{passed}{waivers}. Closest call: {closest.name}, {call}."


def _failing(gates: Sequence[_Gate], basis: VerdictBasis) -> str:
    failed = [gate for gate in gates if gate.metric.verdict is Verdict.FAIL]
    required, of_all = len(basis.required), len(gates)
    if not failed and required:
        return f"{count(required, 'case')} failed a required check: {name_some(map(short_name, basis.required))}."
    if not failed:
        worst, others = worst_slice(basis.slices)
        passed = all(gate.metric.verdict is Verdict.PASS for gate in gates)
        lead = f"{_all(of_all)} {verb(of_all, 'passes', 'pass')}, but " if passed and gates else ""
        lead += f"{count(others + 1, 'slice')} {verb(others + 1, 'is', 'are')} worse."
        loss = _moved(worst.champion, worst.candidate, by=worst.delta)
        return f"{lead} {'Worst: ' if others else ''}{short_name(worst.short_name)} {loss}."
    worst_gate, hypothesis = max(
        ((gate, _failed_test(gate)) for gate in failed),
        key=lambda found: excess_of(found[0].test, found[1], shares=_mixed(failed)),
    )
    loss = _lost(worst_gate, hypothesis)
    if of_all == 1 and not required:
        return f"{loss}."
    lead = f"{len(failed)} of {count(of_all, 'gate')}" if len(failed) < of_all or required else _all(of_all)
    if required:
        lead += f" and {count(required, 'required case')}"
    return f"{lead} failed{'. Worst' if len(failed) > 1 else ''}: {loss}."


def _open(gates: Sequence[_Gate], problems: Sequence[Problem]) -> str:
    if problems:
        return _barred(gates, problems)
    undecided = [
        (room_of(gate.test, hypothesis, shares=_mixed(gates)), gate, hypothesis)
        for gate in gates
        if gate.metric.verdict is not Verdict.PASS
        for hypothesis in gate.test.hypotheses
        if not hypothesis.passed
    ]
    if not undecided:
        return "every gate is waived, so nothing counts."
    _, gate, hypothesis = min(undecided, key=lambda call: call[0])
    name, test = gate.name, gate.test
    if hypothesis.worse:
        tests = sum(len(other.test.hypotheses) for other in gates)
        return f"{name} looks worse, but that may be chance among {count(tests, 'test')}."
    if isinstance(test, ServingTest):
        found, noun = not_excluded(test, hypothesis, name), "pair" if test.champion else "run"
        more = pairs_to_add(test, hypothesis)
        return f"{found} Add about {count(more, noun)} and run again." if more else found
    noun = "labelled case" if test.labels else "case"
    seen = count(test.labels or gate.metric.evaluated, noun)
    margin = test.margin or 0.0
    if gate.metric.two_sided:
        found = f"{seen} cannot rule out that answers in {name} changed length by more than {points(margin)} %."
    elif hypothesis is test.comparison:
        found = f"{seen} cannot rule out a {points(margin)}-point loss in {name}."
    elif gate.metric.max is not None:
        found = f"{seen} cannot show that {name} is at most {percent(gate.metric.max)}."
    else:
        found = f"{seen} cannot show that {name} is at least {percent(gate.metric.min or 0.0)}."
    more = _to_add(gate, test, hypothesis)
    return f"{found} Add about {count(more, noun)} and run again." if more else found


def _barred(gates: Sequence[_Gate], problems: Sequence[Problem]) -> str:
    first, others = problems[0], len(problems) - 1
    more = f" ({count(others, 'more problem')})" if others else ""
    for gate in gates:
        metric = gate.metric
        # A measurement that must not be believed is no single figure's.
        if gate.test.problem is first and (not metric.unit or first.where == gate.test.policy.where):
            if not metric.unit and metric.errors and metric.evaluated:
                lost = f"{metric.errors:,} of {count(metric.expected, 'case')}"
                return f"{lost} could not be evaluated for {gate.name}{more}."
            return _within(f"{gate.name}: {first.what}", more)
    return _within(f"{short_name(first.where)}: {first.what}", more)


def _within(text: str, more: str) -> str:
    """A text that may quote anything, with room left for what follows it."""
    words = one_line(text, 400).split()
    room = MOST_WORDS - 2 - len(more.split())
    if len(words) <= room:
        return f"{' '.join(words)}{more}."
    return f"{' '.join(words[:room]).rstrip('.,;:')}…{f'{more}.' if more else ''}"


def _all(number: int) -> str:
    return {1: "the only gate", 2: "both gates"}.get(number, f"all {number:,} gates")


def _mixed(gates: Sequence[_Gate]) -> bool:
    """Whether both scores and serving figures gate, which have no common unit."""
    return len({isinstance(gate.test, ServingTest) for gate in gates}) > 1


def _passed(gate: _Gate, hypothesis: HypothesisTest) -> str:
    """What is proven, beside what was asked."""
    if isinstance(gate.test, ServingTest):
        return serving_pass(gate.test, hypothesis)
    return _scores_passed(gate, gate.test, hypothesis)


def _scores_passed(gate: _Gate, test: MetricTest, hypothesis: HypothesisTest) -> str:
    interval, margin = hypothesis.interval, test.margin or 0.0
    if gate.metric.two_sided:
        shortest, longest = length_limits(margin or 1.0)
        shorter, longer = math.expm1(interval.lower), math.expm1(interval.upper)
        if (longest - longer) / longest < (shorter - shortest) / -shortest:
            return f"answers at most {points(longer, longest)} % longer where {points(longest)} % is allowed"
        allowed = f"{points(-shortest, 0.0)} % is allowed"
        return f"answers at most {points(-shorter, -shortest)} % shorter where {allowed}"
    if hypothesis is test.comparison:
        if interval.lower > 0.0:
            return f"at least {points(interval.lower, 0.0)} points better"
        allowed = f"{points(margin)} {'is' if margin == 0.01 else 'are'} allowed"
        return f"at most {points(-interval.lower, margin)} points worse where {allowed}"
    bound, limit = test.shown(interval.lower), _limit(gate.metric)
    if gate.metric.max is not None:
        return f"at most {percent(bound, limit)} where {percent(limit)} is allowed"
    return f"at least {percent(bound, limit)} where {percent(limit)} is required"


def _failed_test(gate: _Gate) -> HypothesisTest:
    """Which of its tests failed; of both the comparison, which has the p-value that the metric shows."""
    test, p = gate.test, gate.metric.p_worse
    if test.comparison is not None and (test.floor is None or not test.floor.worse):
        return test.comparison
    if test.comparison is not None and test.comparison.worse and p is not None and p <= test.policy.alpha:
        return test.comparison
    return test.floor or test.hypotheses[0]


def _lost(gate: _Gate, hypothesis: HypothesisTest) -> str:
    """What was lost, beside what was allowed; where the estimate alone is no more than that, up to how much."""
    metric, test, interval, name = gate.metric, gate.test, hypothesis.interval, gate.name
    if isinstance(test, ServingTest):
        return serving_loss(test, hypothesis, metric, name)
    margin = test.margin or 0.0
    if metric.two_sided:
        beyond = abs(interval.estimate) > math.log1p(margin)
        bound = interval.estimate if beyond else max(interval.lower, interval.upper, key=abs)
        change = math.expm1(bound)
        how = f"{points(abs(change), 0.0)} % {'longer' if change > 0.0 else 'shorter'}"
        return f"answers in {name} {'are' if beyond else 'may be'} {how} (allowed: a factor of {1.0 + margin:.6g})"
    if hypothesis is not test.comparison:
        limit = _limit(metric)
        asked = f"allowed: at most {percent(limit)}" if metric.max is not None else f"required: {percent(limit)}"
        return f"{name} is {percent(test.shown(interval.estimate), limit)} ({asked})"
    allowed = f"(allowed: {points(margin)} {'point' if margin == 0.01 else 'points'})"
    if metric.champion is None or metric.candidate is None or test.corrected or -interval.estimate <= margin:
        between = f"{points(-interval.upper, 0.0)} to {points(-interval.lower, margin)} points worse"
        return f"{name} is {between} {allowed}"
    return f"{name} {_moved(metric.champion, metric.candidate, by=interval.estimate)} {allowed}"


def _moved(before: float, after: float, *, by: float) -> str:
    """`fell from 94 % to 0 %`, with as many decimals as tell the two apart."""
    digits = 1
    while digits < 6 and round(before, digits + 2) == round(after, digits + 2):
        digits += 1
    first, then = (percent(round(value, digits + 2)) for value in (before, after))
    if by == 0.0:
        return f"stayed at {first}"
    return f"{'rose' if after > before else 'fell'} from {first} to {then}"


def _limit(metric: MetricDecision) -> float:
    return (metric.min or 0.0) if metric.max is None else metric.max


def _to_add(gate: _Gate, test: MetricTest, hypothesis: HypothesisTest) -> int:
    """How many cases more would decide, 0 where that is not known."""
    if not gate.metric.two_sided:
        return cases_to_add(test, hypothesis)
    if test.pairs is None or not test.margin:
        return 0
    missing = lengths_needed(test.pairs, hypothesis, test.margin, test.level) - len(test.pairs.item_ids)
    return rounded_up(missing) if missing > 0 else 0
