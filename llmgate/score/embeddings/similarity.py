"""Similarity of meaning: the cosine of two embeddings, and the checks that ask for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import UndefinedError
from llmgate.score.assertion import references
from llmgate.score.assertion.check import CheckContext, Consult, Finding
from llmgate.score.assertion.definition import ModelGradedKind, Need
from llmgate.score.assertion.models import Embed, Models, embed_texts
from llmgate.score.assertion.rule import AssertRule, invalid_value
from llmgate.score.assertion.settings import graded, least, least_cosine, most
from llmgate.score.embeddings.local import load_embedder
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "Vector", "cosine", "dot"]

Vector = Sequence[float]

DEFAULT_THRESHOLD: Final = 0.75
ROUNDING: Final = 2.0**-52
"""How far a similarity may miss its threshold, as in promptfoo: the distance from 1 to the next float."""

Measure = Callable[[Vector, Vector, float], tuple[bool, float, str]]
"""Two vectors and the threshold → whether they are near enough, the score, and both in words."""
Thresholds = Callable[["AssertSpec"], float]


def cosine(left: Vector, right: Vector, *, directionless: float | None = None) -> float:
    """The cosine of the angle between two vectors, l·r / (|l||r|), from −1 to 1.

    Args:
        left: A vector.
        right: Another one of the same length.
        directionless: What it is if one of them is all zeros.

    Raises:
        UndefinedError: If one is all zeros and nothing is said about that.
    """
    left, right = _scaled(left), _scaled(right)
    length = math.hypot(*left) * math.hypot(*right)
    if length:
        return max(-1.0, min(1.0, dot(left, right) / length))
    if directionless is None:
        raise UndefinedError("an embedding has no direction, so nothing is similar to it")
    return directionless


def dot(left: Vector, right: Vector) -> float:
    """The sum of the products, number by number.

    Raises:
        UndefinedError: If it is too large for a float.
    """
    try:
        product = math.fsum(x * y for x, y in zip(left, right, strict=True))
    except (OverflowError, ValueError) as error:
        raise UndefinedError("the numbers of the embeddings are too large to multiply") from error
    if not math.isfinite(product):
        raise UndefinedError("the numbers of the embeddings are too large to multiply")
    return product


def _scaled(vector: Vector) -> Vector:
    # Squares of large numbers overflow, squares of small ones vanish.
    largest = max(map(abs, vector), default=0.0)
    return [value / largest for value in vector] if largest else vector


def _threshold(spec: AssertSpec) -> float:
    return DEFAULT_THRESHOLD if spec.threshold is None else spec.threshold


def _by_cosine(left: Vector, right: Vector, threshold: float) -> tuple[bool, float, str]:
    return _at_least(cosine(left, right, directionless=0.0), threshold)


def _by_dot(left: Vector, right: Vector, threshold: float) -> tuple[bool, float, str]:
    return _at_least(dot(left, right), threshold)


def _at_least(found: float, threshold: float) -> tuple[bool, float, str]:
    return found >= threshold - ROUNDING, found, f"similarity {found:.4g}, wanted at least {threshold:g}"


def _by_distance(left: Vector, right: Vector, threshold: float) -> tuple[bool, float, str]:
    distance = math.dist(left, right)
    if not math.isfinite(distance):
        raise UndefinedError("the numbers of the embeddings are too large for a distance")
    reason = f"distance {distance:.4g}, at most {threshold:g} wanted"
    return distance <= threshold + ROUNDING, 1 / (1 + distance), reason


def _similar(measure: Measure, thresholds: Thresholds) -> Callable[[AssertSpec], Consult]:
    def prepare(spec: AssertSpec) -> Consult:
        threshold = thresholds(spec)
        rule = AssertRule.compile(spec, lambda value: _expected(spec, value))

        async def consult(context: CheckContext, models: Models) -> Finding:
            output, *expected = await embed_texts(models, [context.text, *rule.on(context)])
            findings = [Finding(*measure(vector, output, threshold)) for vector in expected]
            near = [finding for finding in findings if finding.passed]
            return near[0] if near else max(findings, key=lambda finding: finding.score)

        return consult

    return prepare


def _expected(spec: AssertSpec, value: object) -> list[str]:
    texts = references.texts(spec, value)
    if not all(map(javascript.trim, texts)):
        raise invalid_value(spec, "an expected text is empty, so there is nothing to compare with")
    return texts


def _semantic_similarity(spec: AssertSpec) -> Consult:
    threshold = least(spec, DEFAULT_THRESHOLD)
    rule = AssertRule.compile(spec, lambda value: _expected(spec, value))
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
        raise invalid_value(spec, "model must be the path of a folder")
    embedder = load_embedder(folder, where=spec.where or None)

    async def embed(texts: Sequence[str]) -> Sequence[Vector]:
        return await asyncio.to_thread(embedder, texts)

    return embed


_EMBEDDINGS: Final = frozenset({Need.EMBEDDINGS})
_SIMILAR: Final = ModelGradedKind(
    id="similar",
    passes="cosine of embeddings",
    value="text or list",
    threshold="0.75",
    example={"value": "the cat sat"},
    asks=_EMBEDDINGS,
    prepare=_similar(_by_cosine, lambda spec: least_cosine(spec, DEFAULT_THRESHOLD)),
)

TYPES: Final = (
    _SIMILAR,
    replace(_SIMILAR, id="similar:cosine"),
    replace(
        _SIMILAR,
        id="similar:dot",
        passes="dot product of embeddings",
        example={"value": "the cat sat", "threshold": 0.1},
        prepare=_similar(_by_dot, _threshold),
    ),
    replace(
        _SIMILAR,
        id="similar:euclidean",
        passes="distance of embeddings",
        threshold="most, 0.75",
        prepare=_similar(_by_distance, lambda spec: most(spec, DEFAULT_THRESHOLD)),
    ),
    replace(
        _SIMILAR,
        id="semantic-similarity",
        passes="cosine of embeddings, never below 0",
        settings={"model": "folder of a local model, which needs no endpoint"},
        asks_of=lambda spec: frozenset() if "model" in spec.config else _EMBEDDINGS,
        folder=lambda spec: folder if isinstance(folder := spec.config.get("model"), str) else None,
        prepare=_semantic_similarity,
    ),
)
