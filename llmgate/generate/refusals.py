"""What an endpoint's refusal means: no valid key, a quota that is used up, or a limit on the rate, which passes.

Gateways say it with many statuses (LiteLLM answers a wrong key with 400, Google with 400, a used-up quota is a 429 like
a rate limit), so the body decides. Known forms:

| who | key | quota |
|---|---|---|
| OpenAI, vLLM, llama.cpp, Groq | `code: invalid_api_key`, `type: authentication_error` | `insufficient_quota` |
| Azure | 401 "invalid subscription key", `code: PermissionDenied` | |
| LiteLLM | `auth_error`, `no_db_connection`, `token_not_found_in_db`, `expired_key` | `budget_exceeded` |
| Anthropic | `authentication_error` | "credit balance is too low" |
| Google | `reason: API_KEY_INVALID` | "current quota" and a limit per day |
| Portkey | `status: failure`, "Invalid API Key" | |
| Cloudflare | `success: false` with code 10000 or 9109; `AiGatewayError` 2009 | |
| OpenRouter, DeepSeek | "No auth credentials found" | 402 |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from llmgate.generate.replies import read_json
from llmgate.generate.retry_after import said_wait_s, wait_in_text
from llmgate.generate.traffic import LONGEST_SAID_S, PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmgate.generate.key_travel import KeyPlace

__all__ = ["EndpointRefusal", "WhyRefused", "key_words", "refusal_of", "refused_words"]

SHOWN: Final = 200
"""Characters of the endpoint's own words that are repeated."""
READ: Final = 600
"""Characters of a message in which phrases are looked for: what follows may be the request, quoted."""
SEARCHED: Final = 4000
"""Bytes of a body in which a form is looked for."""
DEPTH: Final = 5
TOO_MANY: Final = HTTPStatus.TOO_MANY_REQUESTS

HOLDERS: Final = frozenset({"error", "errors", "detail", "details", "data", "fault"})
CODES: Final = frozenset({"code", "type", "status", "reason", "errorCode", "internalCode", "name"})
MESSAGES: Final = frozenset({"message", "msg", "title"})
KEY_CODES: Final = frozenset(
    {
        "access_token_expired",
        "api_key_expired",
        "api_key_invalid",
        "auth_error",
        "authentication_error",
        "authentication_required",
        "authenticationerror",
        "expired_key",
        "incorrect_api_key",
        "invalid_access_token",
        "invalid_api_key",
        "invalid_authentication",
        "invalid_token",
        "missing_api_key",
        "permissiondenied",
        "token_not_found_in_db",
        "unauthenticated",
        "unauthorized",
    }
)
QUOTA_CODES: Final = frozenset(
    {
        "billing_hard_limit_reached",
        "billing_not_active",
        "budget_exceeded",
        "credit_limit_reached",
        "insufficient_balance",
        "insufficient_credits",
        "insufficient_quota",
        "payment_required",
    }
)
CLOUDFLARE: Final = frozenset({"10000", "9109", "2009"})
NO_ACCESS: Final = "_model_access_denied"
"""LiteLLM: the key is known, and may not ask this model."""

KEY_WORDS: Final = re.compile(
    r"authentication (?:error|fail)|unauthori[sz]ed|unauthenticated|not authenticated"
    r"|(?:incorrect|invalid|wrong|missing|expired|no|malformed|unknown|didn't provide an|without an?)\W{1,3}"
    r"(?:\w+\W{1,3}){0,2}?"
    r"(?:api[ _-]?key|subscription key|credentials|access token|bearer token|auth\w* (?:header|token))"
    r"|api[ _-]?key\W{1,3}(?:\w+\W{1,3}){0,3}?"
    r"(?:not valid|invalid|missing|required|expired|not found|not provided|incorrect)",
    re.IGNORECASE,
)
QUOTA_WORDS: Final = re.compile(
    r"exceeded your current quota|insufficient (?:quota|credits?|balance|funds)|billing (?:hard )?limit"
    r"|budget has been exceeded|exceededbudget|out of credits|credit balance is too low|quota (?:is|has been) exhausted"
    r"|requires more credits",
    re.IGNORECASE,
)
PER_DAY: Final = re.compile(r"per ?(?:day|month)|\b(?:RPD|TPD)\b|perday", re.IGNORECASE)
BEHIND: Final = re.compile(r"litellm\.AuthenticationError|OpenAIException - Missing credentials")
"""The gateway let the request in, and was itself refused by who runs the model."""


class WhyRefused(StrEnum):
    """Why."""

    KEY = "key"
    BEHIND = "key-of-the-gateway"
    QUOTA = "quota"
    RATE = "rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRefusal:
    """A refusal that is not about what was asked.

    Attributes:
        why: Its kind.
        said: Status, codes and the beginning of the endpoint's words.
        wait_s: How long it asks to wait, in seconds; None if it does not say.
        certain: Whether status or code say so. Words alone may be a quotation of the prompt, and are believed only
            of an endpoint that has answered nothing yet.
    """

    why: WhyRefused
    said: str
    wait_s: float | None = None
    certain: bool = True


