"""factuality: how does the answer relate to a reference, in one of five ways?

The test's `options: {factuality: …}` say what each way is worth; an answer passes if its way is worth anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError, SuiteError, did_you_mean
from llmgate.score.assertion.check import CheckContext, Consult, Finding
from llmgate.score.assertion.definition import ModelGradedKind
from llmgate.score.assertion.rule import shown
from llmgate.score.judge.criterion import text_rule
from llmgate.score.judge.prompt import REASON, Question
from llmgate.score.judge.reply import objects_with, read_reason
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.score.assertion.models import JudgeReply, Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "read_category"]

_OPTION: Final = "factuality"
_NAMES: Final[Mapping[str, str]] = {
    "A": "subset",
    "B": "superset",
    "C": "agree",
    "D": "disagree",
    "E": "differButFactual",
}
_MEANING: Final[Mapping[str, str]] = {
    "A": "says less than the reference, and nothing that contradicts it",
    "B": "says more than the reference, and nothing that contradicts it",
    "C": "says the same as the reference",
    "D": "contradicts the reference",
    "E": "differs from the reference in ways that do not matter for the facts",
}
_WORTH: Final[Mapping[str, float]] = {"A": 1.0, "B": 1.0, "C": 1.0, "D": 0.0, "E": 1.0}

# A letter that stands alone before a closing bracket; not the end of a word or of an abbreviation. Where it is the end
# of a choice, as in `(A, B)`, the letter before it counts too.
_ALONE = r"(?<![\w.'’&+-])([A-Ea-e])"
_LETTER = re.compile(rf"(?:{_ALONE}\s{{0,9}}(?:,|/|&|or|and)\s{{0,9}})?(?<![\w.'’+-])([A-Ea-e])\)")


def _factuality(spec: AssertSpec) -> Consult:
    rule = text_rule(spec, "reference")

    async def consult(context: CheckContext, models: Models) -> Finding:
        reference, worth = rule.on(context), _worth(spec, context.options)
        case = {"question": context.prompt, "reference": reference, "answer": context.text}
        category, reason = await _QUESTION.ask(models, case=case)
        score = worth[category]
        return Finding(score > 0, score, f"judge ({category}, the answer {_MEANING[category]}): {reason}")

    return consult


def _worth(spec: AssertSpec, options: Mapping[str, object]) -> Mapping[str, float]:
    given = options.get(_OPTION)
    if given is None:
        return _WORTH
    where = spec.where or None
    if not isinstance(given, Mapping):
        raise SuiteError(f"the option {_OPTION!r} must map categories to scores", where=where)
    for name in given:
        if name not in _NAMES.values():
            fix = did_you_mean(str(name), _NAMES.values())
            raise SuiteError(f"the option {_OPTION!r} has an unknown category {name!r}", where=where, fix=fix)
    worth = {
        letter: _number(given[name], name, where) if name in given else _WORTH[letter]
        for letter, name in _NAMES.items()
    }
    if len(set(worth.values())) == 1:
        raise SuiteError(f"the option {_OPTION!r} gives every category the same score", where=where)
    return worth


def _number(value: object, name: str, where: str | None) -> float:
    if not javascript.is_number(value) or not 0 <= value <= 1:
        what = f"the score of the category {name!r} is {shown(value)}, not a number from 0 to 1"
        raise SuiteError(what, where=where)
    return float(value)


def read_category(reply: JudgeReply) -> tuple[str, str]:
    """Reads a category and its reason.

    Returns:
        A letter from A to E, and what the judge said.

    Raises:
        JudgeError: If there is no category, or two that disagree.
    """
    verdicts = [verdict for verdict in objects_with(reply, "category") if "category" in verdict]
    letters = [_category(verdict["category"]) for verdict in verdicts]
    # A letter inside an object is part of its reason, so an object without a category says nothing.
    if not verdicts and not objects_with(reply):
        letters = [letter.upper() for pair in _LETTER.findall(reply.text) for letter in pair if letter]
    if not letters:
        raise JudgeError(f"the judge's reply holds no category: {reply.text[:100]!r}")
    if len(set(letters)) > 1:
        raise JudgeError(f"the judge's reply holds categories that disagree: {', '.join(sorted(set(letters)))}")
    return letters[0], read_reason(verdicts[0]) if verdicts else reply.text


def _category(value: object) -> str:
    letter = javascript.trim(value).upper() if isinstance(value, str) else ""
    if letter not in _NAMES:
        raise JudgeError(f"the judge's category is {shown(value)}, not one letter from A to E")
    return letter


_QUESTION: Final = Question(
    task="Compare the facts in the answer with those in the reference, and nothing else: not style, not order, not "
    "length. Choose one category: the answer\n" + "\n".join(f"{letter}: {what}" for letter, what in _MEANING.items()),
    form='{"reason": why, in one or two sentences, "category": one letter}',
    reminder="Which category? Reply with the JSON object.",
    properties={"reason": REASON, "category": {"type": "string", "enum": list(_NAMES)}},
    read=read_category,
)

_FACTUALITY: Final = ModelGradedKind(
    id="factuality",
    use="you have a reference, and wording is free",
    passes="it does not contradict the reference",
    value="reference",
    threshold="none: 0 fails",
    example={"value": "{{ x }} is kind"},
    prepare=_factuality,
    prompts=_QUESTION.prompts,
)

TYPES: Final = (_FACTUALITY, replace(_FACTUALITY, id="model-graded-factuality"))
