"""One output and its asserts → one result per assert. Nothing here looks at more than one case."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llmgate.score.checks import VOCABULARY, run_check, run_consult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.record.schema import CheckResult
    from llmgate.score.check import CheckContext
    from llmgate.score.models import Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["judge_case", "score_case"]


def score_case(asserts: Iterable[AssertSpec], context: CheckContext) -> tuple[CheckResult, ...]:
    """Applies the asserts that ask no model, in order. An assert of unknown type is an error."""
    return tuple(run_check(spec, context) for spec in asserts if not VOCABULARY.needs(spec.type))


async def judge_case(asserts: Iterable[AssertSpec], context: CheckContext, models: Models) -> tuple[CheckResult, ...]:
    """Applies the asserts that ask a model, all at once; the results are in order."""
    asking = [spec for spec in asserts if VOCABULARY.needs(spec.type)]
    return tuple(await asyncio.gather(*(run_consult(spec, context, models) for spec in asking)))