def refusal_of(status: int, headers: Mapping[str, str], content: bytes, *, now_s: float) -> EndpointRefusal | None:
    """Read a response that is not 200.

    Args:
        status: Of HTTP.
        headers: Names in any case.
        content: The body, without secrets.
        now_s: The time now, in seconds since 1970, which dates are compared with.

    Returns:
        None if it says something else, or nothing that is known.
    """
    codes, messages, document = facts_of(content)
    text = " ".join(messages)[:READ]
    body = content[:SEARCHED].decode(errors="replace")
    wait_s = said_wait_s(headers, now_s=now_s) if status == TOO_MANY else None
    wait_s = wait_in_text(body) if status == TOO_MANY and wait_s is None else wait_s
    why = certainly(status, codes, text, document)
    if status == TOO_MANY and why is None:
        used_up = QUOTA_WORDS.search(text) and (wait_s is None or PER_DAY.search(body))
        why = WhyRefused.QUOTA if used_up else WhyRefused.RATE
    certain = why is not None
    if why is None:
        why = WhyRefused.KEY if KEY_WORDS.search(text) else WhyRefused.QUOTA if QUOTA_WORDS.search(text) else None
    if why is None:
        return None
    said = worded(status, [code for code in codes if not code.isdecimal()], text)
    return EndpointRefusal(why=why, said=said, wait_s=wait_s, certain=certain)


def certainly(status: int, codes: frozenset[str], text: str, document: Any) -> WhyRefused | None:
    """What status and codes say."""
    if status == HTTPStatus.PAYMENT_REQUIRED or codes & QUOTA_CODES:
        return WhyRefused.QUOTA
    if BEHIND.search(text):
        return WhyRefused.BEHIND
    key = (
        status == HTTPStatus.UNAUTHORIZED
        or codes & KEY_CODES
        or any(code.endswith(NO_ACCESS) for code in codes)
        # With a database LiteLLM would look the key up in it; without one only its master key is right.
        or ("no_db_connection" in codes and status == HTTPStatus.BAD_REQUEST)
        or (codes & CLOUDFLARE and cloudflare(document))
    )
    return WhyRefused.KEY if key else None


def facts_of(content: bytes) -> tuple[frozenset[str], list[str], Any]:
    """The codes in a body, in lower case, its messages, and the document; text that is no JSON is one message."""
    try:
        document = read_json(content)
    except ValueError:
        return frozenset(), [content[:READ].decode(errors="replace").strip()], None
    codes: set[str] = set()
    messages: list[str] = []
    for name, value in leaves(document, DEPTH):
        if name in CODES:
            codes.add(str(value).lower())
        else:
            messages.append(str(value))
    return frozenset(codes), messages, document


def leaves(part: object, depth: int) -> Iterator[tuple[str, str | int]]:
    """Codes and messages by their names, outer ones first; never what a server repeats of the request."""
    if depth == 0:
        return
    if isinstance(part, list):
        for one in part[:10]:
            yield from leaves(one, depth - 1)
    elif isinstance(part, dict):
        for name, value in part.items():
            if isinstance(value, str | int) and not isinstance(value, bool) and name in CODES | MESSAGES | HOLDERS:
                yield name, value
        for name, value in part.items():
            if name in HOLDERS and isinstance(value, dict | list):
                yield from leaves(value, depth - 1)


def cloudflare(document: Any) -> bool:
    """Whether a body has the form of Cloudflare's errors: its codes are plain numbers."""
    flat = str(document)[:SEARCHED]
    return isinstance(document, dict | list) and ("AiGatewayError" in flat or "'success': False" in flat)


def worded(status: int, codes: list[str], text: str) -> str:
    """The refusal in short, as in `HTTP 400, no_db_connection: No connected db.`, for an error."""
    named = "".join(f", {code}" for code in sorted(codes)[:2] if len(code) <= 40 and code not in text.lower())
    words = " ".join(text.split())
    shown = words if len(words) <= SHOWN else f"{words[:SHOWN]}…"
    return f"HTTP {status}{named}" + (f": {shown}" if shown else "")


def refused_words(refusal: EndpointRefusal, place: KeyPlace, *, sent: bool) -> tuple[str, str]:
    """What is wrong and how to mend it, for an error.

    Args:
        refusal: What the endpoint said.
        place: Where the key comes from.
        sent: Whether there was one.
    """
    said = refusal.said
    if refusal.why is WhyRefused.BEHIND:
        return f"the gateway has no valid key for the model behind it ({said})", "Mend its configuration"
    if refusal.why is WhyRefused.QUOTA:
        return f"the quota at the endpoint is used up ({said})", "Raise it there, or wait until it is renewed"
    if refusal.why is WhyRefused.RATE:
        long = refusal.wait_s is not None and refusal.wait_s > LONGEST_SAID_S
        what = (
            f"asks to wait {refusal.wait_s:.0f} s" if long else f"has let nothing pass for {PATIENCE_S:.0f} s and more"
        )
        fix = "Stay below its limits with --rpm N and --tpm N (for judges --judge-rpm, --judge-tpm), or wait"
        return f"the endpoint's rate limit {what} ({said})", fix
    return key_words(said, place, sent=sent)


def key_words(said: str, place: KeyPlace, *, sent: bool) -> tuple[str, str]:
    """What is wrong with a key, and where it is to be put."""
    if sent:
        what = f"the endpoint refuses the key in {place.variable} ({said})"
        return what, f"Put the right key into {place.variable}, or name another variable with {place.option}"
    what = f"the endpoint wants a key, and none was sent ({said})"
    fix = f"Put it into {place.variable}, or name its variable with {place.option}"
    return what, f"{fix}; OPENAI_API_KEY goes to https://api.openai.com only"
