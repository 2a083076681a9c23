"""What replies and headers say of who answered."""

from __future__ import annotations

from typing import Any

import pytest

from llmgate.generate.who_answered import said_by, with_headers
from llmgate.record.answered_by import AnsweredBy

HONEST = {
    "X-LiteLLM-Attempted-Fallbacks": "0",
    "x-litellm-cache-key": "",
    "x-portkey-cache-status": "DISABLED",
    "x-portkey-last-used-option-index": "config.targets[0]",
    "x-kv-cache-hit": "true",
    "age": "0",
    "Age": "yesterday",
}


def test_nothing_said_is_nothing_written() -> None:
    assert with_headers(said_by({"model": "a"}), HONEST, asked="a") is None
    assert with_headers(AnsweredBy(), {}, asked="a") is None


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({}, AnsweredBy(model="")),
        ({"model": None}, AnsweredBy(model="")),
        ({"model": "b", "provider": "One"}, AnsweredBy(model="b", provider="One")),
        ({"model": 7, "provider": 8}, AnsweredBy(model="7")),
        ({"model": {"id": "a"}}, AnsweredBy(model='{"id": "a"}')),
        ({"model": "a\ud800"}, AnsweredBy(model="a\\ud800")),
    ],
)
def test_what_a_reply_says(reply: dict[str, Any], said: AnsweredBy) -> None:
    assert said_by(reply) == said
    assert with_headers(said, {}, asked="a") == said


def test_the_first_header_that_says_so_is_kept_and_its_value_is_bounded() -> None:
    headers = {"Age": "9" * 5000, "x-cache": "HIT", "CF-AIG-Step": "1" * 5000}
    by = with_headers(AnsweredBy(), headers, asked="a")
    assert by == AnsweredBy(cached="age", rerouted=f"cf-aig-step: {'1' * 60}")
