"""Which names stand for the model that was asked, and that nothing is written where nothing is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from support.records import make_result

from llmgate.record.answered_by import AnsweredBy, answers_for
from llmgate.record.schema import CaseResult, Generation

RESULT = TypeAdapter(CaseResult)


@pytest.mark.parametrize(
    ("asked", "replied"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("/models/bot", "/models/bot@main"),
        ("owner/bot", "owner/bot@main"),
        ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
        ("claude-3-5-sonnet", "claude-3-5-sonnet@20241022"),
        ("mistral-large-latest", "mistral-large-2407"),
        ("openai/gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4o", "azure/gpt-4o"),
        ("Qwen/Qwen2.5-7B", "qwen/qwen2.5-7b"),
        ("/models/qwen", "qwen"),
    ],
)
def test_names_of_one_model(asked: str, replied: str) -> None:
    assert answers_for(replied, asked)


@pytest.mark.parametrize(
    ("asked", "replied"),
    [
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4o", "gpt-4o-mini-2024-07-18"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
        ("/models/bot", "/models/bot@v2"),
        ("/models/bot@v2", "/models/bot@main"),
        ("/models/bot", "/models/other@main"),
        ("gpt-4o-2024-05-13", "gpt-4o"),
        ("gpt-4", "gpt-4-32k"),
        ("bot", "bot-0001"),
        ("bot", "bot-v2"),
        ("bot", "bot-2"),
        ("llama-3", "llama-3-405"),
        ("openai/gpt-4o", "azure/gpt-4o"),
        ("bot", ""),
        ("bot-latest", "bot"),
        ("a", "-2024-08-06"),
    ],
)
def test_names_of_another_model(asked: str, replied: str) -> None:
    assert not answers_for(replied, asked)


@given(st.text(min_size=1), st.text(min_size=1))
def test_every_name_is_its_own_and_vouching_counts(asked: str, replied: str) -> None:
    assert answers_for(asked, asked)
    assert answers_for(replied, asked, (replied,))


def test_what_is_not_known_is_not_written_and_what_is_comes_back() -> None:
    plain = make_result("a")
    assert b"answered_by" not in RESULT.dump_json(plain)
    assert isinstance(plain.answer, Generation)
    by = AnsweredBy(model="mock-b", cached="age")
    other = CaseResult(key=plain.key, answer=Generation(text="", latency_s=1.0, answered_by=by))
    written = RESULT.dump_json(other)
    assert b'"answered_by":{"model":"mock-b","cached":"age"}' in written
    assert RESULT.validate_json(written) == other
