"""A policy file: margins, roles and thresholds kept apart from the suites, so that those who gate own them.

llmgate-policy: 1
inconclusive: fail
metrics:
  short-facts/accuracy: {role: primary, margin: 0.03, min: 0.4, alpha: 0.05, aggregate: all}
slices:
  short-facts: {fields: [topic], min-cases: 20}
slice-alpha: 0.01
reserve: 0.1
drift:
  short-facts: {refusals: {margin: 0.05}, length: watch}
serving:
  short-facts/output_throughput: {margin: 0.05}
  short-facts/p95_ttft_ms: {max: 500}
waivers:
  - {metric: short-facts/accuracy, until: 2026-12-31, by: Ada, reason: known and accepted}
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmgate.errors import PolicyError, did_you_mean
from llmgate.record.policy import (
    MOST_RESERVE,
    Aggregate,
    Binding,
    Direction,
    Inference,
    MetricPolicy,
    OnInconclusive,
    Policy,
    Role,
    SlicePolicy,
    Unadmitted,
)
from llmgate.record.serving.policy import DEFAULT_SERVING_MARGIN, ServingPolicy
from llmgate.suite.form.document import Document, read_document
from llmgate.suite.form.drift import DriftBlock, with_drift
from llmgate.suite.form.gate import SlicesPart, WaiverPart
from llmgate.suite.form.part import Finite, first_problem, placed, worded
from llmgate.suite.form.serving import turned

if TYPE_CHECKING:
    from llmgate.record.waiver import Waiver

__all__ = ["POLICY_MAJOR", "named_metrics", "override_policy"]

POLICY_MAJOR: Final = 1


class MetricPart(BaseModel):
    """What a policy file may say about one metric; what it leaves out stays as the suite has it."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    role: Role | None = None
    """primary and guardrail gate; watch is only shown."""
    aggregate: Aggregate | None = None
    """all: a case is right if all its asserts pass; mean: the weighted mean of their scores."""
    margin: Finite | None = None
    """The largest loss that is accepted, as a fraction: 0.03 for three points."""
    min: Finite | None = None
    """What the lower confidence bound of the score itself must reach."""
    max: Finite | None = None
    """What the upper confidence bound must not exceed, where less is better."""
    direction: Direction | None = None
    """lower, where the metric counts something unwanted."""
    alpha: Finite | None = None
    """One-sided error rate."""
    unadmitted: Unadmitted | None = None
    """allow: a judged metric gates though its judge was never admitted; reports say so."""
    reason: str | None = None
    """Why, where alpha is above 0.2 or the margin above 0.5."""
    missing: Finite | None = None
    """The share of cases, up to 0.05, that may lack a score if it passes with them counted against the candidate."""
    inference: Inference | None = None
    """population: the verdict speaks of cases like these; benchmark: of these alone, with `repeat: 2` or more."""


class FigureChange(BaseModel):
    """What a policy file may say about one serving figure; what it leaves out stays as the suite has it."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    role: Role | None = None
    """primary and guardrail gate; watch is only shown."""
    margin: Finite | None = None
    """The largest loss against the champion that is accepted, relative: 0.05 is 5 % less throughput or 5 % more
    latency."""
    min: Finite | None = None
    """What the lower confidence bound must reach, where more is better."""
    max: Finite | None = None
    """What the upper confidence bound must not exceed, where less is better."""
    alpha: Finite | None = None
    """One-sided error rate."""
    reason: str | None = None
    """Why, where alpha is above 0.2 or the margin above 0.5."""


class PolicyPart(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    major: Annotated[int, Field(alias="llmgate-policy")]
    """Format of the file: 1."""
    inconclusive: OnInconclusive | None = None
    """allow: INCONCLUSIVE does not fail the session. It never allows a promotion."""
    metrics: dict[str, MetricPart] = {}
    """SUITE/METRIC to what changes about its gate."""
    slices: dict[str, SlicesPart] = {}
    """Suite to the slices in which a loss is looked for."""
    slice_alpha: Annotated[Finite | None, Field(alias="slice-alpha")] = None
    """Error rate of all slices together."""
    drift: dict[str, DriftBlock] = {}
    """Suite to the traits of answers that gate, are watched, or are left out."""
    serving: dict[str, FigureChange] = {}
    """SUITE/FIGURE to how it gates; figures that the suite does not gate are measured for this."""
    waivers: list[WaiverPart] = []
    """Findings that somebody accepts until a date, beside those of the suites; they name SUITE/METRIC or SUITE/CASE."""
    binding: Binding | None = None
    """claimed: a version may be promoted by a run at an endpoint, which nothing but the run's word ties to it."""
    reserve: Annotated[Finite | None, Field(ge=0, le=MOST_RESERVE)] = None
    """Share of every error rate that is kept for further attempts of the same candidate; at 0 only the first can
    pass."""


def named_metrics(path: str) -> frozenset[str]:
    """The metrics, as `SUITE/METRIC`, that a policy file has an entry for.

    Raises:
        SuiteError, PolicyError: As `override_policy`.
    """
    return frozenset(validated(read_document(Path(path))).metrics)


