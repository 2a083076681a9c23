"""How long an endpoint asks to wait is read in all the forms in which it is said."""

from __future__ import annotations

import pytest

from llmgate.generate.retry_after import said_wait_s, wait_in_text


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "0"}, 0.0),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"Retry-After": "Thu, 01 Jan 1970 00:16:47 GMT"}, 7.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:16:39 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "\u00b2"}, None),
        ({"Retry-After": "9" * 5000}, None),
        ({"X-RateLimit-Reset-Requests": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-reset-requests": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-reset-tokens": "12"}, 12.0),
        ({"x-ratelimit-reset-tokens": "0"}, None),
        ({"x-ratelimit-reset-tokens": "-1"}, None),
        ({"llm_provider-x-ratelimit-reset-requests": "20s"}, 20.0),
        ({"anthropic-ratelimit-requests-reset": "1970-01-01T00:17:00Z"}, 20.0),
        ({"X-RateLimit-Reset": "1000000042"}, 999_999_042.0),
        ({"X-RateLimit-Reset": "1000000042000"}, 999_999_042.0),
        # The longest of those of which nothing is left.
        (
            {
                "x-ratelimit-reset-requests": "5s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "9s",
                "x-ratelimit-remaining-tokens": "120",
            },
            5.0,
        ),
        ({"x-ratelimit-reset-requests": "5s", "x-ratelimit-reset-tokens": "9s"}, 9.0),
        ({"Retry-After": "2", "x-ratelimit-reset-tokens": "9s"}, 2.0),
    ],
)
def test_headers(headers: dict[str, str], wait: float | None) -> None:
    assert said_wait_s(headers, now_s=1000.0) == (None if wait is None else pytest.approx(wait))


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("Limit 3, Used 3, Requested 1. Please try again in 20s.", 20.0),
        ("Please try again in 7m12s. Visit", 432.0),
        ("Please try again in 500ms.", 0.5),
        ("No deployments available, Try again in 60 seconds.", 60.0),
        ("Please retry after 2 minutes", 120.0),
        ("Please retry in 31.933s.", 31.933),
        ('{"retryDelay": "31s"}', 31.0),
        ("try again in a while", None),
        ("try again in 9" + "9" * 5000, None),
        ("", None),
    ],
)
def test_words(text: str, wait: float | None) -> None:
    assert wait_in_text(text) == (None if wait is None else pytest.approx(wait))
