"""Anchors: frozen once from a run, judged again in every run."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.errors import RecordError, UsageError, did_you_mean
from llmgate.record.disk import write_atomic
from llmgate.record.labels import draw_cases
from llmgate.record.run.loading import load_record
from llmgate.record.schema import AnchorCheck, AnchorResult, Generation, Outcome
from llmgate.score.assertion.check import CheckContext
from llmgate.score.execute import run_consult
from llmgate.session.run.measure import context_of
from llmgate.suite.form.anchors import FEWEST_ANCHORS, FEWEST_PER_VERDICT, read_anchors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.run.rundir import RunDir
    from llmgate.record.schema import Record
    from llmgate.score.assertion.models import Models
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings
    from llmgate.suite.asserts import AssertSpec
    from llmgate.suite.cases import Case
    from llmgate.suite.form.anchors import Anchor, AnchorFile

__all__ = ["Frozen", "anchors_wait", "freeze_anchors", "judge_anchors", "named_anchors"]


def named_anchors(settings: Settings, plan: Plan) -> AnchorFile | None:
    """The anchors that a run has to judge again; None if it names none or asks no judge.

    Raises:
        SuiteError: If the file is not usable.
    """
    if not settings.judge_anchors or not plan.judged:
        return None
    return read_anchors(Path(settings.judge_anchors), plan.vocabulary)


async def judge_anchors(run: RunDir, settings: Settings, plan: Plan, models: Models, *, progress: Progress) -> None:
    """Ask the judge about every anchor again, unless the record has it already.

    A judge that fails leaves an error, which the decision counts; nothing is concluded here.

    Raises:
        SuiteError: If the file is not usable.
        RecordError: If the results could not be written.
    """
    file = named_anchors(settings, plan)
    if file is None:
        return
    before = run.anchors()
    whole = before is not None and all(result.outcome is not Outcome.ERROR for result in before.results)
    if before is not None and whole and before.digest == file.digest:
        return
    progress.stage(f"judging {len(file.anchors)} anchors again")
    results = await asyncio.gather(*(judge_anchor(anchor, models, plan) for anchor in file.anchors))
    run.add_anchors(AnchorCheck(source=Path(file.source).name, digest=file.digest, results=tuple(results)))


async def judge_anchor(anchor: Anchor, models: Models, plan: Plan) -> AnchorResult:
    """One anchor, asked again."""
    context = CheckContext(output=anchor.output, variables=anchor.variables, prompt=anchor.prompt)
    result = await run_consult(anchor.spec, context, models, plan.vocabulary)
    return AnchorResult(
        id=anchor.id, passed=anchor.passed, outcome=result.outcome, reason=result.reason, judgements=result.judgements
    )


def anchors_wait(run: RunDir) -> bool:
    """Whether a run named anchors, is to judge them again, and did not yet."""
    return bool(run.manifest.anchors) and run.tries_judges and run.anchors() is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What was written.

    Attributes:
        path: The file.
        passed: Anchors that pass.
        failed: Anchors that fail.
    """

    path: Path
    passed: int
    failed: int


def freeze_anchors(plan: Plan, run: Path, *, metric: str, number: int, seed: int, out: Path) -> Frozen:
    """Take judged answers of a run, and what the judge said of them, as anchors; half of each verdict where possible.

    Args:
        plan: The suites of the run.
        run: Folder of its record.
        metric: `SUITE/METRIC` whose judged asserts are taken.
        number: How many anchors.
        seed: Of the choice.
        out: The file, which must not exist.

    Raises:
        UsageError: If the file exists, there is no such metric, or the run has too few verdicts.
        RecordError: If the record is of other suites.
    """
    if out.exists():
        raise UsageError("this file exists already: anchors are frozen", where=str(out), fix="Choose another --out")
    record = load_record(run)
    check_suites(plan, record)
    known = [f"{policy.suite}/{policy.metric}" for policy in plan.policy.metrics if policy.judged]
    if metric not in known:
        raise UsageError(f"no judge scores {metric!r}", where="--metric", fix=did_you_mean(metric, known))
    rows = {row["id"]: row for row in judged_rows(plan, record, *metric.split("/", 1))}
    order = draw_cases(rows, len(rows), seed=seed)
    by_verdict = {
        verdict: [anchor for anchor in order if rows[anchor]["verdict"] == verdict] for verdict in ("pass", "fail")
    }
    fails = min(len(by_verdict["fail"]), max(number // 2, number - len(by_verdict["pass"])))
    chosen = [*by_verdict["fail"][:fails], *by_verdict["pass"][: number - fails]]
    counts = Counter(rows[anchor]["verdict"] for anchor in chosen)
    if len(chosen) < FEWEST_ANCHORS or min(counts["pass"], counts["fail"]) < FEWEST_PER_VERDICT:
        raise UsageError(
            f"the run has {len(by_verdict['pass'])} verdicts that pass and {len(by_verdict['fail'])} that fail",
            where=str(run),
            fix=f"It takes {FEWEST_ANCHORS} anchors, {FEWEST_PER_VERDICT} of each verdict; add some by hand, or take a"
            " run with more",
        )
    lines = (json.dumps(rows[anchor], ensure_ascii=False, allow_nan=False) + "\n" for anchor in sorted(chosen))
    write_atomic(out, "".join(lines).encode())
    return Frozen(path=out, passed=counts["pass"], failed=counts["fail"])


def check_suites(plan: Plan, record: Record) -> None:
    """Refuse a record of other suites: its answers would be asked about with other criteria."""
    then = {suite.name: (suite.digest, suite.dataset_digest) for suite in record.manifest.suites}
    for planned in plan.suites:
        if then.get(planned.suite.name) != (planned.suite.digest, planned.dataset.digest):
            raise RecordError(
                f"the run is of another version of the suite {planned.suite.name!r}",
                where=record.path,
                fix="Run the suite anew, and freeze from that run",
            )


def judged_rows(plan: Plan, record: Record, suite: str, metric: str) -> Iterator[dict[str, Any]]:
    """Every verdict of the run on the metric as an anchor, but for members of sets."""
    for case in plan.cases:
        result = record.results.get(case.key())
        if case.planned.suite != suite or result is None or not isinstance(result.answer, Generation):
            continue
        for index, spec in enumerate(case.asserts):
            # An assert of weight 0 never fails, whatever the judge says.
            if spec.metric != metric or not plan.vocabulary.is_judge(spec.type) or spec.weight == 0:
                continue
            same = [check for check in result.checks if (check.type, check.metric) == (spec.name, metric)]
            if sum((other.name, other.metric) == (spec.name, metric) for other in case.asserts) > 1 or len(same) != 1:
                continue  # Which verdict is whose is not known.
            if same[0].outcome is not Outcome.ERROR:
                yield row(case, spec, result.answer, f"{case.planned.case}#{index}", same[0].outcome)


def row(case: Case, spec: AssertSpec, answer: Generation, name: str, outcome: Outcome) -> dict[str, Any]:
    """One anchor as it is written."""
    context = context_of(case, answer)
    written: dict[str, Any] = {"type": spec.name}
    for key in ("value", "threshold"):
        if getattr(spec, key) is not None:
            written[key] = getattr(spec, key)
    lists = {"config": dict(spec.config), "transform": list(spec.transform), "judges": list(spec.judges)}
    written |= {key: value for key, value in lists.items() if value}
    return {
        "id": name,
        "assert": written,
        "prompt": context.prompt,
        "vars": dict(case.variables),
        "output": context.output,
        "verdict": outcome.value,
    }
