"""Texts of a wanted length, and lengths of a wanted distribution."""

from __future__ import annotations

from statistics import fmean, median, pstdev
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.byte_pairs import byte_level

from llmgate.bench.workload.words import WORDS, Words, draw_length, open_words, rng
from llmgate.errors import UsageError
from llmgate.record.reach import Reach
from llmgate.record.serving.plan import TokenLengths

if TYPE_CHECKING:
    from pathlib import Path


def test_the_words_are_plain_and_different() -> None:
    assert len(set(WORDS)) == len(WORDS) == 304
    assert all(word.isascii() and word.isalpha() and word.islower() and len(word) <= 8 for word in WORDS)


@settings(max_examples=50)
@given(length=st.integers(1, 300), seed=st.integers(), after=st.sampled_from(["", "good morning"]))
def test_without_a_tokenizer_lengths_are_in_words(length: int, seed: int, after: str) -> None:
    text = Words().text(length, rng(seed), after=after)
    assert text.startswith(after)
    assert len(text.split()) == length + len(after.split())
    assert text == Words().text(length, rng(seed), after=after)


def test_a_longer_text_begins_as_a_shorter_one() -> None:
    assert Words().text(50, rng(1)).startswith(Words().text(20, rng(1)))


def test_with_a_tokenizer_lengths_are_exact(tmp_path: Path) -> None:
    words = open_words(byte_level(tmp_path / "tokenizer.json", WORDS[::2]), within=None, where="workload")
    assert words.unit == "tokens"
    assert 32 <= len(words.pool) < len(WORDS), "the others are several tokens"
    for length in (1, 2, 17, 400):
        text = words.text(length, rng(length))
        assert words.count(text) == length
        assert words.count(words.text(9, rng("more"), after=text)) == length + 9


def test_a_tokenizer_that_merges_words_is_still_exact() -> None:
    # Counts two words for one where both begin alike, so that a first draw is hardly ever right.
    def counted(text: str) -> int:
        parts = text.split()
        return len(parts) - sum(a[0] == b[0] for a, b in zip(parts[::2], parts[1::2], strict=False))

    words = Words(tokens_in=counted)
    assert [words.count(words.text(length, rng(length))) for length in (5, 50, 150)] == [5, 50, 150]
    with pytest.raises(UsageError, match="no text of exactly 3 tokens"):
        Words(tokens_in=lambda text: 2 * len(text.split())).text(3, rng(1))


def test_tokenizers_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        open_words(tmp_path, within=None, where="s.yaml:3")
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match=r"s\.yaml:3: .* is no tokenizer"):
        open_words(tmp_path, within=None, where="s.yaml:3")
    with pytest.raises(UsageError, match="of 304 common words whole"):
        open_words(byte_level(tmp_path / "tokenizer.json", WORDS[:5]), within=None, where="workload")
    outside = byte_level(tmp_path / "outside.json", WORDS)
    inside = tmp_path / "project"
    inside.mkdir()
    (inside / "link.json").symlink_to(outside)
    with pytest.raises(UsageError, match="lies outside"):
        open_words(inside / "link.json", within=Reach(folders=(inside.resolve(),)), where="workload")


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(UsageError, match="pip install tokenizers"):
        open_words(tmp_path, within=None, where="workload")


def drawn(lengths: TokenLengths, count: int = 5000) -> list[int]:
    return [draw_length(lengths, rng(seed)) for seed in range(count)]


def test_lengths_have_the_distribution_that_is_asked_for() -> None:
    assert set(drawn(TokenLengths(kind="constant", first=7), 20)) == {7}
    uniform = drawn(TokenLengths(kind="uniform", first=4, second=6))
    assert {length: round(uniform.count(length) / 5000, 1) for length in (4, 5, 6)} == {4: 0.3, 5: 0.3, 6: 0.3}
    chosen = drawn(TokenLengths(kind="choice", choices=(8, 512)))
    assert set(chosen) == {8, 512}
    assert fmean(chosen) == pytest.approx(260, rel=0.05)
    normal = drawn(TokenLengths(kind="normal", first=500, second=50))
    assert fmean(normal) == pytest.approx(500, rel=0.01)
    assert pstdev(normal) == pytest.approx(50, rel=0.05)
    log = drawn(TokenLengths(kind="lognormal", first=200, second=0.5))
    assert median(log) == pytest.approx(200, rel=0.05)
    assert fmean(log) == pytest.approx(200 * 2.718281828**0.125, rel=0.05)
    clipped = drawn(TokenLengths(kind="normal", first=100, second=400, least=16, most=150))
    assert (min(clipped), max(clipped)) == (16, 150)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "constant"}, "a length of 0"),
        ({"kind": "constant", "first": 2e6}, "a length of 2e"),
        ({"kind": "uniform", "first": 5, "second": 4}, "write the smaller one first"),
        ({"kind": "normal", "first": 5, "second": -1}, "a deviation of -1"),
        ({"kind": "normal", "first": 5, "second": 1, "least": 9, "most": 2}, "lengths from 9 to 2"),
        ({"kind": "choice"}, "give some"),
        ({"kind": "choice", "choices": (3, 0)}, "give some"),
    ],
)
def test_lengths_that_cannot_be_drawn(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        TokenLengths(**wrong)  # type: ignore[arg-type]
