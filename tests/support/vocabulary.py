"""A sound example of every assert type: what it is written as, and an output that it can be asked about."""

from __future__ import annotations

import json
from typing import Any

from llmgate.score.builtin import KINDS

__all__ = ["ABOUT", "EXAMPLES", "embed", "friendly_judge"]

EXAMPLES: dict[str, dict[str, Any]] = {name: dict(kind.example) for name, kind in KINDS.items()}
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
