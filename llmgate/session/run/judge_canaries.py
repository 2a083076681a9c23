"""Canaries: each judged criterion of a run is tried once on answers that no judge should let pass."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from llmgate.record.schema import JudgeTrial, Outcome
from llmgate.score.assertion.check import CheckContext
from llmgate.score.assertion.rule import RuleValue
from llmgate.score.judge_canaries import CANARIES, try_canaries
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.record.run.rundir import RunDir
    from llmgate.score.assertion.models import Models
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan
    from llmgate.suite.asserts import AssertSpec
    from llmgate.suite.cases import Case

__all__ = ["try_judges"]

MOST_CRITERIA: Final = 20
"""Where every row has a criterion of its own, some are enough to know a judge that lets anything pass."""


async def try_judges(run: RunDir, plan: Plan, models: Models, *, progress: Progress) -> None:
    """Ask the judges about the canaries, once per criterion, unless the record has it already.

    What a criterion wants may be what a canary does, so these are facts for the report and never end a run.

    Args:
        run: Where the results go.
        plan: The judged asserts.
        models: The judges.
        progress: Told what is asked, and what was let pass.

    Raises:
        RecordError: If the results could not be written.
    """
    judged = first_cases(plan)[:MOST_CRITERIA]
    if not judged or run.trials():
        return
    progress.stage(f"trying the judge on {len(CANARIES)} canaries for each of {len(judged)} criteria")
    by_criterion = await asyncio.gather(*(try_criterion(case, spec, models, plan) for case, spec in judged))
    trials = tuple(trial for trials in by_criterion for trial in trials)
    run.add_trials(trials)
    passed = sum(trial.outcome is Outcome.PASS for trial in trials)
    lost = sum(trial.outcome is Outcome.ERROR for trial in trials)
    progress.stage(
        f"the judge approved {passed} of {len(trials)} deliberately bad answers"
        + (f", {lost} got no verdict" if lost else "")
    )


def first_cases(plan: Plan) -> list[tuple[Case, AssertSpec]]:
    """Each judged assert, members of sets included, with the first selected case that has it."""
    seen: dict[int, tuple[Case, AssertSpec]] = {}
    for case in plan.cases:
        for spec in (member for each in case.asserts for member in (each.asserts or (each,))):
            if plan.vocabulary.is_judge(spec.type):
                seen.setdefault(id(spec), (case, spec))
    return list(seen.values())


async def try_criterion(case: Case, spec: AssertSpec, models: Models, plan: Plan) -> list[JudgeTrial]:
    """The canaries of one assert, on one case."""
    prompt = "\n\n".join(message.content for message in case.planned.messages if message.role == "user")
    context = CheckContext(output="", variables=case.variables, prompt=prompt)
    return [
        JudgeTrial(
            suite=case.planned.suite,
            type=spec.type,
            criterion=javascript.text(RuleValue.compile(spec).render(case.variables)) if spec.has_value else "",
            judge=result.judge,
            canary=result.name,
            outcome=result.result.outcome,
            judgements=result.result.judgements,
        )
        for result in await try_canaries(spec, context, models, plan.vocabulary)
    ]
