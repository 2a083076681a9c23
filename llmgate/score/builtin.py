"""Every assert type that exists."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.score.code.executes import CODE_CHECKS
from llmgate.score.embeddings.similarity import SIMILARITY_CHECKS
from llmgate.score.judge.checklist import CHECKLIST_CHECKS
from llmgate.score.judge.closed_qa import CLOSEDQA_CHECKS
from llmgate.score.judge.factuality import FACTUALITY_CHECKS
from llmgate.score.judge.g_eval import GEVAL_CHECKS
from llmgate.score.judge.llm_rubric import RUBRIC_CHECKS
from llmgate.score.judge.pairwise import PREFER_CHECKS
from llmgate.score.markup.checks import MARKUP_CHECKS
from llmgate.score.rag.answer import RAG_ANSWER_CHECKS
from llmgate.score.rag.context import RAG_CONTEXT_CHECKS
from llmgate.score.rag.correctness import RAG_CORRECTNESS_CHECKS
from llmgate.score.rag.promptfoo import RAG_CHECKS
from llmgate.score.safety.is_refusal import REFUSAL_CHECKS
from llmgate.score.safety.pii import PII_CHECKS
from llmgate.score.safety.prompt_leak import CANARY_CHECKS
from llmgate.score.safety.refusal import DECLINE_CHECKS
from llmgate.score.safety.secrets import SECRET_CHECKS
from llmgate.score.sql.checks import SQL_CHECKS
from llmgate.score.structured.diff import JSON_DIFF_CHECKS
from llmgate.score.structured.field import JSON_FIELD_CHECKS
from llmgate.score.structured.is_json import STRUCTURE_CHECKS
from llmgate.score.text.bleu_rouge import OVERLAP_CHECKS
from llmgate.score.text.chrf_rouge_l import PUBLISHED_CHECKS
from llmgate.score.text.citations import CITATION_CHECKS
from llmgate.score.text.contains import TEXT_CHECKS
from llmgate.score.text.exact_match import SQUAD_CHECKS
from llmgate.score.text.language import LANGUAGE_CHECKS
from llmgate.score.text.levenshtein import EDIT_CHECKS
from llmgate.score.text.math_equal import MATH_CHECKS
from llmgate.score.text.multiple_choice import CHOICE_CHECKS
from llmgate.score.text.regex import PATTERN_CHECKS
from llmgate.score.tools.call_f1 import TOOL_NAME_CHECKS
from llmgate.score.tools.expected_calls import TOOL_CALL_CHECKS
from llmgate.score.tools.validate import FUNCTION_CHECKS
from llmgate.score.usage import MEASURED_CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.score.assertion.check import CheckKind, ConsultKind, Kind

__all__ = ["JUDGED_CHECKS", "KINDS", "SAFETY_CHECKS", "TOOL_CHECKS"]

JUDGED_CHECKS: Mapping[str, ConsultKind] = {
    **CHECKLIST_CHECKS,
    **CLOSEDQA_CHECKS,
    **FACTUALITY_CHECKS,
    **GEVAL_CHECKS,
    **PREFER_CHECKS,
    **RUBRIC_CHECKS,
}


SAFETY_CHECKS: Mapping[str, CheckKind] = {**CANARY_CHECKS, **PII_CHECKS, **SECRET_CHECKS}


TOOL_CHECKS: Mapping[str, CheckKind] = {**TOOL_NAME_CHECKS, **FUNCTION_CHECKS, **TOOL_CALL_CHECKS}


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        **TEXT_CHECKS,
        **CHOICE_CHECKS,
        **LANGUAGE_CHECKS,
        **MATH_CHECKS,
        **PATTERN_CHECKS,
        **STRUCTURE_CHECKS,
        **DECLINE_CHECKS,
        **EDIT_CHECKS,
        **MEASURED_CHECKS,
        **OVERLAP_CHECKS,
        **PUBLISHED_CHECKS,
        **REFUSAL_CHECKS,
        **SIMILARITY_CHECKS,
        **SQUAD_CHECKS,
        **MARKUP_CHECKS,
        **JSON_FIELD_CHECKS,
        **JSON_DIFF_CHECKS,
        **RAG_CHECKS,
        **RAG_ANSWER_CHECKS,
        **RAG_CORRECTNESS_CHECKS,
        **RAG_CONTEXT_CHECKS,
        **CITATION_CHECKS,
        **JUDGED_CHECKS,
        **TOOL_CHECKS,
        **CODE_CHECKS,
        **SAFETY_CHECKS,
        **SQL_CHECKS,
    }
)
"""Every assert type by its base name, without `not-`."""
