"""All asserts of one case, sets included: every finding with its weight, and the score of the case."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError, JudgeError, LlmgateError, SuiteError, UndefinedError
from llmgate.record.schema import CheckResult, Judgement, Outcome
from llmgate.score.assertion.check import CheckContext, Finding
from llmgate.score.foreign_code import worded
from llmgate.score.vocabulary import VOCABULARY, Checks, needs_of, prepare_check
from llmgate.suite.form.asserts import ASSERT_SET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.score.assertion.models import Models
    from llmgate.suite.asserts import AssertSpec

__all__ = [
    "apply_negation",
    "combine",
    "consult",
    "error_reason",
    "error_result",
    "find",
    "finding_result",
    "judge_case",
    "one_line",
    "run_check",
    "run_consult",
    "score_case",
]

_MAX_REASON_CHARS = 300
ENDING = (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit)
"""What ends the run. `SystemExit` is none of it: it came out of somebody else's code."""


def run_check(spec: AssertSpec, context: CheckContext, vocabulary: Checks = VOCABULARY) -> CheckResult:
    """Applies one deterministic assert to one output.

    Never raises for what a model, a dataset or a suite can cause: what cannot be evaluated is an error with its cause.
    """
    try:
        return finding_result(spec, find(spec, context, vocabulary))
    except ENDING:
        raise
    except BaseException as error:  # noqa: BLE001 - fail closed, and one case must not end the run
        return error_result(spec, error)


def find(spec: AssertSpec, context: CheckContext, vocabulary: Checks = VOCABULARY) -> Finding:
    """What a deterministic assert finds, `not-` and weight 0 applied.

    Raises:
        Exception: If the assert cannot be evaluated.
    """
    evaluate = prepare_check(spec, vocabulary).evaluate
    if evaluate is None:
        raise JudgeError(f"{spec.name} asks a model, and none was asked", where=spec.where or None)
    return apply_negation(spec, evaluate(context))


async def run_consult(
    spec: AssertSpec, context: CheckContext, models: Models, vocabulary: Checks = VOCABULARY
) -> CheckResult:
    """Applies one assert of any type to one output, asking models where it must.

    Never raises but for cancellation: a failed call or an unreadable reply is an error of this assert.
    """
    log: list[Judgement] = []
    try:
        result = finding_result(spec, await consult(spec, context, models.logged(log), vocabulary))
    except ENDING:
        raise
    except BaseException as error:  # noqa: BLE001 - fail closed, and one case must not end the run
        result = error_result(spec, error)
    return replace(result, judgements=tuple(log))


async def consult(spec: AssertSpec, context: CheckContext, models: Models, vocabulary: Checks = VOCABULARY) -> Finding:
    """What an assert of any type finds, `not-` and weight 0 applied.

    Raises:
        Exception: If the assert cannot be evaluated.
    """
    prepared = prepare_check(spec, vocabulary)
    if prepared.consult is None:
        return find(spec, context, vocabulary)
    return apply_negation(spec, await prepared.consult(context, models))


def apply_negation(spec: AssertSpec, finding: Finding) -> Finding:
    """`not-` turns verdict and score round, and weight 0 records without ever failing.

    Raises:
        UndefinedError: If the score is not finite.
    """
    passed, score, reason = finding.passed, finding.score, finding.reason
    if not math.isfinite(score):
        raise UndefinedError(f"{spec.name}: the score is {score}", where=spec.where or None)
    if spec.negated:
        passed, score = not passed, 1.0 - score
    elif passed or spec.weight:
        return finding
    if not passed and spec.weight == 0 and not spec.required:
        passed, reason = True, f"would fail, but has weight 0: {reason}"
    return replace(finding, passed=passed, score=score, reason=reason)


def finding_result(spec: AssertSpec, finding: Finding) -> CheckResult:
    """The result of an assert for the record, from a finding after `apply_negation`; the score is kept in [0, 1]."""
    return CheckResult(
        type=spec.name,
        outcome=Outcome.PASS if finding.passed else Outcome.FAIL,
        score=min(1.0, max(0.0, finding.score)),
        reason=one_line(finding.reason),
        metric=spec.metric,
        weight=spec.weight,
        required=spec.required,
        forgeable=finding.forgeable,
    )


def error_reason(error: BaseException) -> str:
    """Why an assert could not be evaluated, worded for a reader."""
    if isinstance(error, LlmgateError):
        return str(error)
    if isinstance(error, RecursionError):
        return "the output is nested too deeply"
    return f"internal error: {worded(error)}"


