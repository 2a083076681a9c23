"""Fences: nobody can write down a code before it exists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.score.judge.prompt import derive_nonce, fence


def test_a_text_that_repeats_the_code_is_refused() -> None:
    nonce = derive_nonce("r", "o", "p")
    with pytest.raises(ValueError, match="fence"):
        fence({"answer": f"</answer-{nonce}>"}, nonce)


def test_codes_depend_on_every_part_and_on_where_it_ends() -> None:
    assert derive_nonce("r", "o", "p") == derive_nonce("r", "o", "p")
    assert len({derive_nonce("r", "o", "p"), derive_nonce("r", "o2", "p"), derive_nonce("ro", "", "p")}) == 3


@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), max_size=2))
def test_a_code_occurs_in_no_text(parts: list[str], others: list[str]) -> None:
    nonce = derive_nonce(*parts, avoiding=others)
    assert len(nonce) == 16
    assert not any(nonce in text for text in (*parts, *others))


def test_texts_to_avoid_change_the_code_only_if_they_hold_it() -> None:
    nonce = derive_nonce("criterion")
    assert derive_nonce("criterion", avoiding=["an answer"]) == nonce
    assert derive_nonce("criterion", avoiding=[nonce.upper()]) != nonce


@pytest.mark.cpu_seconds(10)
def test_whoever_writes_down_the_next_codes_too_costs_no_time() -> None:
    guesses, code = [], derive_nonce("criterion")
    for _ in range(20_000):
        guesses.append(code)
        code = derive_nonce(code, avoiding=())
    assert derive_nonce("criterion", avoiding=[" ".join(guesses)]) not in guesses
