"""Whether an answer is complete: it is only if the server says so, by a finish reason that is known to mean it.

Reasons are compared without regard to case. An endpoint may have further ones that mean completion; a case may expect
an answer that ends for any reason at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from llmgate.record.schema import FailureKind

__all__ = ["CALLING", "CUT", "NOT_COMPLETE", "UNNAMED", "FinishRule", "nothing_expected"]

CUT: Final = frozenset({"length", "max_tokens", "model_length"})
"""The answer was cut at the longest that it may be: OpenAI's word, Anthropic's, Mistral's."""
CALLING: Final = frozenset({"tool_calls", "function_call", "tool_use"})
COMPLETE: Final = CUT | CALLING | {"stop", "eos_token", "stop_sequence", "end_turn", "eos", "complete"}
"""OpenAI, vLLM, SGLang, llama.cpp, Ollama (`stop`), TGI (`eos_token`, `stop_sequence`), Anthropic through LiteLLM and
others (`end_turn`), Together (`eos`), Cohere (`COMPLETE`)."""
BROKEN: Final = frozenset({"error", "abort", "aborted", "cancelled", "timeout", "insufficient_system_resource"})
"""Something went wrong, which may not happen again."""
NOT_COMPLETE: Final = BROKEN | {"content_filter", "safety", "refusal"}
UNNAMED: Final = "null"
"""Stands among an endpoint's further reasons for replies that name none."""

_NAMES_NONE: Final = (
    "the reply names no finish reason, so it may have been cut anywhere; "
    f"where an endpoint never names one, add `{UNNAMED}` to --finish-reasons"
)
_UNKNOWN: Final = "is not known to mean a complete answer; where it does at an endpoint, add it to --finish-reasons"


def nothing_expected(_: str) -> bool:
    """The case expects no answer that is not complete."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRule:
    """Which finish reasons an answer may have.

    Attributes:
        further: In lower case, by which this endpoint says that an answer is complete; `UNNAMED` for none.
        expected: Whether the case expects an answer that ends for this reason.
    """

    further: frozenset[str] = frozenset()
    expected: Callable[[str], bool] = nothing_expected

    def fault(self, reason: object) -> tuple[FailureKind, str] | None:
        """Why an answer with this finish reason does not count; None if it does.

        A kind that is retried says that another answer to the same request may be complete. An answer that was
        withheld is not asked for again until one gets through.
        """
        if reason is None or reason == "":
            return None if UNNAMED in self.further else (FailureKind.INCOMPLETE, _NAMES_NONE)
        if not isinstance(reason, str):
            return FailureKind.GARBAGE, "the reply's finish reason is not text"
        word = reason.lower()
        if word in COMPLETE or word in self.further or self.expected(word):
            return None
        named = f"the finish reason {reason[:60]!a}"
        if word in BROKEN:
            return FailureKind.ERROR_REPLY, f"the server broke the answer off, with {named}"
        if word in NOT_COMPLETE:
            return FailureKind.INCOMPLETE, f"the answer was withheld, with {named}"
        return FailureKind.INCOMPLETE, f"{named} {_UNKNOWN}"

    def withheld(self, reason: object) -> bool:
        """Whether the case expects an answer that is not complete, and this is one: it may be empty."""
        complete = COMPLETE | self.further
        return isinstance(reason, str) and reason.lower() not in complete and self.expected(reason.lower())
