"""Who judged: the identity of a judge covers the model, every prompt it may be sent, and how its replies are read."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from llmgate.record.schema import JudgeIdentity, ModelIdentity
from llmgate.score.check import ConsultKind, Need
from llmgate.score.checks import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.score.models import JudgeSampling

__all__ = ["identify", "is_self_judging", "prompt_digest"]


def prompt_digest(types: Iterable[str]) -> str:
    """SHA-256 over everything that turns an output into a verdict: prompts, schemas of replies, versions of parsers.

    Args:
        types: Base types of the asserts that ask the judge.
    """
    kinds = {name: VOCABULARY.kinds.get(name) for name in sorted(set(types))}
    facts = [
        [name, kind.version, list(kind.prompts)]
        for name, kind in kinds.items()
        if isinstance(kind, ConsultKind) and Need.JUDGE in kind.needs
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def identify(
    model: str, types: Iterable[str], sampling: JudgeSampling, *, weights_digest: str | None = None
) -> JudgeIdentity:
    """The judge's identity. Two runs with different judges are not comparable."""
    return JudgeIdentity(
        model=model, prompt_digest=prompt_digest(types), sampling=sampling.fields, weights_digest=weights_digest
    )


def is_self_judging(judge: JudgeIdentity, model: ModelIdentity, *, judge_source: str | None = None) -> bool:
    """Whether a model judges its own answers, which it tends to favour.

    The weights decide where both are known. Otherwise it is the same model if it goes by the same name at the same
    place; nothing is said about one model that is served twice.

    Args:
        judge: The judge.
        model: The model under test.
        judge_source: The judge's folder or endpoint, as given.

    Reference: Panickssery et al. (2024), LLM Evaluators Recognize and Favor Their Own Generations, arXiv 2404.13076.
    """
    if judge.weights_digest is not None and model.weights_digest is not None:
        return judge.weights_digest == model.weights_digest
    if judge_source is None:
        return False
    return judge.model == model.name and judge_source.rstrip("/") == model.source.rstrip("/")
