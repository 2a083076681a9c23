"""What an assert says about an output: found, turned round by `not-`, weighed, and put into words for the record."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.errors import JudgeError, LlmgateError, UndefinedError
from llmgate.record.schema import CheckResult, Judgement, Outcome
from llmgate.score.check import CheckContext, Finding
from llmgate.score.vocabulary import VOCABULARY, Checks, prepare_check

if TYPE_CHECKING:
    from llmgate.score.models import Models
    from llmgate.suite.asserts import AssertSpec

__all__ = [
    "consult",
    "error_reason",
    "error_result",
    "find",
    "finding_result",
    "one_line",
    "run_check",
    "run_consult",
    "turned",
]

_MAX_REASON_CHARS = 300


def run_check(spec: AssertSpec, context: CheckContext, vocabulary: Checks = VOCABULARY) -> CheckResult:
    """Applies one deterministic assert to one output.

    Never raises for what a model, a dataset or a suite can cause: what cannot be evaluated is an error with its cause.
    """
    try:
        return finding_result(spec, find(spec, context, vocabulary))
    except Exception as error:  # noqa: BLE001 - fail closed, and one case must not end the run
        return error_result(spec, error)


def find(spec: AssertSpec, context: CheckContext, vocabulary: Checks = VOCABULARY) -> Finding:
    """What a deterministic assert finds, `not-` and weight 0 applied.

    Raises:
        Exception: If the assert cannot be evaluated.
    """
    evaluate = prepare_check(spec, vocabulary).evaluate
    if evaluate is None:
        raise JudgeError(f"{spec.name} asks a model, and none was asked", where=spec.where or None)
    return turned(spec, evaluate(context))


async def run_consult(
    spec: AssertSpec, context: CheckContext, models: Models, vocabulary: Checks = VOCABULARY
) -> CheckResult:
    """Applies one assert of any type to one output, asking models where it must.

    Never raises but for cancellation: a failed call or an unreadable reply is an error of this assert.
    """
    log: list[Judgement] = []
    try:
        result = finding_result(spec, await consult(spec, context, models.logged(log), vocabulary))
    except Exception as error:  # noqa: BLE001 - fail closed, and one case must not end the run
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
    return turned(spec, await prepared.consult(context, models))


def turned(spec: AssertSpec, finding: Finding) -> Finding:
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
    return Finding(passed, score, reason)


def finding_result(spec: AssertSpec, finding: Finding) -> CheckResult:
    """The result of an assert for the record, from a finding that has been `turned`; the score is kept in [0, 1]."""
    return CheckResult(
        type=spec.name,
        outcome=Outcome.PASS if finding.passed else Outcome.FAIL,
        score=min(1.0, max(0.0, finding.score)),
        reason=one_line(finding.reason),
        metric=spec.metric,
        weight=spec.weight,
        required=spec.required,
    )


def error_reason(error: Exception) -> str:
    """Why an assert could not be evaluated, worded for a reader."""
    if isinstance(error, LlmgateError):
        return str(error)
    if isinstance(error, RecursionError):
        return "the output is nested too deeply"
    return f"internal error: {type(error).__name__}: {error}"


def error_result(spec: AssertSpec, error: Exception) -> CheckResult:
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
