"""Similarity of embeddings: similar and its variants as in promptfoo, and semantic-similarity.

Of several expected texts, `similar` takes the first that is near enough and else the nearest, `semantic-similarity`
always the nearest.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import UndefinedError
from llmgate.score import references
from llmgate.score.check import CheckContext, ConsultKind, Finding, Need
from llmgate.score.cosine import Vector, cosine, dot
from llmgate.score.embedder import load_embedder
from llmgate.score.limits import graded, least, least_cosine, most
from llmgate.score.models import Consult, Embed, Models, embed_texts
from llmgate.score.rule import Rule, broken
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["SIMILARITY_CHECKS"]

DEFAULT_THRESHOLD: Final = 0.75
ROUNDING: Final = 2.0**-52
"""How far a similarity may miss its threshold, as in promptfoo: the distance from 1 to the next float."""

Measure = Callable[[Vector, Vector, float], tuple[bool, float, str]]
"""Two vectors and the threshold → whether they are near enough, the score, and both in words."""
Thresholds = Callable[["AssertSpec"], float]


def _threshold(spec: AssertSpec) -> float:
    return DEFAULT_THRESHOLD if spec.threshold is None else spec.threshold


def _by_cosine(left: Vector, right: Vector, threshold: float) -> tuple[bool, float, str]:
    return _at_least(cosine(left, right, directionless=0.0), threshold)


def _by_dot(left: Vector, right: Vector, threshold: float) -> tuple[bool, float, str]:
    return _at_least(dot(left, right), threshold)


def _at_least(found: float, threshold: float) -> tuple[bool, float, str]:
    return found >= threshold - ROUNDING, found, f"similarity {found:.4g}, wanted at least {threshold:g}"


def _by_distance(left: Vector, right: Vector, threshold: float) -> tuple[bool, float, str]:
    found = math.dist(left, right)
    if not math.isfinite(found):
        raise UndefinedError("the numbers of the embeddings are too large for a distance")
    return found <= threshold + ROUNDING, 1 / (1 + found), f"distance {found:.4g}, at most {threshold:g} wanted"


def _similar(measure: Measure, thresholds: Thresholds) -> Callable[[AssertSpec], Consult]:
    def prepare(spec: AssertSpec) -> Consult:
        threshold = thresholds(spec)
        rule = Rule.compile(spec, lambda value: _expected(spec, value))

        async def consult(context: CheckContext, models: Models) -> Finding:
            output, *expected = await embed_texts(models, [context.text, *rule.on(context)])
            found = [Finding(*measure(vector, output, threshold)) for vector in expected]
            near = [finding for finding in found if finding.passed]
            return near[0] if near else max(found, key=lambda finding: finding.score)

        return consult

    return prepare


def _expected(spec: AssertSpec, value: object) -> list[str]:
    texts = references.texts(spec, value)
    if not all(map(javascript.trim, texts)):
        raise broken(spec, "an expected text is empty, so there is nothing to compare with")
    return texts


def _semantic_similarity(spec: AssertSpec) -> Consult:
    threshold = least(spec, DEFAULT_THRESHOLD)
    rule = Rule.compile(spec, lambda value: _expected(spec, value))
    local = _local(spec)

    async def consult(context: CheckContext, models: Models) -> Finding:
        asked = models if local is None else replace(models, embed=local)
        output, *expected = await embed_texts(asked, [context.text, *rule.on(context)])
        nearest = max(cosine(vector, output) for vector in expected)
        return graded("similarity", max(0.0, nearest), threshold)

    return consult


def _local(spec: AssertSpec) -> Embed | None:
    if "model" not in spec.config:
        return None
    folder = spec.config["model"]
    if not isinstance(folder, str):
        raise broken(spec, "model must be the path of a folder")
    embedder = load_embedder(folder, where=spec.where or None)

    async def embed(texts: Sequence[str]) -> Sequence[Vector]:
        return await asyncio.to_thread(embedder, texts)

    return embed


def _kind(prepare: Callable[[AssertSpec], Consult], settings: frozenset[str] = frozenset()) -> ConsultKind:
    return ConsultKind(prepare=prepare, needs=frozenset({Need.EMBEDDINGS}), settings=settings)


SIMILARITY_CHECKS: Mapping[str, ConsultKind] = {
    # A local model needs no endpoint.
    "semantic-similarity": replace(
        _kind(_semantic_similarity, frozenset({"model"})),
        needs_of=lambda spec: frozenset() if "model" in spec.config else frozenset({Need.EMBEDDINGS}),
    ),
    "similar": _kind(_similar(_by_cosine, lambda spec: least_cosine(spec, DEFAULT_THRESHOLD))),
    "similar:cosine": _kind(_similar(_by_cosine, lambda spec: least_cosine(spec, DEFAULT_THRESHOLD))),
    "similar:dot": _kind(_similar(_by_dot, _threshold)),
    "similar:euclidean": _kind(_similar(_by_distance, lambda spec: most(spec, DEFAULT_THRESHOLD))),
}
