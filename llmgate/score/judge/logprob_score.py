"""A judge's score as an expectation over all scores that it might have given.

A judge that is torn between 6 and 8 says 7 or 8 by a hair; the mean over the probabilities of the scores is a finer
measurement than the score that came out.

Reference: Liu et al. (2023), G-Eval, arXiv 2303.16634, section 2: score = Σ p(s)·s.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.score.assertion.models import Token

__all__ = ["BEST", "expected_score"]

BEST: Final = 10
"""Scores are the whole numbers from 0 to this one."""
ROUNDING: Final = 1e-3
"""Of probabilities that servers report: a little above 1 happens, 2 does not."""

_WHOLE: Final = frozenset(map(str, range(BEST + 1)))

_VALUE = re.compile(r'"score"\s{0,100}:\s{0,100}"?\s{0,100}(?P<number>[-+0-9.eE]+)')
_ONE = re.compile(r'[\s":]{0,20}(?P<digits>10|[0-9])[\s",}]{0,20}')


def expected_score(tokens: Sequence[Token], score: float) -> float:
    """The mean of the whole scores, weighted by their probabilities where the reply has its score.

    The probabilities are those of the alternatives that are scores, divided by their sum. The last score in the reply
    counts: what stands before it is reasoning. An alternative `1` is the score 1, also if it might have gone on to 10.

    Args:
        tokens: The reply's tokens, empty if the judge reports none.
        score: What the reply says.

    Returns:
        A number from 0 to 10; `score` itself if there are no tokens or the score is no whole number.

    Raises:
        JudgeError: If the tokens do not hold the score, or hold impossible probabilities.
    """
    if not tokens:
        return score
    text = "".join(token.text for token in tokens)
    values = list(_VALUE.finditer(text))
    if not values or javascript.text_to_number(values[-1]["number"]) != score:
        raise JudgeError(f"the tokens of the judge's reply do not hold its score {score:g}")
    if values[-1]["number"] not in _WHOLE:
        return score
    weights = _weights(_covering(tokens, *values[-1].span("number")))
    total = math.fsum(weights.values())
    return math.fsum(value * weight for value, weight in weights.items()) / total


def _covering(tokens: Sequence[Token], start: int, end: int) -> list[Token]:
    covering, position = [], 0
    for token in tokens:
        if position < end and position + len(token.text) > start:
            covering.append(token)
        position += len(token.text)
    return covering


def _weights(carriers: Sequence[Token]) -> dict[int, float]:
    """Score to probability; one or two tokens carry the score, 10 may be written as 1 and 0."""
    first = _probabilities(carriers[0])
    if len(carriers) == 1:
        return first
    weights = _probabilities(carriers[0])
    ten = min(1.0, _probabilities(carriers[1]).get(0, 0.0))
    one = first.get(1, 0.0)
    weights[BEST] = weights.get(BEST, 0.0) + one * ten
    weights[1] = one * (1 - ten)
    return weights


def _probabilities(token: Token) -> dict[int, float]:
    """Whole score to probability, of this token and its alternatives."""
    alternatives: Mapping[str, float] = {token.text: token.logprob, **token.alternatives}
    weights: dict[int, float] = {}
    for text, logprob in alternatives.items():
        match = _ONE.fullmatch(text)
        if match is None:
            continue
        if math.isnan(logprob) or logprob > ROUNDING:
            raise JudgeError(f"the judge reports {logprob} as a log probability")
        score = int(match["digits"])
        weights[score] = weights.get(score, 0.0) + math.exp(logprob)
    total = math.fsum(weights.values())
    if not 0 < total <= 1 + ROUNDING:
        raise JudgeError(f"the judge reports {total:g} as the probability of all scores")
    return weights
