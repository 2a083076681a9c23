"""Every assert type that comes with llmgate, by section of the cookbook.

A type is one definition beside its code; here stands what there is and where, in the order in which people read it. A
module is imported when a suite names a type of it: there are seventy types in forty modules, and the libraries behind
them (SQL, JSON schemas, HTML, edit distances) would be most of what a short run takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.score.assertion.definition import Kind

__all__ = ["KINDS", "SECTIONS", "BuiltinKinds"]

_WRITTEN: Final[Mapping[str, Mapping[str, str]]] = {
    "text": {
        "text.contains": "contains contains-any contains-all icontains icontains-any icontains-all starts-with "
        "word-count",
        "text.regex": "regex",
        "structured.is_json": "equals",
        "text.language": "language readability",
    },
    "right answers": {
        "text.multiple_choice": "choice",
        "text.exact_match": "exact-match fuzzy-match f1",
        "text.math_equal": "math-equal",
        "text.levenshtein": "levenshtein",
    },
    "likeness": {
        "text.bleu_rouge": "bleu gleu rouge-n",
        "text.meteor": "meteor",
        "text.chrf_rouge_l": "rouge-l chrf",
        "embeddings.similarity": "similar similar:cosine similar:dot similar:euclidean semantic-similarity",
    },
    "json, xml, html": {
        "structured.is_json": "is-json contains-json",
        "structured.field": "json-field",
        "structured.diff": "json-diff",
        "markup.checks": "is-xml contains-xml is-html contains-html",
    },
    "code, sql, tools": {
        "expression.checks": "expression",
        "code.executes": "code-executes",
        "sql.checks": "is-sql contains-sql",
        "tools.expected_calls": "tool-calls",
        "tools.call_f1": "tool-call-f1",
        "tools.validate": "is-valid-openai-tools-call is-valid-openai-function-call is-valid-function-call",
    },
    "safety": {
        "safety.is_refusal": "is-refusal",
        "safety.refusal": "refusal",
        "safety.pii": "contains-pii",
        "safety.secrets": "contains-secret",
        "safety.prompt_leak": "prompt-injection-canary",
        "embeddings.classifier": "classifier",
    },
    "budgets": {"usage": "latency cost token-budget perplexity perplexity-score finish-reason"},
    "judged": {
        "judge.llm_rubric": "llm-rubric",
        "judge.g_eval": "g-eval",
        "judge.factuality": "factuality model-graded-factuality",
        "judge.closed_qa": "model-graded-closedqa",
        "judge.checklist": "checklist",
        "judge.pairwise": "prefer select-best",
        "judge.conversation": "conversation-relevance",
    },
    "retrieval": {
        "rag.promptfoo": "context-faithfulness answer-relevance context-recall context-relevance",
        "rag.answer": "rag-faithfulness rag-answer-relevancy rag-noise-resistance",
        "rag.correctness": "rag-answer-correctness",
        "rag.context": "rag-context-precision rag-context-utilization rag-context-recall rag-context-relevance "
        "rag-context-entity-recall",
        "rag.citations": "rag-citations rag-citation-support",
    },
}
"""Section → module below this folder → the types that it defines."""

SECTIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        section: tuple(name for names in modules.values() for name in names.split())
        for section, modules in _WRITTEN.items()
    }
)
"""The types, by the name of a section of docs/cookbook/assertions.md, in its order."""


class BuiltinKinds(Mapping[str, "Kind"]):
    """Every assert type by its id, without `not-`; a definition is imported when it is asked for.

    Args:
        change: Applied to each definition once.
    """

    __slots__ = ("_change", "_known")

    def __init__(self, change: Callable[[Kind], Kind] = lambda kind: kind) -> None:
        self._change = change
        self._known: dict[str, Kind] = {}

    def __getitem__(self, name: str) -> Kind:
        """The definition of a type; KeyError if there is none."""
        if name not in self._known:
            self._known[name] = self._change(_defined(_PLACES[name])[name])
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is such a type; nothing is imported for that."""
        return name in _PLACES

    def __iter__(self) -> Iterator[str]:
        """The ids, in the order of the sections."""
        return iter(_PLACES)

    def __len__(self) -> int:
        """How many there are."""
        return len(_PLACES)


def _by_name(places: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Type → module; ValueError if two types share a name."""
    types: dict[str, str] = {}
    for name, module in places:
        if name in types:
            raise ValueError(f"two assert types are called {name!r}")
        types[name] = module
    return MappingProxyType(types)


_PLACES: Final = _by_name(
    (name, module) for modules in _WRITTEN.values() for module, names in modules.items() for name in names.split()
)


@cache
def _defined(module: str) -> Mapping[str, Kind]:
    """The definitions in a module, by id."""
    kinds: tuple[Kind, ...] = import_module(f"llmgate.score.{module}").TYPES
    return {kind.id: kind for kind in kinds}


KINDS: Final[Mapping[str, Kind]] = BuiltinKinds()
"""Every assert type by its id, as it is defined."""
