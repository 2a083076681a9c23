"""levenshtein: how many UTF-16 units have to be inserted, deleted or replaced."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from rapidfuzz.distance import Levenshtein

from llmgate.score import references
from llmgate.score.check import CheckContext, CheckKind, Evaluate, Finding
from llmgate.score.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.suite.asserts import AssertSpec

__all__ = ["EDIT_CHECKS", "units"]

DEFAULT_MOST_EDITS = 5

_ASTRAL = re.compile("[\U00010000-\U0010ffff]")


def units(text: str) -> str:
    """The text with a character per UTF-16 unit: what lies beyond U+FFFF becomes two surrogates."""
    return text if text.isascii() else _ASTRAL.sub(_surrogates, text)


def _surrogates(found: re.Match[str]) -> str:
    high, low = divmod(ord(found.group()) - 0x10000, 0x400)
    return chr(0xD800 + high) + chr(0xDC00 + low)


def _levenshtein(spec: AssertSpec) -> Evaluate:
    most = DEFAULT_MOST_EDITS if spec.threshold is None else spec.threshold
    rule = Rule.compile(spec, lambda value: units(references.text(spec, value)))

    def evaluate(context: CheckContext) -> Finding:
        expected, text = rule.on(context), units(context.text)
        if most < 0:
            return Finding.of(False, f"no text is within {most:g} edits")
        # Beyond the limit the distance does not matter, and a limit makes long texts cheap.
        limit = math.floor(min(most, max(len(expected), len(text))))
        edits = Levenshtein.distance(text, expected, score_cutoff=limit)
        found = f"{edits} edits" if edits <= limit else f"more than {limit} edits"
        return Finding.of(edits <= limit, f"{found}, at most {most:g} wanted")

    return evaluate


EDIT_CHECKS: Mapping[str, CheckKind] = {"levenshtein": CheckKind(prepare=_levenshtein)}
