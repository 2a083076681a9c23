"""What runs on a node of a cluster: some questions to one endpoint, and all that came of them, as values.

Whatever happens is in the reply; only what nobody foresaw is raised. A node that dies in the middle costs nothing but
the questions in hand: they are asked again elsewhere, and nobody heard of the first time.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import llmgate
from llmgate.errors import EndpointError
from llmgate.generate.client import ChatClient, Endpoint, RetryPolicy
from llmgate.record.redaction import Redactor
from llmgate.record.schema import Failure, Generation

__all__ = ["BatchReply", "NodeQuestion", "QuestionBatch", "about_node", "ask_batch", "ask_questions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeQuestion:
    """One request.

    Attributes:
        body: Without `model`.
        expected: Finish reasons, in lower case, by which its answer may end although they do not mean completion.
    """

    body: Mapping[str, Any]
    expected: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionBatch:
    """Questions that are asked at once.

    Attributes:
        endpoint: Who is asked; with the key, where it takes one.
        questions: At least one.
        retry: How patiently.
    """

    endpoint: Endpoint = field(repr=False)
    questions: tuple[NodeQuestion, ...] = field(repr=False)
    retry: RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReply:
    """What came of a batch.

    Attributes:
        answers: One for each question, in order; None for those that were not asked because the endpoint stopped it.
        reasons: For each question the finish reasons of its answer that it did not expect, in lower case.
        stopped: Why asking on is of no use, as what, where and fix; None if it is.
        gone: Why the server of this place is no more, "" if it is.
    """

    answers: tuple[Generation | Failure | None, ...]
    reasons: tuple[tuple[str, ...], ...]
    stopped: tuple[str, str | None, str | None] | None = None
    gone: str = ""


class UnexpectedReasons:
    """Whether a finish reason is expected; remembers those that were asked about and are not.

    Args:
        expected: Those that are.

    Attributes:
        met: Those that are not.
    """

    def __init__(self, expected: frozenset[str]) -> None:
        self._expected = expected
        self.met: dict[str, None] = {}

    def __call__(self, reason: str) -> bool:
        """Whether an answer may end for this reason."""
        if reason in self._expected:
            return True
        self.met[reason] = None
        return False


def ask_batch(batch: QuestionBatch) -> BatchReply:
    """Ask, in a process that does nothing else meanwhile."""
    return asyncio.run(ask_questions(batch))


async def ask_questions(batch: QuestionBatch) -> BatchReply:
    """Ask all questions of a batch at once."""
    key = batch.endpoint.api_key
    # What an endpoint quotes is cut here, and half a key would not be known again where the record is written.
    redact = Redactor((key,)) if key else Redactor()
    reasons = [UnexpectedReasons(question.expected) for question in batch.questions]
    count = len(batch.questions)
    async with ChatClient(batch.endpoint, concurrency=count, retry=batch.retry, redact=redact) as client:

        async def ask(question: NodeQuestion, expected: UnexpectedReasons) -> Generation | Failure | None:
            try:
                return await client.ask(question.body, expected=expected)
            except EndpointError as error:
                stopped.append((redact.text(error.what), error.where, error.fix and redact.text(error.fix)))
                return None

        stopped: list[tuple[str, str | None, str | None]] = []
        answers = await asyncio.gather(*map(ask, batch.questions, reasons))
    return BatchReply(
        answers=tuple(answers),
        reasons=tuple(tuple(each.met) for each in reasons),
        stopped=stopped[0] if stopped else None,
    )


def about_node() -> tuple[str, str, str]:
    """Versions of llmgate and Python on this node, and its name."""
    return llmgate.__version__, platform.python_version(), platform.node()
