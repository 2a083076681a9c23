"""The asserts over texts and measurements together: nothing a model writes makes one raise or leave its range."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import HOSTILE

from llmgate import evaluate_assert

SOUND: dict[str, dict[str, Any]] = {
    "bleu": {"value": ["the cat sat", "{{ x }}"]},
    "chrf": {"value": "the cat sat"},
    "cost": {"threshold": 1},
    "exact-match": {"value": ["cat", 7]},
    "f1": {"value": "the cat sat"},
    "finish-reason": {"value": "stop"},
    "gleu": {"value": "the cat sat"},
    "latency": {"threshold": 1},
    "levenshtein": {"value": "the cat sat"},
    "perplexity": {"threshold": 2},
    "perplexity-score": {"threshold": 0.3},
    "refusal": {},
    "rouge-l": {"value": "the cat sat"},
    "rouge-n": {"value": "the cat sat"},
    "semantic-similarity": {"value": "the cat sat"},
    "similar": {"value": "the cat sat"},
    "similar:euclidean": {"value": ["the cat sat"]},
    "token-budget": {"threshold": 5},
}
ABOUT: dict[str, Any] = {
    "latency_ms": 2,
    "cost": 0.5,
    "logprobs": [-0.5],
    "finish_reason": "stop",
    "tokens": {"total": 3},
}
texts = (
    st.text() | st.text(alphabet="the cat.\"'`\u00a0\ud800\U0001f98a5,:") | st.sampled_from(sorted(HOSTILE.values()))
)


def embed(text: str) -> list[float]:
    return [float(len(text)), 1.0]


@pytest.mark.parametrize("type_", SOUND)
@settings(max_examples=40, deadline=None)
@given(output=texts)
def test_any_text_is_evaluated_and_not_inverts(type_: str, output: str) -> None:
    about: dict[str, Any] = {**ABOUT, "vars": {"x": "a dog"}, "embed": embed}
    found = evaluate_assert({"type": type_, **SOUND[type_]}, output, **about)
    inverse = evaluate_assert({"type": f"not-{type_}", **SOUND[type_]}, output, **about)
    assert found.score is not None
    assert inverse.score is not None
    assert 0 <= found.score <= 1
    assert found.score + inverse.score == pytest.approx(1)
    assert {found.outcome, inverse.outcome} == {"pass", "fail"}


@pytest.mark.parametrize("type_", SOUND)
@settings(max_examples=40, deadline=None)
@given(
    value=st.none() | st.text(max_size=9) | st.integers() | st.lists(st.text(max_size=3) | st.integers(), max_size=3)
)
def test_any_value_is_a_rule_or_an_error(type_: str, value: object) -> None:
    found = evaluate_assert({"type": type_, **SOUND[type_], "value": value}, "the cat", **ABOUT, embed=embed)
    assert not found.reason.startswith("internal error")
