"""Admission records of a run: which were named, what they have to cover, and whether they do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import PolicyError
from llmgate.gate.judges.admission import status_in, status_of
from llmgate.gate.metrics.judge_bars import NARROWER, too_biased
from llmgate.record.judges.admission_file import load_admission
from llmgate.record.judges.identity import JudgedAssert
from llmgate.record.policy import Unadmitted
from llmgate.score.judge_identity import prompt_digest
from llmgate.suite.judge_digest import assert_digest, criterion_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.gate.judges.admission_status import AdmissionStatus
    from llmgate.record.judges.admission import AdmissionRecord
    from llmgate.record.manifest import Manifest
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings
    from llmgate.suite.asserts import AssertSpec
    from llmgate.suite.cases import PlannedSuite

__all__ = ["check_admissions", "check_judges", "judged_asserts", "read_admissions"]

MOST_CRITERIA: Final = 200
"""Of one metric. Where every row has a criterion of its own, no judge was admitted for each of them."""


def read_admissions(settings: Settings, plan: Plan) -> tuple[AdmissionRecord, ...]:
    """The records that suites and options name, each once.

    Raises:
        RecordError: If one cannot be read.
    """
    named = {path: planned.suite.reach for planned in plan.suites for path in planned.suite.admissions}
    records = [load_admission(path, reach) for path, reach in named.items()]
    records += [load_admission(Path(name)) for name in settings.judge_admission]
    return tuple({record.digest: record for record in records}.values())


def judged_asserts(plan: Plan) -> tuple[JudgedAssert, ...]:
    """Every assert that asks a judge, once for each metric that it feeds."""
    judging: list[JudgedAssert] = []
    for planned in plan.suites:
        by_metric: dict[str, dict[str, JudgedAssert]] = {}
        for spec, metric in fed(planned, plan):
            entry = judged(planned.suite.name, metric, spec, plan)
            by_metric.setdefault(metric, {})[f"{entry.assert_digest} {entry.judges}"] = entry
        for asserts in by_metric.values():
            judging += asserts.values() if len(asserts) <= MOST_CRITERIA else [unnamed(list(asserts.values()))]
    return tuple(judging)


def fed(planned: PlannedSuite, plan: Plan) -> Iterator[tuple[AssertSpec, str]]:
    """Judged asserts with the metrics that they feed; a member of a set feeds the set's metric too."""
    specs = {id(spec): spec for case in planned.cases for spec in case.asserts}
    for spec in specs.values():
        for member in spec.asserts or (spec,):
            if plan.vocabulary.is_judge(member.type):
                yield from ((member, metric) for metric in dict.fromkeys((spec.metric, member.metric)))


def judged(suite: str, metric: str, spec: AssertSpec, plan: Plan) -> JudgedAssert:
    """One assert as a record keeps it."""
    return JudgedAssert(
        suite=suite,
        metric=metric,
        type=spec.type,
        criterion=criterion_of(spec),
        assert_digest=assert_digest(spec, plan.vocabulary.version(spec.type)),
        prompt_digest=prompt_digest([spec.type]),
        judges=spec.judges,
    )


def unnamed(asserts: list[JudgedAssert]) -> JudgedAssert:
    """What stands for more criteria than can be named: it equals no admission."""
    return replace(asserts[0], criterion=f"{len(asserts):,} criteria of rows", assert_digest="", judges=())


def check_admissions(settings: Settings, plan: Plan) -> None:
    """Refuse judged metrics that are to gate without an admission, before a server is started for nothing.

    Raises:
        PolicyError: With file and line of the metric.
        RecordError: If an admission record cannot be read.
    """
    admissions, judging = read_admissions(settings, plan), judged_asserts(plan)
    for planned in plan.suites:
        suite = planned.suite.name
        for metric in held_metrics(plan, suite):
            where = planned.suite.gates.where("metrics", metric)
            status = status_of(suite, metric, judging, admissions, None)
            refuse(status, where)
            refuse_bias(status, plan, where)


def check_judges(plan: Plan, manifest: Manifest) -> None:
    """Refuse them once it is known who judges, before anything is asked.

    Raises:
        PolicyError: With file and line of the metric.
    """
    for planned in plan.suites:
        for metric in held_metrics(plan, planned.suite.name):
            where = planned.suite.gates.where("metrics", metric)
            refuse(status_in(manifest, planned.suite.name, metric), where)


def held_metrics(plan: Plan, suite: str) -> list[str]:
    """The metrics of a suite that gate by what a judge says, and need its admission."""
    return [
        metric.metric
        for metric in plan.policy.metrics
        if metric.suite == suite
        and suite in plan.gated
        and metric.judged
        and metric.gates
        and metric.unadmitted is Unadmitted.REFUSE
    ]


def refuse_bias(status: AdmissionStatus, plan: Plan, where: str) -> None:
    """Raise if a metric's margin leaves no room for what its judges may be off by."""
    for policy in plan.policy.metrics:
        if (policy.suite, policy.metric) == (status.suite, status.metric):
            what = too_biased(policy, policy.margin, status)
            if what:
                raise PolicyError(what, where=where, fix=NARROWER)


def refuse(status: AdmissionStatus, where: str) -> None:
    """Raise if a metric cannot gate."""
    if not status.admitted:
        problem = status.problem
        raise PolicyError(problem.what, where=where, fix=problem.fix)
