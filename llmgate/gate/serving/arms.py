"""One serving figure, tested: two arms are matched run by run, and what the policy asks is put to the data.

The unit is the pair of runs, since requests inside a run share its noise. With s = 1 where more is better and −1 for
latencies, x_k = s·log(candidate_k / champion_k) of pair k has paired t bounds, one-sided α each:

- PASS if the lower bound is above log(1 − margin), for latencies −log(1 + margin): a ratio of 1 − margin, 1 + margin.
- FAIL if not PASS, the upper bound is below 0, and the p-value is at most α after Holm's adjustment.

A limit is tested alike on y_k = s·log(candidate_k / limit), with 0 for both. Ratios are compared on the scale of
logarithms, so that swapping the arms mirrors the interval, and a machine that is twice as fast changes nothing.

A loss may be shown by the pairs that are valid; only a measurement that is whole and valid passes. Where the machine
was busy or the arms may not be compared nothing is tested at all.

Of the specification's list of what must be equal, engine flags and versions are named and not refused: see
`comparable_arms`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.wording import count, verb
from llmgate.gate.metrics.intervals import against_margin
from llmgate.gate.metrics.metric import ServingTest
from llmgate.gate.metrics.serving import MEASURE, not_measured
from llmgate.gate.metrics.serving_scale import lost_margin, sign_of
from llmgate.gate.serving.arm_figures import figure_in, read_arms
from llmgate.gate.serving.comparable_arms import arms_notes, arms_problem, uneven_arms
from llmgate.gate.serving.validity import spoilt
from llmgate.record.serving.plan import LEAST_PAIRS
from llmgate.record.serving.policy import tail_requests
from llmgate.stats.paired import t_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmgate.gate.metrics.metric import HypothesisTest
    from llmgate.gate.serving.arm_figures import ArmFigures, RunFigures
    from llmgate.record.arms import ArmRun, ServingArms
    from llmgate.record.serving.plan import ServiceLevels
    from llmgate.record.serving.policy import ServingPolicy

__all__ = ["arms_problem", "run_serving_test", "run_serving_tests", "with_hypotheses"]

"""Below it a t interval of pairs is too wide, and too sensitive to a single pair, to decide anything."""
LEAST_SPREAD: Final = 1e-9
"""Real runs differ by more, so whatever does not was not measured."""
RESUME: Final = "Measure what is missing: add --resume and --out with the folder of the run"
QUIETLY: Final = "Stop what else runs on the machine, and measure again"


def run_serving_test(
    policy: ServingPolicy, arms: ServingArms | None, *, champion: bool, levels: ServiceLevels | None = None
) -> ServingTest:
    """Test what the policy asks of one figure; whatever cannot be tested is a problem.

    Args:
        policy: What is asked.
        arms: The measurement, None if there is none.
        champion: Whether there is a champion. Without one only the limit is tested, on the candidate's runs.
        levels: Service levels of goodput; None for those of the plan.
    """
    return _test(policy, None if arms is None else read_arms(arms, levels), champion=champion)


def run_serving_tests(
    policies: Sequence[ServingPolicy],
    arms: Sequence[ServingArms],
    *,
    champion: bool,
    unfit: Sequence[Problem | None] = (),
) -> tuple[ServingTest, ...]:
    """As `run_serving_test`, of all figures, with each run summarised once.

    Args:
        policies: What is asked.
        arms: The measurements, one per suite.
        champion: Whether there is a champion.
        unfit: For each measurement why it says nothing about what is decided on, None where it does; empty for none.
    """
    named = {policy.suite for policy in policies}
    known: dict[str, tuple[ArmFigures, Problem | None]] = {}
    for one, other in zip(arms, unfit or [None] * len(arms), strict=True):
        suite = one.plan.suite
        if suite in named:
            twice = Problem(where=f"{suite}::serving", what="serving was measured twice", fix="Run the suite anew")
            known[suite] = read_arms(one), twice if suite in known else other
    tests = []
    for policy in policies:
        figures, problem = known.get(policy.suite, (None, None))
        if figures is not None and problem is not None and (champion or policy.limit is not None):
            tests.append(ServingTest(policy=policy, pairs=figures.arms.plan.pairs, problem=problem))
        else:
            tests.append(_test(policy, figures, champion=champion))
    return tuple(tests)


def _test(policy: ServingPolicy, figures: ArmFigures | None, *, champion: bool) -> ServingTest:
    compared = champion and policy.margin is not None
    untested = not_measured(policy, champion=champion)
    if figures is None or not (compared or policy.limit is not None):
        return untested
    plan = figures.arms.plan
    untested = replace(untested, pairs=plan.pairs, problem=None)
    if compared and plan.champion is None:
        what = "serving was measured without the champion"
        return replace(untested, problem=Problem(where=policy.where, what=what, fix=MEASURE))
    if problem := _unusable(policy, figures, compared=compared):
        return replace(untested, problem=problem)
    notes = tuple(arms_notes(figures, champion=compared))
    measured = [
        (new, old)
        for candidate, other in figures.believed(champion=compared)
        if (new := figure_in(candidate, policy.metric)) is not None
        and (old := 1.0 if other is None else figure_in(other, policy.metric)) is not None
    ]
    tested = replace(
        untested,
        candidate=tuple(new for new, _ in measured),
        champion=tuple(old for _, old in measured) if compared else (),
        problem=_incomplete(policy, figures, compared=compared),
        notes=notes,
    )
    return with_hypotheses(tested) if len(measured) >= LEAST_PAIRS else tested


def _unusable(policy: ServingPolicy, figures: ArmFigures, *, compared: bool) -> Problem | None:
    """Why nothing is tested: the machine was busy, the arms may not be compared, or the figure is none."""
    where, runs = f"{figures.arms.plan.suite}::serving", list(figures.runs(champion=compared))
    busy = [run for run in runs if run.busy]
    if busy:
        first = f"first in {busy[0].named}: {busy[0].busy}"
        what = f"the machine was busy in {len(busy)} of {count(len(runs), 'run')}, {first}"
        return Problem(where=where, what=what, fix=QUIETLY)
    if problem := uneven_arms(figures, champion=compared):
        return problem
    return _unkept(figures) or _no_figure(policy, figures, runs)


def _unkept(figures: ArmFigures) -> Problem | None:
    """A run that counted was replaced without a reason: measuring until the figures please is no measurement."""
    again, spared = _made_again(figures.arms), _discarded_freely(figures.arms)
    if again is not None:
        what = f"a run of pair {again + 1} was made again, and nothing says why the first does not count"
    elif spared is not None:
        what = f"a run of pair {spared + 1} was discarded, and nothing had disturbed it or its partner"
    else:
        return None
    return Problem(where=f"{figures.arms.plan.suite}::serving", what=what, fix="Measure serving anew")


def _no_figure(policy: ServingPolicy, figures: ArmFigures, runs: Sequence[RunFigures]) -> Problem | None:
    """Why a figure of these runs cannot gate, however it turned out."""
    needed = tail_requests(policy.metric)
    fewest = min((len(run.run.trace.requests) for run in runs), default=needed)
    if policy.gates and fewest < needed:
        what = f"runs of {count(fewest, 'request')} are too short for this percentile, which needs {needed:,}"
        return Problem(where=policy.where, what=what, fix=f"Write `requests: {needed}`, or gate a median")
    if policy.metric == "request_goodput" and (figures.unusable or figures.levels is None):
        what = figures.unusable or "goodput has no service levels"
        return Problem(where=policy.where, what=what, fix="Write `goodput: {ttft_ms: 500}` into the suite's `serving:`")
    return None


def _made_again(arms: ServingArms) -> int | None:
    """A pair of which a run that counts was replaced although no run of the pair was discarded in between."""
    waiting: dict[tuple[int, str], bool] = {}
    for run in sorted(arms.runs, key=lambda run: run.position):
        if run.discarded:
            waiting |= {key: True for key in waiting if key[0] == run.pair}
            continue
        if waiting.get((run.pair, run.arm)) is False:
            return run.pair
        waiting[run.pair, run.arm] = False
    return None


def _discarded_freely(arms: ServingArms) -> int | None:
    """A pair of which a run was discarded without a cause that the timings show.

    The cause is another process or a late client, in the run itself or in its partner right before or after it. A run
    without a partner is the half of a pair that an interruption left.
    """
    made = {run.position: run for run in arms.runs}
    for run in arms.runs:
        beside = [made[place] for place in (run.position - 1, run.position + 1) if place in made]
        partners = [one for one in beside if one.pair == run.pair and one.arm != run.arm]
        disturbed = (one for one in (run, *partners) if one.discarded)
        if run.discarded and (partners or arms.plan.champion is None) and not any(map(_disturbed, disturbed)):
            return run.pair
    return None


def _disturbed(run: ArmRun) -> bool:
    return spoilt(run.trace) is not None


def _incomplete(policy: ServingPolicy, figures: ArmFigures, *, compared: bool) -> Problem | None:
    """What bars a PASS although the pairs that are left may be tested."""
    plan, runs = figures.arms.plan, list(figures.runs(champion=compared))
    where, unit = f"{plan.suite}::serving", "pair" if compared else "run"
    doubted = [run for run in runs if run.doubt]
    if doubted:
        what = (
            f"{len(doubted)} of {count(len(runs), 'run')} {verb(len(doubted), 'is', 'are')} invalid, first "
            f"{doubted[0].named}: {doubted[0].doubt}"
        )
        return Problem(where=where, what=what, fix="Mend that, and measure again")
    if plan.pairs < LEAST_PAIRS:
        what = f"{count(plan.pairs, unit)} of runs were planned" if compared else f"{count(plan.pairs, 'run')} planned"
        return Problem(
            where=where, what=f"{what}, and at least {LEAST_PAIRS} decide", fix=f"Write `pairs: {LEAST_PAIRS}`"
        )
    whole = len(figures.believed(champion=compared))
    if whole < plan.pairs:
        units = f"{plan.pairs:,} {'pairs of runs' if compared else 'runs'}"
        what = f"{whole:,} of {units} {verb(whole, 'was', 'were')} measured"
        discarded = [run.discarded for run in figures.arms.runs if run.discarded]
        if discarded:
            made = f"{count(len(discarded), 'run')} {verb(len(discarded), 'was', 'were')} discarded"
            what = f"{what}, and {made}, the last because {discarded[-1]}"
        return Problem(where=where, what=what, fix=RESUME)
    for run in runs:
        if figure_in(run, policy.metric) is None:
            zero = policy.metric in run.summary.metrics
            what = f"{run.named} {'is 0, so that it has no ratio' if zero else 'does not exist'}"
            fix = "Loosen what requests must meet" if zero else "Gate another figure, or let the server count tokens"
            return Problem(where=policy.where, what=what, fix=fix)
    return None


def with_hypotheses(test: ServingTest) -> ServingTest:
    """The figures of its runs, put to what its policy asks; a problem where they cannot be.

    Args:
        test: With the figures of the candidate, above 0, and those of the champion where it is compared.
    """
    policy, sign = test.policy, sign_of(test.policy)
    logs = sign * np.log(np.array(test.candidate))
    comparison = floor = None
    try:
        if test.champion and policy.margin is not None:
            ratios = logs - sign * np.log(np.array(test.champion))
            comparison = _hypothesis(ratios, margin=lost_margin(policy), alpha=policy.alpha)
        if policy.limit is not None:
            floor = _hypothesis(logs - sign * math.log(policy.limit), margin=0.0, alpha=policy.alpha)
    except UndefinedError as error:
        problem = test.problem or Problem(where=policy.where, what=error.what, fix="Measure again")
        return replace(test, problem=problem)
    return replace(test, comparison=comparison, floor=floor)


def _hypothesis(values: NDArray[np.float64], *, margin: float, alpha: float) -> HypothesisTest:
    if float(np.ptp(values)) <= LEAST_SPREAD:
        raise UndefinedError(f"all {len(values)} values are equal, so their spread is unknown")
    return against_margin(t_interval(values, alpha=alpha), margin)
