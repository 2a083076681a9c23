"""model-graded-closedqa: does the answer meet the criterion, yes or no?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.score.assertion.check import CheckContext, Consult, Finding
from llmgate.score.assertion.definition import ModelGradedKind
from llmgate.score.assertion.rule import shown
from llmgate.score.judge.criterion import text_rule
from llmgate.score.judge.prompt import REASON, Question
from llmgate.score.judge.reply import objects_with, read_reason
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.score.assertion.models import JudgeReply, Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "read_letter"]

_LETTERS: Final = ("Y", "N")
_KEY: Final = "meets_criterion"


def _closed_qa(spec: AssertSpec) -> Consult:
    rule = text_rule(spec, "criterion")

    async def consult(context: CheckContext, models: Models) -> Finding:
        case = {"question": context.prompt, "answer": context.text}
        letter, reason = await _QUESTION.ask(models, given={"criterion": rule.on(context)}, case=case)
        return Finding.of(letter == "Y", f"judge ({letter}): {reason}")

    return consult


def read_letter(reply: JudgeReply) -> tuple[str, str]:
    """Reads Y or N and its reason: the object that was asked for, or a text whose last word is the letter.

    Raises:
        JudgeError: If there is no letter, or two that disagree.
    """
    verdicts = [verdict for verdict in _objects(reply) if _KEY in verdict]
    if verdicts:
        letters, reason = [verdict[_KEY] for verdict in verdicts], read_reason(verdicts[0])
    else:
        words = javascript.words(reply.text)
        letters, reason = [word for word in words if word in _LETTERS], reply.text
        if not letters or words[-1] != letters[-1]:
            raise JudgeError(f"the last word of the judge's reply is not Y or N: {reply.text[-100:]!r}")
    if letters[0] not in _LETTERS:
        raise JudgeError(f"the judge's verdict is {shown(letters[0])}, not Y or N")
    if any(letter != letters[0] for letter in letters):
        raise JudgeError("the judge's reply holds letters that disagree")
    return str(letters[0]), reason


def _objects(reply: JudgeReply) -> list[Mapping[str, object]]:
    # A reply in the old form may hold braces; only one that names our key has to be readable.
    if isinstance(reply.content, str) and _KEY not in reply.content:
        return []
    return objects_with(reply, _KEY, strict=True)


_QUESTION: Final = Question(
    task="Say whether the answer to the question meets the criterion, yes (Y) or no (N). There is nothing in between.",
    form=f'{{"reason": why, in one or two sentences, "{_KEY}": "Y" or "N"}}',
    reminder="Does the answer meet the criterion? Reply with the JSON object.",
    properties={"reason": REASON, _KEY: {"type": "string", "enum": list(_LETTERS)}},
    read=read_letter,
)

TYPES: Final = (
    ModelGradedKind(
        id="model-graded-closedqa",
        use="yes or no",
        passes="it meets the criterion, yes or no",
        value="criterion",
        threshold="none: the judge's yes",
        example={"value": "Is kind to {{ x }}"},
        prepare=_closed_qa,
        prompts=_QUESTION.prompts,
    ),
)
