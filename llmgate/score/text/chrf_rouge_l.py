"""Overlap as the libraries of the field compute it: chrf with sacrebleu, rouge-l with rouge-score's words.

Their numbers can be compared with published ones, which those of promptfoo's bleu and rouge-n cannot. Of several
expected texts the best counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidfuzz.distance import LCSseq

from llmgate.score.assertion import references
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value
from llmgate.score.assertion.settings import bounded_text, flag, graded, least, library, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "rouge_l"]

DEFAULT_CHRF_THRESHOLD: Final = 0.5
DEFAULT_ROUGE_THRESHOLD: Final = 0.75
MAX_ORDER: Final = 10


def _chrf(spec: AssertSpec) -> Evaluate:
    threshold = least(spec, DEFAULT_CHRF_THRESHOLD)
    metric = library(spec, "sacrebleu.metrics").CHRF(
        char_order=whole(spec, "char_order", 6, low=1, high=MAX_ORDER),
        word_order=whole(spec, "word_order", 0, low=0, high=MAX_ORDER),
        beta=whole(spec, "beta", 2, low=1, high=MAX_ORDER),
        lowercase=flag(spec, "lowercase", default=False),
    )
    rule = AssertRule.compile(spec, lambda value: references.answers(spec, value))

    def evaluate(context: CheckContext) -> Finding:
        score = metric.sentence_score(bounded_text(context), rule.on(context)).score / 100
        return graded("chrF", min(1.0, max(0.0, float(score))), threshold)

    return evaluate


def rouge_l(words: Sequence[str], expected: Sequence[str]) -> float:
    """F1 of the longest common subsequence of words: 2·LCS/(m + n).

    Reference: Lin (2004), ROUGE: A Package for Automatic Evaluation of Summaries, with β = 1.
    """
    if not words or not expected:
        return 0.0
    # rouge-score fills a table of m × n cells in Python; rapidfuzz finds the same length with bit vectors.
    number_of = {word: i for i, word in enumerate(dict.fromkeys((*words, *expected)))}
    common = LCSseq.similarity([number_of[word] for word in words], [number_of[word] for word in expected])
    return 2 * common / (len(words) + len(expected))


def _rouge_l(spec: AssertSpec) -> Evaluate:
    threshold = least(spec, DEFAULT_ROUGE_THRESHOLD)
    tokenizer = library(spec, "rouge_score.tokenizers").DefaultTokenizer(flag(spec, "stem", default=False))
    split: Callable[[str], list[str]] = tokenizer.tokenize

    def build(value: object) -> list[list[str]]:
        answers = [split(answer) for answer in references.answers(spec, value)]
        if not all(answers):
            raise invalid_value(
                spec, "rouge-score sees only a to z and digits, and an expected text has none", "Use chrf"
            )
        return answers

    rule = AssertRule.compile(spec, build)

    def evaluate(context: CheckContext) -> Finding:
        words = split(bounded_text(context))
        return graded("ROUGE-L", max(rouge_l(words, expected) for expected in rule.on(context)), threshold)

    return evaluate


TYPES: Final = (
    CheckKind(
        id="rouge-l",
        passes="longest common subsequence of words, comparable with published numbers",
        value="text or list",
        threshold="0.75",
        settings={"stem": "whether endings are cut off, false"},
        example={"value": "the cat sat"},
        extra="metrics",
        prepare=_rouge_l,
    ),
    CheckKind(
        id="chrf",
        passes="n-grams of characters, sacrebleu's",
        value="text or list",
        threshold="0.5",
        settings={
            "char_order": "longest n-gram of characters, 6",
            "word_order": "longest n-gram of words, 0",
            "beta": "weight of recall, 2",
            "lowercase": "whether case does not count, false",
        },
        example={"value": "the cat sat"},
        extra="metrics",
        prepare=_chrf,
    ),
)
