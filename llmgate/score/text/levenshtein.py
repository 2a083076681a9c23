"""levenshtein: how many UTF-16 units have to be inserted, deleted or replaced."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from rapidfuzz.distance import Levenshtein

from llmgate.score.assertion import references
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule
from llmgate.score.assertion.settings import most
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES"]

DEFAULT_MOST_EDITS = 5


def _levenshtein(spec: AssertSpec) -> Evaluate:
    limit = most(spec, DEFAULT_MOST_EDITS)
    rule = AssertRule.compile(spec, lambda value: javascript.utf16_units(references.text(spec, value)))

    def evaluate(context: CheckContext) -> Finding:
        expected, text = rule.on(context), javascript.utf16_units(context.text)
        if limit < 0:
            return Finding.of(False, f"no text is within {limit:g} edits")
        # Beyond the limit the distance does not matter, and a limit makes long texts cheap.
        cutoff = math.floor(min(limit, max(len(expected), len(text))))
        edits = Levenshtein.distance(text, expected, score_cutoff=cutoff)
        counted = f"{edits} edits" if edits <= cutoff else f"more than {cutoff} edits"
        return Finding.of(edits <= cutoff, f"{counted}, at most {limit:g} wanted")

    return evaluate


TYPES: Final = (
    CheckKind(
        id="levenshtein",
        passes="so few characters differ",
        value="text",
        threshold="most edits, 5",
        example={"value": "the cat sat"},
        prepare=_levenshtein,
    ),
)