def error_result(spec: AssertSpec, error: BaseException) -> CheckResult:
    """The result of an assert that could not be evaluated, whatever its weight and whether or not it is negated."""
    return CheckResult(
        type=spec.name,
        outcome=Outcome.ERROR,
        score=None,
        reason=one_line(error_reason(error)),
        metric=spec.metric,
        weight=spec.weight if math.isfinite(spec.weight) and spec.weight >= 0 else 1.0,
        required=spec.required,
    )


def one_line(reason: str) -> str:
    """A reason as records hold it: one line, bounded, writable as UTF-8."""
    line = " ".join(reason.split())
    if not line.isascii():
        # A surrogate without its partner could not be written to the record.
        line = line.encode("utf-8", "backslashreplace").decode()
    return line if len(line) <= _MAX_REASON_CHARS else line[: _MAX_REASON_CHARS - 1] + "…"


def combine(asserts: Sequence[AssertSpec], findings: Sequence[Finding], threshold: float | None) -> Finding:
    """What several asserts amount to.

    Args:
        asserts: All of them; none is fully right.
        findings: What each found.
        threshold: The least weighted mean that passes, None if every assert has to pass.

    Raises:
        SuiteError: If the threshold is one that every output reaches.
    """
    if threshold is not None and not threshold > 0:
        raise SuiteError(f"the threshold is {threshold:g}, so the test cannot fail", fix="Write a number above 0")
    members = list(zip(asserts, findings, strict=True))
    total = math.fsum(spec.weight for spec in asserts)
    # Nothing to check is fully right, and of what does not count the mean is 0, as in promptfoo.
    # A similarity may lie outside of [0, 1]; it must not make up for what others lack.
    score = (
        sum(spec.weight * min(1.0, max(0.0, finding.score)) for spec, finding in members) / total
        if total
        else float(not members)
    )
    forgeable = any(finding.forgeable for finding in findings)
    if threshold is not None:
        reason = f"the weighted mean is {score:.4g}, wanted {threshold:g}"
        return Finding(score >= threshold, score, reason, forgeable)
    failed = [f"{spec.name}: {finding.reason}" for spec, finding in members if not finding.passed]
    return Finding(not failed, score, "; ".join(failed) or f"all {len(members)} passed", forgeable)


def score_case(asserts: Iterable[AssertSpec], context: CheckContext, vocabulary: Checks) -> tuple[CheckResult, ...]:
    """Applies the asserts that ask no model, in order. An assert of unknown type is an error."""
    results: list[CheckResult] = []
    for spec in needs_of(tuple(asserts), vocabulary).now:
        if spec.type == ASSERT_SET:
            results += _set_results(spec, [run_check(member, context, vocabulary) for member in spec.asserts])
        else:
            results.append(run_check(spec, context, vocabulary))
    return tuple(results)


async def judge_case(
    asserts: Iterable[AssertSpec], context: CheckContext, models: Models, vocabulary: Checks
) -> tuple[CheckResult, ...]:
    """Applies the asserts that ask a model, all at once; the results are in order."""
    asking = needs_of(tuple(asserts), vocabulary).later
    groups = await asyncio.gather(*(_consulted(spec, context, models, vocabulary) for spec in asking))
    return tuple(result for results in groups for result in results)


async def _consulted(spec: AssertSpec, context: CheckContext, models: Models, vocabulary: Checks) -> list[CheckResult]:
    if spec.type != ASSERT_SET:
        return [await run_consult(spec, context, models, vocabulary)]
    members = await asyncio.gather(*(run_consult(member, context, models, vocabulary) for member in spec.asserts))
    return _set_results(spec, members)


def _set_results(spec: AssertSpec, members: Sequence[CheckResult]) -> list[CheckResult]:
    """The set as one check, and those of its members that feed a metric of their own."""
    try:
        result = finding_result(spec, combine(spec.asserts, list(map(_finding, members)), spec.threshold))
    except CannotRunError as error:
        result = error_result(spec, error)
    parts = [replace(member, part=True) for member in members if member.metric != spec.metric]
    asked = tuple(judgement for member in members for judgement in member.judgements)
    return [replace(result, judgements=asked), *parts]


def _finding(result: CheckResult) -> Finding:
    if result.score is None:
        raise CannotRunError(f"{result.type}: {result.reason}")
    return Finding(result.outcome is Outcome.PASS, result.score, result.reason, result.forgeable)
