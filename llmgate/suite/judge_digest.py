"""What a judged assert asks, apart from where it stands and what becomes of its score."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["PAIRED", "assert_digest", "criterion_of"]

PAIRED: Final = frozenset({"prefer"})
"""Types that compare two answers: their value is the other answer and no part of the criterion."""


def assert_digest(spec: AssertSpec, version: str) -> str:
    """SHA-256 over the question that an assert puts to its judges.

    Weight, metric, `required` and `not-` change what becomes of the judge's word, and not the word; the names of
    judges are the run's business.

    Args:
        spec: The assert, as written: templates not rendered.
        version: The version of its type's meaning.
    """
    paired = spec.type in PAIRED
    facts = {
        "type": spec.type,
        "version": version,
        "value": None if paired else spec.value,
        "threshold": None if paired else spec.threshold,
        "config": dict(spec.config),
        "transform": list(spec.transform),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def criterion_of(spec: AssertSpec) -> str:
    """What an assert wants, for readers."""
    named = spec.config.get("criterion")
    if isinstance(named, str):
        return named
    return "" if spec.type in PAIRED else javascript.text(spec.value)
