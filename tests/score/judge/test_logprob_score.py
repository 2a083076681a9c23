"""Scores weighted by their probabilities: which token counts, and what its alternatives come to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import JudgeError
from llmgate.score.assertion.models import Token
from llmgate.score.judge.logprob_score import expected_score


def tokens(*texts: str, **last: float) -> list[Token]:
    """Certain tokens, of which the one before the closing brace has these alternatives."""
    made = [Token(text=text, logprob=0.0, alternatives={text: 0.0}) for text in texts]
    chances = {text: math.log(chance) for text, chance in last.items()}
    if chances:
        made[-2] = Token(text=texts[-2], logprob=chances.get(texts[-2], math.log(0.5)), alternatives=chances)
    return made


def test_without_tokens_the_score_stands() -> None:
    assert expected_score([], 7.5) == 7.5


def test_alternatives_that_are_scores_are_weighed() -> None:
    reply = tokens('{"score', '": ', "8", "}", **{"8": 0.5, "7": 0.25, "9": 0.05, "high": 0.1, "11": 0.05, "-1": 0.05})
    assert expected_score(reply, 8) == pytest.approx((8 * 0.5 + 7 * 0.25 + 9 * 0.05) / 0.8)


def test_spaces_and_quotes_around_a_score_do_not_matter() -> None:
    reply = tokens('{"score":', " 8", "}", **{" 8": 0.5, "8": 0.1, " 6": 0.4})
    assert expected_score(reply, 8) == pytest.approx(8 * 0.6 + 6 * 0.4)


def test_the_last_score_counts_and_not_a_number_in_the_reason() -> None:
    reply = [
        Token(text='{"reason": "first I thought of ', logprob=0.0),
        Token(text="3", logprob=math.log(0.5), alternatives={"3": math.log(0.5), "0": math.log(0.5)}),
        Token(text=', it is 8", "score": ', logprob=0.0),
        Token(text="8", logprob=math.log(0.75), alternatives={"8": math.log(0.75), "4": math.log(0.25)}),
        Token(text="}", logprob=0.0),
    ]
    assert expected_score(reply, 8) == pytest.approx(7)


def test_of_two_scores_in_a_reply_the_last_counts() -> None:
    reply = tokens('{"score":', "3", ',"score":', "8", "}", **{"8": 0.5, "6": 0.5})
    assert expected_score(reply, 8) == pytest.approx(7)


def test_a_number_in_a_reason_after_the_score_is_no_score() -> None:
    reply = [*tokens('{"score": ', "8", ",", **{"8": 0.5, "6": 0.5}), *tokens('"reason": "', "8", ' days"}')]
    assert expected_score(reply, 8) == pytest.approx(7)


def test_ten_may_be_one_token_or_two() -> None:
    one = tokens('{"score":', "10", "}", **{"10": 0.6, "1": 0.1, "9": 0.3})
    assert expected_score(one, 10) == pytest.approx(10 * 0.6 + 0.1 + 9 * 0.3)
    two = [
        Token(text='{"score":', logprob=0.0),
        Token(text="1", logprob=math.log(0.8), alternatives={"1": math.log(0.8), "9": math.log(0.2)}),
        Token(text="0", logprob=math.log(0.75), alternatives={"0": math.log(0.75), "}": math.log(0.25)}),
        Token(text="}", logprob=0.0),
    ]
    assert expected_score(two, 10) == pytest.approx(10 * 0.8 * 0.75 + 1 * 0.8 * 0.25 + 9 * 0.2)


def test_a_score_that_is_not_whole_stands_as_it_is() -> None:
    assert expected_score(tokens('{"score":', "7.5", "}"), 7.5) == 7.5
    assert expected_score(tokens('{"score":', "7.0", "}"), 7) == 7


@pytest.mark.parametrize(
    "reply",
    [
        tokens("the tokens ", "of another reply"),
        tokens('{"score":', "3", "}"),
        [Token(text='{"score":', logprob=0.0), Token(text="8", logprob=math.nan), Token(text="}", logprob=0.0)],
        [Token(text='{"score":', logprob=0.0), Token(text="8", logprob=2.0), Token(text="}", logprob=0.0)],
        [Token(text='{"score":', logprob=0.0), Token(text="8", logprob=-math.inf), Token(text="}", logprob=0.0)],
        [Token(text='{"score": 8}', logprob=0.0)],
    ],
)
def test_tokens_that_do_not_hold_the_score_are_an_error(reply: list[Token]) -> None:
    with pytest.raises(JudgeError):
        expected_score(reply, 8)


@given(
    st.integers(0, 10),
    st.dictionaries(st.integers(0, 10).map(str) | st.text(), st.floats(max_value=-6, allow_nan=False), max_size=20),
)
def test_the_mean_lies_between_the_scores(score: int, alternatives: dict[str, float]) -> None:
    reply = [
        Token(text='{"score":', logprob=0.0),
        Token(text=str(score), logprob=-0.1, alternatives={**alternatives, str(score): -0.1}),
        Token(text="}", logprob=0.0),
    ]
    whole = [int(text) for text in alternatives if text in map(str, range(11))]
    assert min([score, *whole]) - 1e-9 <= expected_score(reply, score) <= max([score, *whole]) + 1e-9
