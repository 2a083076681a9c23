"""The answer that was made from what was retrieved, judged: faithful, to the point, right, not misled.

The definitions are those of Ragas 0.4.3 (`ragas.metrics.collections`), computed on the same replies. Where it returns
NaN, or a number although the judge said nothing (no statements, no question), the assert is an error.

Reference: Es et al. (2023), RAGAS: Automated Evaluation of Retrieval Augmented Generation, arXiv:2309.15217.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError, UndefinedError, did_you_mean
from llmgate.score.asking import (
    Question,
    all_of,
    as_flag,
    as_items,
    as_text,
    object_schema,
    one_judge,
    read_object,
)
from llmgate.score.check import CheckContext, ConsultKind, Finding, Need
from llmgate.score.claims import CLAIMS, SUPPORT, find_claims, find_support
from llmgate.score.cosine import cosine
from llmgate.score.models import Consult, JudgeReply, Models, embed_texts
from llmgate.score.retrieval import Inputs, judged, least_score
from llmgate.score.rule import broken
from llmgate.suite import jsvalues

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec, Json

__all__ = ["RAG_ANSWER_CHECKS", "f_score", "misled"]

MOST_QUESTIONS: Final = 20


def _faithfulness(spec: AssertSpec) -> Consult:
    judge, threshold, inputs = one_judge(spec), least_score(spec), Inputs.compile(spec)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, passages, answer = inputs.query(context), inputs.passages(context), inputs.answer(context)
        statements = await find_claims(models, query, answer, judge=judge)
        supported = await find_support(models, statements, "\n".join(passages), judge=judge)
        what = f"{sum(supported)} of {len(supported)} statements follow from the context"
        return judged(sum(supported) / len(supported), threshold, what)

    return consult


@dataclass(frozen=True, slots=True)
class _Guess:
    question: str
    noncommittal: bool


def _read_guess(reply: JudgeReply) -> _Guess:
    found = read_object(reply, "question")
    return _Guess(as_text(found, "question"), as_flag(found, "noncommittal"))


GUESS: Final = Question(
    task=(
        "You are shown an answer. Guess the question that it answers, in the language of the answer, and say whether "
        "the answer is noncommittal: 1 if it evades, stays vague or says that it does not know, 0 if it commits itself."
    ),
    form='{"question": the question, "noncommittal": 1 or 0}',
    schema=object_schema({"question": {"type": "string"}, "noncommittal": {"type": "integer", "enum": [0, 1]}}),
    read=_read_guess,
)


def _relevancy(spec: AssertSpec) -> Consult:
    judge, threshold, inputs = one_judge(spec), least_score(spec), Inputs.compile(spec)
    questions = spec.config.get("questions", 3)
    if isinstance(questions, bool) or not isinstance(questions, int) or not 1 <= questions <= MOST_QUESTIONS:
        raise broken(spec, f"questions is {questions!r:.40}, but must be a whole number from 1 to {MOST_QUESTIONS}")

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, parts = inputs.query(context), {"answer": inputs.answer(context)}
        guesses = await all_of([GUESS.ask(models, parts, judge=judge, seed=i) for i in range(questions)])
        if all(guess.noncommittal for guess in guesses):
            return judged(0.0, threshold, "the answer is noncommittal; relevancy")
        target, *vectors = await embed_texts(models, [query, *(guess.question for guess in guesses)])
        cosines = [_direction(cosine(target, vector)) for vector in vectors]
        return judged(sum(cosines) / len(cosines), threshold, f"relevancy, mean of {questions} guessed questions")

    return consult


def _direction(similarity: float) -> float:
    if math.isnan(similarity):
        raise UndefinedError("an embedding has no direction, so nothing is similar to it")
    return similarity


def f_score(true_positive: int, false_positive: int, false_negative: int, *, beta: float = 1.0) -> float:
    """How well an answer's statements and a reference's cover each other.

    P = TP/(TP+FP), R = TP/(TP+FN), F = (1+β²)·P·R / (β²·P + R); 0 without a true positive.

    Raises:
        UndefinedError: If there is no statement at all.

    Reference: van Rijsbergen (1979), Information Retrieval, chapter 7.
    """
    if true_positive + false_positive + false_negative == 0:
        raise UndefinedError("there is no statement to compare")
    if true_positive == 0:
        return 0.0
    precision = true_positive / (true_positive + false_positive)
    recall = true_positive / (true_positive + false_negative)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


_CLASSES: Final = ("TP", "FP", "FN")
_CLASSIFIED: Final[dict[str, Json]] = {"statement": {"type": "string"}, "reason": {"type": "string", "maxLength": 600}}


def _read_classes(reply: JudgeReply) -> tuple[int, int, int]:
    found = read_object(reply, "TP")
    for name in _CLASSES:
        for item in as_items(found, name):
            as_text(item, "statement")
    return len(as_items(found, "TP")), len(as_items(found, "FP")), len(as_items(found, "FN"))


CLASSES: Final = Question(
    task=(
        "You compare the statements of an answer with the statements of a reference, which is right. Put every "
        "statement of the answer into TP if one or more statements of the reference support it, else into FP. Put "
        "every statement of the reference that the answer does not cover into FN. No statement stands in two classes."
    ),
    form='{"TP": [{"statement": word by word, "reason": why}, …], "FP": [the same], "FN": [the same]}',
    schema=object_schema({name: {"type": "array", "items": object_schema(_CLASSIFIED)} for name in _CLASSES}),
    read=_read_classes,
)


def _correctness(spec: AssertSpec) -> Consult:
    judge, threshold, inputs = one_judge(spec), least_score(spec), Inputs.compile(spec, reference=True)
    beta = _positive(spec, "beta", spec.config.get("beta", 1.0))
    facts, likeness = _weights(spec)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, answer, reference = inputs.query(context), inputs.answer(context), inputs.reference(context)
        said, wanted = await all_of([find_claims(models, query, one, judge=judge) for one in (answer, reference)])

        def fits(classes: tuple[int, int, int]) -> None:
            if classes[0] + classes[1] != len(said) or classes[2] > len(wanted):
                counts = f"{len(said)} statements of the answer and {len(wanted)} of the reference"
                raise JudgeError(f"the judge's classes of {classes} statements (TP, FP, FN) do not fit {counts}")

        parts = {
            "question": query,
            "answer": jsvalues.json_text(said),
            "reference": jsvalues.json_text(wanted),
        }
        score = f_score(*await CLASSES.ask(models, parts, judge=judge, fits=fits), beta=beta)
        similarity = 0.0
        if likeness:
            similarity = cosine(*await embed_texts(models, [answer, reference]))
            # A vector without a direction is like none, as in Ragas.
            similarity = 0.0 if math.isnan(similarity) else similarity
        mean = (facts * score + likeness * similarity) / (facts + likeness)
        return judged(mean, threshold, f"facts {score:.2f}, similarity {similarity:.2f}; correctness")

    return consult


def _weights(spec: AssertSpec) -> tuple[float, float]:
    written = spec.config.get("weights", {"facts": 0.75, "similarity": 0.25})
    if not isinstance(written, Mapping):
        raise broken(spec, "weights must name facts and similarity", "For example {facts: 0.75, similarity: 0.25}")
    for name in written:
        if name not in {"facts", "similarity"}:
            raise broken(spec, f"unknown weight {name!r:.40}", did_you_mean(str(name), ("facts", "similarity")))
    facts = _positive(spec, "weights.facts", written.get("facts", 1.0))
    similarity = written.get("similarity", 0.0)
    return facts, 0.0 if similarity == 0 and similarity is not False else _positive(
        spec, "weights.similarity", similarity
    )


def _positive(spec: AssertSpec, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1000:
        raise broken(spec, f"{name} is {value!r:.40}, but must be a number above 0")
    return float(value)


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
    judge, threshold, inputs = one_judge(spec), least_score(spec), Inputs.compile(spec, reference=True)
    mode = spec.config.get("passages", "relevant")
    if mode not in _MODES:
        raise broken(spec, f"passages is {mode!r:.40}", did_you_mean(str(mode), _MODES))

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, passages, reference = inputs.query(context), inputs.passages(context), inputs.reference(context)
        texts = (reference, inputs.answer(context))
        wanted, said = await all_of([find_claims(models, query, one, judge=judge) for one in texts])
        pairs = [(claims, passage) for passage in passages for claims in (wanted, said)]
        found = await all_of(
            [find_support(models, claims, passage, judge=judge) for claims, passage in [*pairs, (said, reference)]]
        )
        share = misled(
            relevant=[any(one) for one in found[:-1:2]],
            supported=found[1:-1:2],
            right=found[-1],
            by_relevant=mode == "relevant",
        )
        return judged(1 - share, threshold, f"{share:.0%} of {len(said)} statements were misled; noise resistance")

    return consult


_JUDGE = frozenset({Need.JUDGE})
_BOTH = frozenset({Need.JUDGE, Need.EMBEDDINGS})
_CHECKED = CLAIMS.prompts + SUPPORT.prompts

RAG_ANSWER_CHECKS: Mapping[str, ConsultKind] = {
    "rag-answer-correctness": ConsultKind(
        prepare=_correctness,
        needs=_BOTH,
        prompts=CLAIMS.prompts + CLASSES.prompts,
        settings=frozenset({"beta", "query", "weights"}),
    ),
    "rag-answer-relevancy": ConsultKind(
        prepare=_relevancy, needs=_BOTH, prompts=GUESS.prompts, settings=frozenset({"query", "questions"})
    ),
    "rag-faithfulness": ConsultKind(
        prepare=_faithfulness, needs=_JUDGE, prompts=_CHECKED, settings=frozenset({"context", "query"})
    ),
    "rag-noise-resistance": ConsultKind(
        prepare=_noise_resistance,
        needs=_JUDGE,
        prompts=_CHECKED,
        settings=frozenset({"context", "passages", "query"}),
    ),
}
"""Asserts about an answer that was made from passages, by type."""
