"""The answer that was made from what was retrieved, judged: faithful, to the point, not misled.

The definitions are those of Ragas 0.4.3 (`ragas.metrics.collections`), computed on the same replies. Where it returns
NaN, or a number although the judge said nothing (no statements, no question), the assert is an error.

Reference: Es et al. (2023), RAGAS: Automated Evaluation of Retrieval Augmented Generation, arXiv:2309.15217.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import UndefinedError
from llmgate.score.assertion.definition import ModelGradedKind, Need
from llmgate.score.assertion.models import JudgeReply, Models, embed_texts
from llmgate.score.assertion.settings import choice, least, whole
from llmgate.score.assertion.together import all_of
from llmgate.score.embeddings.similarity import cosine
from llmgate.score.judge.prompt import MATERIAL, Question
from llmgate.score.judge.reply import agreed_object, as_flag, as_text
from llmgate.score.rag.claims import CLAIMS, SUPPORT, find_claims, find_support
from llmgate.score.rag.inputs import DEFAULT_THRESHOLD, PASSAGES, QUERY, Inputs, judged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.score.assertion.check import CheckContext, Consult, Finding
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "misled"]

MOST_QUESTIONS: Final = 20


def _faithfulness(spec: AssertSpec) -> Consult:
    threshold, inputs = least(spec, DEFAULT_THRESHOLD), Inputs.compile(spec)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, passages, answer = inputs.query(context), inputs.passages(context), inputs.answer(context)
        statements = await find_claims(models, query, answer)
        supported = await find_support(models, statements, "\n".join(passages))
        what = f"{sum(supported)} of {len(supported)} statements follow from the context"
        return judged(sum(supported) / len(supported), threshold, what)

    return consult


@dataclass(frozen=True, slots=True)
class _Guess:
    question: str
    noncommittal: bool


def _read_guess(reply: JudgeReply) -> _Guess:
    guess = agreed_object(reply, "question")
    return _Guess(as_text(guess, "question"), as_flag(guess, "noncommittal"))


GUESS: Final = Question(
    task=(
        "You are shown an answer. Guess the question that it answers, in the language of the answer, and say whether "
        "the answer is noncommittal: 1 if it evades, stays vague or says that it does not know, 0 if it commits itself."
    ),
    form='{"question": the question, "noncommittal": 1 or 0}',
    properties={"question": {"type": "string"}, "noncommittal": {"type": "integer", "enum": [0, 1]}},
    frame=MATERIAL,
    read=_read_guess,
)


def _relevancy(spec: AssertSpec) -> Consult:
    threshold, inputs = least(spec, DEFAULT_THRESHOLD), Inputs.compile(spec)
    questions = whole(spec, "questions", 3, low=1, high=MOST_QUESTIONS)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, parts = inputs.query(context), {"answer": inputs.answer(context)}
        guesses = await all_of([GUESS.ask(models, case=parts, seed=i) for i in range(questions)])
        if all(guess.noncommittal for guess in guesses):
            return judged(0.0, threshold, "the answer is noncommittal; relevancy")
        target, *vectors = await embed_texts(models, [query, *(guess.question for guess in guesses)])
        cosines = [cosine(target, vector) for vector in vectors]
        return judged(sum(cosines) / len(cosines), threshold, f"relevancy, mean of {questions} guessed questions")

    return consult


def misled(
    *, relevant: Sequence[bool], supported: Sequence[Sequence[bool]], right: Sequence[bool], by_relevant: bool
) -> float:
    """The share of an answer's statements that are wrong and come from what was retrieved (noise sensitivity).

    Args:
        relevant: For each passage, whether any statement of the reference follows from it.
        supported: For each passage, which of the answer's statements follow from it.
        right: Which of the answer's statements follow from the reference.
        by_relevant: Count statements from relevant passages; else those that come from irrelevant ones alone.

    Raises:
        UndefinedError: If the answer has no statements.
    """
    if not right:
        raise UndefinedError("there is no statement to check")
    wrong = 0
    for i, is_right in enumerate(right):
        sources = {passage for passage, follows in zip(relevant, supported, strict=True) if follows[i]}
        wrong += not is_right and (True in sources if by_relevant else sources == {False})
    return wrong / len(right)


_MODES: Final = ("relevant", "irrelevant")


def _noise_resistance(spec: AssertSpec) -> Consult:
    threshold, inputs = least(spec, DEFAULT_THRESHOLD), Inputs.compile(spec, reference=True)
    mode = choice(spec, "passages", "relevant", _MODES)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, passages, reference = inputs.query(context), inputs.passages(context), inputs.reference(context)
        texts = (reference, inputs.answer(context))
        wanted, claimed = await all_of([find_claims(models, query, text) for text in texts])
        pairs = [(claims, passage) for passage in passages for claims in (wanted, claimed)]
        verdicts = await all_of(
            [find_support(models, claims, passage) for claims, passage in [*pairs, (claimed, reference)]]
        )
        share = misled(
            relevant=[any(follows) for follows in verdicts[:-1:2]],
            supported=verdicts[1:-1:2],
            right=verdicts[-1],
            by_relevant=mode == "relevant",
        )
        return judged(1 - share, threshold, f"{share:.0%} of {len(claimed)} statements were misled; noise resistance")

    return consult


_PROMPTS: Final = CLAIMS.prompts + SUPPORT.prompts

TYPES: Final = (
    ModelGradedKind(
        id="rag-faithfulness",
        use="Does the answer stay with the passages?",
        passes="share of the answer's statements that the context supports, as Ragas defines it",
        threshold="0.5",
        settings={"context": PASSAGES, "query": QUERY},
        prepare=_faithfulness,
        prompts=_PROMPTS,
    ),
    ModelGradedKind(
        id="rag-answer-relevancy",
        use="Does it answer the question?",
        passes="likeness of the question to questions that the answer would fit, as Ragas defines it",
        threshold="0.5",
        settings={"query": QUERY, "questions": "how many are guessed, 3"},
        asks=frozenset({Need.JUDGE, Need.EMBEDDINGS}),
        prepare=_relevancy,
        prompts=GUESS.prompts,
    ),
    ModelGradedKind(
        id="rag-noise-resistance",
        use="Was it misled?",
        passes="share of statements that no passage misled",
        value="right answer",
        threshold="0.5",
        settings={"context": PASSAGES, "query": QUERY, "passages": "`relevant` or `irrelevant`: which of them misled"},
        example={"value": "The cat sat."},
        prepare=_noise_resistance,
        prompts=_PROMPTS,
    ),
)
