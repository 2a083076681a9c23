"""How many tokens a request will probably cost, before it is sent, and how many it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmgate.record.schema import Generation

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["estimated_tokens", "tokens_used"]

CHARACTERS: Final = 4
"""Per token, as in English text; the usage of each reply corrects it."""


def estimated_tokens(body: Mapping[str, Any]) -> int:
    """Characters of the prompt by four, and the longest answer allowed, as providers reckon before they answer.

    Pictures are not counted; an answer without a limit counts when it has come.
    """
    longest = body.get("max_completion_tokens") or body.get("max_tokens") or 0
    characters = sum(_characters(message.get("content")) for message in body.get("messages") or ())
    return characters // CHARACTERS + (longest if isinstance(longest, int) else 0)


def _characters(content: object) -> int:
    if isinstance(content, str):
        return len(content)
    parts = content if isinstance(content, list | tuple) else ()
    return sum(len(part["text"]) for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def tokens_used(answer: object) -> int | None:
    """The tokens that a reply says it cost; None if it does not say."""
    if not isinstance(answer, Generation) or answer.prompt_tokens is None:
        return None
    return answer.prompt_tokens + (answer.completion_tokens or 0)
