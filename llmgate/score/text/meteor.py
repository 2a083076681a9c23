"""meteor: words, stems and synonyms shared with a reference, and whether they stand in its order.

As promptfoo computes it, with natural's stems and WordNet's synonyms: white space alone parts words, and points at a
word's end do not count.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from llmgate.errors import UndefinedError
from llmgate.score.assertion import references
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.assertion.settings import bounded_text, graded, least
from llmgate.score.text.stem import stem
from llmgate.score.text.synonyms import load_synonyms
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "Weights", "meteor"]

DEFAULT_THRESHOLD: Final = 0.5
_BLANKS: Final = re.compile(f"[{re.escape(javascript.WHITESPACE)}]+")

Aligned = tuple[int, int]
"""The places of a word in the answer and in the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The parameters of the score.

    Attributes:
        alpha: The weight of precision against recall in the denominator of their mean, from 0 to 1.
        beta: How the penalty grows with the number of chunks, 0 or more.
        gamma: The largest penalty, from 0 to 1.
    """

    alpha: float = 0.9
    beta: float = 3.0
    gamma: float = 0.5


def meteor(
    answer: Sequence[str],
    reference: Sequence[str],
    *,
    synonyms: Mapping[str, frozenset[str]],
    weights: Weights = Weights(),
) -> float:
    """METEOR of one reference.

    With m matches, precision P = m / |answer|, recall R = m / |reference| and c runs of matches that are neighbours in
    both: (1 − γ (c/m)^β) · P R / (α P + (1 − α) R). Equal words are matched first, then equal stems, then synonyms,
    each from the end.

    Args:
        answer: Its words, in lower case.
        reference: Its words, in lower case.
        synonyms: Stem to the stems that mean the same.
        weights: α, β and γ.

    Returns:
        From 0 to 1; 0 without a match.

    Reference: Banerjee and Lavie (2005), METEOR, ACL workshop on evaluation measures, 65–72; Lavie and Agarwal (2007)
    for α.
    """
    matches, left, other = _matched(list(enumerate(answer)), list(enumerate(reference)), lambda word: (word,))
    left, other = ([(place, stem(word)) for place, word in words] for words in (left, other))
    stems, left, other = _matched(left, other, lambda word: (word,))
    alike, *_ = _matched(left, other, lambda word: (word, *synonyms.get(word, ())))
    matches = sorted([*matches, *stems, *alike])
    if not matches:
        return 0.0
    precision, recall = len(matches) / len(answer), len(matches) / len(reference)
    mean = precision * recall / (weights.alpha * precision + (1 - weights.alpha) * recall)
    runs = 1 + sum((a + 1, b + 1) != after for (a, b), after in pairwise(matches))
    return (1 - weights.gamma * math.pow(runs / len(matches), weights.beta)) * mean


def _matched(
    answer: list[tuple[int, str]], reference: list[tuple[int, str]], same: Callable[[str], Iterable[str]]
) -> tuple[list[Aligned], list[tuple[int, str]], list[tuple[int, str]]]:
    """From the end of the answer, each word with the last word of the reference that is left and is the same.

    Returns:
        The matches, and what is left of both.
    """
    places: defaultdict[str, list[int]] = defaultdict(list)
    for index, (_, word) in enumerate(reference):
        places[word].append(index)
    matches, taken, left = [], set(), []
    for place, word in reversed(answer):
        found = max((places[other][-1] for other in same(word) if places.get(other)), default=None)
        if found is None:
            left.append((place, word))
            continue
        other_place, other_word = reference[found]
        places[other_word].pop()
        taken.add(found)
        matches.append((place, other_place))
    return matches, left[::-1], [entry for index, entry in enumerate(reference) if index not in taken]


def _words(text: str) -> list[str]:
    """As JavaScript splits: white space at an end leaves an empty word there, which counts."""
    return [word.rstrip(".").lower() for word in _BLANKS.split(text)]


def _meteor(spec: AssertSpec) -> Evaluate:
    threshold = least(spec, DEFAULT_THRESHOLD, unreachable=True)
    weights = Weights(
        alpha=_weight(spec, "alpha", 0.9), beta=_weight(spec, "beta", 3.0, most=100), gamma=_weight(spec, "gamma", 0.5)
    )
    rule = AssertRule.compile(spec, lambda value: [_words(text) for text in _references(spec, value)])

    def evaluate(context: CheckContext) -> Finding:
        expected, text = rule.on(context), bounded_text(context)
        if not text:
            raise UndefinedError("the answer is empty, and METEOR of no word is not defined")
        answer, synonyms = _words(text), load_synonyms()
        score = max(meteor(answer, words, synonyms=synonyms, weights=weights) for words in expected)
        return graded("METEOR", score, threshold)

    return evaluate


def _references(spec: AssertSpec, value: object) -> list[str]:
    texts = references.texts(spec, value)
    if not all(map(javascript.trim, texts)):
        raise invalid_value(spec, "an expected text is empty, so there is nothing to compare with")
    return texts


def _weight(spec: AssertSpec, key: str, default: float, *, most: float = 1) -> float:
    value = spec.config.get(key, default)
    if not javascript.is_number(value) or not 0 <= value <= most:
        raise invalid_value(spec, f"{key} must be a number from 0 to {most:g}, not {shown(value)}")
    return float(value)


TYPES: Final = (
    CheckKind(
        id="meteor",
        passes="words, stems and synonyms in order, as promptfoo computes them",
        value="text or list",
        threshold="0.5",
        settings={
            "alpha": "weight of precision, 0.9",
            "beta": "how the penalty for other orders grows, 3",
            "gamma": "the largest such penalty, 0.5",
        },
        example={"value": ["the cat sat", "{{ x }}"]},
        prepare=_meteor,
    ),
)
