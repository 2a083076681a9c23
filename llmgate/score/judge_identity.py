"""Who judged: the identity of a judge covers the model, every prompt it may be sent, and how its replies are read."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from llmgate.record.manifest import JudgeIdentity
from llmgate.score.assertion.definition import ModelGradedKind, Need
from llmgate.score.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.score.assertion.models import JudgeSampling

__all__ = ["identify", "prompt_digest"]


def prompt_digest(types: Iterable[str]) -> str:
    """SHA-256 over everything that turns an output into a verdict: prompts, schemas of replies, versions of parsers.

    Args:
        types: Base types of the asserts that ask the judge.
    """
    kinds = {name: VOCABULARY.kind(name) for name in sorted(set(types))}
    facts = [
        [name, kind.version, list(kind.prompts)]
        for name, kind in kinds.items()
        if isinstance(kind, ModelGradedKind) and Need.JUDGE in kind.asks
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def identify(
    model: str, types: Iterable[str], sampling: JudgeSampling, *, source: str = "", weights_digest: str | None = None
) -> JudgeIdentity:
    """The judge's identity. Two runs with different judges are not comparable."""
    return JudgeIdentity(
        model=model,
        prompt_digest=prompt_digest(types),
        sampling=sampling.fields,
        source=source,
        weights_digest=weights_digest,
    )
