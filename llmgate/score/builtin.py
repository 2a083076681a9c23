"""Every assert type that comes with llmgate, by section of the cookbook.

A type is one definition beside its code; here stands what there is, in the order in which people read it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.score import usage
from llmgate.score.code import executes
from llmgate.score.embeddings import classifier, similarity
from llmgate.score.expression import checks as expression
from llmgate.score.judge import checklist, closed_qa, conversation, factuality, g_eval, llm_rubric, pairwise
from llmgate.score.markup import checks as markup
from llmgate.score.rag import answer, citations, context, correctness, promptfoo
from llmgate.score.safety import is_refusal, pii, prompt_leak, refusal, secrets
from llmgate.score.sql import checks as sql
from llmgate.score.structured import diff, field, is_json
from llmgate.score.text import (
    bleu_rouge,
    chrf_rouge_l,
    contains,
    exact_match,
    language,
    levenshtein,
    math_equal,
    meteor,
    multiple_choice,
    regex,
)
from llmgate.score.tools import call_f1, expected_calls, validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmgate.score.assertion.definition import Kind

__all__ = ["KINDS", "SECTIONS"]

SECTIONS: Final[Mapping[str, tuple[Kind, ...]]] = MappingProxyType(
    {
        "text": (*contains.TYPES, *regex.TYPES, is_json.EQUALS, *language.TYPES),
        "right answers": (*multiple_choice.TYPES, *exact_match.TYPES, *math_equal.TYPES, *levenshtein.TYPES),
        "likeness": (*bleu_rouge.TYPES, *meteor.TYPES, *chrf_rouge_l.TYPES, *similarity.TYPES),
        "json, xml, html": (*is_json.TYPES, *field.TYPES, *diff.TYPES, *markup.TYPES),
        "code, sql, tools": (
            *expression.TYPES,
            *executes.TYPES,
            *sql.TYPES,
            *expected_calls.TYPES,
            *call_f1.TYPES,
            *validate.TYPES,
        ),
        "safety": (
            *is_refusal.TYPES,
            *refusal.TYPES,
            *pii.TYPES,
            *secrets.TYPES,
            *prompt_leak.TYPES,
            *classifier.TYPES,
        ),
        "budgets": usage.TYPES,
        "judged": (
            *llm_rubric.TYPES,
            *g_eval.TYPES,
            *factuality.TYPES,
            *closed_qa.TYPES,
            *checklist.TYPES,
            *pairwise.TYPES,
            *conversation.TYPES,
        ),
        "retrieval": (*promptfoo.TYPES, *answer.TYPES, *correctness.TYPES, *context.TYPES, *citations.TYPES),
    }
)
"""By the name of a section of docs/cookbook/assertions.md, in its order."""


def _by_id(kinds: Iterable[Kind]) -> Mapping[str, Kind]:
    types: dict[str, Kind] = {}
    for kind in kinds:
        if types.setdefault(kind.id, kind) is not kind:
            raise ValueError(f"two assert types are called {kind.id!r}")
    return MappingProxyType(types)


KINDS: Final = _by_id(kind for section in SECTIONS.values() for kind in section)
"""Every assert type by its id, without `not-`."""
