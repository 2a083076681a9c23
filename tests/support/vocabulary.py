"""A sound example of every assert type: what it is written as, and an output that it can be asked about."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["ABOUT", "EXAMPLES", "embed", "friendly_judge"]

Spec = dict[str, Any]

EXAMPLES: dict[str, Spec] = {
    "contains-html": {},
    "contains-json": {"value": {"type": "object", "required": ["a"]}},
    "contains-xml": {"value": "a"},
    "is-html": {},
    "is-xml": {"value": "root.a"},
    "json-diff": {"value": {"a": [1, 2], "b": "x"}},
    "json-field": {"value": [{"path": "$.a[*]", "min": 1}, {"path": "$.b", "exists": True}]},
    "answer-relevance": {"threshold": 0.5},
    "bleu": {"value": ["the cat sat", "{{ x }}"]},
    "checklist": {"value": ["Greets {{ x }}", "Is short"]},
    "choice": {"value": "B"},
    "chrf": {"value": "the cat sat"},
    "code-executes": {"value": "assert True"},
    "contains": {"value": "a"},
    "contains-pii": {},
    "contains-secret": {},
    "contains-sql": {"value": {"allowedColumns": ["select::null::a"]}},
    "context-faithfulness": {},
    "context-recall": {"value": "The cat sat."},
    "context-relevance": {},
    "contains-all": {"value": ["a", "b"]},
    "contains-any": {"value": "a, b"},
    "cost": {"threshold": 1},
    "equals": {"value": {"a": [1]}},
    "exact-match": {"value": ["cat", 7]},
    "factuality": {"value": "{{ x }} is kind"},
    "f1": {"value": "the cat sat"},
    "finish-reason": {"value": "stop"},
    "g-eval": {"value": ["Is kind to {{ x }}", "Is short"]},
    "gleu": {"value": "the cat sat"},
    "icontains": {"value": 7},
    "icontains-all": {"value": ["{{ x }}"]},
    "icontains-any": {"value": "{{ x }}, b"},
    "is-json": {"value": {"type": "object", "required": ["a"], "properties": {"a": {"type": "array"}}}},
    "is-refusal": {},
    "is-sql": {"value": {"databaseType": "PostgreSQL", "allowedTables": ["select::(.*)::t"]}},
    "is-valid-function-call": {},
    "is-valid-openai-function-call": {},
    "is-valid-openai-tools-call": {},
    "language": {"value": ["en", "German"]},
    "latency": {"threshold": 1},
    "levenshtein": {"value": "the cat sat"},
    "llm-rubric": {"value": "Is kind to {{ x }}"},
    "math-equal": {"value": r"\frac{1}{2}"},
    "model-graded-closedqa": {"value": "Is kind to {{ x }}"},
    "model-graded-factuality": {"value": "{{ x }} is kind"},
    "perplexity": {"threshold": 2},
    "perplexity-score": {"threshold": 0.3},
    "prefer": {"value": "{{ x }}"},
    "prompt-injection-canary": {"value": "{{ x }}-canary"},
    "rag-answer-correctness": {"value": "The cat sat."},
    "rag-answer-relevancy": {},
    "rag-citation-support": {},
    "rag-citations": {},
    "rag-context-entity-recall": {"value": "The cat sat."},
    "rag-context-precision": {"value": "The cat sat."},
    "rag-context-recall": {"value": "The cat sat."},
    "rag-context-relevance": {},
    "rag-context-utilization": {},
    "rag-faithfulness": {},
    "rag-noise-resistance": {"value": "The cat sat."},
    "readability": {"value": {"max": 40}},
    "refusal": {},
    "regex": {"value": r"^(\w+)\s\1$"},
    "rouge-l": {"value": "the cat sat"},
    "rouge-n": {"value": "the cat sat"},
    "semantic-similarity": {"value": "the cat sat"},
    "similar": {"value": "the cat sat"},
    "similar:cosine": {"value": "the cat sat"},
    "similar:dot": {"value": "the cat sat", "threshold": 0.1},
    "similar:euclidean": {"value": ["the cat sat"]},
    "starts-with": {"value": "{{ x }}"},
    "tool-call-f1": {"value": "{{ x }}, b"},
    "tool-calls": {"value": ["{{ x }}", {"name": "b", "arguments": {}}]},
    "token-budget": {"threshold": 5},
    "word-count": {"value": {"min": 1, "max": 3}},
}
"""By type: the rest of the assert."""

ABOUT: dict[str, Any] = {
    "vars": {"x": "a dog", "query": "What did the cat do?", "context": ["The cat sat. It was a dog."]},
    "prompt": "What did the cat do?",
    "latency_ms": 2,
    "cost": 0.5,
    "logprobs": [-0.5],
    "finish_reason": "stop",
    "tokens": {"prompt": 1, "completion": 2, "total": 3},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}],
}
"""What is known about every output."""


def embed(text: str) -> list[float]:
    """A vector for any text."""
    return [float(len(text)), 1.0]


def friendly_judge(prompt: str) -> str:
    """Says yes to whatever it is asked, with all the keys that verdicts have."""
    return json.dumps({"pass": True, "score": 1, "reason": f"{len(prompt)} characters of it are fine"})
