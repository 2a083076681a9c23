"""The questions that several retrieval asserts share: which claims a text makes, and what supports them.

The replies have the fields of Ragas 0.4.3, so that the same scripted replies can be given to both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.score.judge.prompt import MATERIAL, Question, object_schema
from llmgate.score.judge.reply import agreed_object, as_flag, as_items, as_text, as_texts
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.score.assertion.models import JudgeReply, Models
    from llmgate.suite.asserts import Json

__all__ = ["ATTRIBUTION", "CLAIMS", "SUPPORT", "find_claims", "find_support", "read_flags"]

_JUDGEMENT_OF: Final[dict[str, Json]] = {
    "statement": {"type": "string"},
    "reason": {"type": "string", "maxLength": 600},
}


def _read_claims(reply: JudgeReply) -> list[str]:
    claims = as_texts(agreed_object(reply, "statements"), "statements")
    if not claims:
        raise JudgeError("the judge found no statement, so there is nothing to check")
    return claims


def read_flags(reply: JudgeReply, key: str, flag: str) -> list[bool]:
    """A flag for each object of a list, for example the verdict on each statement.

    Raises:
        JudgeError: If the list is empty or no such list.
    """
    items = as_items(agreed_object(reply, key), key)
    if not items:
        raise JudgeError("the judge gave no verdict")
    for item in items:
        as_text(item, "statement")
    return [as_flag(item, flag) for item in items]


CLAIMS: Final = Question(
    task=(
        "You split a text, which answers a question, into statements. Each statement says one thing that is true or "
        "false, in a full sentence that can be understood on its own: names instead of pronouns. Keep what the text "
        "claims, whether or not it is right; add nothing, leave nothing out. A text that claims nothing, such as a "
        "mere refusal or a greeting, has no statements."
    ),
    form='{"statements": [each statement as a text]}',
    properties={"statements": {"type": "array", "items": {"type": "string"}}},
    frame=MATERIAL,
    read=_read_claims,
)

SUPPORT: Final = Question(
    task=(
        "You check statements against a context. For every statement, in the order given, decide whether it follows "
        "from the context alone: 1 if the context states or directly implies it, 0 if the context contradicts it or "
        "does not say so. What you know besides the context does not count."
    ),
    form='{"statements": [for each statement {"statement": word by word, "reason": why, "verdict": 1 or 0}]}',
    properties={
        "statements": {
            "type": "array",
            "items": object_schema({**_JUDGEMENT_OF, "verdict": {"type": "integer", "enum": [0, 1]}}),
        }
    },
    frame=MATERIAL,
    read=lambda reply: read_flags(reply, "statements", "verdict"),
)

ATTRIBUTION: Final = Question(
    task=(
        "You check how much of a reference text can be found in a context. Split the reference into its sentences. For "
        "every sentence, in order, decide whether it can be attributed to the context: 1 if the context says so, 0 if "
        "it does not. What you know besides the context does not count."
    ),
    form='{"classifications": [for each sentence {"statement": the sentence, "reason": why, "attributed": 1 or 0}]}',
    properties={
        "classifications": {
            "type": "array",
            "items": object_schema({**_JUDGEMENT_OF, "attributed": {"type": "integer", "enum": [0, 1]}}),
        }
    },
    frame=MATERIAL,
    read=lambda reply: read_flags(reply, "classifications", "attributed"),
)


async def find_claims(models: Models, query: str, text: str) -> list[str]:
    """What a text claims in answer to a question; at least one statement.

    Raises:
        JudgeError: If the judge cannot be read or found none.
    """
    return await CLAIMS.ask(models, case={"question": query, "text": text})


async def find_support(models: Models, statements: Sequence[str], context: str) -> list[bool]:
    """Which statements follow from a context.

    Raises:
        JudgeError: If there is not exactly one verdict for each statement.
    """

    def fits(verdicts: list[bool]) -> None:
        if len(verdicts) != len(statements):
            raise JudgeError(f"the judge gave {len(verdicts)} verdicts on {len(statements)} statements")

    parts = {"context": context, "statements": javascript.json_text(list(statements))}
    return await SUPPORT.ask(models, case=parts, fits=fits)
