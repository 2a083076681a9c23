"""rag-answer-correctness: an answer's facts and wording beside those of a right one.

The definition is that of Ragas 0.4.3 (`ragas.metrics.collections.AnswerCorrectness`), computed on the same replies.
Where the judge found no statement, the assert is an error; Ragas calls that a perfect match.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError, UndefinedError, did_you_mean
from llmgate.score.assertion.definition import ModelGradedKind, Need
from llmgate.score.assertion.models import JudgeReply, Models, embed_texts
from llmgate.score.assertion.rule import invalid_value
from llmgate.score.assertion.settings import least
from llmgate.score.assertion.together import all_of
from llmgate.score.embeddings.similarity import cosine
from llmgate.score.judge.prompt import MATERIAL, Question, object_schema
from llmgate.score.judge.reply import agreed_object, as_items, as_text
from llmgate.score.rag.claims import CLAIMS, find_claims
from llmgate.score.rag.inputs import DEFAULT_THRESHOLD, QUERY, Inputs, judged
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.score.assertion.check import CheckContext, Consult, Finding
    from llmgate.suite.asserts import AssertSpec, Json

__all__ = ["TYPES", "f_score"]


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
    classes = agreed_object(reply, "TP")
    for name in _CLASSES:
        for item in as_items(classes, name):
            as_text(item, "statement")
    return len(as_items(classes, "TP")), len(as_items(classes, "FP")), len(as_items(classes, "FN"))


CLASSES: Final = Question(
    task=(
        "You compare the statements of an answer with the statements of a reference, which is right. Put every "
        "statement of the answer into TP if one or more statements of the reference support it, else into FP. Put "
        "every statement of the reference that the answer does not cover into FN. No statement stands in two classes."
    ),
    form='{"TP": [{"statement": word by word, "reason": why}, …], "FP": [the same], "FN": [the same]}',
    properties={name: {"type": "array", "items": object_schema(_CLASSIFIED)} for name in _CLASSES},
    frame=MATERIAL,
    read=_read_classes,
)


def _correctness(spec: AssertSpec) -> Consult:
    threshold, inputs = least(spec, DEFAULT_THRESHOLD), Inputs.compile(spec, reference=True)
    beta = _positive(spec, "beta", spec.config.get("beta", 1.0))
    facts, likeness = _weights(spec)

    async def consult(context: CheckContext, models: Models) -> Finding:
        query, answer, reference = inputs.query(context), inputs.answer(context), inputs.reference(context)
        claimed, expected = await all_of([find_claims(models, query, text) for text in (answer, reference)])

        def fits(classes: tuple[int, int, int]) -> None:
            if classes[0] + classes[1] != len(claimed) or classes[2] > len(expected):
                counts = f"{len(claimed)} statements of the answer and {len(expected)} of the reference"
                raise JudgeError(f"the judge's classes of {classes} statements (TP, FP, FN) do not fit {counts}")

        parts = {
            "question": query,
            "answer": javascript.json_text(claimed),
            "reference": javascript.json_text(expected),
        }
        score = f_score(*await CLASSES.ask(models, case=parts, fits=fits), beta=beta)
        similarity = 0.0
        if likeness:
            # A vector without a direction is like none, as in Ragas.
            similarity = cosine(*await embed_texts(models, [answer, reference]), directionless=0.0)
        mean = (facts * score + likeness * similarity) / (facts + likeness)
        return judged(mean, threshold, f"facts {score:.2f}, similarity {similarity:.2f}; correctness")

    return consult


def _weights(spec: AssertSpec) -> tuple[float, float]:
    written = spec.config.get("weights", {"facts": 0.75, "similarity": 0.25})
    if not isinstance(written, Mapping):
        raise invalid_value(
            spec, "weights must name facts and similarity", "For example {facts: 0.75, similarity: 0.25}"
        )
    for name in written:
        if name not in {"facts", "similarity"}:
            raise invalid_value(spec, f"unknown weight {name!r:.40}", did_you_mean(str(name), ("facts", "similarity")))
    facts = _positive(spec, "weights.facts", written.get("facts", 1.0))
    similarity = written.get("similarity", 0.0)
    return facts, 0.0 if similarity == 0 and similarity is not False else _positive(
        spec, "weights.similarity", similarity
    )


def _positive(spec: AssertSpec, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1000:
        raise invalid_value(spec, f"{name} is {value!r:.40}, but must be a number above 0")
    return float(value)


TYPES: Final = (
    ModelGradedKind(
        id="rag-answer-correctness",
        use="Is it right?",
        passes="facts and wording beside those of the right answer",
        value="right answer",
        threshold="0.5",
        settings={
            "query": QUERY,
            "weights": "`{facts: 0.75, similarity: 0.25}`",
            "beta": "weight of recall among facts, 1",
        },
        example={"value": "The cat sat."},
        asks=frozenset({Need.JUDGE, Need.EMBEDDINGS}),
        prepare=_correctness,
        prompts=CLAIMS.prompts + CLASSES.prompts,
    ),
)
