"""Short answers compared as question answering does it: exact-match, and f1 over words.

Of several expected answers the best counts.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.score.assertion import references
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value
from llmgate.score.assertion.settings import choice, graded, least

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "squad_normalised", "word_f1"]

DEFAULT_THRESHOLD: Final = 0.5

_ARTICLE: Final = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


def squad_normalised(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and repeated white space.

    Reference: Rajpurkar et al. (2016), EMNLP, 2383–2392; the order of the steps is that of its evaluation script.
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


_NORMALISE: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "casefold": lambda text: " ".join(text.casefold().split()),
        "none": lambda text: text,
        "squad": squad_normalised,
    }
)


def word_f1(words: Counter[str], expected: Counter[str]) -> float:
    """2PR/(P + R) over words, each counted as often as both texts have it; 0 if they share none."""
    total = words.total() + expected.total()
    return 2 * (words & expected).total() / total if total else 0.0


def _answers(spec: AssertSpec, value: object, normalised: Callable[[str], str]) -> list[str]:
    answers = references.answers(spec, value)
    for answer in answers:
        if not normalised(answer):
            fix = "Write `config: {normalise: casefold}`"
            raise invalid_value(spec, f"nothing is left of {answer[:60]!r} without punctuation and articles", fix)
    return [normalised(answer) for answer in answers]


def _exact_match(spec: AssertSpec) -> Evaluate:
    normalised = _NORMALISE[choice(spec, "normalise", "squad", _NORMALISE)]
    rule = AssertRule.compile(spec, lambda value: frozenset(_answers(spec, value, normalised)))

    def evaluate(context: CheckContext) -> Finding:
        answer = normalised(context.text)
        matches = answer in rule.on(context)
        return Finding.of(matches, f"{answer[:80]!r} is {'' if matches else 'not '}among the expected answers")

    return evaluate


def _f1(spec: AssertSpec) -> Evaluate:
    threshold = least(spec, DEFAULT_THRESHOLD)
    normalised = _NORMALISE[choice(spec, "normalise", "squad", _NORMALISE)]

    def words(text: str) -> Counter[str]:
        return Counter(normalised(text).split())

    rule = AssertRule.compile(spec, lambda value: [Counter(a.split()) for a in _answers(spec, value, normalised)])

    def evaluate(context: CheckContext) -> Finding:
        answer = words(context.text)
        return graded("F1", max(word_f1(answer, expected) for expected in rule.on(context)), threshold)

    return evaluate


_SETTINGS: Final = {"normalise": "`squad` (default), `casefold`, `none`"}

TYPES: Final = (
    CheckKind(
        id="exact-match",
        passes="it is one of the answers, as SQuAD compares: no case, punctuation, articles",
        value="text or list",
        settings=_SETTINGS,
        example={"value": ["cat", 7]},
        prepare=_exact_match,
    ),
    CheckKind(
        id="f1",
        passes="it shares words with one of them",
        score="F1 of words",
        value="text or list",
        threshold="0.5",
        settings=_SETTINGS,
        example={"value": "the cat sat"},
        prepare=_f1,
    ),
)
