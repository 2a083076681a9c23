"""Short answers compared as question answering does it: exact-match, fuzzy-match, and f1 over words.

Of several expected answers the best counts.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError
from llmgate.score.assertion import references
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value
from llmgate.score.assertion.settings import choice, graded, least
from llmgate.score.javascript.pattern import Pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "drop_normalised", "squad_normalised", "word_f1"]

DEFAULT_THRESHOLD: Final = 0.5

_ARTICLE: Final = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_DROP_WORDS: Final = re.compile(" |-")
_WITHOUT_DIGITS: Final = str.maketrans("", "", string.digits)


def squad_normalised(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and repeated white space.

    Reference: Rajpurkar et al. (2016), EMNLP, 2383–2392; the order of the steps is that of its evaluation script.
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def drop_normalised(text: str) -> str:
    """Words of any case without punctuation and articles, numbers as numbers: `1` is `1.0`, `half-full` two words.

    Reference: Dua et al. (2019), NAACL, 2368–2378; as in inspect-ai 0.3.285, punctuation around a number does not
    belong to it.
    """
    words = [_drop_word(word) for word in _DROP_WORDS.split(text)]
    return " ".join(word for word in words if word)


def _drop_word(word: str) -> str:
    folded = word.casefold()
    around = folded.strip(string.whitespace + string.punctuation)
    for text in (folded, around, folded.translate(_WITHOUT_PUNCTUATION)):
        number = _finite(text)
        if number is not None:
            return str(number)
    return " ".join(_ARTICLE.sub(" ", folded.translate(_WITHOUT_PUNCTUATION)).split())


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


_NORMALISE: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "casefold": lambda text: " ".join(text.casefold().split()),
        "drop": drop_normalised,
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


def _ignoring(spec: AssertSpec) -> Callable[[str], str]:
    """What to leave out of both texts before they are normalised, in the order of lm-evaluation-harness.

    Reference: `exact_match_hf_evaluate` of lm-evaluation-harness 0.4.13, which has it from Hugging Face's evaluate.
    """
    written = spec.config.get("ignore", [])
    items = written if isinstance(written, list) else [written]
    sources = [source for source in items if isinstance(source, str) and source]
    if len(sources) < len(items):
        raise invalid_value(spec, "config.ignore must be a list of patterns", "Write ignore: [',', '\\$']")
    try:
        patterns = [Pattern.compile(source, python=True) for source in sources]
    except SuiteError as error:
        raise invalid_value(spec, error.what, "Check brackets and quantifiers") from error
    steps: list[Callable[[str], str]] = [pattern.removed_from for pattern in patterns]
    for key, step in _IGNORED.items():
        wanted = spec.config.get(key, False)
        if not isinstance(wanted, bool):
            raise invalid_value(spec, f"config.{key} must be true or false, not {wanted!r}")
        steps += [step] if wanted else []
    return lambda text: reduce(lambda rest, step: step(rest), steps, text)


_IGNORED: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "ignore_case": str.lower,
        "ignore_punctuation": lambda text: text.translate(_WITHOUT_PUNCTUATION),
        "ignore_numbers": lambda text: text.translate(_WITHOUT_DIGITS),
    }
)
"""In the order in which they are applied."""


def _exact_match(spec: AssertSpec) -> Evaluate:
    ignoring = _ignoring(spec)
    by_default = "none" if spec.config.keys() & {"ignore", *_IGNORED} else "squad"
    as_named = _NORMALISE[choice(spec, "normalise", by_default, _NORMALISE)]

    def normalised(text: str) -> str:
        return as_named(ignoring(text))

    rule = AssertRule.compile(spec, lambda value: frozenset(_answers(spec, value, normalised)))

    def evaluate(context: CheckContext) -> Finding:
        answer = normalised(context.text)
        matches = answer in rule.on(context)
        return Finding.of(matches, f"{answer[:80]!r} is {'' if matches else 'not '}among the expected answers")

    return evaluate


def _fuzzy_match(spec: AssertSpec) -> Evaluate:
    rule = AssertRule.compile(spec, lambda value: _answers(spec, value, squad_normalised))

    def evaluate(context: CheckContext) -> Finding:
        answer = squad_normalised(context.text)
        found = next((one for one in rule.on(context) if answer and (one in answer or answer in one)), None)
        which = "neither holds nor lies in any expected answer" if found is None else f"matches {found[:60]!r}"
        return Finding.of(found is not None, f"{answer[:80]!r} {which}")

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


_SETTINGS: Final = {"normalise": "`squad` (default), `drop`, `casefold`, `none`"}

TYPES: Final = (
    CheckKind(
        id="exact-match",
        passes="it is one of the answers, as SQuAD compares: no case, punctuation, articles",
        value="text or list",
        settings={
            **_SETTINGS,
            "ignore": "patterns as Python reads them, removed from both texts; then `normalise` is `none`",
            "ignore_case": "`true`: lower case; then `normalise` is `none`",
            "ignore_punctuation": "`true`: without ASCII punctuation, as above",
            "ignore_numbers": "`true`: without the digits 0 to 9, as above",
        },
        example={"value": ["cat", 7]},
        prepare=_exact_match,
    ),
    CheckKind(
        id="fuzzy-match",
        passes="one of the answers stands in it, or it in one of them, compared as SQuAD does",
        value="text or list",
        example={"value": ["cat", 7]},
        prepare=_fuzzy_match,
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
