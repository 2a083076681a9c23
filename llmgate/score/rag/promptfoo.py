"""promptfoo's retrieval metrics: its prompts, its replies, its arithmetic."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.score.assertion.definition import ModelGradedKind, Need
from llmgate.score.assertion.models import Models, embed_texts
from llmgate.score.assertion.rule import AssertRule, invalid_value
from llmgate.score.assertion.settings import least, least_cosine
from llmgate.score.assertion.together import all_of
from llmgate.score.embeddings.similarity import cosine
from llmgate.score.judge.prompt import MATERIAL, Question
from llmgate.score.judge.reply import agreed_object, as_text, as_texts, holds
from llmgate.score.rag.claims import ATTRIBUTION, CLAIMS, SUPPORT
from llmgate.score.rag.inputs import DEFAULT_THRESHOLD, judged
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmgate.score.assertion.check import CheckContext, Consult, Finding
    from llmgate.score.assertion.models import JudgeReply
    from llmgate.suite.asserts import AssertSpec

__all__ = [
    "GUESS",
    "QUOTES",
    "RECALL",
    "STATEMENTS",
    "TYPES",
    "lines",
    "read_faithfulness",
    "read_quotes",
    "units",
]

QUESTIONS: Final = 3
"""How many questions answer-relevance has a judge guess."""
MOST_QUOTES: Final = 1000

_ATTRIBUTED = "[attributed]"
_NOT_ATTRIBUTED = "[not attributed]"
_INSUFFICIENT = "Insufficient Information"
_FINAL_VERDICT = "final verdict for each statement in order:"
_YES_OR_NO = re.compile(r"\b(?:yes|no)\b", re.ASCII)
_VERDICT = re.compile(r"verdict:\W{0,9}(\w*+)", re.ASCII)
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
    """The share of statements that are supported.

    Args:
        reply: The verdicts.
        statements: How many statements there are.

    Raises:
        JudgeError: If there is not one verdict for each statement, or one that is neither yes nor no.
    """
    verdicts = SUPPORT.read(reply) if holds(reply, "statements") else _worded_verdicts(_text_reply(reply))
    if len(verdicts) != statements:
        raise JudgeError(f"the judge gave {len(verdicts)} verdicts on {statements} statements")
    return sum(verdicts) / statements


def _worded_verdicts(text: str) -> list[bool]:
    """The verdicts of promptfoo's form of reply: all at its end, or one after each statement."""
    text = javascript.trim(text.lower())
    _, marker, final = text.partition(_FINAL_VERDICT)
    if marker:
        said = [set(_YES_OR_NO.findall(answer)) for answer in final.split(".") if javascript.trim(answer)]
    else:
        said = [{word} for word in _VERDICT.findall(text)]
    if not said or any(words not in ({"yes"}, {"no"}) for words in said):
        raise JudgeError(f"the judge's verdicts are not all yes or no: {text[-100:]!r}")
    return [words == {"yes"} for words in said]


def _read_recall(reply: JudgeReply) -> list[bool]:
    if holds(reply, "classifications"):
        return ATTRIBUTION.read(reply)
    lowered = [line.lower() for line in _text_reply(reply).split("\n")]
    marks = [(_ATTRIBUTED in line, _NOT_ATTRIBUTED in line) for line in lowered]
    if not any(map(any, marks)):
        raise JudgeError(f"the judge's reply holds no marked lines: {reply.text[:100]!r}")
    if any(map(all, marks)):
        raise JudgeError("a line of the judge's reply is marked as attributed and as not attributed")
    return [attributed for attributed, not_attributed in marks if attributed or not_attributed]


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
    quotes = set(split(text))
    _refuse_many(quotes)
    found, insufficient = any(_is_quote(quote, folded) for quote in quotes), _INSUFFICIENT in text
    if found and insufficient:
        raise JudgeError("the judge quotes the context and says that it is of no use")
    if not found and not insufficient:
        raise JudgeError(f"the judge quotes nothing of the context: {reply.text[:100]!r}")
    return quotes if found else set()


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
    text_lines = lines(text)
    parts = text_lines if len(text_lines) > 1 else _SENTENCE_END.split(text)
    return [unit for part in parts if (unit := javascript.trim(part)) and not _NUMBER_ONLY.fullmatch(unit)]


def _text_reply(reply: JudgeReply) -> str:
    if not isinstance(reply.content, str):
        raise JudgeError(f"the judge's reply is not in the form asked for: {reply.text[:100]!r}")
    if not javascript.trim(reply.content):
        raise JudgeError("the judge's reply is empty")
    return reply.content


def _answer_relevance(spec: AssertSpec) -> Consult:
    threshold = least_cosine(spec, DEFAULT_THRESHOLD)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query = context.variables.get("query")
        asked = query if isinstance(query, str) else context.prompt
        if not javascript.trim(asked):
            raise invalid_value(spec, "there is no question", "Give the row a column query")
        parts = {"answer": _text_output(spec, context)}
        guessed = await all_of([GUESS.ask(models, case=parts, seed=i) for i in range(QUESTIONS)])
        target, *vectors = await embed_texts(models, [asked, *guessed])
        # A vector without a direction is like none, as in promptfoo.
        cosines = [cosine(target, vector, directionless=0.0) for vector in vectors]
        return judged(sum(cosines) / len(cosines), threshold, "relevance of the answer")

    return consult


