"""How much an endpoint may be asked in a minute."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RateLimit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """What an endpoint allows.

    Attributes:
        rpm: Requests per minute, 0 for any number.
        tpm: Tokens per minute, prompts and answers, 0 for any number.
    """

    rpm: int = 0
    tpm: int = 0

    def __bool__(self) -> bool:
        """Whether anything is limited."""
        return self.rpm > 0 or self.tpm > 0

    def __str__(self) -> str:
        """`at most 60 requests and 40,000 tokens a minute`."""
        parts = [f"{number:,} {what}" for number, what in ((self.rpm, "requests"), (self.tpm, "tokens")) if number]
        return f"at most {' and '.join(parts)} a minute" if parts else ""
