"""promptfoo's retrieval asserts: answer-relevance, context-faithfulness, context-recall, context-relevance.

The scores are promptfoo's. What cannot be judged is an error, where promptfoo reports a failure with score 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.score.check import CheckContext, ConsultKind, Finding, Need
from llmgate.score.claims import SUPPORT
from llmgate.score.cosine import cosine
from llmgate.score.limits import least, least_cosine
from llmgate.score.models import Consult, Models, embed_texts
from llmgate.score.ragreplies import GUESS, QUOTES, RECALL, STATEMENTS, lines, read_faithfulness, read_quotes, units
from llmgate.score.retrieval import DEFAULT_THRESHOLD, judged
from llmgate.score.rule import Rule, broken
from llmgate.score.together import all_of
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.suite.asserts import AssertSpec

__all__ = ["RAG_CHECKS"]

QUESTIONS: Final = 3
"""How many questions answer-relevance has a judge guess."""


def _answer_relevance(spec: AssertSpec) -> Consult:
    threshold = least_cosine(spec, DEFAULT_THRESHOLD)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query = context.variables.get("query")
        asked = query if isinstance(query, str) else context.prompt
        if not javascript.trim(asked):
            raise broken(spec, "there is no question", "Give the row a column query")
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
    rule = Rule.compile(spec, lambda value: _reference(spec, value))

    async def consult(context: CheckContext, models: Models) -> Finding:
        passages = _context(spec, context, fallback=context.prompt)
        parts = {"context": _joined(passages), "reference": rule.on(context)}
        flags = await RECALL.ask(models, case=parts)
        return judged(sum(flags) / len(flags), threshold, f"{sum(flags)} of {len(flags)} sentences are in the context")

    return consult


def _reference(spec: AssertSpec, value: object) -> str:
    if not isinstance(value, str) or not javascript.trim(value):
        raise broken(spec, "the value must be the right answer as a text")
    return value


def _context_relevance(spec: AssertSpec) -> Consult:
    threshold = least(spec, DEFAULT_THRESHOLD, unreachable=True)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, passages = _query(spec, context), _context(spec, context)
        parts = [one for one in passages if javascript.trim(one)] if isinstance(passages, list) else units(passages)
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
        raise broken(spec, "there is no question", "Give the row a text column query")
    return query


def _context(spec: AssertSpec, context: CheckContext, *, fallback: str = "") -> str | list[str]:
    found = context.variables.get("context") or fallback
    if isinstance(found, list | tuple) and all(isinstance(one, str) for one in found):
        found = list(found)
    elif not isinstance(found, str):
        raise broken(spec, "the context is neither a text nor a list of texts")
    if not javascript.trim(_joined(found)):
        raise broken(spec, "there is no context", "Give the row a column context: a text, or a list of texts")
    return found


def _joined(passages: str | list[str]) -> str:
    return passages if isinstance(passages, str) else "\n\n".join(passages)


_JUDGE = frozenset({Need.JUDGE})

RAG_CHECKS: Mapping[str, ConsultKind] = {
    "answer-relevance": ConsultKind(prepare=_answer_relevance, needs=_JUDGE | {Need.EMBEDDINGS}, prompts=GUESS.prompts),
    "context-faithfulness": ConsultKind(
        prepare=_context_faithfulness, needs=_JUDGE, prompts=STATEMENTS.prompts + SUPPORT.prompts
    ),
    "context-recall": ConsultKind(prepare=_context_recall, needs=_JUDGE, prompts=RECALL.prompts),
    "context-relevance": ConsultKind(prepare=_context_relevance, needs=_JUDGE, prompts=QUOTES.prompts),
}
"""promptfoo's asserts about retrieval, by type."""
