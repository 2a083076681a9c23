"""Overlap of words with reference texts, as promptfoo computes it: bleu, gleu, rouge-n.

Case never counts. Of several references, bleu takes per order of n-grams the one that matches most, gleu the one that
scores best.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from llmgate.score.assertion import references
from llmgate.score.assertion.definition import CheckKind, Prepare
from llmgate.score.assertion.rule import AssertRule
from llmgate.score.assertion.settings import bounded_text, graded, least
from llmgate.score.text.treebank import treebank_words
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "Grams", "bleu", "gleu", "rouge_n"]

T = TypeVar("T")

DEFAULT_THRESHOLD: Final = 0.5
DEFAULT_ROUGE_THRESHOLD: Final = 0.75

ORDERS: Final = (1, 2, 3, 4)
NO_MATCH_PRECISION: Final = 1e-7
"""Stands in for a precision of 0, whose logarithm does not exist."""


@dataclass(frozen=True, slots=True)
class Grams:
    """The words of a text, and how often each n-gram of orders 1 to 4 occurs.

    Attributes:
        words: In order.
        counts: N-gram to count, by order.
    """

    words: Sequence[str]
    counts: tuple[Counter[tuple[str, ...]], ...]

    @classmethod
    def of(cls, words: Sequence[str]) -> Grams:
        """Counts the n-grams of these words."""
        return cls(words, tuple(Counter(zip(*(words[i:] for i in range(n)), strict=False)) for n in ORDERS))


def bleu(candidate: Grams, expected: Sequence[Grams]) -> float:
    """Sentence BLEU with a floor for precisions of 0.

    With p_n the clipped precision of order n, N the orders that the candidate is long enough for, c its length and r
    the length of the reference whose length is nearest (of two the shorter): min(1, exp(1 − r/c)) · (∏ p_n)^(1/N).

    Reference: Papineni et al. (2002), ACL, 311–318. Deviations, as in promptfoo: the floor, and orders for which the
    candidate is too short are left out.
    """
    length = len(candidate.words)
    logs = []
    for order, counts in enumerate(candidate.counts):
        if not counts:
            break
        matches = max(_shared(counts, reference.counts[order]) for reference in expected)
        logs.append(math.log(matches / counts.total() or NO_MATCH_PRECISION))
    if not logs:
        return 0.0
    nearest = min((len(reference.words) for reference in expected), key=lambda r: (abs(r - length), r))
    return min(1.0, math.exp(1 - nearest / length)) * math.exp(sum(logs) / len(logs))


def gleu(candidate: Grams, expected: Sequence[Grams]) -> float:
    """The best of min(precision, recall) over all n-grams of orders 1 to 4.

    Reference: Wu et al. (2016), arXiv:1609.08144, section 4.
    """
    return max(_gleu(candidate, reference) for reference in expected)


def _gleu(candidate: Grams, reference: Grams) -> float:
    longest = max(sum(counts.total() for counts in grams.counts) for grams in (candidate, reference))
    matches = sum(map(_shared, candidate.counts, reference.counts))
    return matches / longest if longest else 0.0


def rouge_n(candidate: Counter[str], expected: Counter[str]) -> float:
    """F1 of the words, each counted as often as both texts have it.

    Reference: Lin (2004), ROUGE: A Package for Automatic Evaluation of Summaries, with n = 1.
    """
    total = candidate.total() + expected.total()
    return 2 * _shared(candidate, expected) / total if total else 0.0


def _shared(left: Counter[T], right: Counter[T]) -> int:
    if len(left) > len(right):
        left, right = right, left
    return sum(min(count, right[gram]) for gram, count in left.items() if gram in right)


def _bleu_words(text: str) -> list[str]:
    return javascript.words(text.lower())


def _bleu_reference(text: str) -> Grams:
    # JavaScript splits an empty text into one empty word.
    return Grams.of(_bleu_words(text) or [""])


def _gleu_words(text: str) -> list[str]:
    words = [word.rstrip(".") for word in _bleu_words(text)]
    return words if any(words) else []


def _best_of(
    name: str,
    score: Callable[[Grams, Sequence[Grams]], float],
    words: Callable[[str], list[str]],
    reference: Callable[[str], Grams],
) -> Prepare:
    def prepare(spec: AssertSpec) -> Evaluate:
        threshold = least(spec, DEFAULT_THRESHOLD, unreachable=True)
        rule = AssertRule.compile(spec, lambda value: [reference(text) for text in references.texts(spec, value)])

        def evaluate(context: CheckContext) -> Finding:
            return graded(name, score(Grams.of(words(context.text)), rule.on(context)), threshold)

        return evaluate

    return prepare


def _rouge_n(spec: AssertSpec) -> Evaluate:
    threshold = least(spec, DEFAULT_ROUGE_THRESHOLD, unreachable=True)
    rule = AssertRule.compile(spec, lambda value: Counter(treebank_words(references.text(spec, value).lower())))

    def evaluate(context: CheckContext) -> Finding:
        return graded(
            "ROUGE-1", rouge_n(Counter(treebank_words(bounded_text(context).lower())), rule.on(context)), threshold
        )

    return evaluate


TYPES: Final = (
    CheckKind(
        id="bleu",
        passes="n-grams of words, as promptfoo computes them",
        value="text or list",
        threshold="0.5",
        example={"value": ["the cat sat", "{{ x }}"]},
        prepare=_best_of("BLEU", bleu, _bleu_words, _bleu_reference),
    ),
    CheckKind(
        id="gleu",
        passes="the same, precision or recall, whichever is lower",
        value="text or list",
        threshold="0.5",
        example={"value": "the cat sat"},
        prepare=_best_of("GLEU", gleu, _gleu_words, lambda text: Grams.of(_gleu_words(text))),
    ),
    CheckKind(
        id="rouge-n",
        passes="F1 of words, as promptfoo computes it",
        value="text",
        threshold="0.75",
        example={"value": "the cat sat"},
        prepare=_rouge_n,
    ),
)
