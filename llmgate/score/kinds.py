"""Every assert type that exists, by family.

To add one, write its `prepare` function in the module of its family and put it into that module's table; a new family
is one more line here.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.score.choice import CHOICE_CHECKS
from llmgate.score.citations import CITATION_CHECKS
from llmgate.score.code import CODE_CHECKS
from llmgate.score.decline import DECLINE_CHECKS
from llmgate.score.edit import EDIT_CHECKS
from llmgate.score.jsondiff import JSON_DIFF_CHECKS
from llmgate.score.jsonfield import JSON_FIELD_CHECKS
from llmgate.score.judged import JUDGED_CHECKS
from llmgate.score.language import LANGUAGE_CHECKS
from llmgate.score.markup.checks import MARKUP_CHECKS
from llmgate.score.mathequal import MATH_CHECKS
from llmgate.score.measured import MEASURED_CHECKS
from llmgate.score.overlap import OVERLAP_CHECKS
from llmgate.score.pattern import PATTERN_CHECKS
from llmgate.score.published import PUBLISHED_CHECKS
from llmgate.score.rag import RAG_CHECKS
from llmgate.score.raganswer import RAG_ANSWER_CHECKS
from llmgate.score.ragcontext import RAG_CONTEXT_CHECKS
from llmgate.score.ragcorrectness import RAG_CORRECTNESS_CHECKS
from llmgate.score.refusal import REFUSAL_CHECKS
from llmgate.score.safety import SAFETY_CHECKS
from llmgate.score.similarity import SIMILARITY_CHECKS
from llmgate.score.sql.checks import SQL_CHECKS
from llmgate.score.squad import SQUAD_CHECKS
from llmgate.score.structure import STRUCTURE_CHECKS
from llmgate.score.text import TEXT_CHECKS
from llmgate.score.tools import TOOL_CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.score.check import Kind

__all__ = ["KINDS"]

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
