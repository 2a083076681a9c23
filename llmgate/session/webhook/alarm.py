"""Telling somebody that an alias moved past the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp

from llmgate.session.clock import timestamp

if TYPE_CHECKING:
    from llmgate.promote.webhook.ledger import AliasFinding

__all__ = ["alarm_body", "post_alarm"]

TIMEOUT_S: Final = 10.0


def alarm_body(finding: AliasFinding, reverted: str | None) -> dict[str, str | None]:
    """What is sent: facts for programs, and `text` for chat services.

    Args:
        finding: What was found.
        reverted: What became of setting the alias back, None if that was not tried.
    """
    text = f"llmgate: {finding}" + (f"; {reverted}" if reverted else "")
    return {
        "text": text,
        "event": "alias.moved_past_the_gate",
        "model": finding.model,
        "alias": finding.alias,
        "holder": finding.holder,
        "ledger": finding.expected,
        "why": finding.why,
        "reverted": reverted,
        "at": timestamp(),
    }


async def post_alarm(url: str, body: dict[str, str | None]) -> str | None:
    """Send an alarm: once, to exactly this address, and without reading what comes back.

    Returns:
        Why it did not arrive, None if it did. Does not repeat the URL, which may be a secret.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        # A new cookie-less session each time: alarms are rare.
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(url, json=body, allow_redirects=False) as answer,
        ):
            if 200 <= answer.status < 300:
                return None
            return f"the alarm's address answered {answer.status}"
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return f"the alarm's address cannot be reached ({type(error).__name__})"
