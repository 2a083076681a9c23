"""One output and its asserts → one result per assert. Nothing here looks at more than one case."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llmgate.score.checks import VOCABULARY, run_check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.record.schema import CheckResult
    from llmgate.score.check import CheckContext
    from llmgate.score.judge import Ask, RubricJudge
    from llmgate.suite.asserts import AssertSpec

__all__ = ["judge_case", "score_case"]


def score_case(asserts: Iterable[AssertSpec], context: CheckContext) -> tuple[CheckResult, ...]:
    """Applies the asserts that need no judge, in order. An assert of unknown type is an error."""
    return tuple(run_check(spec, context) for spec in asserts if not VOCABULARY.is_judge(spec.type))


async def judge_case(
    asserts: Iterable[AssertSpec], context: CheckContext, judge: RubricJudge, ask: Ask
) -> tuple[CheckResult, ...]:
    """Asks the judge about each assert that needs one, all at once; the results are in order."""
    judged = [spec for spec in asserts if VOCABULARY.is_judge(spec.type)]
    return tuple(await asyncio.gather(*(judge.judge(spec, context, ask) for spec in judged)))
