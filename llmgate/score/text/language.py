"""`language` and `readability`: which language an answer is in, and how hard it is to read."""

from __future__ import annotations

import math
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError, UndefinedError, did_you_mean
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.assertion.settings import between, bounds, choice, least, library

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES"]

MOST_CHARS: Final = 20_000
"""What is looked at: the language of a text does not change after this many characters, the time would."""
FEWEST_LETTERS: Final = 12
"""Below this the identifier guesses."""
DEFAULT_CERTAINTY: Final = 0.5


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid import langid  # noqa: PLC0415 - loads a model, which only suites with this assert need

    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)


def _language(spec: AssertSpec) -> Evaluate:
    threshold = least(spec, DEFAULT_CERTAINTY)
    library(spec, "py3langid")
    known = _known()
    rule = AssertRule.compile(spec, lambda value: _codes(spec, value, known))

    def evaluate(context: CheckContext) -> Finding:
        wanted = rule.on(context)
        text = context.text[:MOST_CHARS]
        letters = sum(character.isalpha() for character in text)
        if letters < FEWEST_LETTERS:
            raise CannotRunError(f"an answer with {letters} letters is too short to tell its language")
        code, certainty = _identifier().classify(text)
        share = sum(float(p) for label, p in _identifier().rank(text) if str(label) in wanted)
        share = min(1.0, max(0.0, share))
        verdict = f"{code} ({float(certainty):.0%} sure), wanted {' or '.join(sorted(wanted))}"
        return Finding(share >= threshold, share, f"the answer is in {verdict}")

    return evaluate


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(str(label) for label, _ in _identifier().rank("a"))


def _codes(spec: AssertSpec, value: object, known: frozenset[str]) -> frozenset[str]:
    names = value if isinstance(value, list) else [value]
    if not names:
        raise invalid_value(spec, "the list of languages is empty")
    return frozenset(_code(spec, name, known) for name in names)


def _code(spec: AssertSpec, name: object, known: frozenset[str]) -> str:
    if not isinstance(name, str) or not name.strip():
        raise invalid_value(spec, f"a language is written `de` or `German`, not {shown(name)}")
    text = name.strip()
    if text.lower() in known:
        return text.lower()
    languages = library(spec, "pycountry").languages
    try:
        code = str(getattr(languages.lookup(text), "alpha_2", ""))
    except LookupError:
        code = ""
    if code not in known:
        raise invalid_value(
            spec, f"the language {text!r} is not known to the identifier", did_you_mean(text, sorted(known))
        )
    return code


FORMULAS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ari": "automated_readability_index",
        "coleman-liau": "coleman_liau_index",
        "lix": "lix",
        "rix": "rix",
    }
)
"""Formulas that count letters, words and sentences; those that count syllables need a dictionary from the network."""


def _readability(spec: AssertSpec) -> Evaluate:
    formula = choice(spec, "formula", "lix", FORMULAS)
    grade: Callable[[str], float] = getattr(library(spec, "textstat"), FORMULAS[formula])
    rule = AssertRule.compile(spec, lambda value: bounds(spec, value))

    def evaluate(context: CheckContext) -> Finding:
        low, high = rule.on(context)
        text = context.text[:MOST_CHARS]
        if not any(character.isalpha() for character in text):
            raise CannotRunError("an answer without letters has no readability")
        level = float(grade(text))
        if not math.isfinite(level):
            raise UndefinedError(f"{formula} of the answer is {level}")
        return Finding.of(low <= level <= high, f"{formula} is {level:.1f}, wanted {between(low, high)}")

    return evaluate


TYPES: Final = (
    CheckKind(
        id="language",
        passes="it is in this language",
        value="`de`, `German`, or a list",
        threshold="certainty, 0.5",
        example={"value": ["en", "German"]},
        extra="metrics",
        prepare=_language,
    ),
    CheckKind(
        id="readability",
        passes="it is as hard to read as wanted",
        value="`{max: 40}`, `{min: …}`",
        settings={"formula": "`lix` (default), `rix`, `ari`, `coleman-liau`"},
        example={"value": {"max": 40}},
        extra="metrics",
        prepare=_readability,
    ),
)
