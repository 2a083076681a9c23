"""Citations: markers such as [1] in an answer name passages that exist, and every sentence that needs one has one.

`rag-citations` looks at the text alone. `rag-citation-support` also asks a judge whether the cited passages say so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import UndefinedError
from llmgate.score.assertion.definition import CheckKind, ModelGradedKind
from llmgate.score.assertion.settings import least, whole
from llmgate.score.assertion.together import all_of
from llmgate.score.rag.claims import SUPPORT, find_support
from llmgate.score.rag.inputs import PASSAGES, Inputs, judged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.score.assertion.check import CheckContext, Consult, Evaluate, Finding
    from llmgate.score.assertion.models import Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "Sentence", "read_sentences"]

FEWEST_WORDS: Final = 4
"""Shorter sentences, such as `Yes.`, need no citation of their own."""
MOST_SENTENCES: Final = 1000
LONGEST_RANGE: Final = 50

_NUMBERS = r"\^?[0-9]++(?:\s*+[,;–-]\s*+\^?[0-9]++)*+"
_MARKER = re.compile(rf"[\[【]\s*+(?P<numbers>{_NUMBERS})\s*+[\]】]")
_PART = re.compile(r"(?P<first>[0-9]++)(?:\s*+[–-]\s*+(?P<last>[0-9]++))?+")
_FENCE = re.compile(r"^(?P<mark>```|~~~)[^\n]*+\n(?:(?!(?P=mark))[^\n]*+\n)*+(?:(?P=mark)[^\n]*+)?", re.MULTILINE)
_SPAN = re.compile(r"`[^`\n]++`")
_END = re.compile(rf"[.!?。！？]++[\"'”’»)*_]*+(?:\s?+[\[【]\s*+{_NUMBERS}\s*+[\]】])*+[\"'”’»)*_.]*+(?=\s|$)|[。！？]")
_SHORT = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Za-z]|[A-Za-z]\.[A-Za-z]|al|approx|ca|cf|Dr|etc|Fig|Mr|Mrs|Ms|No|Nr|Prof|St|vs)\.$"
)
_OUTLINE = re.compile(r"\s*+(?:#{1,6}\s|[-*_=|:\s]++$)")
_LETTER = re.compile(r"\w")
_GAP = re.compile(r" ([.,;:!?])")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")
"""Characters of languages that put no spaces between words; two count as a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence of an answer.

    Attributes:
        text: Without its markers.
        cites: The numbers of the passages that it names, as written; 0 stands for a number that means nothing.
        needs: Whether it has to name one.
    """

    text: str
    cites: frozenset[int]
    needs: bool


def read_sentences(answer: str, *, fewest_words: int = FEWEST_WORDS) -> list[Sentence]:
    """The sentences of an answer, with the passages that they cite.

    Markers are [1], [1, 2], [1-3], [^1] and 【1】, inside a sentence or after its full stop. Code is left out.
    Headings, questions, lines that end in a colon and sentences of few words need no citation.

    Args:
        answer: The text, also in Markdown.
        fewest_words: Sentences with fewer words need no citation.
    """
    prose = _SPAN.sub("code", _FENCE.sub("", answer))
    sentences: list[Sentence] = []
    for sentence in (_sentence(text, fewest_words) for line in prose.splitlines() for text in _split(line)):
        if sentences and sentence.cites and not _LETTER.search(sentence.text):
            # A marker on a line of its own belongs to what stands before it.
            sentences[-1] = replace(sentences[-1], cites=sentences[-1].cites | sentence.cites)
        else:
            sentences.append(sentence)
    return sentences


def _split(line: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(line):
        # What stands before a full stop may be an abbreviation; its sentence goes on.
        if line[end.start()] == "." and _SHORT.search(line[max(start, end.start() - 12) : end.start() + 1]):
            continue
        yield line[start : end.end()]
        start = end.end()
    if _LETTER.search(line, start):
        yield line[start:]


def _sentence(text: str, fewest_words: int) -> Sentence:
    cites = frozenset(number for marker in _MARKER.finditer(text) for number in _numbers(marker["numbers"]))
    bare = _GAP.sub(r"\1", " ".join(_MARKER.sub("", text).split()))
    exempt = _OUTLINE.match(text) or bare.endswith(("?", "？", ":", "："))
    words = sum(1 for word in bare.split() if _LETTER.search(word))
    words = max(words, len(_UNSPACED.findall(bare)) // 2)
    return Sentence(text=bare, cites=cites, needs=not exempt and words >= fewest_words)


def _numbers(written: str) -> Iterator[int]:
    for part in _PART.finditer(written):
        first, last = _number(part["first"]), _number(part["last"] or part["first"])
        yield from (first, last) if first <= last else (0,)
        # The ends of a longer range still have to exist.
        yield from range(first + 1, min(last, first + LONGEST_RANGE))


def _number(digits: str) -> int:
    return int(digits) if len(digits) < 7 else 0


@dataclass(frozen=True, slots=True)
class _Citations:
    """The rule of an assert about citations."""

    inputs: Inputs
    threshold: float
    fewest_words: int

    @classmethod
    def compile(cls, spec: AssertSpec) -> _Citations:
        words = whole(spec, "min_words", FEWEST_WORDS, low=1, high=100)
        return cls(Inputs.compile(spec), least(spec, 1.0), words)

    def sentences(self, context: CheckContext) -> list[Sentence]:
        """The sentences that need a citation or have one."""
        answer = self.inputs.answer(context)
        sentences = [
            sentence
            for sentence in read_sentences(answer, fewest_words=self.fewest_words)
            if sentence.needs or sentence.cites
        ]
        if not sentences:
            raise UndefinedError(f"{self.inputs.spec.name}: no sentence of the answer needs a citation")
        return sentences


def _right(sentence: Sentence, passages: tuple[str, ...]) -> bool:
    return bool(sentence.cites) and all(1 <= number <= len(passages) for number in sentence.cites)


def _summary(sentences: list[Sentence], right: list[bool], what: str) -> str:
    first = next((sentence.text for sentence, fine in zip(sentences, right, strict=True) if not fine), "")
    shown = f", not {first[:80]!r}" if first else ""
    return f"{sum(right)} of {len(right)} sentences {what}{shown}; share"


def _citations(spec: AssertSpec) -> Evaluate:
    rule = _Citations.compile(spec)

    def evaluate(context: CheckContext) -> Finding:
        passages, sentences = rule.inputs.passages(context), rule.sentences(context)
        right = [_right(sentence, passages) for sentence in sentences]
        summary = _summary(sentences, right, f"cite one of {len(passages)} passages")
        return judged(sum(right) / len(right), rule.threshold, summary)

    return evaluate


def _citation_support(spec: AssertSpec) -> Consult:
    rule = _Citations.compile(spec)

    async def consult(context: CheckContext, models: Models) -> Finding:
        passages, sentences = rule.inputs.passages(context), rule.sentences(context)

        async def supported(sentence: Sentence) -> bool:
            if not _right(sentence, passages):
                return False
            cited = "\n".join(passages[number - 1] for number in sorted(sentence.cites))
            return (await find_support(models, [sentence.text], cited))[0]

        if len(sentences) > MOST_SENTENCES:
            raise UndefinedError(f"the answer has {len(sentences)} sentences to judge, more than {MOST_SENTENCES}")
        right = await all_of([supported(sentence) for sentence in sentences])
        summary = _summary(sentences, right, "are supported by what they cite")
        return judged(sum(right) / len(right), rule.threshold, summary)

    return consult


_SETTINGS: Final = {"context": PASSAGES, "min_words": "shorter sentences need no citation, 4"}

TYPES: Final = (
    CheckKind(
        id="rag-citations",
        use="Are sentences cited?",
        passes="share of sentences that cite a passage that exists",
        threshold="1",
        settings=_SETTINGS,
        prepare=_citations,
    ),
    ModelGradedKind(
        id="rag-citation-support",
        use="Do the cited passages say so?",
        passes="share of sentences that the cited passages support",
        threshold="1",
        settings=_SETTINGS,
        prepare=_citation_support,
        prompts=SUPPORT.prompts,
    ),
)
