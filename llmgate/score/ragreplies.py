"""What promptfoo's retrieval asserts ask a judge, and what its reply says.

A judge is asked for JSON. promptfoo's own forms of reply (marked lines, quotes, a line of verdicts) are read too; the
scores are promptfoo's. A reply that is neither raises, where promptfoo reports a failure with score 0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.score.claims import ATTRIBUTION, CLAIMS, SUPPORT
from llmgate.score.question import MATERIAL, Question
from llmgate.score.reply import agreed_object, as_text, as_texts, holds
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmgate.score.models import JudgeReply

__all__ = ["GUESS", "QUOTES", "RECALL", "STATEMENTS", "lines", "read_faithfulness", "read_quotes", "units"]

MOST_QUOTES: Final = 1000

_ATTRIBUTED = "[attributed]"
_NOT_ATTRIBUTED = "[not attributed]"
_INSUFFICIENT = "Insufficient Information"
_FINAL_VERDICT = "final verdict for each statement in order:"
_YES_OR_NO = re.compile(r"\b(?:yes|no)\b", re.ASCII)
_SENTENCE_END = re.compile(rf"(?<=[.!?])[{re.escape(javascript.WHITESPACE)}]++")
_NUMBER_ONLY = re.compile(r"[0-9]+[.)]")
_LIST_MARK = re.compile(r"\s*+(?:[0-9]++[.)]|[-*])\s*+")


def _read_guess(reply: JudgeReply) -> str:
    if holds(reply, "question"):
        return as_text(agreed_object(reply, "question"), "question")
    return _text_reply(reply)


GUESS: Final = Question(
    task=(
        "You are shown an answer and guess the question that it answers. Ask about all that the answer says and about "
        "nothing else, in the language of the answer."
    ),
    form='{"question": the question}',
    properties={"question": {"type": "string"}},
    frame=MATERIAL,
    read=_read_guess,
)


def _read_statements(reply: JudgeReply) -> list[str]:
    if holds(reply, "statements"):
        return CLAIMS.read(reply)
    statements = lines(_text_reply(reply))
    if not statements:
        raise JudgeError("the judge found no statement, so there is nothing to check")
    return statements


STATEMENTS: Final = CLAIMS.reading(_read_statements)


def read_faithfulness(reply: JudgeReply, statements: int) -> float:
    """The share of statements that are supported; in promptfoo's form of reply, one without a verdict is not.

    Args:
        reply: The verdicts.
        statements: How many statements there are.

    Raises:
        JudgeError: If there are no verdicts, or in JSON not one for each statement.
    """
    if holds(reply, "statements"):
        verdicts = SUPPORT.read(reply)
        if len(verdicts) != statements:
            raise JudgeError(f"the judge gave {len(verdicts)} verdicts on {statements} statements")
        return sum(verdicts) / statements
    text = javascript.trim(_text_reply(reply).lower())
    _, found, final = text.partition(_FINAL_VERDICT)
    if found:
        answers = [answer for answer in final.split(".") if javascript.trim(answer)]
        if not answers or not all(_YES_OR_NO.search(answer) for answer in answers):
            raise JudgeError("the judge's final verdicts are not all yes or no")
        given, unsupported = len(answers), sum("yes" not in answer for answer in answers)
    else:
        unsupported = text.count("verdict: no")
        given = unsupported + text.count("verdict: yes")
        if not given:
            raise JudgeError(f"the judge's reply holds no verdicts: {reply.text[:100]!r}")
    missing = max(0, statements - given)
    return min(1.0, max(0.0, 1 - (unsupported + missing) / statements))


def _read_recall(reply: JudgeReply) -> list[bool]:
    if holds(reply, "classifications"):
        return ATTRIBUTION.read(reply)
    marked = [line.lower() for line in _text_reply(reply).split("\n")]
    flags = [_NOT_ATTRIBUTED not in line for line in marked if _ATTRIBUTED in line or _NOT_ATTRIBUTED in line]
    if not flags:
        raise JudgeError(f"the judge's reply holds no marked lines: {reply.text[:100]!r}")
    return flags


RECALL: Final = ATTRIBUTION.reading(_read_recall)


def read_quotes(reply: JudgeReply, context: str, *, by_sentence: bool) -> set[str]:
    """The different parts of a context that a judge quotes as relevant.

    Args:
        reply: The quotes. In promptfoo's form of reply at least one must be found in the context, in JSON each.
        context: What is quoted.
        by_sentence: Whether the context's parts are its sentences, not its lines.

    Raises:
        JudgeError: If nothing is quoted, or in JSON something that is not there.
    """
    split = units if by_sentence else lines
    folded = _folded(context)
    if holds(reply, "sentences"):
        quoted = as_texts(agreed_object(reply, "sentences"), "sentences")
        _refuse_many(quoted)
        strays = [quote for quote in quoted if not _is_quote(quote, folded)]
        if strays:
            raise JudgeError(f"the judge quotes what is not in the context: {strays[0][:100]!r}")
        return {unit for quote in quoted for unit in split(quote)}
    text = _text_reply(reply)
    if _INSUFFICIENT in text:
        return set()
    quotes = set(split(text))
    _refuse_many(quotes)
    if not any(_is_quote(quote, folded) for quote in quotes):
        raise JudgeError(f"the judge quotes nothing of the context: {reply.text[:100]!r}")
    return quotes


QUOTES: Final = Question(
    task=(
        "You pick out the sentences of a context that help to answer a question. Copy each of them word by word, once, "
        "and change nothing. If no sentence helps, the list is empty."
    ),
    form='{"sentences": [each sentence that helps, as a text]}',
    properties={"sentences": {"type": "array", "items": {"type": "string"}}},
    frame=MATERIAL,
    read=lambda reply: as_texts(agreed_object(reply, "sentences"), "sentences"),
)


def _refuse_many(quotes: Collection[str]) -> None:
    # Looking for each in a long context takes its time.
    if len(quotes) > MOST_QUOTES:
        raise JudgeError(f"the judge's reply has {len(quotes)} quotes, more than {MOST_QUOTES}")


def _is_quote(quote: str, folded_context: str) -> bool:
    mark = _LIST_MARK.match(quote)
    folded = _folded(quote[mark.end() :] if mark else quote)
    return bool(folded) and folded in folded_context


def _folded(text: str) -> str:
    return " ".join(javascript.words(text.lower()))


def lines(text: str) -> list[str]:
    """The lines of a text that are not blank."""
    return [line for line in text.split("\n") if javascript.trim(line)]


def units(text: str) -> list[str]:
    """The parts of a text: its lines where there are several, else its sentences; a mere number of a list is none."""
    found = lines(text)
    parts = found if len(found) > 1 else _SENTENCE_END.split(text)
    return [unit for part in parts if (unit := javascript.trim(part)) and not _NUMBER_ONLY.fullmatch(unit)]


def _text_reply(reply: JudgeReply) -> str:
    if not isinstance(reply.content, str):
        raise JudgeError(f"the judge's reply is not in the form asked for: {reply.text[:100]!r}")
    if not javascript.trim(reply.content):
        raise JudgeError("the judge's reply is empty")
    return reply.content
