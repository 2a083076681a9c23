"""An exchange that has ended becomes a request's trace."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.bench.client.events import read_answer
from llmgate.generate.finish import FinishRule
from llmgate.generate.who_answered import with_headers
from llmgate.record.answered_by import AnsweredBy
from llmgate.record.redaction import REDACTED, Redactor
from llmgate.record.serving.trace import RequestTrace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.bench.client.response import Reply
    from llmgate.bench.client.stamps import KernelClock

__all__ = ["AnswerReader", "ReadAnswer", "replays_marked"]

OWN_ID_CHARS: Final = 16
"""Shorter ids of replies may come twice by chance: Ollama draws a number below 1000."""
REPLAYED: Final = "one reply id came twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAnswer:
    """A request's trace, and what is needed only to compare it with others.

    Attributes:
        trace: Times in seconds of `time.perf_counter`.
        reply_id: The reply's own id, "" if it has none, or one that says nothing.
        reads: How often bytes were read.
        unstamped: How many of those reads have no time stamp of the kernel.
    """

    trace: RequestTrace
    reply_id: str = ""
    reads: int = 0
    unstamped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReader:
    """Reads answers.

    Attributes:
        model: The name that requests carry.
        names: Further names of it.
        finish_reasons: As for `Endpoint`.
        api_key: Taken out of error messages.
    """

    model: str
    names: tuple[str, ...] = ()
    finish_reasons: frozenset[str] = frozenset()
    api_key: str | None = None

    def read(self, index: int, queued_s: float, reply: Reply, clock: KernelClock | None) -> ReadAnswer:
        """Read one.

        Args:
            index: Of the request in the plan.
            queued_s: When it became due.
            reply: What came.
            clock: As for `Reply.exchange`.
        """
        exchange = reply.exchange(clock)
        answer = read_answer(exchange, FinishRule(further=self.finish_reasons))
        said = replace(answer.said, model=None) if answer.said.model in self.names else answer.said
        error = answer.error
        if error is not None:
            # Nothing but words is lost here, so the key goes however short it is.
            error = Redactor((self.api_key or "",)).text(error).replace(self.api_key or REDACTED, REDACTED)
        trace = RequestTrace(
            index=index,
            queued_s=queued_s,
            sent_s=exchange.sent_s,
            token_events_s=answer.token_events_s,
            end_s=exchange.end_s,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            error=error,
            answered_by=with_headers(said, exchange.headers, asked=self.model),
        )
        own = answer.reply_id if len(answer.reply_id) >= OWN_ID_CHARS else ""
        return ReadAnswer(trace=trace, reply_id=own, reads=len(reply.reads), unstamped=exchange.unstamped)


def replays_marked(answers: Sequence[ReadAnswer]) -> tuple[RequestTrace, ...]:
    """The traces, in order; an answer whose id another one had before comes out of a cache."""
    seen: set[str] = set()
    traces = []
    for answer in answers:
        trace = answer.trace
        if answer.reply_id in seen:
            trace = replace(trace, answered_by=replace(trace.answered_by or AnsweredBy(), cached=REPLAYED))
        elif answer.reply_id:
            seen.add(answer.reply_id)
        traces.append(trace)
    return tuple(traces)
