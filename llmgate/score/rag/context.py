"""What was retrieved, judged: the right passages, in the right order, and enough of them.

The definitions are those of Ragas 0.4.3 (`ragas.metrics.collections`), computed on the same replies. Where it returns
NaN, or a number although the judge said nothing, the assert is an error.

Reference: Es et al. (2023), RAGAS: Automated Evaluation of Retrieval Augmented Generation, arXiv:2309.15217.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.score.assertion.definition import ModelGradedKind
from llmgate.score.assertion.settings import least
from llmgate.score.assertion.together import all_of
from llmgate.score.judge.prompt import MATERIAL, Question
from llmgate.score.judge.reply import agreed_object, as_flag, as_texts
from llmgate.score.rag.claims import ATTRIBUTION
from llmgate.score.rag.inputs import DEFAULT_THRESHOLD, PASSAGES, QUERY, Inputs, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmgate.score.assertion.check import CheckContext, Consult, Finding
    from llmgate.score.assertion.models import JudgeReply, Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "average_precision"]


def average_precision(relevant: Sequence[bool]) -> float:
    """How early the relevant passages come.

    AP = Σₖ (relevant among the first k / k) · [the k-th is relevant] / (relevant in all); 0 if none is relevant.

    Ragas adds 1e-10 to the denominator, so that its best score is a little below 1; this one is exact.

    Args:
        relevant: For each passage, in the order of retrieval.
    """
    hits, total = 0, 0.0
    for k, is_relevant in enumerate(relevant, start=1):
        hits += is_relevant
        total += hits / k if is_relevant else 0.0
    return total / hits if hits else 0.0


USEFUL: Final = Question(
    task=(
        "You decide whether a passage was useful for arriving at an answer to a question: 1 if the answer, or a part "
        "of it that matters, can be taken from the passage, 0 if not. What you know besides the passage does not count."
    ),
    form='{"reason": why, in one or two sentences, "verdict": 1 or 0}',
    properties={"reason": {"type": "string", "maxLength": 600}, "verdict": {"type": "integer", "enum": [0, 1]}},
    frame=MATERIAL,
    read=lambda reply: as_flag(agreed_object(reply, "verdict"), "verdict"),
)


def _precision(*, with_reference: bool) -> Callable[[AssertSpec], Consult]:
    def prepare(spec: AssertSpec) -> Consult:
        threshold, inputs = least(spec, DEFAULT_THRESHOLD), Inputs.compile(spec, reference=with_reference)

        async def consult(context: CheckContext, models: Models) -> Finding:
            query, passages = inputs.query(context), inputs.passages(context)
            answer = inputs.reference(context) if with_reference else inputs.answer(context)
            parts = ({"question": query, "answer": answer, "passage": passage} for passage in passages)
            useful = await all_of([USEFUL.ask(models, case=case) for case in parts])
            what = f"{sum(useful)} of {len(useful)} passages are useful; average precision"
            return judged(average_precision(useful), threshold, what)

        return consult

    return prepare


def _recall(spec: AssertSpec) -> Consult:
    threshold, inputs = least(spec, DEFAULT_THRESHOLD), Inputs.compile(spec, reference=True)

    async def consult(context: CheckContext, models: Models) -> Finding:
        parts = {
            "question": inputs.query(context),
            "context": "\n".join(inputs.passages(context)),
            "reference": inputs.reference(context),
        }
        attributed = await ATTRIBUTION.ask(models, case=parts)
        what = f"{sum(attributed)} of {len(attributed)} sentences of the reference are in the context"
        return judged(sum(attributed) / len(attributed), threshold, what)

    return consult


def _read_rating(reply: JudgeReply) -> int:
    rating = agreed_object(reply, "rating")["rating"]
    if isinstance(rating, bool) or not isinstance(rating, int | float) or rating not in {0, 1, 2}:
        raise JudgeError(f"the judge's 'rating' is {rating!r:.40}, not 0, 1 or 2")
    return int(rating)


_RATING_FORM: Final = '{"rating": 0, 1 or 2}'
RATING: Final = Question(
    task=(
        "You rate how much a context helps to answer a question: 0 if nothing in it helps, 1 if it holds a part of "
        "what is needed, 2 if it holds all that is needed. What you know besides the context does not count."
    ),
    form=_RATING_FORM,
    properties={"rating": {"type": "integer", "enum": [0, 1, 2]}},
    frame=MATERIAL,
    read=_read_rating,
)
SECOND_RATING: Final = replace(
    RATING,
    task=(
        "Suppose that you had to answer a question from a context alone. Say how far you would get: 2 if the context "
        "lets you answer it in full, 1 if it lets you answer only a part, 0 if it does not bring you any further."
    ),
)
"""The same question in other words: two ratings are averaged."""


def _relevance(spec: AssertSpec) -> Consult:
    threshold, inputs = least(spec, DEFAULT_THRESHOLD), Inputs.compile(spec)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, passages = inputs.query(context), "\n".join(inputs.passages(context))
        if passages.strip() in query.strip():
            return judged(0.0, threshold, "the context only repeats the question; relevance")
        parts = {"question": query, "context": passages}
        ratings = await all_of([question.ask(models, case=parts) for question in (RATING, SECOND_RATING)])
        return judged(sum(ratings) / 4, threshold, f"ratings {ratings[0]} and {ratings[1]} of 2; relevance")

    return consult


ENTITIES: Final = Question(
    task=(
        "You list the named entities of a text: persons, places, organisations, works, dates, amounts of money and "
        "other proper names. List each once, in its most common form, even if the text names it in several ways."
    ),
    form='{"entities": [each entity as a text]}',
    properties={"entities": {"type": "array", "items": {"type": "string"}}},
    frame=MATERIAL,
    read=lambda reply: as_texts(agreed_object(reply, "entities"), "entities"),
)


def _entity_recall(spec: AssertSpec) -> Consult:
    threshold, inputs = least(spec, DEFAULT_THRESHOLD), Inputs.compile(spec, reference=True)

    async def consult(context: CheckContext, models: Models) -> Finding:
        texts = (inputs.reference(context), "\n".join(inputs.passages(context)))
        wanted, there = map(set, await all_of([ENTITIES.ask(models, case={"text": text}) for text in texts]))
        if not wanted:
            raise JudgeError("the judge found no entity in the reference, so there is nothing to look for")
        shared = wanted & there
        # Ragas adds 1e-8 to the denominator, so that even a full recall is below 1; this one is exact.
        what = f"{len(shared)} of {len(wanted)} entities of the reference are in the context"
        return judged(len(shared) / len(wanted), threshold, what)

    return consult


_SETTINGS: Final = {"context": PASSAGES, "query": QUERY}

TYPES: Final = (
    ModelGradedKind(
        id="rag-context-precision",
        use="Do they come first?",
        passes="useful passages come first, by the right answer",
        value="right answer",
        threshold="0.5",
        settings=_SETTINGS,
        example={"value": "The cat sat."},
        prepare=_precision(with_reference=True),
        prompts=USEFUL.prompts,
    ),
    ModelGradedKind(
        id="rag-context-utilization",
        use="Do they come first, by the model's answer?",
        passes="useful passages come first, by the model's answer",
        threshold="0.5",
        settings=_SETTINGS,
        prepare=_precision(with_reference=False),
        prompts=USEFUL.prompts,
    ),
    ModelGradedKind(
        id="rag-context-recall",
        use="Were the right passages found?",
        passes="share of the right answer's sentences that the context has",
        value="right answer",
        threshold="0.5",
        settings=_SETTINGS,
        example={"value": "The cat sat."},
        prepare=_recall,
        prompts=ATTRIBUTION.prompts,
    ),
    ModelGradedKind(
        id="rag-context-relevance",
        use="Do they matter?",
        passes="how much of what is needed the context has",
        threshold="0.5",
        settings=_SETTINGS,
        prepare=_relevance,
        prompts=RATING.prompts + SECOND_RATING.prompts,
    ),
    ModelGradedKind(
        id="rag-context-entity-recall",
        use="Were the right names found?",
        passes="share of the right answer's names that the context has",
        value="right answer",
        threshold="0.5",
        settings={"context": PASSAGES},
        example={"value": "The cat sat."},
        prepare=_entity_recall,
        prompts=ENTITIES.prompts,
    ),
)