def override_policy(policy: Policy, path: str) -> Policy:
    """Apply a policy file.

    Args:
        policy: What the suites say.
        path: The policy file.

    Raises:
        SuiteError: If the file cannot be read as YAML.
        PolicyError: With file and line, if it holds unknown metrics or impossible values.
    """
    document = read_document(Path(path))
    part = validated(document)
    policy = changed_drift(policy, part, document)
    known = {f"{metric.suite}/{metric.metric}": metric for metric in policy.metrics}
    changed = dict(known)
    for name, change in part.metrics.items():
        where = document.where("metrics", name)
        if name not in known:
            raise PolicyError(f"there is no metric {name!r}", where=where, fix=did_you_mean(name, known))
        changed[name] = overridden(known[name], change, where)
    try:
        return replace(
            policy,
            metrics=tuple(changed.values()),
            inconclusive=part.inconclusive or policy.inconclusive,
            slices=changed_slices(policy, part, document),
            slice_alpha=policy.slice_alpha if part.slice_alpha is None else part.slice_alpha,
            # Those who gate own the file: what it accepts comes on top of what the suites say.
            waivers=(*policy.waivers, *file_waivers(part, document)),
            serving=changed_serving(policy, part, document),
            binding=part.binding or policy.binding,
            reserve=policy.reserve if part.reserve is None else part.reserve,
        )
    except PolicyError as error:
        raise PolicyError(error.what, where=error.where or document.where("slice-alpha"), fix=error.fix) from error


def changed_drift(policy: Policy, part: PolicyPart, document: Document) -> Policy:
    """The policy with the traits that the file gates, watches or leaves out."""
    for suite, block in part.drift.items():
        check_suite(policy, suite, document.where("drift", suite))
        policy = with_drift(policy, suite, block, partial(document.where, "drift", suite))
    return policy


def changed_slices(policy: Policy, part: PolicyPart, document: Document) -> tuple[SlicePolicy, ...]:
    """The slice fields with what the file says about them; a suite that it names has those that it lists."""
    changed = [known for known in policy.slices if known.suite not in part.slices]
    for suite, slices in part.slices.items():
        check_suite(policy, suite, document.where("slices", suite))
        own = [known.field for known in policy.slices if known.suite == suite]
        fields = own if slices.fields is None else slices.fields
        changed += [SlicePolicy(suite=suite, field=field, min_cases=slices.min_cases) for field in fields]
    return tuple(changed)


def changed_serving(policy: Policy, part: PolicyPart, document: Document) -> tuple[ServingPolicy, ...]:
    """The serving figures with what the file says about them.

    A figure that no suite gates is gated by what the file says; a limit alone asks about no champion.
    """
    changed = {(figure.suite, figure.metric): figure for figure in policy.serving}
    for name, change in part.serving.items():
        where = document.where("serving", name)
        suite, slash, written = name.rpartition("/")
        if not slash:
            raise PolicyError(f"{name!r} names no suite", where=where, fix="Write SUITE/FIGURE")
        check_suite(policy, suite, where)
        figure, said = turned(written), change.model_dump(exclude_none=True)
        with placed(where, PolicyError):
            known = changed.get((suite, figure))
            if known is None:
                margin = None if {"min", "max"} & said.keys() else DEFAULT_SERVING_MARGIN
                known = ServingPolicy(suite=suite, metric=figure, **{"margin": margin, **said})
            else:
                known = replace(known, **said)
            if problem := known.unexplained:
                raise PolicyError(problem, fix="Add `reason: …` beside it, or write a smaller one")
        changed[suite, figure] = known
    return tuple(changed.values())


def check_suite(policy: Policy, suite: str, where: str) -> None:
    """Refuse a suite that the policy knows no metric of."""
    suites = {metric.suite for metric in policy.metrics} | {figure.suite for figure in policy.serving}
    if suite not in suites:
        raise PolicyError(f"there is no suite {suite!r}", where=where, fix=did_you_mean(suite, suites))


def file_waivers(part: PolicyPart, document: Document) -> tuple[Waiver, ...]:
    """The file's waivers, which name their suite: `metric: SUITE/METRIC` or `case: SUITE/CASE`."""
    waivers = []
    for index, written in enumerate(part.waivers):
        where = document.where("waivers", index)
        suite, slash, rest = (written.metric or written.case or "").partition("/")
        if not slash:
            raise PolicyError("the waiver names no suite", where=where, fix="Write SUITE/METRIC, or SUITE/CASE")
        named = written.model_copy(update={"metric": rest} if written.metric else {"case": rest})
        waivers.append(named.waiver(suite, where))
    return tuple(waivers)


def validated(document: Document) -> PolicyPart:
    """Check names and types."""
    try:
        part = PolicyPart.model_validate(document.data)
    except ValidationError as error:
        problem = first_problem(error)
        what, fix = worded(problem, problem["loc"], PolicyPart)
        raise PolicyError(what, where=document.where(*problem["loc"]), fix=fix) from error
    if part.major != POLICY_MAJOR:
        raise PolicyError(
            f"the policy format is {part.major}, and this llmgate reads format {POLICY_MAJOR}",
            where=document.where("llmgate-policy"),
            fix=f"Write `llmgate-policy: {POLICY_MAJOR}`",
        )
    return part


def overridden(metric: MetricPolicy, change: MetricPart, where: str) -> MetricPolicy:
    """One metric's policy with what the file says about it."""
    with placed(where, PolicyError):
        return replace(metric, **change.model_dump(exclude_none=True)).explained()
