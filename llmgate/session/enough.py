"""Whether a run may stop early: which suites can be looked at, and what the gate says at each look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import LlmgateError
from llmgate.gate.sequential.verify_stop import reason_to_stop
from llmgate.record.loading import load_record
from llmgate.record.schema import Record
from llmgate.report.visible import one_line
from llmgate.session.looks import Looking
from llmgate.session.outcome import noted_baseline
from llmgate.session.target import judge_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.record.looks import LookPlan
    from llmgate.record.rundir import RunDir
    from llmgate.record.schema import CaseKey, CaseResult
    from llmgate.session.plan import Plan
    from llmgate.session.progress import Progress
    from llmgate.session.settings import Settings

__all__ = ["make_looking"]


def make_looking(settings: Settings, plan: Plan, run: RunDir, out: Path, *, progress: Progress) -> Looking | None:
    """What takes the looks of a run.

    Args:
        settings: The options.
        plan: What is asked.
        run: Where results go; its manifest has the looks.
        out: The run's folder, in which the baseline is noted.
        progress: Told which suites cannot be looked at, and why.

    Returns:
        None if no suite may stop early.

    Raises:
        RecordError: If the baseline cannot be read.
    """
    if not run.manifest.looks:
        return None
    baseline = noted_baseline(out)
    champion = None if baseline is None else load_record(Path(baseline.folder))
    possible = []
    for one in run.manifest.looks:
        why = _impossible(settings, plan, run, one, champion)
        if why:
            progress.stage(f"{one.suite}: all cases are asked, because {why}")
        else:
            possible.append(one)

    def enough(one: LookPlan, look: int, results: Mapping[CaseKey, CaseResult]) -> str:
        part = Record(manifest=run.manifest, cases=run.cases, results=results)
        return reason_to_stop(part, champion, one, look=look)

    return Looking(run, possible, enough, ahead=settings.concurrency, progress=progress)


def _impossible(settings: Settings, plan: Plan, run: RunDir, one: LookPlan, champion: Record | None) -> str:
    """Why a suite cannot be looked at before its end, empty if it can."""
    cases = [case for case in plan.cases if case.planned.suite == one.suite]
    asks = {spec.type for case in cases for spec in case.asserts if plan.vocabulary.defers(spec)}
    place = judge_place(settings)
    if asks and run.manifest.judge is not None and (place is None or (place.url is None and not place.same_server)):
        return f"its judge ({', '.join(sorted(asks))}) is only started after the model under test has ended"
    metrics = [metric for metric in run.manifest.policy.metrics if metric.suite == one.suite and metric.gates]
    if not metrics:
        return "none of its metrics gates"
    if champion is None and not any(metric.floor is not None for metric in metrics):
        return "there is neither a baseline nor a threshold that could be decided on"
    try:
        reason_to_stop(Record(manifest=run.manifest, cases=run.cases, results={}), champion, one, look=1)
    except LlmgateError as error:
        return f"the baseline cannot be compared with: {one_line(str(error), 400)}"
    return ""