def _context_faithfulness(spec: AssertSpec) -> Consult:
    threshold = least(spec, DEFAULT_THRESHOLD, unreachable=True)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, passages, answer = _query(spec, context), _context(spec, context), _text_output(spec, context)
        statements = await STATEMENTS.ask(models, case={"question": query, "text": answer})
        parts = {"context": _joined(passages), "statements": javascript.json_text(statements)}
        question = SUPPORT.reading(lambda reply: read_faithfulness(reply, len(statements)))
        score = await question.ask(models, case=parts)
        return judged(score, threshold, f"faithfulness of {len(statements)} statements")

    return consult


def _context_recall(spec: AssertSpec) -> Consult:
    threshold = least(spec, DEFAULT_THRESHOLD, unreachable=True)
    rule = AssertRule.compile(spec, lambda value: _reference(spec, value))

    async def consult(context: CheckContext, models: Models) -> Finding:
        passages = _context(spec, context, fallback=context.prompt)
        parts = {"context": _joined(passages), "reference": rule.on(context)}
        flags = await RECALL.ask(models, case=parts)
        return judged(sum(flags) / len(flags), threshold, f"{sum(flags)} of {len(flags)} sentences are in the context")

    return consult


def _reference(spec: AssertSpec, value: object) -> str:
    if not isinstance(value, str) or not javascript.trim(value):
        raise invalid_value(spec, "the value must be the right answer as a text")
    return value


def _context_relevance(spec: AssertSpec) -> Consult:
    threshold = least(spec, DEFAULT_THRESHOLD, unreachable=True)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, passages = _query(spec, context), _context(spec, context)
        parts = (
            [passage for passage in passages if javascript.trim(passage)]
            if isinstance(passages, list)
            else units(passages)
        )
        whole = not isinstance(passages, list) and len(lines(passages)) < 2
        question = QUOTES.reading(lambda reply: read_quotes(reply, _joined(passages), by_sentence=whole))
        quotes = await question.ask(models, case={"question": query, "context": _joined(passages)})
        relevant = min(len(quotes), len(parts))
        return judged(relevant / len(parts), threshold, f"{relevant} of {len(parts)} parts of the context are relevant")

    return consult


def _text_output(spec: AssertSpec, context: CheckContext) -> str:
    if not isinstance(context.output, str):
        raise JudgeError(f"{spec.name} judges text, and this output is data")
    if not javascript.trim(context.output):
        raise JudgeError(f"{spec.name}: the answer is empty, so there is nothing to judge")
    return context.output


def _query(spec: AssertSpec, context: CheckContext) -> str:
    query = context.variables.get("query")
    if not isinstance(query, str) or not javascript.trim(query):
        raise invalid_value(spec, "there is no question", "Give the row a text column query")
    return query


def _context(spec: AssertSpec, context: CheckContext, *, fallback: str = "") -> str | list[str]:
    passages = context.variables.get("context") or fallback
    if isinstance(passages, list | tuple) and all(isinstance(passage, str) for passage in passages):
        passages = list(passages)
    elif not isinstance(passages, str):
        raise invalid_value(spec, "the context is neither a text nor a list of texts")
    if not javascript.trim(_joined(passages)):
        raise invalid_value(spec, "there is no context", "Give the row a column context: a text, or a list of texts")
    return passages


def _joined(passages: str | list[str]) -> str:
    return passages if isinstance(passages, str) else "\n\n".join(passages)


TYPES: Final = (
    ModelGradedKind(
        id="context-faithfulness",
        use="Does the answer stay with the passages?",
        passes="share of the answer's statements that the context supports",
        threshold="0.5",
        prepare=_context_faithfulness,
        prompts=STATEMENTS.prompts + SUPPORT.prompts,
    ),
    ModelGradedKind(
        id="answer-relevance",
        use="Does it answer the question?",
        passes="likeness of the question to questions that the answer would fit",
        threshold="0.5",
        example={"threshold": 0.5},
        asks=frozenset({Need.JUDGE, Need.EMBEDDINGS}),
        prepare=_answer_relevance,
        prompts=GUESS.prompts,
    ),
    ModelGradedKind(
        id="context-recall",
        use="Were the right passages found?",
        passes="share of the right answer's sentences that the context has",
        value="right answer",
        threshold="0.5",
        example={"value": "The cat sat."},
        prepare=_context_recall,
        prompts=RECALL.prompts,
    ),
    ModelGradedKind(
        id="context-relevance",
        use="Do they matter?",
        passes="share of the context that matters",
        threshold="0.5",
        prepare=_context_relevance,
        prompts=QUOTES.prompts,
    ),
)
