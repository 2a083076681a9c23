"""How long an endpoint asks to wait: Retry-After, what is left of rate limits, and the words of bodies."""

from __future__ import annotations

import email.utils
import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["date_s", "said_wait_s", "wait_in_text"]

DURATION: Final = re.compile(
    r"(?:(\d{1,6}(?:\.\d{1,9})?)h)?(?:(\d{1,6}(?:\.\d{1,9})?)m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9}(?:\.\d{1,9})?)ms)?"
)
"""`6m0s`, `20ms`, `1h2m3.5s`, as OpenAI writes when a limit is fresh again."""
NUMBER: Final = re.compile(r"\d{1,15}(?:\.\d{1,9})?")
RESET: Final = re.compile(r"rate-?limit-(?:.*-)?reset|rate-?limit-reset")
YEAR_S: Final = 1e9
"""A larger number is a moment, in seconds since 1970, and beyond its thousandfold in milliseconds."""
IN_TEXT: Final = re.compile(
    r"(?:try again|retry|available|reset\w*)(?: again)? (?:in|after) (?:about )?(\d[\dhms.]{0,20})"
    r"(?:\s?(milliseconds|ms|minutes?|seconds?|secs?))?"
    r"|\"retryDelay\":\s?\"(\d[\d.]{0,12}s)\"",
    re.IGNORECASE,
)


def date_s(text: str) -> float:
    """A date of HTTP, or of ISO 8601, in seconds since 1970, 0 if it is none."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        pass
    try:
        date = datetime.fromisoformat(text)
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def said_wait_s(headers: Mapping[str, str], *, now_s: float) -> float | None:
    """The wait that headers ask for, in seconds.

    `retry-after-ms` and Retry-After say it. Otherwise it is the longest reset among the limits of which nothing is
    left (`x-ratelimit-remaining-…` is 0, or is not told).

    Args:
        headers: Names in any case.
        now_s: The time now, in seconds since 1970.

    Returns:
        None if no header says it, or only the past.
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    exact = seconds(lowered.get("retry-after-ms", ""), now_s=now_s)
    if exact is not None:
        return exact / 1000
    said = lowered.get("retry-after", "")
    if said == "0":
        return 0.0
    plain = seconds(said, now_s=now_s)
    if plain is not None:
        return plain
    resets = [
        wait
        for name, value in lowered.items()
        if RESET.search(name) and not left(lowered.get(name.replace("reset", "remaining")))
        if (wait := seconds(value, now_s=now_s)) is not None
    ]
    return max(resets, default=None)


def left(remaining: str | None) -> bool:
    """Whether something is left of a limit; where that is not told, the limit may be the one that was met."""
    return remaining is not None and NUMBER.fullmatch(remaining) is not None and float(remaining) > 0


def seconds(text: str, *, now_s: float) -> float | None:
    """A number of seconds, a duration, or a moment from now; None if it is none of them or not in the future."""
    if NUMBER.fullmatch(text) and text.isascii():
        number = float(text)
        wait = number / 1000 - now_s if number > YEAR_S * 1000 else number - now_s if number > YEAR_S else number
    elif text and text.isascii() and (found := DURATION.fullmatch(text)):
        hours, minutes, whole, thousandths = (float(part or 0) for part in found.groups())
        wait = hours * 3600 + minutes * 60 + whole + thousandths / 1000
    else:
        wait = date_s(text) - now_s if text else 0.0
    return wait if wait > 0 and math.isfinite(wait) else None


def wait_in_text(text: str) -> float | None:
    """The wait that a body asks for in words, in seconds: `Please try again in 20s`, `retryDelay`."""
    found = IN_TEXT.search(text)
    if found is None:
        return None
    said, unit, delay = found.groups()
    said = (delay or said).rstrip(".").lower()
    if not NUMBER.fullmatch(said):
        return seconds(said, now_s=0.0)
    unit = (unit or "s").lower()
    factor = 0.001 if unit in {"ms", "milliseconds"} else 60.0 if unit.startswith("m") else 1.0
    return float(said) * factor or None
