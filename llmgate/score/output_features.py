"""What one answer looks like, whatever its asserts say: read as it comes in, without a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.record.output_features import AnswerFeatures
from llmgate.score.safety.refusal import declines

if TYPE_CHECKING:
    from llmgate.score.assertion.check import CheckContext

__all__ = ["read_features"]


def read_features(context: CheckContext) -> AnswerFeatures:
    """The features of one answer.

    It refuses where its first sentences decline in one of four languages, or where it says nothing at all (see
    `refusal`); structured data, such as calls of tools, never does. A mere apology is no refusal.
    """
    refusal = isinstance(context.output, str) and declines(context.output)
    return AnswerFeatures(refusal=refusal, characters=len(context.text))
