"""Every assert type that asks a judge about an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.score.checklist import CHECKLIST_CHECKS
from llmgate.score.closedqa import CLOSEDQA_CHECKS
from llmgate.score.factuality import FACTUALITY_CHECKS
from llmgate.score.geval import GEVAL_CHECKS
from llmgate.score.prefer import PREFER_CHECKS
from llmgate.score.rubric import RUBRIC_CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.score.check import ConsultKind

__all__ = ["JUDGED_CHECKS"]

JUDGED_CHECKS: Mapping[str, ConsultKind] = {
    **CHECKLIST_CHECKS,
    **CLOSEDQA_CHECKS,
    **FACTUALITY_CHECKS,
    **GEVAL_CHECKS,
    **PREFER_CHECKS,
    **RUBRIC_CHECKS,
}
