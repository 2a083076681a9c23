"""One output and its asserts → one result per assert. Nothing here looks at more than one case."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError
from llmgate.record.schema import Outcome
from llmgate.score.check import Finding
from llmgate.score.checks import error_result, finding_result, run_check, run_consult
from llmgate.score.sets import Member, combine
from llmgate.suite.form.asserts import ASSERT_SET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.record.schema import CheckResult
    from llmgate.score.check import CheckContext
    from llmgate.score.models import Models
    from llmgate.score.vocabulary import Checks
    from llmgate.suite.asserts import AssertSpec

__all__ = ["judge_case", "score_case"]


def score_case(asserts: Iterable[AssertSpec], context: CheckContext, vocabulary: Checks) -> tuple[CheckResult, ...]:
    """Applies the asserts that ask no model, in order. An assert of unknown type is an error."""
    results: list[CheckResult] = []
    for spec in asserts:
        if vocabulary.defers(spec):
            continue
        if spec.type == ASSERT_SET:
            results += _set_results(spec, [run_check(one, context, vocabulary) for one in spec.asserts])
        else:
            results.append(run_check(spec, context, vocabulary))
    return tuple(results)


async def judge_case(
    asserts: Iterable[AssertSpec], context: CheckContext, models: Models, vocabulary: Checks
) -> tuple[CheckResult, ...]:
    """Applies the asserts that ask a model, all at once; the results are in order."""
    asking = [spec for spec in asserts if vocabulary.defers(spec)]
    found = await asyncio.gather(*(_consulted(spec, context, models, vocabulary) for spec in asking))
    return tuple(result for results in found for result in results)


async def _consulted(spec: AssertSpec, context: CheckContext, models: Models, vocabulary: Checks) -> list[CheckResult]:
    if spec.type != ASSERT_SET:
        return [await run_consult(spec, context, models, vocabulary)]
    members = await asyncio.gather(*(run_consult(one, context, models, vocabulary) for one in spec.asserts))
    return _set_results(spec, members)


def _set_results(spec: AssertSpec, members: Sequence[CheckResult]) -> list[CheckResult]:
    """The set as one check, and those of its members that feed a metric of their own."""
    try:
        result = finding_result(spec, combine([_member(one) for one in members], spec.threshold))
    except CannotRunError as error:
        result = error_result(spec, error)
    parts = [replace(one, part=True) for one in members if one.metric != spec.metric]
    asked = tuple(judgement for one in members for judgement in one.judgements)
    return [replace(result, judgements=asked), *parts]


def _member(result: CheckResult) -> Member:
    if result.score is None:
        raise CannotRunError(f"{result.type}: {result.reason}")
    finding = Finding(result.outcome is Outcome.PASS, result.score, result.reason)
    return Member(finding=finding, weight=result.weight, name=result.type)
