"""A refused key, a used-up quota and a rate limit are told by what endpoints and gateways say, whatever the status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.generate.key_travel import KeyPlace
from llmgate.generate.refusals import WhyRefused, refusal_of, refused_words

if TYPE_CHECKING:
    from llmgate.generate.refusals import EndpointRefusal

KEY, BEHIND, QUOTA, RATE = WhyRefused.KEY, WhyRefused.BEHIND, WhyRefused.QUOTA, WhyRefused.RATE


def openai(message: str, kind: str | None = None, code: object = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def read(status: int, body: object, headers: dict[str, str] | None = None) -> EndpointRefusal | None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return refusal_of(status, headers or {}, content, now_s=1000.0)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        # As LiteLLM 1.108 says it.
        (400, openai("No connected db.", "no_db_connection", "400"), KEY),
        (401, openai("Authentication Error, No api key passed in.", "auth_error", "401"), KEY),
        (500, openai("Authentication Error, Invalid proxy server token passed.", "auth_error", "500"), KEY),
        (400, openai("Authentication Error - Expired Key.", "expired_key", "400"), KEY),
        (403, openai("key not allowed to access model", "key_model_access_denied", "403"), KEY),
        (
            401,
            openai("litellm.AuthenticationError: AuthenticationError: OpenAIException - Incorrect API key", "x", "401"),
            BEHIND,
        ),
        (
            500,
            openai("litellm.InternalServerError: InternalServerError: OpenAIException - Missing credentials. Please"),
            BEHIND,
        ),
        (400, openai("Budget has been exceeded! Current cost: 1.0", "budget_exceeded", "400"), QUOTA),
        (429, openai("litellm.RateLimitError: OpenAIException - You exceeded your current quota", "t", "429"), QUOTA),
        (429, openai("No deployments available for selected model.", "rate_limit_error", "429"), RATE),
        # OpenAI, Azure, Anthropic, Google, vLLM, llama.cpp.
        (401, openai("Incorrect API key provided: x.", "invalid_request_error", "invalid_api_key"), KEY),
        (400, openai("Incorrect API key provided: x.", "invalid_request_error", "invalid_api_key"), KEY),
        (429, openai("You exceeded your current quota.", "insufficient_quota", "insufficient_quota"), QUOTA),
        (429, openai("Rate limit reached for x on requests per min (RPM)", "requests", "rate_limit_exceeded"), RATE),
        (401, {"statusCode": 401, "message": "Access denied due to invalid subscription key"}, KEY),
        (403, {"error": {"code": "PermissionDenied", "message": "The principal lacks a data action"}}, KEY),
        (500, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}, KEY),
        (
            400,
            [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}],
            KEY,
        ),
        (401, {"error": "Unauthorized"}, KEY),
        (500, {"error": {"code": 500, "message": "Invalid API Key", "type": "authentication_error"}}, KEY),
        # Portkey, Cloudflare, OpenRouter, DeepSeek, Kong, FastAPI.
        (400, {"status": "failure", "message": "Invalid API Key. Error Code: 03"}, KEY),
        (400, {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]}, KEY),
        (400, {"name": "AiGatewayError", "internalCode": 2009, "message": "Refused"}, KEY),
        (500, {"error": {"message": "No auth credentials found", "code": 500}}, KEY),
        (402, {"error": {"message": "Insufficient Balance"}}, QUOTA),
        (403, {"message": "No API key found in request"}, KEY),
        (403, {"detail": "Not authenticated"}, KEY),
        (401, b"", KEY),
        (500, b"Unauthorized", KEY),
        (429, b"", RATE),
        (429, b"\xff<html>", RATE),
    ],
)
def test_what_refuses_is_known_by_its_body(status: int, body: object, why: WhyRefused) -> None:
    refusal = read(status, body)
    assert refusal is not None
    assert refusal.why is why
    assert refusal.said.startswith(f"HTTP {status}")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, openai("This model's maximum context length is 2048 tokens.", "invalid_request_error", "x")),
        (400, openai("Invalid value for 'temperature'.", "invalid_request_error")),
        (403, {"error": {"code": 403, "message": "Your input was flagged", "metadata": {"reasons": ["violence"]}}}),
        (500, b"Internal Server Error"),
        (500, openai("CUDA out of memory", "server_error")),
        (503, openai("No connected db.", "no_db_connection", "503")),
        (404, openai("The model `x` does not exist", "invalid_request_error", "model_not_found")),
        (422, {"detail": [{"type": "missing", "msg": "Field required", "input": {"code": "invalid_api_key"}}]}),
        (400, {"error": {"code": 10000, "message": "what Cloudflare did not say"}}),
        (400, b"[" * 100_000),
    ],
)
def test_what_is_about_the_request_is_no_refusal_of_this_kind(status: int, body: object) -> None:
    assert read(status, body) is None


def test_words_alone_are_not_certain_as_they_may_quote_the_prompt() -> None:
    refusal = read(400, openai("Invalid value: 'What is a missing API key?'", "invalid_request_error"))
    assert refusal is not None
    assert not refusal.certain


def test_googles_quota_per_minute_is_a_rate_and_the_one_per_day_is_none() -> None:
    def body(quota: str) -> dict[str, Any]:
        details = [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"},
        ]
        message = "You exceeded your current quota, please check your plan and billing details."
        return {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": message, "details": details}}

    minute, day = (read(429, body(f"GenerateRequestsPer{part}PerProjectPerModel")) for part in ("Minute", "Day"))
    assert minute is not None
    assert (minute.why, minute.wait_s) == (RATE, 31.0)
    assert day is not None
    assert day.why is QUOTA


@pytest.mark.parametrize(("sent", "says"), [(True, "refuses the key in MY_KEY"), (False, "wants a key, and none was")])
def test_a_refused_key_says_where_it_is_to_be_put(sent: bool, says: str) -> None:
    refusal = read(400, openai("No connected db.", "no_db_connection", "400"))
    assert refusal is not None
    place = KeyPlace(variable="MY_KEY", option="--judge-api-key-env")
    what, fix = refused_words(refusal, place, sent=sent)
    assert says in what
    assert "HTTP 400, no_db_connection: No connected db." in what
    assert "MY_KEY" in fix
    assert "--judge-api-key-env" in fix


@given(st.integers(300, 599), st.binary(max_size=200), st.dictionaries(st.text(max_size=12), st.text(max_size=12)))
def test_no_body_and_no_header_breaks_it(status: int, content: bytes, headers: dict[str, str]) -> None:
    refusal = refusal_of(status, headers, content, now_s=0.0)
    assert status not in {401, 402, 429} or refusal is not None
