"""`choice`: which letter of a multiple-choice question the model settled on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "chosen"]

DEFAULT_LETTERS: Final = "ABCDEFGHIJ"
_STATED = (
    r"\\boxed\{\s*(?:\\text\{)?\(?(LETTER)\)?\}",
    r"""(?i:\b(?:answer|choice|option|choose|pick|select)\b)[^.\n]{0,40}?(?i:\bis\b|:|=|\s)\s{0,3}"""
    r"""[*_`(\[{"']{0,4}(LETTER)(?![A-Za-z0-9'’])""",
)
_ALONE = (
    r"""(?m:^)[ \t]{0,8}[*_`(\[{"']{0,4}(LETTER)[)\]}.:*_`"']{0,4}[ \t]{0,8}(?m:$)""",
    r"""(?m:^)[ \t]{0,8}[*_`(\[{"']{0,4}(LETTER)[)\]}.:]""",
    r"\((LETTER)\)",
)


def chosen(text: str, letters: str = DEFAULT_LETTERS) -> frozenset[str]:
    r"""The letters that a text settles on: one if it is clear, several if it contradicts itself, none if it says none.

    Looked for in this order; the first kind that is found decides. `\boxed{B}`, the last one; "the answer is B" and
    its like, the last one; a letter alone on a line, a line that begins `B)` or `B.`, a letter in brackets.

    Args:
        text: The answer.
        letters: The letters that exist, in upper case.
    """
    for pattern in _patterns(letters, _STATED):
        stated = pattern.findall(text)
        if stated:
            return frozenset(stated[-1].upper())
    for pattern in _patterns(letters, _ALONE):
        stated = pattern.findall(text)
        if stated:
            return frozenset(letter.upper() for letter in stated)
    return frozenset()


def _patterns(letters: str, templates: tuple[str, ...]) -> list[re.Pattern[str]]:
    return [re.compile(template.replace("LETTER", f"[{letters}]")) for template in templates]


def _choice(spec: AssertSpec) -> Evaluate:
    letters = spec.config.get("letters", DEFAULT_LETTERS)
    if not isinstance(letters, str) or not re.fullmatch(r"[A-Z]{2,26}", letters) or len(set(letters)) < len(letters):
        raise invalid_value(spec, f"config.letters must be different capital letters, not {letters!r}", "Write ABCD")
    rule = AssertRule.compile(spec, lambda value: _letter(spec, value, letters))

    def evaluate(context: CheckContext) -> Finding:
        wanted = rule.on(context)
        letters_chosen = chosen(context.text, letters)
        if not letters_chosen and spec.negated:
            raise CannotRunError("the answer settles on no letter, so it cannot be said to avoid one")
        named = ", ".join(sorted(letters_chosen)) or "no letter"
        return Finding.of(letters_chosen == {wanted}, f"chose {named}, wanted {wanted}")

    return evaluate


def _letter(spec: AssertSpec, value: object, letters: str) -> str:
    """A letter as written, or the letter of an index that counts from 0."""
    if javascript.is_number(value) and 0 <= value < len(letters) and value == int(value):
        return letters[int(value)]
    text = value.strip().strip("()").upper() if isinstance(value, str) else ""
    if len(text) == 1 and text in letters:
        return text
    if text.isdecimal() and len(text) <= 2 and int(text) < len(letters):
        return letters[int(text)]
    raise invalid_value(
        spec,
        f"the value must be one of the letters {letters}, or an index from 0, not {shown(value)}",
    )


TYPES: Final = (
    CheckKind(
        id="choice",
        passes="it settles on this letter of a multiple-choice question",
        value="`B`, or an index from 0",
        settings={"letters": "those that exist, `ABCDEFGHIJ`"},
        example={"value": "B"},
        prepare=_choice,
    ),
)
