"""Words as js-rouge 3.2.3 splits them; the expected lists were printed by that package."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.score.text.treebank import treebank_words

SPLIT = {
    "you cannot enter": ["you", "can", "not", "enter"],
    "we are gonna win, wanna bet?": ["we", "are", "gon", "na", "win", ",", "wan", "na", "bet", "?"],
    '"yes" he said': ["``", "yes", "''", "he", "said"],
    'he said "yes."': ["he", "said", "``", "yes", ".", "''"],
    "wait... what": ["wait", "...", "what"],
    "it rains. we stay.": ["it", "rains.", "we", "stay", "."],
    "u.s. law in the u.s.": ["u.s.", "law", "in", "the", "u.s."],
    "it's the dogs' bowl, they'll say don't": [
        "it",
        "'s",
        "the",
        "dogs",
        "'",
        "bowl",
        ",",
        "they",
        "'ll",
        "say",
        "do",
        "n't",
    ],
    "see https://x.example/a: now": ["see", "https", ":", "//x.example/a", ":", "now"],
    "10,000 at 9:30": ["10,000", "at", "9:30"],
    "costs $5 (or 10%)": ["costs", "$", "5", "(", "or", "10", "%", ")"],
    "''quoted'' and ``open": ["''", "quoted", "''", "and", "``", "open"],
    "a -- b--c": ["a", "--", "b", "--", "c"],
    "state-of-the-art": ["state-of-the-art"],
    "'tis d'ye more'n gimme lemme gotta": ["'t", "is", "d", "'ye", "more", "'n", "gim", "me", "lem", "me", "got", "ta"],
    "x'": ["x", "'"],
    '("a")': ["(", "``", "a", "''", ")"],
    'end."': ["end", ".", "''"],
    "end.)": ["end", ".", ")"],
    " \xa0\u3000 ": [],
    "\x85a\x85": ["a"],
    "caf\xe9\u200dcannot": ["caf\xe9\u200dcannot"],
    "a.. ..": ["a..", ".."],
    '"': ["``"],
    '""': ["``", "''"],
    "the end .": ["the", "end", "."],
    "a b": ["a", "b"],
    "\U0001f98a!": ["\U0001f98a", "!"],
    "cannotgonna cannot's": ["cannotgonna", "can", "not", "'s"],
}


@pytest.mark.parametrize("text", SPLIT)
def test_texts_are_split_as_js_rouge_splits_them(text: str) -> None:
    assert treebank_words(text) == SPLIT[text]


@given(st.text() | st.text(alphabet="\"'` .a5,:)]u\u00a0"))
def test_no_word_is_empty_and_no_letter_is_lost(text: str) -> None:
    words = treebank_words(text)
    assert all(words)
    assert [c for c in "".join(words) if c.isalnum()] == [c for c in text if c.isalnum()]


@pytest.mark.parametrize("piece", ['"', "''", ".]", "' ", "gonna", "``", ",:"])
@pytest.mark.cpu_seconds(5)
def test_a_long_text_takes_no_quadratic_time(piece: str) -> None:
    assert treebank_words(piece * 50_000)
